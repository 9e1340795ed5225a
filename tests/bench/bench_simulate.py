"""The simulator: how long a month takes it, and how near it comes to the same trace run for real.

tests/bench/run simulate [month] [real] [--json]; without a word both.

`real`: two nodes and an emulated line, as in the demo, are given the mail of a short trace and its
link-ups; `relaynode simulate` is given the trace and home's own configuration. Sizes in the trace
are those of the queue, and of POP3's LIST. Limits: a month in 10 seconds; seconds and bytes of each
link-up within 5 %, until the last byte has crossed the line: what the machine does then with the
fetched mail is no matter of the line.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

from relaynode.cli.demo import _free_ports, _settled
from relaynode.config.loader import load
from relaynode.demo import plays, stage
from relaynode.demo.letters import letter
from relaynode.errors import CalledOff
from relaynode.links import hours
from relaynode.links.queuerun import QueueRun
from relaynode.links.simulation import plan_of
from relaynode.mailboxes.maildir import Maildir
from relaynode.simulate.simulator import simulate
from relaynode.simulate.trace import Reader
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit
from relaynode.wire.meter import ByteCount

MOST_SECONDS = 10.0
MOST_SHARE = 0.05

BITS_PER_SECOND, ROUND_TRIP_SECONDS = 33_600, 0.2

MONTH = """\
2026-11-01 06:10 every 1d up isp 33.6k 200ms for 20m
2026-11-01 13:00 every 1d up isp 9600 600ms for 30m
2026-11-01 22:00 every 1d up isp 33.6k 200ms for 20m
every 3h mail 2k..40k x20
every 1d mail 500k grade Z
every 6h fetch isp 1k..60k x25
+30d end
"""

LINK_UPS = (
    ((2000, 3000, 2500, 9000, 24_000, 1500, 4000), (3000, 12_000, 2000), None),
    ((2000, 30_000, 6000, 2500), (20_000, 2500, 5000, 3000, 1500, 9000), 7),
    ((8000,), (4000,), None),
)
"""Sizes of the letters out and in before each link-up, and seconds after which the line is cut."""


def month():
    """A month of mail, played as the command plays it."""
    with tempfile.TemporaryDirectory(prefix="rn-") as folder:
        config = load(_home(Path(folder)))
        began = time.perf_counter()
        outcome, trace = _simulated(MONTH, config)
        seconds = time.perf_counter() - began
    return {
        "case": "month",
        "mails": len(outcome.outgoing) + len(outcome.incoming),
        "runs": len(outcome.runs),
        "simulated_days": (trace.ends_at - trace.begins_at) / 86_400,
        "seconds": round(seconds, 2),
        "limit": MOST_SECONDS,
        "is_met": seconds <= MOST_SECONDS,
    }


def _home(folder):
    """The demo's home, which nobody runs."""
    ports = dict.fromkeys(plays.SMTP.services, 9)
    return stage._write(folder / "home", plays.SMTP.home, ports)


def _simulated(text, config):
    reader = Reader("trace", hours.local_offset, config.links, config.file.account)
    trace = reader.read(text)
    assert not reader.problems, reader.problems
    return simulate(plan_of(config), trace, has_end=reader.has_end), trace


async def real():
    """The rows of the link-ups: simulated and real."""
    stage.BITS_PER_SECOND, stage.ROUND_TRIP_SECONDS = BITS_PER_SECOND, ROUND_TRIP_SECONDS
    with tempfile.TemporaryDirectory(prefix="rn-") as name:
        folder = Path(name)
        play = await stage.set_up(folder, _free_ports(2))
        try:
            lines, ran, known = [], [], set()
            for number, (out, inward, cut_seconds) in enumerate(LINK_UPS):
                lines += await _fill(play, number, out, inward, known)
                rate = f"{BITS_PER_SECOND} {ROUND_TRIP_SECONDS * 1000:g}ms"
                lines.append(f"+1h up isp {rate} for {cut_seconds or 1800}s")
                ran.append(await _link_up(play, cut_seconds))
        finally:
            await play.close()
        outcome, _ = _simulated("\n".join(lines), load(folder / "home" / "relaynode.toml"))
    assert len(outcome.runs) == len(LINK_UPS), outcome.runs
    return [_row(number, *one) for number, one in enumerate(zip(outcome.runs, ran, strict=True), 1)]


async def _fill(play, number, out, inward, known):
    """Letters on both sides; the trace's lines for them. `known`: those that have theirs."""
    for place, size in enumerate(out):
        await _submit(play.home, "user", "friend@example.net", f"{number} {place}", size)
    queued = [
        one
        for one in await play.home.store.messages()
        if one.queue_id not in known and "friend@example.net" in map(_address, one.recipients)
    ]
    known.update(one.queue_id for one in queued)
    when = f"2026-11-{number + 1:02} 06:00"
    lines = [f"{when} mail {one.size_bytes} to friend@example.net" for one in queued]
    for place, size in enumerate(inward):
        await _submit(play.isp.node, "friend", "user@example.net", f"{number} {place}", size)
    run = QueueRun(play.isp.node.parts, ByteCount(), takes_way=lambda way: way.kind == "local")
    await run.run()
    await _settled(play)
    mailbox = Maildir(play.folder / "isp" / "mail" / "user", os.geteuid())
    for message in mailbox.messages():
        content = b"".join(mailbox.pieces(message))
        if content in known:
            continue
        known.add(content)
        size = len(content) + content.count(b"\n") - content.count(b"\r\n")
        lines.append(f"+1s fetch isp {size}")
    return lines


def _address(recipient):
    return recipient.forward_path.address


async def _submit(node, sender, recipient, seed, size):
    content = letter(seed, sender, recipient, f"Letter {seed}", size)

    async def pieces():
        yield content

    options = SendmailOptions(recipients=[recipient], ignores_dots=True)
    ended = await submit(node.intake, options, Submitter(sender), pieces(), node.config.hostname)
    assert ended.exit_code == 0, ended.complaint


async def _link_up(play, cut_seconds):
    """Seconds until the last byte has crossed the line, or until the cut; bytes up and down."""
    before = play.line.up.bytes_carried, play.line.down.bytes_carried
    carried_at = []
    play.line.on_carried = lambda: carried_at.append(time.perf_counter())
    await play.line.restore()
    began = time.perf_counter()
    running = asyncio.ensure_future(play.home.links.run("isp"))
    await asyncio.wait((running,), timeout=cut_seconds)
    ended = time.perf_counter() if cut_seconds else carried_at[-1]
    await play.line.cut()
    play.home.links.call_off("isp")
    (summary,) = await asyncio.gather(running, return_exceptions=True)
    await _settled(play)
    if cut_seconds:
        assert isinstance(summary, CalledOff), summary
    else:
        assert not summary.problems, summary.problems
        assert not await play.home.store.messages(), "something is left"
    return (
        ended - began,
        play.line.up.bytes_carried - before[0],
        play.line.down.bytes_carried - before[1],
    )


def _row(number, run, ran):
    simulated = (run.seconds, run.bytes_out, run.bytes_in)
    shares = [abs(one / other - 1) for one, other in zip(simulated, ran, strict=True)]
    return {
        "case": f"link-up {number}",
        "mails": run.sent + run.received,
        "simulated": [round(one, 2) for one in simulated],
        "real": [round(one, 2) for one in ran],
        "off": [round(one, 4) for one in shares],
        "limit": MOST_SHARE,
        "is_met": max(shares) <= MOST_SHARE,
    }


def told(row):
    over = "" if row["is_met"] else "  OVER"
    if row["case"] == "month":
        return (
            f"month: {row['mails']} mails, {row['runs']} runs, {row['simulated_days']:g} days in"
            f" {row['seconds']:.2f} s (at most {row['limit']:g}){over}"
        )
    figures = zip(("s", "bytes out", "in"), row["simulated"], row["real"], row["off"], strict=True)
    text = "; ".join(f"{a:,g} / {b:,g} {name} ({off:.1%})" for name, a, b, off in figures)
    return f"{row['case']}, {row['mails']} mails, simulated / real: {text}{over}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], "month", "real"], help="default: both")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    parts = wanted.parts or ["month", "real"]
    rows = [month()] if "month" in parts else []
    rows += asyncio.run(real()) if "real" in parts else []
    print(json.dumps(rows) if wanted.json else "\n".join(map(told, rows)))


if __name__ == "__main__":
    main()
