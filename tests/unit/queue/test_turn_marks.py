"""The last turn of each link, in both of its homes."""

import asyncio
from datetime import datetime

import pytest

from relaynode.queue.memory import MemoryStore
from relaynode.queue.sqlite import SqliteStore
from relaynode.timetable import Mark

FIRST = Mark(datetime(2026, 3, 29, 2, 30), 1774746000.25)
SECOND = Mark(datetime(2026, 3, 29, 6, 10), 1774757400.0)


@pytest.mark.parametrize("home", [SqliteStore, MemoryStore])
def test_the_last_turn_of_each_link_is_remembered(home, tmp_path):
    async def play():
        store = home(tmp_path)
        try:
            marks = store.turn_marks
            assert await marks.recall("isp") is None
            await marks.remember("isp", FIRST)
            await marks.remember("hf", FIRST)
            await marks.remember("isp", SECOND)
            assert await marks.recall("isp") == SECOND
            assert await marks.recall("hf") == FIRST
        finally:
            await store.close()

    asyncio.run(play())


def test_it_outlives_the_program(tmp_path):
    async def play(work):
        store = SqliteStore(tmp_path)
        try:
            return await work(store.turn_marks)
        finally:
            await store.close()

    asyncio.run(play(lambda marks: marks.remember("isp", FIRST)))
    assert asyncio.run(play(lambda marks: marks.recall("isp"))) == FIRST
