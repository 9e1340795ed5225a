"""A sender's quota: refused when mail is brought, counted from what the queue remembers."""

import asyncio

import pytest

from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage
from relaynode.queue.sqlite import SqliteStore
from relaynode.sources.quota import DAY, Limits, Quota
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
        quota = Quota(store, Limits(100), lambda: NOW)
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


# --- links

LINKS = """
[link.isp]
[link.hf]
[smart_host.isp]
host = "192.0.2.1"
link = "isp"
[smart_host.hf]
host = "192.0.2.2"
link = "hf"
"""
SHIP = {"mailertable": "ship.example smtp:[192.0.2.2]\n"}


def far(size_bytes, *recipients, sender=b"<a@b.example>"):
    return (
        b"MAIL FROM:" + sender,
        *(b"RCPT TO:<%s>" % one for one in recipients),
        b"DATA",
        b"x" * (size_bytes - 2) + b"\r\n.",
    )


LINK_CODES = ("250 2.0.0", "452 4.4.5", "552 5.3.4")


def link_ends(node, *letters, client=NEIGHBOUR):
    said, _ = talk_to(node, client, *(line for one in letters for line in one))
    return [line[:9] for line in said.decode().splitlines() if line[:9] in LINK_CODES], said


@pytest.mark.parametrize("kind", [SqliteStore, MemoryStore])
def test_a_message_counts_once_for_each_of_its_links_for_a_day(tmp_path, kind):
    async def run():
        store = kind(tmp_path, clock=lambda: NOW)
        content = Content.of(b"x" * 30)
        envelope = Envelope("a@b", (Recipient("x@y"), Recipient("z@y")))
        places = ((("isp",), 0.0), (("isp", "hf"), DAY - 1), (("isp",), DAY), ((), 0.0))
        for number, (links, age) in enumerate(places):
            at = NOW - age
            letter = NewMessage(f"A{number}", envelope, b"", content, "t", at, links=links)
            await store.add([letter])
        try:
            return [await store.link_bytes(link, NOW - DAY) for link in ("isp", "hf", "no")]
        finally:
            await store.close()

    assert asyncio.run(run()) == [60, 30, 0]


def test_a_link_that_was_given_its_share_takes_no_more_and_others_go_on(tmp_path):
    quota = "[quota]\nlink_bytes_per_day = 100\nlinks = ['hf 40']\n"
    node = node_in(tmp_path, LINKS + quota, tables=SHIP)
    ends, said = link_ends(
        node,
        far(60, b"x@far.example", b"y@far.example"),
        far(60, b"x@far.example", sender=b"<other@b.example>"),
        far(30, b"x@ship.example"),
        far(20, b"x@ship.example", b"x@far.example"),
        far(41, b"x@ship.example"),
        far(500, b"user@bsd.home"),
        far(40, b"x@far.example", b"user@bsd.home"),
    )
    no, big = "452 4.4.5", "552 5.3.4"
    assert ends == ["250 2.0.0", no, "250 2.0.0", no, big, "250 2.0.0", "250 2.0.0"]
    assert b"452 4.4.5 link isp was given 60 of 100 bytes within 24 hours; try again" in said
    assert b"452 4.4.5 link hf was given 30 of 40 bytes" in said
    assert b"552 5.3.4 link hf may carry 40 bytes in a day" in said


def test_mail_of_strangers_counts_for_no_link(tmp_path):
    quota = "[quota]\nlink_bytes_per_day = 100\n"
    tables = {**SHIP, "relay-domains": "ship.example\n"}
    node = node_in(tmp_path, LINKS + quota, tables=tables)
    strange = [far(90, b"x@ship.example")] * 2
    assert link_ends(node, *strange, client=STRANGER)[0] == ["250 2.0.0"] * 2
    assert link_ends(node, far(90, b"x@ship.example"))[0] == ["250 2.0.0"]


def test_somebody_may_have_another_allowance_than_everybody(tmp_path):
    own = "senders = ['boss@b.example 0', '@c.example 50']\n"
    node = node_in(tmp_path, SECTIONS + own)
    said, _ = talk_to(
        node,
        NEIGHBOUR,
        *letter(500, b"<Boss@b.example>"),
        *letter(500, b"<boss+x@b.example>"),
        *letter(101),
        *letter(60, b"<x@c.example>"),
        *letter(50, b"<y@c.example>"),
    )
    assert ends(said) == ["250 2.0.0", "250 2.0.0", "552 5.2.2", "552 5.2.2", "250 2.0.0"]
