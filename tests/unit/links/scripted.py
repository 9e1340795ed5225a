"""A node whose mail takes one way, to a mailer that does as it is told; the clock is the test's."""

import asyncio
from dataclasses import replace

from nodes import TestNode
from relaynode.links.queuerun import QueueRun
from relaynode.links.ways import Way
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import ok
from relaynode.mailers.mailer import Attempt
from relaynode.queue.content import Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage
from relaynode.queue.sqlite import SqliteStore
from relaynode.sources.dsn import DOUBLE_BOUNCE, DSN
from relaynode.wire.meter import ByteCount

NOW = 1_800_000_000.0


def message(queue_id, *to, sender="user@bsd.home", notify="", arrived_at=NOW, ret=""):
    recipients = tuple(Recipient(address, notify) for address in to)
    content = Content.of(b"Subject: s\r\n\r\nthe body\r\n")
    envelope = Envelope(sender, recipients, ret=ret)
    return NewMessage(queue_id, envelope, b"", content, "test", arrived_at)


class ScriptedWays:
    """All mail takes one way, to a mailer that runs a given coroutine function."""

    def __init__(self, deliver, way=None, link_kind="always"):
        self.script = deliver
        self.link_kind = link_kind
        self.by_host = False
        self._way = way or Way("smtp", "next")

    def way_of(self, route, reverse_path=""):
        if route.mailer == "local":
            return Way("local")
        return Way("smtp", route.user.partition("@")[2]) if self.by_host else self._way

    def host_of(self, way):
        return way.name

    def is_always_up(self, way):
        return self.link_kind == "always"

    def mailer(self, way, count):
        return self

    async def deliver(self, consignments, report):
        await self.script(consignments, report)


class Play:
    """A node whose ways are scripted. `now` is what the test sets. `link_kind`: of the one link.
    `is_durable`: the queue outlives a `restart`."""

    def __init__(self, tmp_path, deliver, *, link_kind="always", is_durable=False, sections=""):
        self.now = NOW
        self.node = TestNode(tmp_path, sections, users=("user", "postmaster", "owner"))
        self.ways = ScriptedWays(deliver, link_kind=link_kind)
        self._is_durable = is_durable
        self._folder = tmp_path
        self.start()

    def start(self):
        kind = SqliteStore if self._is_durable else MemoryStore
        self.store = kind(self._folder / "scratch", clock=lambda: self.now)
        node = self.node.open(store=self.store, clock=lambda: self.now)
        self.parts = replace(node.parts, ways=self.ways)

    def restart(self):
        """As a crash does it: claims are not given back."""
        self.store = None
        self.start()

    def run(self, *messages, **options):
        async def play():
            await self.store.add(messages)
            run = QueueRun(
                self.parts, ByteCount(), takes_way=lambda way: way.kind == "smtp", **options
            )
            return await run.run()

        return asyncio.run(play())

    def messages(self):
        return asyncio.run(self.store.messages(finished=True))

    def recipients(self):
        return {
            recipient.forward_path.address: recipient
            for message in self.messages()
            for recipient in message.recipients
        }

    def dsns(self):
        async def contents():
            waiting = [m for m in await self.store.waiting() if m.source in (DSN, DOUBLE_BOUNCE)]
            wanted = [(m.queue_id, {r.id for r in m.recipients}) for m in waiting]
            return await self.store.claim(wanted)

        return {
            delivery.recipients[0].forward_path.address: b"".join(delivery.content.pieces())
            for delivery in asyncio.run(contents())
        }


def answering(status):
    """A mailer whose next hop says the same to everybody, or what a table says."""

    async def deliver(consignments, report):
        async for consignment in consignments:
            delivery = consignment.delivery
            await report(
                [
                    Attempt(
                        delivery,
                        recipient,
                        status.get(address, ok("sent")) if isinstance(status, dict) else status,
                        "mx.example [192.0.2.1]",
                    )
                    for recipient, address in zip(
                        delivery.recipients, consignment.addresses, strict=True
                    )
                ]
            )

    return deliver
