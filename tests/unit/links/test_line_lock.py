"""Who has a link: mail that is due gives way, what was ordered waits or is turned away."""

import asyncio
import functools
import os

import pytest

from relaynode.errors import BusyError
from relaynode.links import line_lock as locks
from relaynode.links.line_lock import holders, line_lock


@pytest.fixture(autouse=True)
def looks_all_the_time(monkeypatch):
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0)


def in_loop(test):
    @functools.wraps(test)
    def run(**arguments):
        asyncio.run(test(**arguments))

    return run


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def ordered(spool, seen):
    async with line_lock(spool, "isp", is_ordered=True):
        seen.append("has it")


@in_loop
async def test_an_ordered_run_waits_for_mail_that_is_due(tmp_path):
    seen = []
    async with line_lock(tmp_path, "isp", is_ordered=False):
        waiting = asyncio.create_task(ordered(tmp_path, seen))
        await turns()
        assert not seen
        assert not waiting.done()
    await waiting
    assert seen == ["has it"]


@in_loop
async def test_a_second_ordered_run_is_turned_away_while_one_waits_or_runs(tmp_path):
    async with line_lock(tmp_path, "isp", is_ordered=False):
        waiting = asyncio.create_task(ordered(tmp_path, []))
        await turns()
        with pytest.raises(BusyError, match="a run over link isp is under way"):
            await ordered(tmp_path, [])
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with line_lock(tmp_path, "isp", is_ordered=True):
        with pytest.raises(BusyError):
            await ordered(tmp_path, [])


@pytest.mark.parametrize("is_ordered", [False, True])
@in_loop
async def test_mail_that_is_due_waits_for_nobody(tmp_path, is_ordered):
    async with line_lock(tmp_path, "isp", is_ordered=is_ordered):
        with pytest.raises(BusyError):
            async with line_lock(tmp_path, "isp", is_ordered=False):
                pass
        async with line_lock(tmp_path, "other", is_ordered=False):
            pass


@in_loop
async def test_who_has_or_wants_the_link_is_told_for_linkdown(tmp_path):
    assert holders(tmp_path, "isp") == set()
    for is_ordered in (False, True):
        async with line_lock(tmp_path, "isp", is_ordered=is_ordered):
            assert holders(tmp_path, "isp") == {os.getpid()}
    assert holders(tmp_path, "isp") == set()


@in_loop
async def test_a_run_that_was_called_off_while_it_waited_leaves_nothing_held(tmp_path):
    async with line_lock(tmp_path, "isp", is_ordered=False):
        waiting = asyncio.create_task(ordered(tmp_path, []))
        await turns()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    seen = []
    await ordered(tmp_path, seen)
    assert seen == ["has it"]
