"""`relaynode plan` against the link-up that follows it, over emulated lines to a real Postfix.

tests/bench/run plan [128] [33.6] [9.6] [--json] [--pipelined]; without a word all lines, one after
the other.

A node that has never met its smart host is asked for a plan and flushes a few letters; it has the
line's figures from that run. Then mixed mail waits: the plan says bytes, seconds, and when each
letter has gone; the link-up behind it shows how it was. `--pipelined`: to a server without
CHUNKING.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
from dataclasses import dataclass

from smtp_out_line import _SECTIONS, SENDER, WatchedLine

from nodes import TestNode
from peers.folders import make_home
from peers.postfix import Postfix
from relaynode.demo.letters import letter
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit

LINES = {"128": (128_000, 0.6), "33.6": (33_600, 0.2), "9.6": (9_600, 1.0)}
SHARES = (1, 1, 1, 2, 2, 3, 4, 6, 9, 15)
"""Sizes of letters, in parts of the smallest: many small ones and a few large ones."""

LETTERS = 30
SECONDS = 25
"""What the mixed mail takes of a line, about."""

FIRST_LETTERS, FIRST_SECONDS = 10, 6
MOST_BYTES_OFF, MOST_SECONDS_OFF = 0.05, 0.10


class TimedLine(WatchedLine):
    """A line that knows when each final reply arrived."""

    def __init__(self, *figures):
        self.replies_at = []
        super().__init__(*figures)

    @property
    def last_reply_at(self):
        return self.replies_at[-1] if self.replies_at else None

    @last_reply_at.setter
    def last_reply_at(self, at):
        while at is not None and len(self.replies_at) < self.final_replies:
            self.replies_at.append(at)


@dataclass(frozen=True)
class Found:
    """A plan and what came of it."""

    plan: dict
    summary: dict
    line: TimedLine

    def row(self, name, visit):
        real_seconds = self.summary["seconds"]
        real_bytes = self.line.up.bytes_carried
        planned = self.plan["seconds"]
        began = self.line.called_at
        gone = [one["ends_seconds"] for one in self.plan["mails"]]
        late = [
            at - began - ends
            for at, ends in zip(self.line.replies_at, gone, strict=True)
            if ends is not None
        ]
        bytes_off = self.plan["bytes_out"] / real_bytes - 1
        seconds_off = None if planned is None else planned / real_seconds - 1
        return {
            "line": name,
            "visit": visit,
            "mails": len(gone),
            "planned_bytes": self.plan["bytes_out"],
            "real_bytes": real_bytes,
            "bytes_off": round(bytes_off, 4),
            "planned_bytes_in": self.plan["bytes_in"],
            "real_bytes_in": self.line.down.bytes_carried,
            "planned_seconds": planned,
            "real_seconds": real_seconds,
            "seconds_off": seconds_off and round(seconds_off, 4),
            "latest_mail_seconds_off": round(max(late, key=abs), 3) if late else None,
            "bits_per_second": self.plan["line"]["bits_per_second"],
            "round_trip_seconds": self.plan["line"]["round_trip_seconds"],
            "is_met": abs(bytes_off) <= MOST_BYTES_OFF
            and (seconds_off is None or abs(seconds_off) <= MOST_SECONDS_OFF),
        }


class Sender:
    """A relaynode with a smart host behind a line."""

    def __init__(self, port):
        self._home = make_home("bench")
        self._node = TestNode(self._home, _SECTIONS.replace("{port}", str(port)))
        self._count = 0

    async def fill(self, count, total_bytes):
        """Queue letters of mixed sizes."""
        node = self._node.open()

        async def pieces(mail):
            yield mail

        for place in range(count):
            size = total_bytes * SHARES[place % len(SHARES)] * len(SHARES) // sum(SHARES) // count
            self._count += 1
            to = f"friend{self._count}@far.example"
            mail = letter(str(self._count), SENDER, to, f"Letter {self._count}", max(size, 400))
            options = SendmailOptions(recipients=[to], ignores_dots=True, sender=SENDER)
            done = await submit(node.intake, options, Submitter("root"), pieces(mail), "bsd.home")
            assert done.exit_code == 0
        await node.close()

    def _json(self, *words):
        ended = subprocess.run(
            self._node.command(*words, "--json"),
            env=self._node.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=600,
            check=False,
        )
        if ended.returncode != 0:
            raise RuntimeError(f"{words}: {ended.returncode}: {ended.stderr.decode()}")
        return json.loads(ended.stdout)

    def plan(self):
        return self._json("plan", "isp")

    def link_up(self):
        return self._json("linkup", "isp")

    def close(self):
        shutil.rmtree(self._home)


async def visits(name, *, chunking):
    """The first visit and the one that is foreseen."""
    bits_per_second, round_trip = LINES[name]
    server = Postfix(chunking=chunking)
    await asyncio.to_thread(server.__enter__)
    sender, port = None, 0
    try:
        for visit, count, seconds in (
            ("first", FIRST_LETTERS, FIRST_SECONDS),
            ("later", LETTERS, SECONDS),
        ):
            line = TimedLine(bits_per_second, round_trip)
            port = await line.forward(server.port, local_port=port)
            sender = sender or Sender(port)
            await sender.fill(count, bits_per_second // 8 * seconds)
            plan = await asyncio.to_thread(sender.plan)
            summary = await asyncio.to_thread(sender.link_up)
            await line.close()
            yield visit, Found(plan, summary, line)
    finally:
        if sender is not None:
            sender.close()
        await asyncio.to_thread(server.__exit__)


def told(row):
    seconds = "seconds not known yet"
    if row["planned_seconds"] is not None:
        seconds = (
            f"{row['planned_seconds']:.2f} s / {row['real_seconds']:.2f} s"
            f" = {row['seconds_off']:+.2%} at {row['bits_per_second']} bit/s,"
            f" a mail at most {row['latest_mail_seconds_off']:+.2f} s off"
        )
    return (
        f"{row['line']:>5} kbit/s  {row['visit']:5} {row['mails']} mails"
        f"  {row['planned_bytes']} / {row['real_bytes']} bytes = {row['bytes_off']:+.2%}"
        f"  (in {row['planned_bytes_in']} / {row['real_bytes_in']})  {seconds}"
        + ("" if row["is_met"] else "  OVER")
    )


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", nargs="*", choices=[[], *LINES], help="default: all")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pipelined", action="store_true", help="a server without CHUNKING")
    wanted = parser.parse_args()
    rows = []
    for name in wanted.lines or LINES:
        async for visit, found in visits(name, chunking=not wanted.pipelined):
            rows.append(found.row(name, visit))
            if not wanted.json:
                print(told(rows[-1]), flush=True)
    if wanted.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    asyncio.run(main())
