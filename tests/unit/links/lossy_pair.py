"""Two nodes and a line in memory that breaks where a test says."""

import asyncio
import re
from dataclasses import dataclass, field

from nodes import TestNode
from relaynode.errors import LineLost
from relaynode.links.wish import Wish
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire import tcp
from relaynode.wire.memory import pair

SMART_HOST = '[smart_host.next]\nhost = "next.example"\ntls = "none"\n'


@dataclass
class Cut:
    """Where the line breaks: behind so many bytes that way, when more would follow; what follows is
    lost. `None`: nowhere."""

    up: int | None = None
    down: int | None = None


@dataclass
class CutStream:
    """The sender's end of the line. `heard`: what came down it. `withheld`: an extension that the
    receiver has and the sender is not told of."""

    inner: object
    cut: Cut
    withheld: bytes = b""
    peer: str = "next.example [192.0.2.1]"
    sent: int = 0
    heard: bytes = b""

    async def read(self, timeout=None):
        data = await self.inner.read(timeout)
        if self.cut.down is not None and len(self.heard) + len(data) > self.cut.down:
            data = data[: self.cut.down - len(self.heard)]
            self.inner.abort()
        self.heard += data
        if self.withheld:
            data = data.replace(b"250-%s\r\n" % self.withheld, b"")
        if not data:
            raise LineLost("cut")
        return data

    async def write(self, data, timeout=None):
        if self.cut.up is not None and self.sent + len(data) > self.cut.up:
            await self.inner.write(data[: self.cut.up - self.sent])
            self.inner.abort()
            raise LineLost("cut")
        self.sent += len(data)
        await self.inner.write(data, timeout)

    def backlog(self):
        return 0

    async def close(self):
        await self.inner.close()

    def abort(self):
        self.inner.abort()


@dataclass
class LossyPair:
    """A sender, and a receiver that knows mail again unless `knows_again` is false."""

    sender: object
    receiver: object
    source: SmtpSource
    withheld: bytes = b""
    subjects: dict[str, str] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    streams: list[CutStream] = field(default_factory=list)
    serving: list[asyncio.Task] = field(default_factory=list)

    @classmethod
    def make(cls, folder, monkeypatch, *, knows_again=True, receiving_store=None):
        sender = TestNode(folder / "a", SMART_HOST)
        sender = sender.open(store=MemoryStore(folder / "a" / "scratch"))
        store = receiving_store or MemoryStore(folder / "b" / "scratch")
        receiver = TestNode(folder / "b", node_keys='local_domains = ["far.example"]')
        receiver = receiver.open(store=store)
        one = cls(sender, receiver, cls.source_of(receiver, knows_again=knows_again))
        monkeypatch.setattr(tcp, "connect", one.connect)
        return one

    @staticmethod
    def source_of(node, *, knows_again=True):
        return SmtpSource(
            node.intake,
            node.rules,
            hostname="next.example",
            networks=[],
            max_size_bytes=10**6,
            knows_again=knows_again,
        )

    async def connect(self, host, port, **_):
        ours, theirs = pair("next.example", "sender")
        cut = self.cuts.pop(0) if self.cuts else Cut()
        stream = CutStream(ours, cut, self.withheld)
        self.streams.append(stream)
        self.serving.append(asyncio.ensure_future(self.source.serve(theirs, "192.0.2.9")))
        return stream

    async def queue(self, subjects, *, size=40):
        """Mails to user@far.example, one for each subject."""
        body = b"x" * 60 + b"\r\n"
        for subject in subjects:
            content = b"Subject: %s\r\n\r\n" % subject.encode() + body * (size // 60 + 1)
            envelope = Envelope("joe@bsd.home", (Recipient("user@far.example"),))
            queue_id = new_queue_id()
            self.subjects[queue_id] = subject
            await self.sender.store.add(
                [
                    NewMessage(
                        queue_id, envelope, b"", Content.of(content), "test", self.sender.clock()
                    )
                ]
            )

    async def flush(self):
        """One session."""
        return await self.sender.links.run("default", Wish(poll=False))

    async def flush_until_empty(self, *, most=5):
        for _ in range(most):
            await self.flush()
            if not await self.sender.store.messages():
                break
        await asyncio.gather(*self.serving)
        self.serving.clear()
        return not await self.sender.store.messages()

    async def arrived(self):
        """The subjects that the receiver has queued, in order."""
        messages = await self.receiver.store.messages(finished=True)
        found = []
        for message in messages:
            (delivery,) = await self.receiver.store.claim(
                [(message.queue_id, [one.id for one in message.recipients])]
            )
            content = b"".join(delivery.content.pieces())
            found.append(re.search(rb"Subject: (.*)\r", content)[1].decode())
        return found

    async def in_doubt(self):
        """The subjects that the sender has marked "may have been accepted"."""
        return {
            self.subjects[message.queue_id]
            for message in await self.sender.store.messages(finished=True)
            if any(one.in_doubt for one in message.recipients)
        }

    async def close(self):
        await self.sender.close()
        await self.receiver.close()
