"""UUCP calls: relaynodes and Taylor UUCPs with themselves and each other, on loopback and on lines.

tests/bench/run uucp [loopback] [empty] [lines-i] [small-i] [lines-t] [mail] [hop] [--json]; without
a word all of them.

Seconds are those of the calling program from start to end, set-up and login included; `ideal` is
what the files' bytes alone need at the line's rate.
"""

import argparse
import asyncio
import json
import random
import shutil
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import uucp_mail
from uucp_parties import OurParty, TaylorParty

from peers.folders import make_home
from peers.processes import free_port
from relaynode.wire.emulator import Line

FILE_BYTES = 4096
MANY_FILES = 1000
BIG_BYTES = 10_000_000
LINES = ((128_000, 0.6, 100, 1, 2), (33_600, 0.2, 100, 3, 4), (2_400, 1.0, 10, 6, 12))
"""Bit/s, round trip in seconds, files, how often each case is played with i, how many such lines
are busy with i at the same time: a slow one needs next to no processor time, nor does t, which
mostly waits. With files both ways Taylor's i on a slow line takes 150 s one time and 210 s another,
since a packet more or less decides who waits for whom: the medians are compared."""

SMALL_FILES = ((1500, 24), (400, 90))
"""Bytes and how many of them, both ways over the slowest line: there a window of packets is soon
used up."""

PAIRS = ((OurParty, OurParty), (OurParty, TaylorParty), (TaylorParty, OurParty), (TaylorParty,) * 2)
PROTOCOLS = "it"


@dataclass(frozen=True)
class Case:
    """One call. `rate`: bit/s, 0: loopback itself. `back`: files that the called side sends."""

    caller: type
    called: type
    protocol: str
    sizes: tuple[int, ...]
    back: tuple[int, ...] = ()
    rate: int = 0
    round_trip: float = 0.0

    @property
    def ideal(self):
        return max(sum(self.sizes), sum(self.back)) * 8 / self.rate if self.rate else 0.0

    @property
    def title(self):
        names = {OurParty: "ours", TaylorParty: "Taylor"}
        return f"{names[self.caller]:>6} calls {names[self.called]:6} {self.protocol}"


@dataclass(frozen=True)
class Result:
    """`processor`: seconds of both sides."""

    seconds: float
    processor: float
    ratio: float | None


async def play(case):
    """Set both up, call once, look whether everything has arrived."""
    home = make_home("bench")
    caller = case.caller(home / "a", "alpha", "beta", case.protocol)
    called = case.called(home / "b", "beta", "alpha", case.protocol)
    sent = await asyncio.to_thread(contents, case.sizes, 1)
    back = await asyncio.to_thread(contents, case.back, 2)
    port = free_port()
    await asyncio.to_thread(called.be_called, port)  # the lines of others go on meanwhile
    line = None
    try:
        if case.rate:
            line = Line(case.rate, case.round_trip)
            port = await line.forward(port)
        caller.will_call(port, knows_it=case.called is OurParty)
        await asyncio.to_thread(caller.queue, sent)
        await asyncio.to_thread(called.queue, back)
        start = time.perf_counter()
        spent = await asyncio.to_thread(caller.call)
        seconds = time.perf_counter() - start
    finally:
        spent_there = await asyncio.to_thread(called.end)
        if line is not None:
            await line.close()
    await asyncio.to_thread(check, called.public, sent)
    await asyncio.to_thread(check, caller.public, back)
    await asyncio.to_thread(shutil.rmtree, home)
    return Result(seconds, spent + spent_there, seconds / case.ideal if case.ideal else None)


def contents(sizes, seed):
    chance = random.Random(seed)
    return [chance.randbytes(size) for size in sizes]


def check(folder, sent):
    for number, content in enumerate(sent):
        path = folder / f"file{number}"
        if not path.exists() or path.read_bytes() != content:
            raise RuntimeError(f"{path} has not arrived as it was sent")


# --- what is played


def on_loopback():
    """Small files and a big one over loopback itself, one after the other."""
    for protocol in PROTOCOLS:
        for pair in PAIRS:
            yield Case(*pair, protocol, (FILE_BYTES,) * MANY_FILES)
            yield Case(*pair, protocol, (BIG_BYTES,))


def on_line(protocol, rate, round_trip, count, times):
    for pair in PAIRS:
        for back in (0, count):
            sizes, sizes_back = (FILE_BYTES,) * count, (FILE_BYTES,) * back
            yield from [Case(*pair, protocol, sizes, sizes_back, rate, round_trip)] * times


def small_files():
    rate, round_trip, *_ = LINES[-1]
    for pair in PAIRS:
        for size, count in SMALL_FILES:
            sizes = (size,) * count
            yield from [Case(*pair, "i", sizes, sizes, rate, round_trip)] * 3


def empty():
    for protocol in PROTOCOLS:
        for pair in PAIRS:
            yield Case(*pair, protocol, (), (), 128_000, 0.6)


PARTS = {
    "loopback": [(on_loopback, 1)],
    "empty": [(empty, 1)],
    "lines-i": [(partial(on_line, "i", *line), at_once) for *line, at_once in LINES],
    "small-i": [(small_files, 12)],
    "lines-t": [(partial(on_line, "t", *line, 1), 8) for *line, _, _ in LINES],
}


async def main():
    # Calls wait in threads, and what is set up meanwhile must not wait for them.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS, *uucp_mail.PARTS], help="default: all"
    )
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    played = []
    mail_rows = []
    for part in wanted.parts or [*PARTS, *uucp_mail.PARTS]:
        if part in uucp_mail.PARTS:
            mail_rows += await uucp_mail.run(part, is_silent=wanted.json)
        for make, at_once in PARTS.get(part, ()):
            for case, result in await in_parallel(list(make()), at_once, is_silent=wanted.json):
                played.append((part, case, result))
    rows = [row(*one) for one in played]
    if wanted.json:
        print(json.dumps(rows + mail_rows))
    elif played:
        summary(played)


async def in_parallel(cases, at_once, *, is_silent):
    turn = asyncio.Semaphore(at_once)

    async def one(case):
        async with turn:
            result = await play(case)
        if not is_silent:
            print(f"{case.title}  {what(case)}: {told(result)}", flush=True)
        return case, result

    return await asyncio.gather(*map(one, cases))


def what(case):
    if not case.sizes:
        return f"nothing, {case.rate / 1000:g} kbit/s {case.round_trip * 1000:g} ms"
    files = f"{len(case.sizes)} x {case.sizes[0]} B"
    ways = " both ways" if case.back else ""
    if not case.rate:
        return f"{files}{ways}, loopback"
    return f"{files}{ways}, {case.rate / 1000:g} kbit/s {case.round_trip * 1000:g} ms"


def told(result):
    ratio = f", {result.ratio:.3f} of the ideal" if result.ratio else ""
    return f"{result.seconds:7.2f} s{ratio}, {result.processor:.2f} s of processor time"


def row(part, case, result):
    return {
        "part": part,
        "caller": "ours" if case.caller is OurParty else "taylor",
        "called": "ours" if case.called is OurParty else "taylor",
        "protocol": case.protocol,
        "files": len(case.sizes),
        "file_bytes": case.sizes[0] if case.sizes else 0,
        "files_back": len(case.back),
        "kbit_s": case.rate / 1000,
        "round_trip_ms": case.round_trip * 1000,
        "seconds": round(result.seconds, 3),
        "to_ideal": result.ratio and round(result.ratio, 4),
        "processor_seconds": round(result.processor, 2),
    }


def summary(played):
    """Each case beside Taylor with Taylor in the same protocol: the medians."""
    print("\nseconds to those of Taylor with Taylor:")
    seconds = defaultdict(list)
    for _, case, result in played:
        seconds[case].append(result.seconds)
    for case, taken in seconds.items():
        taylors = seconds[replace(case, caller=TaylorParty, called=TaylorParty)]
        if taken is not taylors:
            ratio = median(taken) / median(taylors)
            print(f"{case.title}  {what(case)}: {ratio:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
