"""A sender's quota: refused when mail is brought, counted from what the queue remembers."""

import asyncio

import pytest

from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage
from relaynode.queue.sqlite import SqliteStore
from relaynode.sources.quota import DAY, Quota
from unit.sources.smtp_talk import node_in, talk_to

NOW = 1_800_000_000.0
SECTIONS = "[quota]\nsender_bytes_per_day = 100\n"
NEIGHBOUR = "192.168.1.7"
STRANGER = "203.0.113.9"


def letter(size_bytes, sender=b"<a@b.example>"):
    return (
        b"MAIL FROM:" + sender,
        b"RCPT TO:<user@bsd.home>",
        b"DATA",
        b"x" * (size_bytes - 2) + b"\r\n.",
    )


def ends(said):
    """The replies to the contents."""
    return [line[:9] for line in said.decode().splitlines() if line[:9] in CODES]


CODES = ("250 2.0.0", "452 4.2.2", "552 5.2.2")


@pytest.mark.parametrize("kind", [SqliteStore, MemoryStore])
def test_what_a_sender_sent_within_a_day_counts(tmp_path, kind):
    async def run():
        store = kind(tmp_path, clock=lambda: NOW)
        quota = Quota(store, 100, lambda: NOW)
        sizes = ((60, "a@b", 0.0), (30, "A@B", DAY - 1), (500, "a@b", DAY), (500, "c@d", 0.0))
        for number, (size, sender, age) in enumerate(sizes):
            envelope = Envelope(sender, (Recipient("x@y"),))
            content = Content.of(b"x" * size)
            await store.add([NewMessage(f"A{number}", envelope, b"", content, "t", NOW - age)])
        try:
            answers = [await quota.refusal("a@b", size) for size in (10, 11, 101)]
            answers += [await quota.refusal("c@d", 1), await quota.refusal("", 1000)]
            return [0 if status is None else status.code for status in answers]
        finally:
            await store.close()

    assert asyncio.run(run()) == [0, 452, 552, 452, 0]


def test_who_has_sent_enough_is_told_so_and_others_go_on(tmp_path):
    node = node_in(tmp_path, SECTIONS)
    said, queued = talk_to(node, NEIGHBOUR, *letter(60), *letter(60), *letter(40), *letter(101))
    assert ends(said) == ["250 2.0.0", "452 4.2.2", "250 2.0.0", "552 5.2.2"]
    assert len(queued) == 2
    assert b"452 4.2.2 a@b.example has sent 60 of 100 bytes within 24 hours; try again" in said
    said, _ = talk_to(node, NEIGHBOUR, *letter(60, b"<c@b.example>"))
    assert ends(said) == ["250 2.0.0"]


def test_who_says_the_size_is_told_before_it_sends(tmp_path):
    node = node_in(tmp_path, SECTIONS)
    said, _ = talk_to(node, NEIGHBOUR, b"MAIL FROM:<a@b.example> SIZE=101")
    assert b"\r\n552 5.2.2 " in said


def test_strangers_who_write_to_us_have_none(tmp_path):
    node = node_in(tmp_path, SECTIONS)
    said, _ = talk_to(node, STRANGER, *letter(90), *letter(90), *letter(500))
    assert ends(said) == ["250 2.0.0"] * 3
