"""A node at the near end of an emulated line, in virtual time; at the far end a mail server and a
mailbox, whose server may send more than it lists."""

import asyncio
from dataclasses import dataclass, field

from nodes import TestNode
from relaynode.links.wish import Wish
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.link_runs import LinkRunRecord
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire import tcp
from unit.links.memory_line import MemoryLine

BEGAN = 1_800_000_000.0
BODY = b"x" * 60 + b"\r\n"


def mail(subject, size):
    """A message of about `size` bytes."""
    head = b"From: a@far.example\r\nSubject: %s\r\n\r\n" % subject.encode()
    return head + BODY * max((size - len(head)) // len(BODY), 1)


@dataclass
class Mailbox:
    """A POP3 server that pipelines. `lie`: how often it sends what it lists once."""

    mails: dict[str, bytes] = field(default_factory=dict)
    lie: int = 1

    async def serve(self, stream, _):
        there, doomed = list(self.mails), []
        rest = b""
        await stream.write(b"+OK\r\n")
        while True:
            data = await stream.read()
            if not data:
                return
            *lines, rest = (rest + data).split(b"\r\n")
            for line in lines:
                if line == b"QUIT":
                    for uid in doomed:
                        self.mails.pop(uid, None)
                    await stream.write(b"+OK\r\n")
                    await stream.close()
                    return
                await stream.write(self.answer(line.decode().split(), there, doomed))

    def answer(self, words, there, doomed):
        sizes = [len(self.mails[uid]) for uid in there if uid in self.mails]
        match words:
            case ["CAPA"]:
                return b"+OK\r\nUIDL\r\nPIPELINING\r\nUSER\r\nTOP\r\n.\r\n"
            case ["STAT"]:
                return b"+OK %d %d\r\n" % (len(sizes), sum(sizes))
            case ["LIST"]:
                rows = (b"%d %d\r\n" % row for row in enumerate(sizes, 1))
                return b"+OK\r\n" + b"".join(rows) + b".\r\n"
            case ["UIDL"]:
                rows = (b"%d %s\r\n" % (n, uid.encode()) for n, uid in enumerate(there, 1))
                return b"+OK\r\n" + b"".join(rows) + b".\r\n"
            case ["RETR", number]:
                content = self.mails[there[int(number) - 1]]
                return (
                    b"+OK\r\n"
                    + content
                    + BODY * ((self.lie - 1) * len(content) // len(BODY))
                    + b".\r\n"
                )
            case ["DELE", number]:
                doomed.append(there[int(number) - 1])
        return b"+OK\r\n"


@dataclass
class Trial:
    """Make it with `make`, inside the loop."""

    line: MemoryLine
    node: object
    store: MemoryStore
    far: object
    mailbox: Mailbox

    @classmethod
    async def make(cls, folder, monkeypatch, keys, *, rate=33600, round_trip=0.2, lie=1):
        loop = asyncio.get_running_loop()
        far_node = TestNode(folder / "far", node_keys='local_domains = ["far.example"]')
        far = far_node.open(store=MemoryStore(folder / "far" / "scratch"))
        source = SmtpSource(
            far.intake, far.rules, hostname="far", networks=[], max_size_bytes=10**7
        )
        mailbox = Mailbox(lie=lie)
        line = MemoryLine(rate, round_trip)
        line.services = {25: source.serve, 110: mailbox.serve}
        monkeypatch.setattr(tcp, "connect", line.connect)
        near = TestNode(
            folder / "near",
            f'[link.isp]\nkind = "always"\n{keys}\n'
            '[smart_host.isp]\nhost = "smtp.example:25"\ntls = "none"\nlink = "isp"\n'
            '[account.box]\nhost = "pop.example:110"\ntls = "none"\nlink = "isp"\n'
            'user = "u"\npassword_file = "box.password"\ndeliver_to = "user@bsd.home"\n',
        )
        near.password("box.password")
        clock = lambda: BEGAN + loop.time()  # noqa: E731
        store = MemoryStore(folder / "near" / "scratch", clock=clock)
        node = near.open(store=store, clock=clock, monotonic=loop.time)
        return cls(line, node, store, far, mailbox)

    async def queue(self, sizes):
        """Mail to user@far.example."""
        await self.store.add(
            [
                NewMessage(
                    new_queue_id(),
                    Envelope("joe@bsd.home", (Recipient("user@far.example"),)),
                    b"",
                    Content.of(mail(str(number), size)),
                    "test",
                    self.node.clock(),
                )
                for number, size in enumerate(sizes)
            ]
        )

    def offer(self, sizes):
        """Mail in the mailbox at the far end."""
        for size in sizes:
            self.mailbox.mails[str(len(self.mailbox.mails))] = mail("in", size)

    async def spend(self, seconds):
        """A run that was an hour ago."""
        run = LinkRunRecord("isp", BEGAN - 3600, seconds=seconds, ended="done")
        await self.store.link_runs.begin(run)

    async def linkup(self, **wish):
        return await self.node.links.run("isp", Wish(**wish))

    async def runs(self):
        return await self.store.link_runs.last(999)

    async def waiting(self):
        """Recipients that wait for the far end."""
        return [
            one
            for message in await self.store.messages()
            for one in message.recipients
            if one.forward_path.address == "user@far.example"
        ]

    @property
    def carried(self):
        return self.line.up.bytes_carried + self.line.down.bytes_carried

    async def close(self):
        await self.line.close()
        await self.node.close()
        await self.far.close()
