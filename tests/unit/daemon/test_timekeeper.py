"""Turns are given by the daemon: once, after whatever went wrong, and after a restart."""

import asyncio
from itertools import pairwise
from types import SimpleNamespace

import pytest

from nodes import TestNode
from relaynode.config.schema import LinkSection
from relaynode.daemon.daemon import Daemon
from relaynode.daemon.timekeeper import Timekeeper, take_turn
from relaynode.errors import BusyError, CalledOff, StoreError
from relaynode.queue.turn_marks import MemoryTurnMarks
from relaynode.timetable import Moment, Timetable
from unit.timetable.machine import DAY, HOUR

START = 1_780_000_000.0


class Stage:
    """A node with one link, and clocks that go on only while somebody sleeps."""

    def __init__(self, timetable="every 30 min"):
        self.marks = MemoryTurnMarks()
        link = LinkSection(timetable=Timetable.parse_any(timetable))
        self.node = SimpleNamespace(
            config=SimpleNamespace(links={"isp": link}),
            store=SimpleNamespace(turn_marks=self.marks),
        )
        self.wall, self.steady = START, 5.0
        self.given = []
        self.sleeps = []
        self.troubles = []

    def now(self):
        return Moment(self.wall, self.steady)

    async def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.wall += seconds
        self.steady += seconds
        await asyncio.sleep(0)
        if self.steady > self.until:
            self.over.set()
            await asyncio.Event().wait()

    async def on_turn(self, link):
        self.given.append((link, round(self.steady - 5.0)))
        if self.troubles and (trouble := self.troubles.pop(0)):
            raise trouble

    def play(self, seconds):
        """Keep time for so long; the turns that were given, by seconds since the beginning."""

        async def keep():
            self.over, self.until = asyncio.Event(), self.steady + seconds
            keeper = Timekeeper("isp", self.node, self.on_turn, now=self.now, sleep=self.sleep)
            await self.over.wait()
            await keeper.close()

        asyncio.run(keep())
        return [when for _, when in self.given]


def test_turns_come_on_time_and_clocks_are_looked_at_twice_a_minute():
    stage = Stage()
    assert stage.play(2 * HOUR) == [1800, 3600, 5400, 7200]
    assert max(stage.sleeps) == 30.0


@pytest.mark.parametrize(
    "trouble", [StoreError("the disk is full"), CalledOff("the line went down"), KeyError("bug")]
)
def test_a_turn_that_fails_ends_nothing(trouble):
    stage = Stage()
    stage.troubles = [trouble]
    assert stage.play(1.1 * HOUR) == [1800, 3600]


def test_a_turn_waits_while_another_run_has_the_link():
    stage = Stage()
    stage.troubles = [BusyError("a run is under way")] * 2
    assert stage.play(1.1 * HOUR) == [1800, 1830, 1860, 3660]


def test_an_interval_that_ends_while_a_turn_goes_on_is_part_of_it():
    stage = Stage()
    usual = stage.on_turn

    async def long(link):
        await usual(link)
        stage.wall += 1.2 * HOUR
        stage.steady += 1.2 * HOUR

    stage.on_turn = long
    assert stage.play(3.6 * HOUR) == [1800, 1800 + 5400, 1800 + 2 * 5400]


def test_a_restart_neither_doubles_nor_forgets_a_turn():
    stage = Stage("hourly at :15")
    first = stage.play(5 * HOUR)
    assert [after - before for before, after in pairwise(first)] == [3600] * 4
    assert stage.play(60.0) == first
    stage.wall += 3 * DAY  # it was off
    stage.steady += 3 * DAY
    assert len(stage.play(60.0)) == 6


def test_a_turn_that_was_cut_off_by_the_end_comes_again():
    stage = Stage()

    async def never_ends(link):
        stage.given.append((link, 0))
        stage.over.set()
        await asyncio.Event().wait()

    stage.on_turn, usual = never_ends, stage.on_turn
    stage.play(HOUR)
    stage.on_turn, stage.given = usual, []
    assert stage.play(60.0) == [1800]


def test_a_mark_that_cannot_be_written_doubles_nothing(caplog):
    stage = Stage()

    async def fail(link, mark):
        raise StoreError("the disk is full")

    stage.marks.remember = fail
    assert stage.play(1.1 * HOUR) == [1800, 3600]
    assert "the disk is full" in caplog.text


def test_a_store_that_cannot_be_read_is_asked_again():
    stage = Stage()
    recall, fails = stage.marks.recall, [StoreError("busy")]

    async def once(link):
        if fails:
            raise fails.pop()
        return await recall(link)

    stage.marks.recall = once
    assert stage.play(HOUR) == [1830]


def test_what_is_remembered_is_told_by_the_clock_that_was_set():
    stage = Stage()
    stage.play(60.0)
    stage.wall -= 12 * HOUR

    async def kept():
        return await stage.marks.recall("isp")

    before = asyncio.run(kept()).at
    stage.play(60.0)
    assert asyncio.run(kept()).at == pytest.approx(stage.wall - 60, abs=70)
    assert before == START


# --- in the daemon

LINKS = """
[link.lan]
kind = "always"
timetable = "hourly"
[link.isp]
timetable = "at 06:10"
[link.shut]
kind = "always"
window = "Never"
"""


async def daemon_and(node, work):
    daemon = Daemon(node)
    await daemon.start()
    try:
        return await work(daemon)
    finally:
        await daemon.stop()


def test_a_turn_is_an_ordered_run_and_a_link_that_is_down_or_shut_has_none(tmp_path):
    node = TestNode(tmp_path, LINKS).open()

    async def turns(daemon):
        assert len(daemon.timekeepers) == 2
        for link in ("lan", "isp", "shut"):
            await daemon.on_turn(link)
        return await node.store.link_runs.last(10)

    (run,) = asyncio.run(daemon_and(node, turns))
    assert (run.link, run.is_ordered, run.ended) == ("lan", True, "done")


def test_a_turn_over_a_link_that_came_up_is_taken(tmp_path):
    node = TestNode(tmp_path, LINKS).open()

    async def play():
        await node.store.set_link("isp", True, node.clock())
        await take_turn(node, "isp")
        runs = await node.store.link_runs.last(10)
        await node.close()
        return [run.link for run in runs]

    assert asyncio.run(play()) == ["isp"]
