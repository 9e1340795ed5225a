"""Letters out over an emulated line: a relaynode and a Postfix that flush their queues, and when.

What is measured is the time from the first call on the line until the last message's final reply
has come. `WatchedLine` sees both where the client sits: `Line` (relaynode/wire/emulator.py) accepts
a call at once, since loopback can do no other, but carries nothing of it for one round trip, and
rings at the server after one and a half, so that the greeting comes two round trips after the call,
as on a real line, whatever the client does meanwhile.

`ideal` is what went up the line, in bytes, over the line's rate.
"""

import asyncio
import json
import re
import shutil
import smtplib
import subprocess
import time
from dataclasses import dataclass

from nodes import TestNode
from peers.folders import make_home
from peers.postfix import Postfix
from peers.processes import PeerFailed, wait_until
from relaynode.demo.letters import letter
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit
from relaynode.wire.emulator import Line

LETTERS = 100
LETTER_BYTES = 4096
SENDER = "ann@bsd.home"
LONGEST_SECONDS = 1800

_FINAL = re.compile(rb"250 2\.0\.0 Ok: .*queued as")
"""Postfix's final reply, to DATA and to BDAT."""

_SECTIONS = """
[link.isp]
kind = "event"
[smart_host.isp]
host = "127.0.0.1:{port}"
tls = "none"
link = "isp"
"""


def letters(count):
    """(recipient, letter with LF) pairs."""
    for number in range(count):
        recipient = f"friend{number}@far.example"
        yield recipient, letter(str(number), SENDER, recipient, f"Letter {number}", LETTER_BYTES)


class WatchedLine(Line):
    """A line that knows when it was called first and when the last final reply arrived."""

    def __init__(self, bits_per_second, round_trip_seconds):
        super().__init__(bits_per_second, round_trip_seconds)
        self.connections = 0
        self.called_at = None
        self.last_reply_at = None
        self.final_replies = 0

    async def _carry(self, reader, writer, target_port):
        self.connections += 1
        self.called_at = self.called_at or time.perf_counter()
        await super()._carry(reader, _WatchedWriter(writer, self), target_port)


class _WatchedWriter:
    """The near end of one connection."""

    def __init__(self, writer, line):
        self._writer, self._line, self._seen = writer, line, b""

    def __getattr__(self, name):
        return getattr(self._writer, name)

    def write(self, data):
        self._writer.write(data)
        self._seen += data
        *lines, self._seen = self._seen.split(b"\r\n")
        if found := sum(_FINAL.match(one) is not None for one in lines):
            self._line.final_replies += found
            self._line.last_reply_at = time.perf_counter()


@dataclass(frozen=True)
class Flushed:
    """One flush. `seconds`: from the first call until the last final reply; `process_seconds`: of
    the command, None where a daemon works."""

    seconds: float
    ideal: float
    connections: int
    process_seconds: float | None = None

    @property
    def ratio(self):
        return self.seconds / self.ideal


class OurSender:
    """A relaynode with a smart host behind a line."""

    name = "relaynode"

    def __init__(self):
        self._home = make_home("bench")
        self._node = None

    async def prepare(self, port, count=LETTERS):
        """Queue letters; they are to go to that port."""
        if self._node is None:
            self._node = TestNode(self._home, _SECTIONS.replace("{port}", str(port)))
        node = self._node.open()

        async def pieces(mail):
            yield mail

        for recipient, mail in letters(count):
            options = SendmailOptions(recipients=[recipient], ignores_dots=True, sender=SENDER)
            done = await submit(node.intake, options, Submitter("root"), pieces(mail), "bsd.home")
            assert done.exit_code == 0
        await node.close()

    def flush(self):
        """One link-up: seconds of the command, and of the run in it."""
        start = time.perf_counter()
        ended = subprocess.run(
            self._node.command("linkup", "isp", "--json"),
            env=self._node.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        seconds = time.perf_counter() - start
        if ended.returncode != 0:
            raise RuntimeError(f"linkup: {ended.returncode}: {ended.stderr.decode()}")
        return seconds, json.loads(ended.stdout)["seconds"]

    def close(self):
        shutil.rmtree(self._home)


class PostfixSender:
    """A Postfix that keeps what it is given until it is told to flush."""

    name = "Postfix"

    def __init__(self):
        self._postfix = None

    async def prepare(self, port, count=LETTERS):
        """Queue letters; they are to go to that port."""
        self._postfix = Postfix(
            extra={
                "virtual_mailbox_domains": "",
                "default_transport": f"smtp:[127.0.0.1]:{port}",
                "defer_transports": "smtp",
            },
            # It uses connections again only with this, and is faster so.
            services="scache unix - - n - 1 scache",
        )
        await asyncio.to_thread(self._postfix.__enter__)
        await asyncio.to_thread(self._give, count)

    def _give(self, count):
        with smtplib.SMTP("127.0.0.1", self._postfix.port) as client:
            for recipient, mail in letters(count):
                client.sendmail(SENDER, [recipient], mail)
        queue = self._postfix.home / "queue"
        waiting = [queue / name for name in ("incoming", "active", "maildrop")]
        if not wait_until(lambda: not any(_has_file(one) for one in waiting), 60):
            raise PeerFailed("Postfix does not come to rest")
        self._postfix.configure(defer_transports="")

    def flush(self):
        """Seconds until its queue is empty, twice."""
        start = time.perf_counter()
        self._postfix.flush()
        self._postfix.wait_until_settled(LONGEST_SECONDS)
        seconds = time.perf_counter() - start
        return seconds, seconds

    def close(self):
        self._postfix.__exit__()


def _has_file(folder):
    return any(path.is_file() for path in folder.rglob("*"))


async def play(sender, bits_per_second, round_trip_seconds, *, chunking, visits=1):
    """Flush LETTERS letters to a Postfix behind a line, so many times."""
    results = []
    server = Postfix(chunking=chunking)
    await asyncio.to_thread(server.__enter__)
    try:
        port = 0
        for visit in range(1, visits + 1):
            line = WatchedLine(bits_per_second, round_trip_seconds)
            port = await line.forward(server.port, local_port=port)
            await sender.prepare(port)
            process_seconds, _ = await asyncio.to_thread(sender.flush)
            await line.close()
            await asyncio.to_thread(_check, server, line, visit * LETTERS)
            results.append(
                Flushed(
                    line.last_reply_at - line.called_at,
                    line.up.bytes_carried / line.up.bytes_per_second,
                    line.connections,
                    process_seconds if isinstance(sender, OurSender) else None,
                )
            )
    finally:
        await asyncio.to_thread(sender.close)
        await asyncio.to_thread(server.__exit__)
    return results


def _check(server, line, count):
    server.wait_until_settled()
    recipients = [one.recipient for one in server.deliveries()]
    if len(recipients) != count or len(set(recipients)) != LETTERS:
        raise RuntimeError(f"{len(recipients)} arrived of {len(set(recipients))}, not {count}")
    if line.final_replies != LETTERS:
        raise RuntimeError(f"{line.final_replies} final replies were seen, not {LETTERS}")
