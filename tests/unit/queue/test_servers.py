"""What is known of servers, in both homes of the memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from relaynode.queue.memory import MemoryStore
from relaynode.queue.servers import KnownServer, NoServers
from relaynode.queue.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = KnownServer(
    {"SIZE": "1000", "PIPELINING": ""}, frozenset({"CHUNKING", "DSN"}), 100, 3, True
)


@pytest.mark.parametrize("home", [SqliteStore, MemoryStore])
def test_the_last_that_was_learned_of_each_server_is_kept(home, tmp_path: Path) -> None:
    async def play() -> None:
        store = home(tmp_path)
        try:
            servers = store.servers
            assert await servers.recall("mx [192.0.2.1]:25 none") is None
            await servers.remember("mx [192.0.2.1]:25 none", KnownServer())
            await servers.remember("mx [192.0.2.1]:25 none", KNOWN)
            await servers.remember("mx [192.0.2.2]:25 none", KnownServer())
            assert await servers.recall("mx [192.0.2.1]:25 none") == KNOWN
            assert await servers.recall("mx [192.0.2.2]:25 none") == KnownServer()
        finally:
            await store.close()

    asyncio.run(play())


def test_it_outlives_the_process(tmp_path: Path) -> None:
    async def play() -> None:
        store = SqliteStore(tmp_path)
        await store.servers.remember("mx", KNOWN)
        await store.close()
        store = SqliteStore(tmp_path)
        assert await store.servers.recall("mx") == KNOWN
        await store.close()

    asyncio.run(play())


def test_who_keeps_nothing_knows_nobody() -> None:
    async def play() -> None:
        await NoServers().remember("mx", KNOWN)
        assert await NoServers().recall("mx") is None

    asyncio.run(play())
