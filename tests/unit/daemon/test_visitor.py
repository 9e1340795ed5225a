"""Accounts that the daemon visits by itself: when, and what it does about trouble."""

import asyncio
from types import SimpleNamespace

import pytest

from relaynode.config.schema import AccountSection, LinkSection
from relaynode.config.values import HostPort
from relaynode.daemon.visitor import LOOK_SECONDS, NEWS_SECONDS, Visitor
from relaynode.errors import BusyError, CalledOff, LineLost, StoreError

MINUTE = 60


class Stage:
    """One link, and a clock that goes on only while everybody sleeps."""

    def __init__(self, kind="always", **accounts):
        self.kind = kind
        self.accounts = {
            name: AccountSection(host=HostPort("h"), protocol="imap", **keys)
            for name, keys in accounts.items()
        }
        self.node = SimpleNamespace(
            config=SimpleNamespace(links={"isp": LinkSection(kind=kind)}),
            store=SimpleNamespace(links_up=self.links_up),
            clock=lambda: self.now,
            links=SimpleNamespace(visit=self.visit, idle=self.idle),
        )
        self.now, self.up_at = 0.0, 0.0
        self.troubles, self.visits, self.idles = [], [], []
        self.sleepers = []
        self.woken = 0

    async def links_up(self):
        return {"isp"} if self.now >= self.up_at else set()

    async def visit(self, link, names):
        self.visits.append((self.now, *names))
        if self.troubles:
            raise self.troubles.pop(0)
        return SimpleNamespace(problems=[])

    async def idle(self, account, on_news, sleep):
        self.idles.append(self.now)
        return await self.on_idle(on_news, sleep)

    async def sleep(self, seconds):
        done = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, done))
        await done

    def on_visited(self):
        self.woken += 1

    async def pass_time(self, seconds):
        end = self.now + seconds
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            self.sleepers = [one for one in self.sleepers if not one[1].done()]
            if not self.sleepers or (first := min(self.sleepers, key=lambda one: one[0]))[0] > end:
                break
            self.now = first[0]
            first[1].set_result(None)
        self.now = end

    def play(self, seconds):
        async def run():
            visitor = Visitor(
                "isp",
                self.accounts,
                self.node,
                self.on_visited,
                monotonic=lambda: self.now,
                sleep=self.sleep,
            )
            await self.pass_time(seconds)
            await visitor.close()

        asyncio.run(run())
        return self.visits


def test_over_a_link_that_is_always_up_visits_begin_at_once_and_come_on_time():
    stage = Stage(a={"poll_minutes": 10}, b={"poll_minutes": 25})
    assert stage.play(30 * MINUTE) == [
        (0, "a", "b"),
        (10 * MINUTE, "a"),
        (20 * MINUTE, "a"),
        (25 * MINUTE, "b"),
        (30 * MINUTE, "a"),
    ]
    assert stage.woken == 5


def test_over_another_they_are_counted_from_the_link_up_which_polls_itself():
    stage = Stage(kind="event", a={"poll_minutes": 10})
    stage.up_at = 33.5 * MINUTE
    (first, second) = stage.play(55 * MINUTE)
    assert 0 <= first[0] - (stage.up_at + 10 * MINUTE) + LOOK_SECONDS <= LOOK_SECONDS
    assert second[0] == first[0] + 10 * MINUTE


@pytest.mark.parametrize("trouble", [BusyError("taken"), CalledOff("down")])
def test_what_had_no_line_is_tried_again_soon(trouble):
    stage = Stage(a={"poll_minutes": 10})
    stage.troubles = [trouble]
    assert stage.play(5 * MINUTE) == [(0, "a"), (LOOK_SECONDS, "a")]


def test_a_broken_store_does_not_end_it():
    stage = Stage(a={"poll_minutes": 10})
    stage.troubles = [StoreError("full")]
    assert stage.play(11 * MINUTE) == [(0, "a"), (10 * MINUTE, "a")]


def test_news_is_followed_at_once_but_not_for_each_message_alone():
    stage = Stage(a={"idle": True})

    async def told(on_news, sleep):
        on_news()
        for seconds in (100, 0.5, 0.5, 0.5):
            await sleep(seconds)
            on_news()
        await asyncio.Event().wait()

    stage.on_idle = told
    assert stage.play(10 * MINUTE) == [(0, "a"), (100, "a"), (100 + NEWS_SECONDS, "a")]


def test_a_lost_session_is_begun_again_later_each_time_until_one_has_held():
    stage = Stage(a={"idle": True})
    lasting = [0, 0, 0, 0, 0, 0, 0, 0, 3600, 0]

    async def lost(on_news, sleep):
        await sleep(lasting.pop(0) if lasting else 0)
        raise LineLost("gone")

    stage.on_idle = lost
    stage.play(3 * 3600)
    pauses = [round(b - a) for a, b in zip(stage.idles, stage.idles[1:], strict=False)]
    assert pauses[:10] == [15, 30, 60, 120, 240, 480, 900, 900, 3600 + 15, 30]


def test_a_server_that_knows_no_idle_is_not_asked_again():
    stage = Stage(a={"idle": True, "poll_minutes": 30})

    async def cannot(on_news, sleep):
        return False

    stage.on_idle = cannot
    assert stage.play(40 * MINUTE) == [(0, "a"), (30 * MINUTE, "a")]
    assert stage.idles == [0]


def test_a_session_ends_when_the_link_may_not_be_used_and_begins_again_when_it_may(monkeypatch):
    stage = Stage(a={"idle": True})
    ended = []

    async def within_hours(node, link):
        return not 10 * MINUTE <= stage.now < 40 * MINUTE

    async def waits(on_news, sleep):
        try:
            on_news()
            await asyncio.Event().wait()
        finally:
            ended.append(stage.now)

    monkeypatch.setattr("relaynode.daemon.visitor.is_up", within_hours)
    monkeypatch.setattr("relaynode.daemon.idler.is_up", within_hours)
    stage.on_idle = waits
    stage.play(60 * MINUTE)
    assert stage.visits[0] == (0, "a") and len(stage.visits) == len(stage.idles) == 2
    assert 10 * MINUTE <= ended[0] <= 11 * MINUTE
    assert 40 * MINUTE <= stage.idles[1] <= 56 * MINUTE
