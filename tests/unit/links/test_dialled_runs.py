"""What has a line dialled: a turn, an order, urgent mail; and what has not."""

import asyncio
from datetime import datetime

import pytest

from nodes import TestNode
from relaynode.daemon.timekeeper import take_turn
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.model import NewMessage

SUNDAY = datetime(2026, 3, 1, 12).timestamp()
MONDAY = datetime(2026, 3, 2, 12).timestamp()
SECTIONS = """
[link.isp]
kind = "dial"
up_command = "{up}"
down_command = "true"
redial_attempts = 0
dial_grade = "B"
{keys}
[smart_host.isp]
host = "127.0.0.1:9"
link = "isp"
tls = "none"
"""


def play(tmp_path, work, *grades, up="true", keys="", now=SUNDAY):
    """What `work` gives, and how the dials ended. Mail of these grades waits."""
    sections = SECTIONS.format(up=up, keys=keys)

    async def run():
        node = TestNode(tmp_path, sections, node_keys='smart_host = "isp"').open(clock=lambda: now)
        for number, grade in enumerate(grades):
            content, envelope = Content.of(b"\r\n"), Envelope("u@h", (Recipient("x@y.example"),))
            new = NewMessage(f"M{number}", envelope, b"", content, "test", now, grade=grade)
            await node.store.add([new])
        try:
            return await work(node), [one.ended for one in await node.store.dials.since(0, "isp")]
        finally:
            await node.close()

    return asyncio.run(run())


def test_a_turn_dials(tmp_path):
    assert play(tmp_path, lambda node: take_turn(node, "isp")) == (None, ["hung up"])


def test_a_line_that_does_not_come_up_is_in_the_summary_and_the_record(tmp_path):
    async def work(node):
        summary = await node.links.run("isp")
        (record,) = await node.store.link_runs.last(1)
        return summary.problems, record.ended

    text = "link isp: false ended with exit code 1"
    told, dials = play(tmp_path, work, "A", up="false")
    assert told == ([text], text)
    assert dials == ["false ended with exit code 1"]


def test_mail_that_is_due_dials_nothing_by_itself(tmp_path):
    _, dials = play(tmp_path, lambda node: node.links.run_due("isp"), "A")
    assert dials == []


def test_to_say_that_a_dialled_line_is_up_does_not_make_it_so(tmp_path):
    async def work(node):
        await node.links.came_up("isp")
        return await node.store.links_up()

    assert play(tmp_path, work) == (set(), [])


@pytest.mark.parametrize(
    ("grades", "now", "is_worth"),
    [
        (["A"], SUNDAY, True),
        (["C", "B"], SUNDAY, True),
        (["C", "a"], SUNDAY, False),
        ([], SUNDAY, False),
        (["A"], MONDAY, False),
    ],
)
def test_urgent_mail_is_worth_a_dial_while_the_window_is_open(tmp_path, grades, now, is_worth):
    work = lambda node: node.links.is_worth_a_dial("isp")  # noqa: E731
    assert play(tmp_path, work, *grades, keys='window = "Su"', now=now)[0] is is_worth


def test_urgent_mail_dials_no_more_for_a_while_after_a_dial_that_came_to_nothing(tmp_path):
    async def work(node):
        await node.links.run("isp")
        return await node.links.is_worth_a_dial("isp")

    assert play(tmp_path, work, "A", up="false")[0] is False


def test_a_linkdown_hangs_up_a_line_that_is_idle(tmp_path):
    async def work(node):
        await node.links.run("isp")
        assert await node.store.links_up() == {"isp"}
        node.links.call_off("isp")
        await node.links.close()
        return await node.store.links_up()

    # Nothing answers at the port, which says that the line is there.
    assert play(tmp_path, work, "A", keys="idle_seconds = 1000") == (set(), ["hung up"])
