"""A daemon that runs for months forgets what is over, not only when it starts."""

import asyncio

from relaynode.daemon import daemon
from relaynode.errors import StoreError


class OldNode:
    """A node that says stop at the third pruning; the second fails."""

    def __init__(self):
        self.prunings = 0

    async def prune(self):
        self.prunings += 1
        if self.prunings == 2:
            raise StoreError("the disk is full")
        if self.prunings == 3:
            self.daemon.stopping.set()


def test_what_is_over_is_forgotten_again_and_again(monkeypatch, caplog):
    monkeypatch.setattr(daemon, "PRUNE_SECONDS", 0)
    node = OldNode()

    async def run():
        node.daemon = daemon.Daemon(node)
        await node.daemon._serve()

    asyncio.run(run())
    assert node.prunings == 3
    assert "the disk is full" in caplog.text
