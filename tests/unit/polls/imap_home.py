"""A node with one account at an IMAP server, and mail to lie there."""

import asyncio
import random
import re
from dataclasses import dataclass
from functools import cache

from nodes import TestNode
from relaynode.errors import RelaynodeError
from relaynode.polls.account import Account
from relaynode.polls.choice import Wishes
from relaynode.polls.imap import ImapPoller, ImapWishes
from relaynode.polls.poll import Poll
from relaynode.queue.memory import MemoryStore
from relaynode.queue.partials import Partials
from relaynode.sasl import Credentials
from unit.polls.imap_server import Line

NOW = 1_800_000_000.0


@dataclass
class SomeLogin:
    user: str = "ann"

    async def credentials(self, host, address):
        return Credentials(self.user, "secret")

    async def renewed(self, credentials):
        return None


@cache
def letter(number, size=20):
    chance = random.Random(number)
    body = b"".join(b"%060d\r\n" % chance.getrandbits(60) for _ in range(size // 62 + 1))
    return b"From: a@b.example\r\nSubject: %d\r\n\r\n%b" % (number, body)


class Home:
    """A node with one account at a box."""

    def __init__(
        self, folder, box, *, folders=("INBOX",), move_to="", tls="none", line=Line, **wishes
    ):
        self.box = box
        self.line_to = line
        self.user = "ann"
        self.store = MemoryStore(folder / "scratch")
        self.node = TestNode(folder / "node").open(store=self.store)
        self.partials = Partials(folder / "partial")
        self.imap = ImapWishes(tuple(folders), move_to)
        self.wishes = Wishes(**wishes)
        self.tls = tls
        self.warn_hours = 0

    async def visit(self, only_counts=False, **cut):
        """One visit; its result, with what it raised as `error`."""
        self.line = self.line_to(self.box, **cut)
        account = Account(
            "isp",
            "mail.example",
            self.line.open,
            SomeLogin(self.user),
            "user",
            tls=self.tls,
            tls_context=lambda: None,
            timeout_seconds=5,
            wishes=self.wishes,
            warn_hours=self.warn_hours,
        )
        intake = self.node.intake
        poller = ImapPoller(
            account,
            self.imap,
            self.store,
            intake,
            self.partials,
            clock=lambda: NOW,
            only_counts=only_counts,
        )
        self.result, self.error = Poll("isp"), None
        try:
            await poller.poll(self.result)
        except RelaynodeError as error:
            self.error = error
        await asyncio.gather(*self.line.serving)
        return self.result

    async def contents(self):
        """What is queued, in order."""
        found = []
        for message in await self.store.messages():
            ids = [one.id for one in message.recipients]
            (delivery,) = await self.store.claim([(message.queue_id, ids)])
            found.append(b"".join(delivery.content.pieces()))
            await self.store.unclaim(ids)
        return found

    async def subjects(self):
        return [int(re.search(rb"Subject: (\d+)", one)[1]) for one in await self.contents()]
