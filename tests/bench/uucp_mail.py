"""Mail by UUCP: ours and Taylor's side by side, over a thin line and over loopback.

`mail`: 100 letters over a line, from the start of the calling program to its end. `hop`: 1,000 over
loopback, until the last one is in the other's queue (ours: committed to the disk; Taylor's: written
by its rmail, which is as small as a program can be and syncs nothing).
"""

import asyncio
import shutil
import statistics
import time
import zlib
from dataclasses import dataclass

from uucp_parties import OurMailParty, TaylorMailParty

from peers.folders import make_home
from peers.processes import free_port
from relaynode.demo.letters import letter
from relaynode.mail.packing import has_zstd
from relaynode.wire.emulator import Line

MAIL_BYTES = 4096
LINE_MAILS = 100
RATE, ROUND_TRIP = 33_600, 0.2
HOP_MAILS = 1000
HOP_ROUNDS = 3
BATCHES = ("rgsmtp", "rzsmtp") if has_zstd() else ("rgsmtp",)
PROTOCOL = "i"
POLL_SECONDS = 0.02
BEGIN_SECONDS = 3.0
"""Between the starts of calls over lines of their own: two programs that are loaded at the same
time would share the processor."""
LONGEST_SECONDS = 600


@dataclass(frozen=True)
class MailCase:
    """One call with mail. `command`: what the other is asked to run. `rate`: bit/s, 0: loopback."""

    is_ours: bool
    command: str
    mails: int
    rate: int = 0

    @property
    def title(self):
        return f"{'ours' if self.is_ours else 'Taylor':>6} {self.command}"


@dataclass(frozen=True)
class MailResult:
    """`calling_seconds`: of the calling program. `seconds`: until the last mail was there.
    `processor`: seconds of both sides. `carried`: bytes on an emulated line, both ways."""

    calling_seconds: float
    seconds: float
    processor: float
    carried: int


def letters(count):
    return [
        letter(str(number), "ann@alpha.example", "bob@beta.example", f"Letter {number}", MAIL_BYTES)
        for number in range(count)
    ]


_WRITTEN_BY_AN_MTA = b"""\
From ann@alpha.example Sun Nov 22 12:00:00 2026
Received: (from root@localhost)
	by bsd.home (relaynode 0.1.0) id wXRAGPUTT6yb for <bob@beta.example>;
	Sun, 22 Nov 2026 12:00:00 +0000
"""


def as_queued(mail, case):
    """What uux is given: the mail as our node writes it for rmail, for its own comes out of a queue
    and has the lines that every MTA adds."""
    return mail if case.is_ours else _WRITTEN_BY_AN_MTA + mail


def gzip_ratios(mails):
    """What gzip leaves of one such mail, and of sixteen together."""
    one = sum(len(zlib.compress(mail, 9)) for mail in mails) / sum(map(len, mails))
    some = b"".join(mails[:16])
    return one, len(zlib.compress(some, 9)) / len(some)


def parties(case, home):
    folders = ((home / "a", "alpha", "beta"), (home / "b", "beta", "alpha"))
    if case.is_ours:
        batch = "" if case.command == "rmail" else case.command
        return [OurMailParty(*one, PROTOCOL, batch) for one in folders]
    return [TaylorMailParty(*one, PROTOCOL, executes=not case.rate) for one in folders]


async def play(case, may_call=None):
    """Set both up, queue all, call once, look whether everything has arrived as it was sent.
    `may_call`: waited for before the call."""
    home = make_home("bench")
    mails = await asyncio.to_thread(letters, case.mails)
    caller, called = parties(case, home)
    port = free_port()
    await asyncio.to_thread(called.be_called, port)  # the lines of others go on meanwhile
    line = None
    try:
        if case.rate:
            line = Line(case.rate, ROUND_TRIP)
            port = await line.forward(port)
        caller.will_call(port, knows_it=case.is_ours)
        queued = [as_queued(mail, case) for mail in mails]
        await asyncio.to_thread(caller.queue_mail, queued, "bob@beta.example")
        if may_call is not None:
            await may_call()
        start = time.perf_counter()
        (spent, calling_seconds), seconds = await asyncio.gather(
            asyncio.to_thread(call, caller, called, start), arrived(called, case.mails, start)
        )
        carried = 0 if line is None else line.up.bytes_carried + line.down.bytes_carried
    finally:
        spent_there = await asyncio.to_thread(called.end)
        if line is not None:
            await line.close()
    await asyncio.to_thread(check, called, mails)
    await asyncio.to_thread(shutil.rmtree, home)
    return MailResult(calling_seconds, seconds, spent + spent_there, carried)


def call(caller, called, start):
    """Seconds of processor time, and from `start` to the end of the calling program."""
    spent = caller.call()
    seconds = time.perf_counter() - start
    called.take()
    return spent, seconds


async def arrived(called, count, start):
    """Seconds from `start` until all is there."""
    while (found := await asyncio.to_thread(called.mail_count)) < count:
        await asyncio.sleep(POLL_SECONDS)
        if time.perf_counter() - start > LONGEST_SECONDS:
            raise RuntimeError(f"{found} of {count} mails have arrived")
    return time.perf_counter() - start


def check(called, mails):
    sent = sorted(mail.partition(b"\n\n")[2] for mail in mails)
    if sorted(called.bodies()) != sent:
        raise RuntimeError("the mails did not arrive as they were sent")


class _Turns:
    """Lets calls begin when all of them could, one after the other."""

    def __init__(self, count):
        self._missing = count
        self._are_ready = asyncio.Event()
        self._turn = asyncio.Lock()

    async def wait(self):
        self._missing -= 1
        if not self._missing:
            self._are_ready.set()
        await self._are_ready.wait()
        async with self._turn:
            await asyncio.sleep(BEGIN_SECONDS)


# --- what is played


async def over_line(is_silent):
    """All at the same time: such a line needs next to no processor time."""
    cases = [MailCase(False, "rmail", LINE_MAILS, RATE)]
    cases += [MailCase(True, one, LINE_MAILS, RATE) for one in ("rmail", *BATCHES)]
    turns = _Turns(len(cases))
    results = await asyncio.gather(*(play(case, turns.wait) for case in cases))
    yardstick = results[0].calling_seconds
    rows = []
    for case, result in zip(cases, results, strict=True):
        ratio = result.calling_seconds / yardstick
        rows.append(
            {
                **described("mail", case),
                "kbit_s": RATE / 1000,
                "round_trip_ms": ROUND_TRIP * 1000,
                "seconds": round(result.calling_seconds, 2),
                "to_taylor": round(ratio, 3),
                "bytes_on_line": result.carried,
                "processor_seconds": round(result.processor, 2),
            }
        )
        if not is_silent:
            print(
                f"{case.title:14}  {result.calling_seconds:7.2f} s, {ratio:.3f} of Taylor's,"
                f" {result.carried} bytes on the line, {result.processor:.2f} s of processor time",
                flush=True,
            )
    return rows


async def through_hop(is_silent):
    """In turn, several times."""
    cases = [MailCase(False, "rmail", HOP_MAILS)]
    cases += [MailCase(True, one, HOP_MAILS) for one in ("rmail", "rsmtp", *BATCHES)]
    results = {case: [] for case in cases}
    for _ in range(HOP_ROUNDS):
        for case in cases:
            results[case].append(await play(case))
    rates = {
        case: statistics.median(case.mails / one.seconds for one in results[case]) for case in cases
    }
    rows = []
    for case in cases:
        ratio = rates[case] / rates[cases[0]]
        processor = statistics.median(one.processor for one in results[case])
        calling = statistics.median(one.calling_seconds for one in results[case])
        rows.append(
            {
                **described("hop", case),
                "mails_a_second": round(rates[case], 1),
                "to_taylor": round(ratio, 2),
                "seconds": [round(one.seconds, 3) for one in results[case]],
                "calling_seconds": [round(one.calling_seconds, 3) for one in results[case]],
                "processor_seconds": round(processor, 2),
            }
        )
        if not is_silent:
            print(
                f"{case.title:14}  {rates[case]:7.1f} mails/s, {ratio:.2f} of Taylor's,"
                f" {calling:.2f} s calling, {processor:.2f} s of processor time",
                flush=True,
            )
    return rows


def described(part, case):
    return {
        "part": part,
        "program": "ours" if case.is_ours else "taylor",
        "command": case.command,
        "mails": case.mails,
        "mail_bytes": MAIL_BYTES,
    }


PARTS = {"mail": over_line, "hop": through_hop}


async def run(part, *, is_silent):
    """Play one part; its rows."""
    if not is_silent:
        one, some = gzip_ratios(letters(LINE_MAILS))
        line = f"{RATE / 1000:g} kbit/s {ROUND_TRIP * 1000:g} ms" if part == "mail" else "loopback"
        count = LINE_MAILS if part == "mail" else HOP_MAILS
        print(
            f"{part}: {count} letters of {MAIL_BYTES} B, {line};"
            f" gzip leaves {one:.2f} of one, {some:.2f} of sixteen together",
            flush=True,
        )
    return await PARTS[part](is_silent)
