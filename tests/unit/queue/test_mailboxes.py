"""What is remembered of mailboxes elsewhere, in both homes of the store."""

import asyncio
import sqlite3

import pytest

from relaynode.queue.mailboxes import KEEP_GONE_DAYS, MailboxState
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import Offer, SeenMark
from relaynode.queue.schema import MIGRATIONS
from relaynode.queue.sqlite import SqliteStore

NOW = 1_000_000.0
DAY = 86400
OFFER = Offer(
    "isp", "u1", "id1", 900, "a@b.example", "Hi", b"Subject: Hi\r\n", "offered", NOW, "me"
)


@pytest.fixture(params=[SqliteStore, MemoryStore])
def run(request, tmp_path):
    def play(scenario):
        async def whole():
            store = request.param(tmp_path, clock=lambda: NOW)
            try:
                return await scenario(store)
            finally:
                await store.close()

        return asyncio.run(whole())

    return play


def test_a_mark_keeps_when_it_was_made_and_what_it_is_about(run):
    async def scenario(store):
        mark = SeenMark("isp", "u1", NOW - 5, 100, "abc")
        await store.add([], [mark, SeenMark("isp", "u2"), SeenMark("job", "u1")])
        return await store.mailboxes.marks("isp")

    assert run(scenario) == {
        "u1": SeenMark("isp", "u1", NOW - 5, 100, "abc"),
        "u2": SeenMark("isp", "u2", NOW),
    }


def test_what_is_no_longer_listed_is_remembered_as_gone_and_comes_back_if_it_is_listed_again(run):
    async def scenario(store):
        await store.add([], [SeenMark("isp", "u1"), SeenMark("isp", "u2")])
        boxes = store.mailboxes
        await boxes.note_listed("isp", ["u2"], ["u1"], NOW + 1)
        await boxes.note_listed("isp", ["u2"], ["u1"], NOW + 2)
        gone = (await boxes.marks("isp"))["u1"].gone_at
        listed = await store.mailboxes.seen("isp")
        await boxes.note_listed("isp", ["u1", "u2"], [], NOW + 3)
        return gone, listed, await store.mailboxes.seen("isp")

    assert run(scenario) == (NOW + 1, {"u2"}, {"u1", "u2"})


def test_what_has_been_gone_for_long_is_forgotten(run):
    async def scenario(store):
        await store.add([], [SeenMark("isp", "u1")])
        await store.mailboxes.note_listed("isp", [], ["u1"], NOW)
        await store.mailboxes.note_listed("isp", [], [], NOW + KEEP_GONE_DAYS * DAY)
        before = list(await store.mailboxes.marks("isp"))
        await store.mailboxes.note_listed("isp", [], [], NOW + KEEP_GONE_DAYS * DAY + 1)
        return before, list(await store.mailboxes.marks("isp"))

    assert run(scenario) == (["u1"], [])


def test_an_offer_is_made_once_decided_by_its_id_and_ends_with_the_mark(run):
    async def scenario(store):
        boxes = store.mailboxes
        await store.add([], [OFFER])
        assert await boxes.decide("id1", "get")
        assert not await boxes.decide("id2", "get")
        await store.add([], [OFFER])  # a second one changes nothing
        assert [one.decision for one in await boxes.offers()] == ["get"]
        assert await boxes.offers("job") == []
        await store.add([], [SeenMark("isp", "u1")])
        return await boxes.offers("isp")

    assert run(scenario) == []


def test_an_offer_ends_when_the_message_is_gone(run):
    async def scenario(store):
        await store.add([], [OFFER])
        assert await store.mailboxes.offers("isp") == [OFFER]
        await store.mailboxes.note_listed("isp", [], ["u1"], NOW)
        return await store.mailboxes.offers()

    assert run(scenario) == []


def test_how_an_account_was_left_is_remembered(run):
    async def scenario(store):
        boxes = store.mailboxes
        assert await boxes.state("isp") == MailboxState()
        await boxes.remember("isp", MailboxState(count=3))
        await boxes.remember("isp", MailboxState(count=4, last_uid="\xff", listed_at=NOW))
        return await boxes.state("isp"), await boxes.state("job")

    assert run(scenario) == (MailboxState(4, last_uid="\xff", listed_at=NOW), MailboxState())


def test_what_another_release_knew_of_an_account_does_no_harm(tmp_path):
    async def scenario():
        store = SqliteStore(tmp_path)
        await store.mailboxes.remember("isp", MailboxState(count=3))
        await store.write(lambda db: db.execute("""UPDATE mailbox SET state = '{"later": 1}'"""))
        try:
            return await store.mailboxes.state("isp")
        finally:
            await store.close()

    assert asyncio.run(scenario()) == MailboxState()


def test_marks_of_an_older_store_count_their_days_from_the_upgrade():
    db = sqlite3.connect(":memory:", isolation_level=None)
    before = next(n for n, step in enumerate(MIGRATIONS) if any("offer" in text for text in step))
    for step in MIGRATIONS[:before]:
        for text in step:
            db.execute(text)
    db.execute("INSERT INTO seen (account, uid) VALUES ('isp', 'u1')")
    for text in MIGRATIONS[before]:
        db.execute(text)
    ((now, taken_at, gone_at),) = db.execute(
        "SELECT strftime('%s', 'now'), taken_at, gone_at FROM seen"
    )
    assert abs(float(now) - taken_at) < 100
    assert gone_at is None
