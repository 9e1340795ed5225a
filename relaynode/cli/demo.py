"""`relaynode demo`: plays the main job between two nodes and shows what happens as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.demo import plays, stage
from relaynode.errors import EX_OK, EX_SOFTWARE

if TYPE_CHECKING:
    import argparse

    from relaynode.demo.plays import Play
    from relaynode.links.summary import Summary

SETTLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """The table at the end. `ideal_seconds`: what the busier direction's bytes need at the rate."""

    sent: int
    received: int
    lost: int
    doubled: int
    bytes_out: int
    bytes_in: int
    seconds: float
    ideal_seconds: float
    efficiency: float


def run(arguments: argparse.Namespace) -> int:
    """0 if every letter arrived exactly once."""
    show = _silent if arguments.json else _say
    with tempfile.TemporaryDirectory(prefix="rn-demo-") as folder:
        play = plays.uucp() if arguments.uucp else plays.SMTP
        result, before, after = asyncio.run(_play(Path(folder), show, play))
    if arguments.json:
        print(json.dumps(asdict(result)))
    else:
        _table(result, before, after)
    is_good = not result.lost and not result.doubled
    is_good = is_good and result.sent == result.received == stage.MESSAGES
    return EX_OK if is_good else EX_SOFTWARE


async def _play(folder: Path, show: _Show, chosen: Play = plays.SMTP) -> tuple[Result, str, str]:
    play = await stage.set_up(folder, _free_ports(len(chosen.services)), chosen)
    try:
        show(chosen.about)
        await stage.fill(play)
        waiting = len(await play.home.store.messages())
        show(f"the line is down: {waiting} mails wait at home, {stage.MESSAGES} at isp")
        before = await _queued_sender(play)
        rate, round_trip = stage.BITS_PER_SECOND / 1000, stage.ROUND_TRIP_SECONDS * 1000
        show(f"the line comes up: {rate:g} kbit/s, {round_trip:g} ms")
        await play.line.restore()
        summary = await play.home.links.run("isp", on_progress=_Ticker(show))
        for problem in summary.as_json()["problems"]:
            show(f"trouble: {problem}")
        result = await _result(play, summary)
        after = stage.sender_shown(folder / "isp", "friend")
    finally:
        await play.close()
    return result, before, after


async def _queued_sender(play: stage.Stage) -> str:
    """The From field of a letter as it lies in home's queue."""
    (first, *_) = await play.home.store.waiting()
    ids = {recipient.id for recipient in first.recipients}
    (delivery,) = await play.home.store.claim([(first.queue_id, ids)])
    await play.home.store.unclaim(ids)
    head = delivery.content.head(4096)
    return next(line[6:] for line in head.decode().splitlines() if line.startswith("From: "))


async def _result(play: stage.Stage, summary: Summary) -> Result:
    await _settled(play)
    out = stage.arrived(play.folder / "isp", "friend")
    home = stage.arrived(play.folder / "home", "user")
    return Result(
        sent=len(set(out.numbers)),
        received=len(set(home.numbers)),
        lost=out.lost + home.lost,
        doubled=out.doubled + home.doubled,
        bytes_out=play.line.up.bytes_carried,
        bytes_in=play.line.down.bytes_carried,
        seconds=round(summary.seconds, 2),
        ideal_seconds=round(play.line.ideal_seconds, 2),
        efficiency=round(play.line.ideal_seconds / summary.seconds, 3),
    )


async def _settled(play: stage.Stage) -> None:
    """Let isp put what it accepted into mailboxes: its affair, not the line's."""
    store = play.isp.node.store
    await play.isp.node.links.run_due(None)
    async with asyncio.timeout(SETTLE_SECONDS):
        # Its daemon does it, when the call is over there too.
        while await store.uucp.executions.find() or await store.messages():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _free_ports(count: int) -> tuple[int, ...]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return tuple(probe.getsockname()[1] for probe in probes)


class _Show:
    """Prints a line with the seconds since the start."""

    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        if not self._is_silent:
            print(f"{time.monotonic() - self._start:6.1f} s  {text}", flush=True)


class _Ticker:
    """A line for each five mails out and in; while a batch takes its time, for some of its bytes
    out."""

    MAILS = 5
    BATCH_BYTES = 8000

    def __init__(self, show: _Show) -> None:
        self._show = show
        self._shown = (0, 0, 0)

    def __call__(self, summary: Summary) -> None:
        out, fetched = summary.flush.delivered, sum(poll.fetched for poll in summary.polls)
        called_bytes = sum(call.record.received_bytes for call in summary.calls)
        now = (out // self.MAILS, fetched // self.MAILS, called_bytes // self.BATCH_BYTES)
        if now != self._shown:
            self._shown = now
            mails = f"{out:2} out" if summary.calls else f"{out:2} out, {fetched:2} in"
            self._show(f"{mails}; {summary.bytes_out} bytes out, {summary.bytes_in} in")


_silent = _Show(is_silent=True)
_say = _Show(is_silent=False)


def _table(result: Result, before: str, after: str) -> None:
    rows = (
        ("mails out", str(result.sent)),
        ("mails in", str(result.received)),
        ("lost", str(result.lost)),
        ("doubled", str(result.doubled)),
        ("bytes out", str(result.bytes_out)),
        ("bytes in", str(result.bytes_in)),
        ("seconds", f"{result.seconds:.2f}"),
        ("the line's ideal seconds", f"{result.ideal_seconds:.2f}"),
        ("efficiency", f"{result.efficiency:.3f}"),
        ("From, as written at home", before),
        ("From, as the world sees it", after),
    )
    print()
    for name, value in rows:
        print(f"  {name:<27} {value}")
    print()
    print(
        f"{result.sent} out, {result.received} in, {result.lost} lost, {result.doubled} doubled",
        flush=True,
    )
    sys.stdout.flush()
