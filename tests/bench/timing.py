"""Times commands in turn (A B C A B C ...), so that a machine that slows down slows all of them."""

import statistics
import subprocess
import time
from dataclasses import dataclass, field


@dataclass
class Timed:
    """One command and how long each of its runs took, in seconds."""

    name: str
    command: list[str]
    environment: dict[str, str] | None = None
    stdin: bytes = b""
    seconds: list[float] = field(default_factory=list)

    def run(self):
        """One run, counted. It must succeed."""
        start = time.perf_counter()
        ended = subprocess.run(
            self.command,
            input=self.stdin,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        self.seconds.append(time.perf_counter() - start)
        if ended.returncode != 0:
            raise RuntimeError(f"{self.name}: exit {ended.returncode}: {ended.stderr.decode()}")

    @property
    def median(self):
        return statistics.median(self.seconds)


SETTLE_SECONDS = 0.03
"""A pause behind each run: what one leaves to its daemon must not slow the next one down."""


def in_turn(commands, runs, warm_up=3):
    """Run each command so often, one after the other."""
    for count in range(warm_up + runs):
        if count == warm_up:
            for command in commands:
                command.seconds.clear()
        for command in commands:
            command.run()
            time.sleep(SETTLE_SECONDS)


def ratio_by_pairs(one, other):
    """The median of one's time over other's, run by run."""
    return statistics.median(a / b for a, b in zip(one.seconds, other.seconds, strict=True))
