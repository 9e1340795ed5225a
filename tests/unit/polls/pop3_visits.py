"""Visits of a node to a POP3 double in memory, which share one queue."""

import asyncio
import contextlib
import re
from dataclasses import replace

from nodes import TestNode
from peers.pop3_double import PASSWORD, USER, Mailbox
from relaynode.errors import RelaynodeError
from relaynode.polls.account import Account
from relaynode.polls.choice import Wishes
from relaynode.polls.poll import Poll
from relaynode.polls.pop3 import Pop3Poller
from relaynode.queue.memory import MemoryStore
from relaynode.sasl import Credentials
from relaynode.wire.memory import pair

NOW = 1_800_000_000.0


class FixedLogin:
    """A login whose name and password are known."""

    mechanisms = ()

    async def credentials(self, host, address):
        return Credentials(USER, password=PASSWORD, mechanisms=self.mechanisms)

    async def renewed(self, credentials):
        return None


class Home:
    """A queue, and visits to `box`. `now` is what the test sets."""

    def __init__(self, folder, box, *, timeout_seconds=5.0, **wishes):
        self.box = box
        self.store = MemoryStore(folder / "scratch", clock=lambda: self.now)
        self.node = TestNode(folder, "", users=("user",)).open(store=self.store)
        self.intake = self.node.links._fetching.intake
        self.now = NOW
        self.intake._clock = lambda: self.now
        self.problem = None
        self.fetched_bytes = 0
        self.login = FixedLogin()
        self.monotonic = iter(range(10**9)).__next__
        self.account = Account(
            "isp",
            "pop.example",
            self._connect,
            self.login,
            "user",
            tls="none",
            timeout_seconds=timeout_seconds,
            wishes=Wishes(**wishes),
        )

    def wish(self, *, expunge=0, **wishes):
        """From now on."""
        self.account = replace(
            self.account, wishes=replace(self.account.wishes, **wishes), expunge=expunge
        )

    def be_patient(self, seconds):
        """How long silence is borne."""
        self.account = replace(self.account, timeout_seconds=seconds)

    async def _connect(self):
        ours, theirs = pair("pop.example [192.0.2.7]", "node")
        self.serving = asyncio.ensure_future(self._serve(theirs))
        return ours

    async def _serve(self, theirs):
        await self.box.serve(theirs)
        self.fetched_bytes += self.box.sent_content_bytes

    async def visit(self, **more):
        """One visit; what went wrong with it as a whole is in `problem`."""
        result, self.problem = Poll("isp"), None
        poller = Pop3Poller(
            self.account,
            self.store,
            self.intake,
            clock=lambda: self.now,
            monotonic=self.monotonic,
            **more,
        )
        try:
            await poller.poll(result)
        except RelaynodeError as error:
            self.problem = error
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.serving, 1)
        return result

    def contents(self):
        """All that was ever queued, in order."""
        entries = self.store._entries.values()
        return [b"".join(entry.message.content.pieces()) for entry in entries]

    async def queued(self):
        """The subjects of it."""
        pattern = re.compile(rb"(?m)^Subject: (.*?)\r?$")
        return [pattern.search(content)[1].decode() for content in self.contents()]


def play(tmp_path, scenario, box=None, **wishes):
    """Run a scenario with a home; what it gives."""

    async def run():
        home = Home(tmp_path, box or Mailbox(), **wishes)
        try:
            return await scenario(home)
        finally:
            await home.node.close()

    return asyncio.run(run())


def letter(number, body=b"body"):
    """A message; its subject is the number."""
    return b"From: a@b.example\r\nSubject: %d\r\n\r\n%b\r\n" % (number, body)


def mailbox(count, **more):
    """A mailbox with messages 1 to `count`."""
    return Mailbox([(f"u{n}", letter(n)) for n in range(1, count + 1)], **more)
