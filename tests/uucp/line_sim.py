"""A line between two line protocols, with a manual clock: rate, delay and noise, no sleeping.

    simulation = LineSim(caller, called, Quality(bits_per_second=2400, delay_seconds=1), seed=7)
    simulation.start()
    simulation.run(lambda: bool(simulation.called.events), limit_seconds=60)

Each end has the line protocol, what it has said (`events`), and hooks for the test's own session:
`on_event(event)` for every event, `work()` before the bytes for the peer are taken (send commands
and as much of a file as there is room for). The same seed gives the same noise.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relaynode.uucp.line import Event, Line

BITS_PER_BYTE = 8
CHUNK_SECONDS = 0.05
"""Bytes come out of the line in pieces of what it carries in this time."""

MAX_STILL_STEPS = 1000


class Stalled(AssertionError):
    """Nothing more will ever happen, or the time is over, and the goal is not reached."""


@dataclass(frozen=True)
class Quality:
    """What one direction does to bytes. The last three are probabilities for each byte.

    `drop` and `duplicate` hit a run of up to `longest_run` bytes from there on.
    """

    bits_per_second: float = 10_000_000
    delay_seconds: float = 0.0
    damage: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    longest_run: int = 20


class Direction:
    """One way of the line: bytes go in at some time and come out later, if at all."""

    def __init__(self, quality: Quality, chance: random.Random) -> None:
        self.quality = quality
        self.carried_bytes = 0
        self._chance = chance
        self._free_at = 0.0
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._trouble_at = self._next_trouble()

    def send(self, data: bytes, now: float) -> None:
        step = max(1, int(self.quality.bits_per_second * CHUNK_SECONDS / BITS_PER_BYTE))
        for i in range(0, len(data), step):
            chunk = data[i : i + step]
            seconds = len(chunk) * BITS_PER_BYTE / self.quality.bits_per_second
            self._free_at = max(self._free_at, now) + seconds
            arrival = self._free_at + self.quality.delay_seconds
            self._under_way.append((arrival, self._with_noise(chunk)))
        self.carried_bytes += len(data)

    @property
    def next_at(self) -> float | None:
        return self._under_way[0][0] if self._under_way else None

    def take(self, now: float) -> bytes:
        out = bytearray()
        while self._under_way and self._under_way[0][0] <= now:
            out += self._under_way.popleft()[1]
        return bytes(out)

    def _next_trouble(self) -> int | None:
        """How many bytes remain unharmed until the next mishap."""
        chances = self.quality.damage + self.quality.drop + self.quality.duplicate
        return int(self._chance.expovariate(chances)) if chances else None

    def _with_noise(self, data: bytes) -> bytes:
        out = bytearray()
        while self._trouble_at is not None and self._trouble_at < len(data):
            out += data[: self._trouble_at]
            harmed, rest = self._mishap(data[self._trouble_at :])
            out += harmed
            data = rest
            self._trouble_at = self._next_trouble()
        if self._trouble_at is not None:
            self._trouble_at -= len(data)
        return bytes(out + data)

    def _mishap(self, data: bytes) -> tuple[bytes, bytes]:
        """What becomes of the beginning of `data`, and what is left of it."""
        quality = self.quality
        run = self._chance.randint(1, quality.longest_run)
        kinds = ["damage", "drop", "duplicate"]
        weights = [quality.damage, quality.drop, quality.duplicate]
        match self._chance.choices(kinds, weights)[0]:
            case "damage":
                return bytes([data[0] ^ self._chance.randint(1, 255)]), data[1:]
            case "drop":
                return b"", data[run:]
            case _:
                return data[:run] * 2, data[run:]


@dataclass
class End:
    """One side: its line protocol, what it has said, and the test's session above it."""

    line: Line
    events: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], None] = lambda event: None
    work: Callable[[], None] = lambda: None

    def note(self, events: list[Event]) -> None:
        self.events += events
        for event in events:
            self.on_event(event)


class LineSim:
    """Two ends and what lies between. `now` is the manual clock, in seconds from 0."""

    def __init__(
        self,
        caller: Line,
        called: Line,
        quality: Quality | None = None,
        back: Quality | None = None,
        seed: int = 0,
    ) -> None:
        chance = random.Random(seed)
        there = quality or Quality()
        self.now = 0.0
        self._still_steps = 0
        self.caller = End(caller)
        self.called = End(called)
        self.there = Direction(there, chance)
        """From the caller to the called side."""
        self.back = Direction(back or there, chance)

    def start(self) -> None:
        """Begin both line protocols."""
        for end in (self.caller, self.called):
            end.line.start(self.now)
        self._work()

    def run(self, is_done: Callable[[], bool], limit_seconds: float = 3600.0) -> float:
        """Let time pass until it is done; the time now. Raises: Stalled."""
        limit = self.now + limit_seconds
        self._work()
        while not is_done():
            next_at = min(self._times(), default=None)
            if next_at is None or next_at > limit:
                raise Stalled(f"at {self.now:.2f} s; next at {next_at}, limit {limit:.2f}")
            self._pass_time(next_at)
            self._step()
        return self.now

    def _pass_time(self, until: float) -> None:
        self._still_steps = self._still_steps + 1 if until <= self.now else 0
        if self._still_steps > MAX_STILL_STEPS:
            raise Stalled(f"at {self.now:.2f} s for ever: somebody is always awake")
        self.now = max(self.now, until)

    def _times(self) -> Iterator[float]:
        sources = (self.there.next_at, self.back.next_at)
        wakes = (self.caller.line.wake_at, self.called.line.wake_at)
        return (at for at in (*sources, *wakes) if at is not None)

    def _step(self) -> None:
        for end, incoming in ((self.called, self.there), (self.caller, self.back)):
            data = incoming.take(self.now)
            if data:
                end.note(end.line.receive(data, self.now))
            wake_at = end.line.wake_at
            if wake_at is not None and wake_at <= self.now:
                end.note(end.line.tick(self.now))
        self._work()

    def _work(self) -> None:
        for end, outgoing in ((self.caller, self.there), (self.called, self.back)):
            end.work()
            data = end.line.data_to_send()
            if data:
                outgoing.send(data, self.now)
