"""Letters out over loopback: a relaynode's link-up and Postfix's flush to smtp-sink, in turn.

smtp-sink is Postfix's own test program: it takes all mail at once and throws it away. It offers
PIPELINING and no CHUNKING.
"""

import asyncio
import shutil
import statistics
from dataclasses import dataclass

from smtp_out_line import OurSender, PostfixSender

from peers.folders import make_home
from peers.found import require
from peers.processes import Process, free_port

LETTERS = 2000
ROUNDS = 3


@dataclass(frozen=True)
class Rate:
    """Letters a second. `seconds`: for ours those of the run, and `with_start` those of the command
    from its start to its end; for Postfix both are from the command to flush until its queue is
    empty."""

    seconds: float
    with_start: float

    @property
    def per_second(self):
        return LETTERS / self.seconds


async def rounds():
    """ROUNDS pairs of ours and Postfix's."""
    found = require("postfix")
    home = make_home("bench")
    port = free_port()
    sink = Process(
        [found.program("smtp-sink"), "-u", "postfix", f"127.0.0.1:{port}", "100"],
        log=home / "sink.log",
        environment=found.environment,
    )
    try:
        await asyncio.to_thread(sink.wait_until_answers, port)
        return [
            (await _flush(OurSender, port), await _flush(PostfixSender, port))
            for _ in range(ROUNDS)
        ]
    finally:
        sink.stop()
        shutil.rmtree(home)


async def _flush(make_sender, port):
    sender = make_sender()
    try:
        await sender.prepare(port, LETTERS)
        with_start, seconds = await asyncio.to_thread(sender.flush)
    finally:
        await asyncio.to_thread(sender.close)
    return Rate(seconds, with_start)


def row(pairs):
    """The medians, and the median of the ratios round by round."""
    ours, theirs = zip(*pairs, strict=True)
    ratios = [theirs.seconds / ours.seconds for ours, theirs in pairs]
    return {
        "case": "sink",
        "letters": LETTERS,
        "ours_per_second": round(statistics.median(one.per_second for one in ours)),
        "ours_with_start_per_second": round(
            statistics.median(LETTERS / one.with_start for one in ours)
        ),
        "postfix_per_second": round(statistics.median(one.per_second for one in theirs)),
        "ours_to_postfix": round(statistics.median(ratios), 3),
        "by_rounds": [round(one, 3) for one in ratios],
    }


def told(row):
    """For people."""
    return (
        f"{row['letters']} letters to smtp-sink over loopback, median of {len(row['by_rounds'])}"
        f" rounds: ours {row['ours_per_second']}/s ({row['ours_with_start_per_second']}/s with the"
        f" start of the program), Postfix {row['postfix_per_second']}/s;"
        f" ours / Postfix {row['ours_to_postfix']} {row['by_rounds']}"
    )
