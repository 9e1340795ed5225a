"""The record of runs over links, in both of its homes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from relaynode.queue.link_runs import LinkRunRecord
from relaynode.queue.memory import MemoryStore
from relaynode.queue.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

FIRST = LinkRunRecord("isp", 100.0)
DONE = replace(
    FIRST,
    seconds=2.5,
    bytes_out=10,
    bytes_in=20,
    sent=1,
    deferred=2,
    failed=3,
    received=4,
    deleted=5,
    ended="done",
    problems=("relay: no answer", "account isp: refused"),
    bytes_per_second=4200.0,
    round_trip_seconds=0.2,
)
DUE = LinkRunRecord("hf", 200.0, is_ordered=False, ended="called off")


@pytest.mark.parametrize("home", [SqliteStore, MemoryStore])
def test_runs_are_kept_as_they_were_noted_last_and_found_by_link_and_time(
    home, tmp_path: Path
) -> None:
    async def play() -> None:
        store = home(tmp_path)
        try:
            runs = store.link_runs
            number = await runs.begin(FIRST)
            assert await runs.last(5) == [FIRST]
            await runs.note(number, DONE)
            await runs.begin(DUE)
            assert await runs.last(5) == [DONE, DUE]
            assert await runs.last(1) == [DUE]
            assert await runs.last(0) == []
            assert await runs.last(5, "isp") == [DONE]
            assert await runs.since(100.0) == [DONE, DUE]
            assert await runs.since(100.5) == [DUE]
            assert await runs.since(0.0, "hf") == [DUE]
            assert await runs.forget(150.0) == 1
            await runs.note(number, DONE)  # it is gone
            assert await runs.last(5) == [DUE]
        finally:
            await store.close()

    asyncio.run(play())
