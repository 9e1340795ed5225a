"""What a command opens for itself: the queue's store, or a whole node.

Importing a whole node costs more than most commands do, so whoever needs the queue alone says so.
Root opens neither as root, if the node is somebody else's.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from relaynode.cli.rights import step_down

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.config.loader import Config
    from relaynode.node import Node
    from relaynode.queue.store import Store

T = TypeVar("T")


def in_store(config: Config, work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` gives, done with the queue. Raises: StoreError."""
    from relaynode.queue.sqlite import SqliteStore

    step_down(config)

    async def play() -> T:
        room = config.file.queue.min_free_bytes
        store = SqliteStore(config.spool, clock=time.time, min_free_bytes=room)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(play())


def in_node(config: Config, work: Callable[[Node], Awaitable[T]]) -> T:
    """What `work` gives, done with a node of our own. Raises: StoreError."""
    from relaynode.node import make_node

    step_down(config)

    async def play() -> T:
        node = make_node(config)
        try:
            return await work(node)
        finally:
            await node.close()

    return asyncio.run(play())
