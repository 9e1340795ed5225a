"""uustat's lines, and what it finds in the queue: jobs, and mail that waits for a neighbour."""

from __future__ import annotations

import asyncio
import time

import pytest

from nodes import TestNode
from relaynode.cli import uustat
from relaynode.cli.uu_waiting import waiting
from relaynode.queue.content import Content
from relaynode.queue.model import MessageState
from relaynode.queue.uucp.model import (
    Completed,
    JobKind,
    NeighbourStatus,
    NewExecution,
    NewJob,
    WorkState,
)

NOW = 1_800_000_000.0
NODE = """
[uucp]
nodename = "alpha"
[neighbour.beta]
aliases = ["betty"]
call = ["tcp:127.0.0.1:1"]
[neighbour.gamma]
call = ["tcp:127.0.0.1:1"]
"""
MAILERTABLE = "beta.example\tuucp-dom:beta\ngamma.example\tuucp-dom:gamma\n"


@pytest.fixture
def node(tmp_path, monkeypatch):
    made = TestNode(tmp_path / "n", NODE, tables={"mailertable": MAILERTABLE})
    monkeypatch.setenv("RELAYNODE_CONFIG", str(made.path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield made
    monkeypatch.undo()
    time.tzset()


def in_node(node, work):
    async def done():
        opened = node.open()
        try:
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(done())


def queue(node, *jobs):
    in_node(node, lambda opened: opened.store.uucp.jobs.add(jobs))


def job(job_id, kind, **more):
    return NewJob(job_id, "beta", kind, more.pop("user", "bob"), NOW, **more)


def listed(capsys, *words, code=0):
    assert uustat.main(list(words)) == code
    return capsys.readouterr().out.splitlines()


def test_each_kind_of_job_has_taylors_line(node, capsys):
    queue(
        node,
        job("A1", JobKind.EXECUTE, command="rmail a b", content=Content.of(b"12345"), grade="C"),
        job("A2", JobKind.SEND, source="/x/fa", target="~/y", content=Content.of(b"123456")),
        job("A3", JobKind.FETCH, source="~/y", target="/pub/got"),
        job("A4", JobKind.REQUEST, source="~/y*", target="alpha!/pub/got"),
    )
    assert listed(capsys, "-a") == [
        "beta.CA1 beta bob 01-15 08:00 Executing rmail a b (sending 5 bytes)",
        "beta.NA2 beta bob 01-15 08:00 Sending /x/fa (6 bytes) to ~/y",
        "beta.NA3 beta bob 01-15 08:00 Requesting ~/y to /pub/got",
        "beta.NA4 beta bob 01-15 08:00 Requesting ~/y* to alpha!/pub/got",
    ]


def test_the_jobs_of_one_wish_are_shown_and_killed_as_one(node, capsys):
    queue(
        node,
        job("A", JobKind.SEND, source="/fa", target="~/", content=Content.of(b"1")),
        job("A-1", JobKind.SEND, source="/fb", target="~/", content=Content.of(b"12")),
        job("B-1", JobKind.SEND, source="/fc", target="D.alphaN0001", content=Content.of(b"123")),
        job("B", JobKind.SEND, target="X.alphaN0002", command="lpr fc", content=Content.of(b"4")),
        job("C", JobKind.FETCH, source="~/y", target="/pub/got"),
    )
    assert listed(capsys, "-a")[:3] == [
        "beta.NA beta bob 01-15 08:00 Sending /fa (1 bytes) to ~/",
        "- beta bob 01-15 08:00 Sending /fb (2 bytes) to ~/",
        "beta.NB beta bob 01-15 08:00 Executing lpr fc (sending 4 bytes)",
    ]
    assert listed(capsys, "-k", "beta.NA", "-k", "betty.NB") == []
    left = in_node(node, lambda opened: opened.store.uucp.jobs.find(finished=True))
    assert {one.job_id for one in left if one.state is WorkState.WAITING} == {"C"}


def test_mail_for_a_neighbour_is_an_rmail_execution(node, capsys):
    mail = b"Subject: x\n\nhello\n"
    sent = node.sendmail("-f", "me@bsd.home", "a@beta.example", "b@beta.example", stdin=mail)
    assert sent.returncode == 0, sent.stderr
    assert node.sendmail("a@beta.example", "c@gamma.example", stdin=mail).returncode == 0
    in_node(node, lambda opened: _hold_all(opened))
    first, second, third = listed(capsys, "-a")
    assert " Executing rmail a@beta.example b@beta.example (sending " in first
    assert first.startswith("beta.C")
    assert second.startswith("beta.C") and "rmail a@beta.example (" in second
    assert third.startswith("gamma.C") and "rmail c@gamma.example" in third
    assert len(listed(capsys, "-s", "gamma")) == 1
    assert len(listed(capsys, "-a", "-c", "rmail")) == 3
    assert listed(capsys, "-c", "rnews") == []
    counts = listed(capsys, "-q")
    assert [line[:15] for line in counts] == ["beta         2C", "gamma        1C"]
    assert listed(capsys, "-k", first.split()[0]) == []
    assert uustat.main(["-k", third.split()[0]]) == 1
    assert "recipients elsewhere" in capsys.readouterr().err
    states = in_node(node, lambda opened: opened.store.messages(finished=True))
    assert [one.state for one in states] == [MessageState.REMOVED, MessageState.HELD]
    assert [one.split()[0] for one in listed(capsys, "-a")] == [second.split()[0], third.split()[0]]


async def _hold_all(opened):
    """So that nothing delivers it meanwhile."""
    from relaynode.queue.model import Verb

    ids = [one.queue_id for one in await opened.store.messages()]
    await opened.store.operate(Verb.HOLD, ids, NOW)


def test_what_waits_can_be_asked_for_one_neighbour(node):
    queue(node, job("A1", JobKind.FETCH, source="~/y", target="/pub/got"))
    assert [one.id for one in in_node(node, lambda opened: waiting(opened, "beta"))] == ["beta.NA1"]
    assert in_node(node, lambda opened: waiting(opened, "gamma")) == []


def test_without_options_one_sees_ones_own(node, capsys):
    me = uustat.own_user()
    queue(
        node,
        job("A1", JobKind.FETCH, source="~/x", target="/pub/x", user=me),
        job("A2", JobKind.FETCH, source="~/y", target="/pub/y", user="somebody"),
    )
    assert [line.split()[0] for line in listed(capsys)] == ["beta.NA1"]
    assert [line.split()[0] for line in listed(capsys, "-u", "somebody")] == ["beta.NA2"]
    assert [line.split()[0] for line in listed(capsys, "-U", me)] == ["beta.NA2"]


def test_who_is_not_the_operator_leaves_the_jobs_of_others(node, capsys, monkeypatch):
    queue(node, job("A1", JobKind.FETCH, source="~/y", target="/pub/y", user="somebody"))
    monkeypatch.setattr(uustat._Stat, "is_operator", False)
    assert uustat.main(["-k", "beta.NA1"]) == 1
    assert capsys.readouterr().err == "uustat: beta.NA1: Not submitted by you\n"
    assert len(in_node(node, lambda opened: opened.store.uucp.jobs.find())) == 1


def test_letters_about_jobs_go_to_who_asked_and_to_the_postmaster(node, capsys):
    queue(node, job("A1", JobKind.FETCH, source="~/y", target="/pub/y", user="user"))
    assert len(listed(capsys, "-a", "-M", "-N", "-K", "-W", "no more of this")) == 1
    mails = in_node(node, lambda opened: opened.store.messages())
    to = [one.forward_path.address for mail in mails for one in mail.recipients]
    assert sorted(to) == ["postmaster", "user"]
    assert in_node(node, lambda opened: opened.store.uucp.jobs.find()) == []


def test_executions_are_listed_and_taken_away(node, capsys):
    new = NewExecution("E1", "beta", "joe", ("rnews", "x"), NOW)
    completed = Completed(execution=new)
    in_node(node, lambda opened: opened.store.uucp.received.complete(completed))
    assert listed(capsys, "-e") == ["beta beta!joe 01-15 08:00 rnews x"]
    assert listed(capsys, "-e", "-c", "rmail") == []
    assert listed(capsys, "-e", "-u", "joe", "-s", "beta", "-K") != []
    assert listed(capsys, "-e") == []


def test_the_status_of_calls(node, capsys):
    async def note(opened):
        for status in (
            NeighbourStatus("beta", 2, "Dial failed", 1, NOW, 600.0),
            NeighbourStatus("gamma", 0, "Conversation complete", 0, NOW),
        ):
            await opened.store.uucp.neighbours.set_status(status)

    in_node(node, note)
    assert listed(capsys, "-m") == [
        "beta           01-15 08:00 Dial failed (1 try, next after 01-15 08:10)",
        "gamma          01-15 08:00 Conversation complete",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "(0 secs)"),
        (1, "(1 sec)"),
        (59, "(59 secs)"),
        (60, "(1 min)"),
        (1800, "(30 mins)"),
        (5400, "(1 hour)"),
        (90_000, "(1 day)"),
        (260_000, "(3 days)"),
    ],
)
def test_the_age_of_the_oldest(seconds, shown):
    assert uustat.age([NOW - seconds, NOW], NOW) == shown


def test_a_line_of_counts_has_taylors_columns():
    status = NeighbourStatus("beta", 3, "Login failed", 1, NOW)
    line = uustat.count_line("beta", [NOW - 1800] * 6, [NOW - 4] * 2, status, NOW)
    when = uustat.moment(NOW)
    assert line == f"beta         6C (30 mins)     2X (4 secs)    {when} Login failed"
    assert uustat.count_line("x", [], [NOW], None, NOW) == (
        "x            0C (0 secs)      1X (0 secs)   "
    )


@pytest.mark.parametrize(
    "words", [["-a", "-q"], ["-m", "-s", "beta"], ["-Z"], ["x"], ["-k", "beta.NX"], ["-o", "x"]]
)
def test_what_makes_no_sense_ends_with_one(node, words, capsys):
    assert uustat.main(words) == 1
    assert capsys.readouterr().err
