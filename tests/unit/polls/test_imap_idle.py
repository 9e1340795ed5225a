"""A session that idles: news, renewal, and each way in which it ends."""

import asyncio

import pytest

from relaynode.errors import LineLost, RefusedError, TimedOut
from relaynode.polls.account import Account
from relaynode.polls.imap_idle import RENEW_SECONDS, ImapIdler
from unit.polls.imap_home import SomeLogin
from unit.polls.imap_server import CAPABILITIES, Box, Line


class Idling:
    """A session that idles at `box`, and a clock that goes on when the test says so."""

    def __init__(self, box, folder="INBOX", patience=5):
        self.line = Line(box)
        self.news, self.slept = [], []
        self.happened = asyncio.Event()
        self.clock = asyncio.Queue()
        account = Account(
            "isp",
            "mail.example",
            self.line.open,
            SomeLogin(),
            "user",
            tls="none",
            timeout_seconds=patience,
        )
        idler = ImapIdler(account, folder, self.sleep)
        self.task = asyncio.ensure_future(idler.idle(self.on_news))

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.happened.set()
        await self.clock.get()

    def on_news(self):
        self.news.append(len(self.slept))
        self.happened.set()

    async def until(self, is_so):
        async with asyncio.timeout(5):
            while not is_so():
                self.happened.clear()
                await asyncio.sleep(0)

    async def end(self):
        self.task.cancel()
        await asyncio.gather(self.task, *self.line.serving, return_exceptions=True)


def play(box, scenario, **more):
    async def run():
        idling = Idling(box, **more)
        try:
            return await scenario(idling)
        finally:
            await idling.end()

    return asyncio.run(run())


def idle_box(**more):
    return Box(capabilities=CAPABILITIES + " IDLE", **more)


@pytest.mark.parametrize("greets_with_them", [True, False])
def test_its_beginning_is_news_and_so_is_each_message(greets_with_them):
    box = idle_box(greets_with_them=greets_with_them)

    async def scenario(at):
        await at.until(lambda: len(at.news) == 1)
        for count in (2, 3):
            box.put(b"x")
            await box.tell()
            await at.until(lambda count=count: len(at.news) == count)
        return at.slept

    assert play(box, scenario) == [RENEW_SECONDS]
    assert RENEW_SECONDS < 29 * 60


def test_it_is_renewed_and_that_is_no_news():
    box = idle_box()

    async def scenario(at):
        await at.until(lambda: box.idling)
        for times in (2, 3):
            at.clock.put_nowait(None)
            await at.until(lambda times=times: len(at.slept) == times and box.idling)
        box.put(b"x")
        await box.tell()
        await at.until(lambda: len(at.news) == 2)
        return at.news

    assert play(box, scenario) == [1, 3]


def test_a_server_that_cannot_is_left_alone():
    assert play(Box(), lambda at: at.task) is False


@pytest.mark.parametrize("how", ["closed", "no folder", "never begins", "deaf"])
def test_whatever_goes_wrong_ends_it_with_its_name(how, monkeypatch):
    box = idle_box()
    wrong = {"closed": LineLost, "no folder": RefusedError}.get(how, TimedOut)

    async def silent(session, _):
        await session.write(b"+ idling\r\n" if how == "deaf" else b"")
        box.idling.append(session)
        await asyncio.Event().wait()

    if wrong is TimedOut:
        monkeypatch.setattr("unit.polls.imap_server.Session.idle", silent)

    async def scenario(at):
        if how != "no folder":
            await at.until(lambda: box.idling and (at.news or how == "never begins"))
        if how == "closed":
            box.idling[0].stream.abort()
        at.clock.put_nowait(None)
        try:
            with pytest.raises(wrong):
                await asyncio.wait_for(at.task, 5)
        finally:
            for one in at.line.serving:
                one.cancel()

    play(box, scenario, folder="None" if how == "no folder" else "INBOX", patience=0.05)
