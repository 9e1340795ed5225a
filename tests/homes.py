"""A node with a smart host, a clock that the test sets, and runs in this process."""

import asyncio
from dataclasses import replace

from nodes import TestNode
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.model import NewMessage

NOW = 1_800_000_000.0


class Home:
    """A node with a smart host at a port, over link isp. `keys`: of the smart host. Each step opens
    and closes the node, so that nothing is kept but what is on the disk."""

    def __init__(self, folder, port=25, keys="", *, kind="always", tables=None, more="", link=""):
        """`port`: None for no smart host, so that mail goes to mail exchangers. `link`: its
        keys."""
        self.now = NOW
        self.options = {}
        """What a node is opened with, besides the clock."""
        smart_host = f"""
[smart_host.isp]
host = "127.0.0.1:{port}"
link = "isp"
timeout_seconds = 1
{keys or 'tls = "none"'}
"""
        sections = f'[link.isp]\nkind = "{kind}"\n{link}\n{smart_host if port else ""}\n{more}\n'
        self.node = TestNode(folder, sections, tables=tables)
        self.node.password("password")

    def play(self, work):
        """What the coroutine function `work` gives, that is handed the node."""

        async def play():
            node = self.node.open(clock=lambda: self.now, **self.options)
            try:
                return await work(node)
            finally:
                await node.close()

        return asyncio.run(play())

    def queue(self, to="bob@x.example", *, queue_id="A1", mailer="", size=10, hold_reason=""):
        """Put a mail into the queue."""

        async def work(node):
            draft = node.store.draft(queue_id)
            draft.write(b"Subject: s\r\n\r\n" + b"x" * size + b"\r\n")
            content = draft.finish()
            recipient = Recipient(to, mailer=mailer)
            envelope = Envelope("user@bsd.home", (recipient,))
            new = NewMessage(queue_id, envelope, b"", content, "test", self.now)
            await node.store.add([replace(new, hold_reason=hold_reason)])

        self.play(work)

    def flush(self):
        """A run over the link, and what stays at home; its summary."""

        async def work(node):
            return await node.links.run("isp")

        return self.play(work)

    def messages(self):
        """All that are known."""
        return self.play(lambda node: node.store.messages(finished=True))

    def operate(self, verb):
        """The operator's hand."""
        self.play(lambda node: node.store.operate(verb, ["A1"], self.now))
