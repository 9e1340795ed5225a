"""Mail to a list is sent by its owner: one message for each reverse-path, queued at once."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.errors import StoreFull
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.trace import user_origin
from relaynode.queue.content import INLINE_BYTES
from relaynode.queue.memory import MemoryStore
from relaynode.sources.intake import Arrival, by_reverse_path

ARRIVAL = Arrival(user_origin("joe"), "", "local joe")


def parts(*recipients, sender="joe@far.example"):
    found = by_reverse_path(Envelope(sender, recipients), "bsd.home")
    return {part.reverse_path: [one.address for one in part.recipients] for part in found}


def test_recipients_without_an_owner_have_the_sender_s_mail():
    assert parts(Recipient("a"), Recipient("b")) == {"joe@far.example": ["a", "b"]}


@pytest.mark.parametrize(
    ("owner", "path"),
    [
        ("carol", "carol@bsd.home"),
        ("x@example.com", "x@example.com"),
        ("owner-l", "owner-l@bsd.home"),
        ("no address (", "joe@far.example"),
    ],
)
def test_the_owner_of_a_list_is_its_reverse_path(owner, path):
    assert parts(Recipient("a", owner=owner)) == {path: ["a"]}


def test_each_owner_has_a_message_and_the_sender_s_comes_first():
    found = parts(
        Recipient("a", owner="carol"),
        Recipient("b"),
        Recipient("c", owner="dave"),
        Recipient("d", owner="carol"),
    )
    assert list(found.items()) == [
        ("joe@far.example", ["b"]),
        ("carol@bsd.home", ["a", "d"]),
        ("dave@bsd.home", ["c"]),
    ]


class Full(MemoryStore):
    """No room for what was collected."""

    async def add(self, messages, seen=(), settled=None, **more):
        raise StoreFull("no room")


def accept(tmp_path, store, size):
    """Queue a message for a recipient of the sender's and one of a list's owner."""
    node = TestNode(tmp_path, users=("joe",)).open(store=store)
    queued = []
    node.intake.on_queued = lambda queue_id, _: queued.append(queue_id)

    async def play():
        collector = node.intake.collector()
        collector.write(b"Subject: x\r\n\r\n" + b"y" * size)
        recipients = (Recipient("joe"), Recipient("x@example.com", owner="carol"))
        envelope = Envelope("joe@far.example", recipients)
        queue_id = await node.intake.accept(collector, envelope, ARRIVAL, given=["list"])
        return (
            queue_id,
            await store.messages(),
            await store.claim(
                [(m.queue_id, {r.id for r in m.recipients}) for m in await store.messages()]
            ),
        )

    return *asyncio.run(play()), queued


@pytest.mark.parametrize("size", [10, INLINE_BYTES + 1])
def test_the_messages_have_one_content_and_each_its_own_queue_id(tmp_path, size):
    queue_id, messages, deliveries, queued = accept(tmp_path, MemoryStore(tmp_path / "s"), size)
    assert [one.envelope.reverse_path for one in messages] == ["joe@far.example", "carol@bsd.home"]
    assert messages[0].queue_id == queue_id
    assert [one.queue_id for one in messages] == queued
    contents = {b"".join(one.content.pieces()) for one in deliveries}
    assert len(contents) == 1
    for one in deliveries:
        assert f"id {one.message.queue_id}".encode() in one.trace
    ids = {line for one in deliveries for line in one.trace.split(b"\r\n") if b"Message-Id" in line}
    assert len(ids) == 1


def test_nothing_is_left_of_messages_that_could_not_be_queued(tmp_path):
    store = Full(tmp_path / "s")
    with pytest.raises(StoreFull):
        accept(tmp_path, store, INLINE_BYTES + 1)
    assert [path for path in (tmp_path / "s").rglob("*") if path.is_file()] == []
