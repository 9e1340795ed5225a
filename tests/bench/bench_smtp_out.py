"""Flushing the queue: ours beside Postfix's over thin lines, and to smtp-sink over loopback.

tests/bench/run smtp_out [128] [33.6] [9.6] [sink] [--json]; without a word all of them.

Of each line: ours to a Postfix with CHUNKING, on a first visit and on a later one, ours to a
Postfix with PIPELINING only, and a Postfix as client of a Postfix. 128 kbit/s is played alone; the
slower lines need next to no processor time, and all their cases go side by side.
"""

import argparse
import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import smtp_out_sink
from smtp_out_line import LETTERS, OurSender, PostfixSender, play

LINES = {"128": (128_000, 0.6), "33.6": (33_600, 0.2), "9.6": (9_600, 1.0)}
ALONE = "128"
BEGIN_SECONDS = 5.0
"""Between the starts of cases that go side by side: to prepare one must not slow down another."""


@dataclass(frozen=True)
class Case:
    """`limits`: seconds / ideal that must not be exceeded, by line; a list of them by visit."""

    title: str
    sender: type
    chunking: bool
    limits: tuple[dict[str, float] | None, ...]
    most_connections: int | None = None


_FIRST = {"128": 1.10, "33.6": 1.015, "9.6": 1.02}
_LATER = {"128": 1.08, "33.6": 1.01, "9.6": 1.015}
_PIPELINED = {"128": 1.18, "33.6": 1.03, "9.6": 1.03}

CASES = (
    Case("ours, CHUNKING", OurSender, True, (_FIRST, _LATER), 1),
    Case("ours, PIPELINING only", OurSender, False, (_PIPELINED,), 5),
    Case("Postfix, CHUNKING", PostfixSender, True, (None,)),
)
_VISITS = ("first", "later")


async def lines(names, say):
    """A row for each case and visit over these lines."""
    rows = []
    if ALONE in names:
        for case in CASES:
            rows += await one(ALONE, case, 0, say)
    beside = [(name, case) for case in CASES for name in names if name != ALONE]
    delayed = [one(*what, number * BEGIN_SECONDS, say) for number, what in enumerate(beside)]
    for found in await asyncio.gather(*delayed):
        rows += found
    return rows


async def one(name, case, delay_seconds, say):
    """The rows of one case over one line."""
    await asyncio.sleep(delay_seconds)
    visits = len(case.limits)
    results = await play(case.sender(), *LINES[name], chunking=case.chunking, visits=visits)
    rows = [
        row(name, case, limits and limits[name], visit, result)
        for visit, limits, result in zip(_VISITS[:visits], case.limits, results, strict=True)
    ]
    for found in rows:
        say(found)
    return rows


def row(name, case, limit, visit, result):
    kbit_s, round_trip = LINES[name]
    is_over = limit is not None and round(result.ratio, 4) > limit
    most = case.most_connections
    return {
        "case": case.title,
        "kbit_s": kbit_s / 1000,
        "round_trip_ms": round_trip * 1000,
        "letters": LETTERS,
        "visit": visit,
        "seconds": round(result.seconds, 3),
        "ideal_seconds": round(result.ideal, 3),
        "to_ideal": round(result.ratio, 4),
        "limit": limit,
        "connections": result.connections,
        "process_seconds": result.process_seconds and round(result.process_seconds, 3),
        "is_met": not is_over and (most is None or result.connections <= most),
    }


def told(row):
    limit = f"at most {row['limit']}" if row["limit"] else "measured beside it"
    over = "" if row["is_met"] else "  OVER"
    process = f", command {row['process_seconds']:.2f} s" if row["process_seconds"] else ""
    return (
        f"{row['kbit_s']:5g} kbit/s {row['round_trip_ms']:4g} ms  {row['case']:21} {row['visit']:5}"
        f" {row['seconds']:7.2f} s / {row['ideal_seconds']:7.2f} s = {row['to_ideal']:.4f}"
        f"  ({limit}) {row['connections']:2} connections{process}{over}"
    )


async def main():
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *LINES, "sink"], help="default: all")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    parts = wanted.parts or [*LINES, "sink"]
    say = (lambda row: None) if wanted.json else (lambda row: print(told(row), flush=True))
    rows = await lines([name for name in LINES if name in parts], say)
    if "sink" in parts:
        rows.append(smtp_out_sink.row(await smtp_out_sink.rounds()))
        if not wanted.json:
            print(smtp_out_sink.told(rows[-1]))
    if wanted.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    asyncio.run(main())
