"""Which neighbours are called over a link, and how many at a time."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.errors import ConnectFailed
from relaynode.links.calling import CallRun
from relaynode.links.run_parts import RunResult
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage
from relaynode.queue.uucp.model import JobKind, NeighbourStatus, NewJob

NOW = 1_800_000_000.0
WAY = 'call = ["tcp:192.0.2.1"]\n'


class Play:
    """A node with neighbours beta and gamma over link "far"."""

    def __init__(self, tmp_path, keys="", link=""):
        self.now = NOW
        self.store = MemoryStore(tmp_path / "scratch")
        both = "".join(f'[neighbour.{n}]\nlink = "far"\n{WAY}{keys}' for n in ("beta", "gamma"))
        node = TestNode(
            tmp_path,
            f"{both}[link.far]\n{link}",
            tables={"mailertable": "beta.example uucp-dom:beta\n"},
        )
        self.node = node.open(store=self.store, clock=lambda: self.now)
        self.calling = self.node.links._calling

    def wanted(self, link="far", **more):
        found = asyncio.run(self.calling.wanted(link, **more))
        return [one.name for one in found]

    def queue_mail(self, to="bob@beta.example", size=10):
        content = Content.of(b"Subject: s\r\n\r\n" + b"x" * size + b"\r\n")
        message = NewMessage("A", Envelope("a@b.c", (Recipient(to),)), b"", content, "test", NOW)
        asyncio.run(self.store.add([message]))

    def queue_job(self, neighbour, grade="N"):
        job = NewJob("J", neighbour, JobKind.FETCH, "user", NOW, grade, source="~/a", target="~/b")
        asyncio.run(self.store.uucp.jobs.add([job]))

    def called(self, neighbour, tries=0, wait_seconds=0.0):
        status = NeighbourStatus(neighbour, 0, "", tries, self.now, wait_seconds)
        asyncio.run(self.store.uucp.neighbours.set_status(status))


def test_who_has_mail_or_jobs_waiting_is_called_over_its_link(tmp_path):
    play = Play(tmp_path)
    assert play.wanted() == []
    play.queue_mail()
    assert play.wanted() == ["beta"]
    play.queue_job("gamma")
    assert play.wanted() == ["beta", "gamma"]
    assert play.wanted("default") == []


def test_mail_for_others_calls_nobody(tmp_path):
    play = Play(tmp_path)
    play.queue_mail("bob@elsewhere.example")
    assert play.wanted() == []


def test_who_is_to_be_left_alone_is_called_when_its_wait_is_over_or_somebody_asks(tmp_path):
    play = Play(tmp_path)
    play.queue_mail()
    play.called("beta", tries=1, wait_seconds=600)
    assert play.wanted(due_only=True) == []
    assert play.wanted() == ["beta"]
    play.now += 601
    assert play.wanted(due_only=True) == ["beta"]


def test_who_is_polled_is_called_without_work_when_its_time_has_come(tmp_path):
    play = Play(tmp_path, "poll_minutes = 60\n")
    assert play.wanted() == ["beta", "gamma"]
    play.called("beta")
    assert play.wanted() == ["gamma"]
    play.now += 3601
    assert play.wanted() == ["beta", "gamma"]


@pytest.mark.parametrize(("grade", "names"), [("C", []), ("B", ["gamma"])])
def test_outside_the_hours_of_its_grade_nobody_is_called(tmp_path, grade, names):
    play = Play(tmp_path, 'times = ["B Any"]\n')
    play.queue_job("gamma", grade)
    assert play.wanted() == names


def test_large_mail_waits_for_the_hours_of_its_grade(tmp_path):
    play = Play(tmp_path, 'times = ["C Any"]\nmail_grades = ["C", "N 1000"]\n')
    play.queue_mail(size=5000)
    assert play.wanted() == []


def test_a_run_for_some_mail_calls_only_for_that(tmp_path):
    play = Play(tmp_path, "poll_minutes = 0\n")
    play.queue_mail()
    play.queue_job("gamma")
    assert play.wanted(takes=lambda message, recipient: True) == ["beta"]
    assert play.wanted(takes=lambda message, recipient: False) == []


@pytest.mark.parametrize(("link", "most"), [("", 2), ("max_calls = 1\n", 1)])
def test_calls_run_side_by_side_as_many_as_the_link_allows(tmp_path, link, most):
    play = Play(tmp_path, link=link)
    now, seen = set(), []

    async def place(name, **_):
        now.add(name)
        seen.append(len(now))
        for _ in range(5):
            await asyncio.sleep(0)
        now.discard(name)
        raise ConnectFailed("so")

    play.node.calls.place = place

    async def run():
        over = CallRun(RunResult())
        both = [play.calling.find(name) for name in ("beta", "gamma")]
        await asyncio.gather(*(play.calling.call(one, over) for one in both))
        return over

    over = asyncio.run(run())
    assert max(seen) == most
    assert [call.problem for call in over.calls] == ["so", "so"]
