"""A line that we dial: the commands are scripted, the clock and the waiting are the test's."""

import asyncio
from datetime import datetime

import pytest

from nodes import TestNode
from relaynode.errors import BusyError, ConnectFailed, DialFailed, TimedOut
from relaynode.links.dialling import DialledLine
from relaynode.links.line_lock import dial_lock
from relaynode.queue.memory import MemoryStore

IDLE_SECONDS = 120
NOON = datetime(2026, 3, 3, 12).timestamp()
DIAL = """\
[link.isp]
kind = "dial"
up_command = "up"
down_command = "down"
redial_wait_seconds = 10
"""


class Play:
    """`answers`: what the commands end with, by name, in turn; 0 when they are used up."""

    def __init__(self, tmp_path, keys="", **answers):
        self.now = NOON
        self.spool = tmp_path / "spool"
        self.section = TestNode(tmp_path, DIAL + keys).config().links["isp"]
        self.store = MemoryStore(tmp_path / "store")
        self.answers = {name: list(some) for name, some in answers.items()}
        self.done = []
        self.is_idle_enough = asyncio.Event()

    def line(self):
        return DialledLine(
            "isp",
            self.section,
            self.store,
            self.spool,
            lambda: self.now,
            errand=self.errand,
            sleep=self.sleep,
        )

    async def errand(self, words, timeout_seconds):
        (name,) = words
        self.done.append(name)
        answer = (self.answers.get(name) or [0]).pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer == "for ever":
            await asyncio.Event().wait()
        return answer

    async def sleep(self, seconds):
        self.done.append(seconds)
        if seconds == IDLE_SECONDS:
            await self.is_idle_enough.wait()
        self.now += seconds

    async def work(self, line=None):
        async with (line or self.line()).held():
            self.done.append("work")
            assert await self.store.links_up() == {"isp"}

    async def ends(self):
        return [one.ended for one in await self.store.dials.since(0.0, "isp")]


def test_it_is_dialled_worked_over_and_hung_up(tmp_path):
    play = Play(tmp_path)

    async def run():
        await play.work()
        assert await play.store.links_up() == set()
        return await play.ends()

    assert asyncio.run(run()) == ["hung up"]
    assert play.done == ["up", "work", "down"]


def test_a_busy_line_is_dialled_again_after_twice_as_long_each_time(tmp_path):
    play = Play(tmp_path, up=[4, 4, 4, 0])
    asyncio.run(play.work())
    assert play.done == ["up", 10, "up", 20, "up", 40, "up", "work", "down"]


def test_a_line_that_stays_busy_is_given_up_and_not_hung_up(tmp_path):
    play = Play(tmp_path, "redial_attempts = 1\n", up=[4, 4])

    async def run():
        with pytest.raises(DialFailed, match="link isp: up ended with exit code 4"):
            await play.work()
        assert await play.store.links_up() == set()
        return await play.ends()

    assert asyncio.run(run()) == ["up ended with exit code 4"] * 2
    assert play.done == ["up", 10, "up"]


def test_a_command_that_cannot_be_run_is_not_run_again(tmp_path):
    play = Play(tmp_path, up=[ConnectFailed("up: No such file or directory")])
    with pytest.raises(DialFailed, match="No such file"):
        asyncio.run(play.work())
    assert play.done == ["up"]


def test_one_that_takes_too_long_is_hung_up_in_case_it_dials_on(tmp_path):
    play = Play(tmp_path, "redial_attempts = 0\n", up=[TimedOut("up: not done after 90 s")])
    with pytest.raises(DialFailed, match="not up after 90 s"):
        asyncio.run(play.work())
    assert play.done == ["up", "down"]


def test_it_is_waited_for_until_the_line_is_there(tmp_path):
    play = Play(tmp_path, 'is_up_command = "look"\n', look=[1, 1, 1, 0])
    asyncio.run(play.work())
    assert play.done == ["look", "up", "look", 1.0, "look", 1.0, "look", "work", "down"]


def test_a_line_that_somebody_else_brought_up_is_used_and_left_up(tmp_path):
    play = Play(tmp_path, 'is_up_command = "look"\n', look=[0])

    async def run():
        await play.work()
        return await play.store.dials.since(0.0, "isp")

    assert asyncio.run(run()) == []
    assert play.done == ["look", "work"]


def test_the_limit_of_a_day_counts_all_dials_and_ends_at_midnight(tmp_path):
    play = Play(tmp_path, "dials_per_day = 3\n", up=[4, 0])

    async def run():
        await play.work()
        await play.work()
        for _ in range(2):
            with pytest.raises(DialFailed, match="dialled 3 times today"):
                await play.work()
        play.now += 12 * 3600
        await play.work()

    asyncio.run(run())
    assert play.done.count("up") == 4


def test_the_limit_stops_a_redial(tmp_path):
    play = Play(tmp_path, "dials_per_day = 2\n", up=[4, 4, 4])
    with pytest.raises(DialFailed, match="dialled 2 times today"):
        asyncio.run(play.work())
    assert play.done.count("up") == 2


def test_two_at_the_same_time_share_one_call(tmp_path):
    play = Play(tmp_path)

    async def run():
        line = play.line()
        await asyncio.gather(play.work(line), play.work(line))

    asyncio.run(run())
    assert play.done == ["up", "work", "work", "down"]


def test_what_does_not_dial_keeps_a_line_up_that_is_up(tmp_path):
    play = Play(tmp_path)

    async def run():
        line = play.line()
        async with line.held(dials=False):
            assert play.done == []
        joined = line.held(dials=False)
        async with line.held():
            await joined.__aenter__()
        assert play.done == ["up"]
        await joined.__aexit__(None, None, None)

    asyncio.run(run())
    assert play.done == ["up", "down"]


def test_an_idle_line_is_used_again_and_hung_up_when_it_has_been_idle_long_enough(tmp_path):
    play = Play(tmp_path, "idle_seconds = 120\n")

    async def run():
        line = play.line()
        await play.work(line)
        await play.work(line)
        assert "down" not in play.done
        play.is_idle_enough.set()
        while "down" not in play.done:
            await asyncio.sleep(0)
        assert await play.store.links_up() == set()
        await play.work(line)
        await line.close()

    asyncio.run(run())
    done = [one for one in play.done if one != IDLE_SECONDS]
    assert done == ["up", "work", "work", "down", "up", "work", "down"]


def test_a_line_over_which_nobody_answered_is_not_kept(tmp_path):
    play = Play(tmp_path, "idle_seconds = 120\n")

    async def run():
        line = play.line()
        async with line.held():
            line.spoil("nobody answered")
        assert not await line.is_rested()
        play.now += 3600
        assert await line.is_rested()
        return await play.ends()

    assert asyncio.run(run()) == ["nobody answered"]
    assert play.done == ["up", "down"]


@pytest.mark.parametrize("when", ["up", "work"])
def test_who_is_called_off_hangs_up(tmp_path, when):
    play = Play(tmp_path, "idle_seconds = 120\n", up=["for ever" if when == "up" else 0])

    async def for_ever(line):
        async with line.held():
            play.done.append("work")
            await asyncio.Event().wait()

    async def run():
        task = asyncio.ensure_future(for_ever(play.line()))
        while when not in play.done:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await play.store.dials.not_ended("isp") == []
        assert await play.store.links_up() == set()

    asyncio.run(run())
    assert play.done[-1] == "down"


def test_a_line_that_will_not_be_hung_up_is_tried_again_and_then_at_the_next_start(tmp_path):
    play = Play(tmp_path, down=[1, 1, 1, 0])

    async def run():
        await play.work()
        assert len(await play.store.dials.not_ended("isp")) == 1
        await play.line().recover()
        return await play.ends()

    assert asyncio.run(run()) == ["left up, and hung up later"]
    assert play.done == ["up", "work", "down", 5.0, "down", 5.0, "down", "down"]


def test_what_a_killed_process_left_up_is_hung_up_before_it_is_dialled_again(tmp_path):
    play = Play(tmp_path)

    async def run():
        await play.store.dials.begin("isp", NOON - 60)
        await play.work()
        return await play.ends()

    assert asyncio.run(run()) == ["left up, and hung up later", "hung up"]
    assert play.done == ["down", "up", "work", "down"]


def test_where_it_can_be_seen_to_be_up_still_no_second_call_is_made(tmp_path):
    play = Play(tmp_path, 'is_up_command = "look"\n', look=[0])

    async def run():
        await play.store.dials.begin("isp", NOON - 60)
        await play.work()
        return await play.ends()

    assert asyncio.run(run()) == ["hung up"]
    assert play.done == ["look", "work", "down"]


def test_a_line_that_another_process_has_is_neither_dialled_nor_hung_up(tmp_path):
    play = Play(tmp_path)

    async def run():
        await play.store.dials.begin("isp", NOON - 60)
        with dial_lock(play.spool, "isp") as is_theirs:
            assert is_theirs
            await play.line().recover()
            with pytest.raises(BusyError):
                await play.work()

    asyncio.run(run())
    assert play.done == []
