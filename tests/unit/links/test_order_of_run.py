"""A run hands its mailer the mail in order, and so does what is made for a UUCP neighbour."""

import asyncio
from dataclasses import replace

import pytest

from nodes import TestNode
from relaynode.links.neighbour_mail import grade_of
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.sqlite import SqliteStore
from relaynode.sources.intake import Arrival, Parcel
from unit.links.scripted import NOW, Play, message


def sized(queue_id, size, **more):
    made = replace(message(queue_id, f"{queue_id}@x.example"), **more)
    return replace(made, content=Content.of(b"Subject: s\r\n\r\n" + b"x" * size))


@pytest.mark.parametrize("is_durable", [False, True])
def test_a_run_takes_the_urgent_then_the_small_and_before_them_what_is_old(tmp_path, is_durable):
    seen = []

    async def note(consignments, report):
        async for one in consignments:
            seen.append(one.delivery.message.queue_id)

    play = Play(tmp_path, note, is_durable=is_durable)
    play.run(
        sized("large", 9000),
        sized("bulk", 1, grade="Z"),
        sized("old", 50_000, arrived_at=NOW - 2 * 86400),
        sized("soon", 50_000, arrived_at=NOW - 70, within_seconds=120.0),
        sized("small", 10),
        sized("urgent", 20_000, grade="A"),
    )
    assert seen == ["old", "soon", "urgent", "small", "large", "bulk"]


@pytest.mark.parametrize(
    ("mine", "size", "grade"), [("C", 10, "C"), ("C", 30_000, "N"), ("A", 30_000, "A")]
)
def test_a_job_for_a_neighbour_has_the_grade_of_its_mail(mine, size, grade):
    class Neighbour:
        class mail:
            @staticmethod
            def grade_of(size_bytes):
                return "N" if size_bytes >= 20_000 else "C"

    class Message:
        size_bytes = size

    Message.grade = mine
    assert grade_of(Neighbour, Message) == grade


@pytest.mark.parametrize(
    ("header", "grade", "sections", "found"),
    [
        (b"Priority: urgent\r\n", "", "", ("A", None)),
        (b"Priority: urgent\r\n", "X", "", ("X", None)),
        (b"Priority: urgent\r\n", "", "[order]\nuse_header = false\n", ("C", None)),
        (
            b"",
            "",
            '[[order.rules]]\ngrade = "1"\nto = "*@far.example"\nwithin_hours = 0.5\n',
            ("1", 1800.0),
        ),
    ],
)
@pytest.mark.parametrize("home", [SqliteStore, MemoryStore])
def test_what_arrives_is_queued_with_its_grade(tmp_path, home, header, grade, sections, found):
    node = TestNode(tmp_path, sections)

    async def play():
        store = home(tmp_path / "s")
        opened = node.open(store=store)
        collector = opened.intake.collector()
        collector.write(header + b"Subject: s\r\n\r\nx\r\n")
        envelope = Envelope("a@b.example", (Recipient("c@far.example"),))
        arrival = Arrival("from there", "UUCP", "uucp beta", grade=grade)
        await opened.intake.accept_all([Parcel(collector, envelope, arrival)])
        (one,) = await store.messages()
        await opened.close()
        return one.grade, one.within_seconds

    assert asyncio.run(play()) == found


def test_a_grade_that_is_none_is_named(tmp_path):
    node = TestNode(tmp_path, '[[order.rules]]\ngrade = "urgent"\n')
    ended = node.run("check")
    assert ended.returncode == 78
    assert "wants a grade: one of 0-9 (the best), A-Z, a-z" in ended.stderr
