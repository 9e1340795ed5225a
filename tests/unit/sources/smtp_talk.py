"""A session with the SMTP source over a memory stream, for tests that look at replies and queue."""

import asyncio

from nodes import TestNode
from relaynode.config.values import Network
from relaynode.queue.memory import MemoryStore
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.memory import pair


def node_in(folder, *arguments, **more):
    """A node with a queue in memory."""
    return TestNode(folder, *arguments, **more).open(store=MemoryStore(folder / "scratch"))


def source_of(node, **more):
    """An SMTP source for the world, that serves 192.168.1.0/24."""
    return SmtpSource(
        node.intake,
        node.rules,
        hostname="bsd.home",
        networks=[Network.parse("192.168.1.0/24")],
        max_size_bytes=10**6,
        **more,
    )


def talk_to(node, client, *commands, hello=b"EHLO x.example", **more):
    """The answers to a session from this address behind the hello, and what it has queued."""

    async def run():
        known = {message.queue_id for message in await node.store.messages()}
        ours, theirs = pair("client", "server")
        serving = asyncio.ensure_future(source_of(node, **more).serve(ours, client))
        await theirs.write(b"".join(one + b"\r\n" for one in (hello, *commands, b"QUIT")))
        said = b""
        while data := await theirs.read(5):
            said += data
        await serving
        return said, [one for one in await node.store.messages() if one.queue_id not in known]

    return asyncio.run(run())
