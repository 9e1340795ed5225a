"""What a link-up would move is foreseen: which mail, in which order, how many bytes, how long."""

import asyncio
import json
from dataclasses import replace

import pytest

from nodes import TestNode
from relaynode.cli import main
from relaynode.links.plan import Planner
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.link_runs import LinkRunRecord
from relaynode.queue.model import NewMessage, Offer
from relaynode.queue.servers import KnownServer
from relaynode.queue.uucp.model import JobKind, NewJob

ISP = """
[link.isp]
kind = "event"
{keys}
[smart_host.isp]
host = "relay.example.net:2525"
tls = "none"
link = "isp"
"""
CONFIGURED = "bits_per_second = 8000\nround_trip_milliseconds = 500"
SERVER = "relay.example.net [192.0.2.1]:2525 none"
EXTENSIONS = {"PIPELINING": "", "CHUNKING": "", "SIZE": "1000000", "8BITMIME": ""}
NOW = 1_800_000_000.0


def mail(queue_id, size, grade="C"):
    content = Content.of(b"Subject: s\r\n\r\n".ljust(size, b"x"))
    envelope = Envelope("user@bsd.home", (Recipient(f"{queue_id}@far.example"),))
    trace = b"Received: by bsd.home\r\n"
    made = NewMessage(queue_id, envelope, trace, content, "test", NOW)
    return replace(made, grade=grade)


class Play:
    def __init__(self, folder, keys=CONFIGURED, more="", tables=None):
        self.node = TestNode(folder, ISP.replace("{keys}", keys) + more, tables=tables)

    def do(self, *works):
        """What the last of them gives."""

        async def play():
            node = self.node.open(clock=lambda: NOW)
            try:
                found = None
                for work in works:
                    found = await work(node)
                return found
            finally:
                await node.close()

        return asyncio.run(play())

    def plan(self, *works):
        return self.do(*works, lambda node: Planner(node.config, node.parts).plan("isp"))

    def said(self, capsys, *words):
        assert main.main(["--config", str(self.node.path), *words]) == 0
        return capsys.readouterr().out


def queued(*messages):
    return lambda node: node.store.add(messages)


def measured(rate, trip, began_at=NOW):
    run = LinkRunRecord("isp", began_at, bytes_per_second=rate, round_trip_seconds=trip)
    return lambda node: node.store.link_runs.begin(run)


def known(node):
    return node.store.servers.remember(SERVER, KnownServer(EXTENSIONS))


THREE = queued(mail("large", 3000), mail("urgent", 2000, "A"), mail("small", 1000))


def test_mail_is_planned_in_the_order_in_which_it_goes_with_its_bytes_and_moments(tmp_path):
    plan = Play(tmp_path).plan(known, THREE)
    assert [one.queue_id for one in plan.mails] == ["urgent", "small", "large"]
    trace = len("Received: by bsd.home\r\n")
    for one, size in zip(plan.mails, (2000, 1000, 3000), strict=True):
        assert 70 < one.bytes_out - size - trace < 130  # RSET, MAIL, RCPT and BDAT
    moments = [one.moment for one in plan.mails]
    assert moments[0].begins == pytest.approx(1.0, abs=0.1)  # call and greeting
    assert moments[2].ends == pytest.approx(1.5 + plan.bytes_out / 1000, abs=0.2)
    assert plan.seconds == pytest.approx(moments[2].ends, abs=0.1)
    assert plan.bytes_out == pytest.approx(sum(one.bytes_out for one in plan.mails), abs=30)
    assert plan.strangers == []


def test_a_plan_changes_nothing(tmp_path):
    play = Play(tmp_path)
    play.plan(known, THREE)
    assert len(play.plan().mails) == 3
    assert len(play.do(lambda node: node.store.waiting())) == 3


def test_a_server_that_was_never_met_is_named_and_costs_a_round_trip_more(tmp_path):
    play = Play(tmp_path)
    first = play.plan(THREE)
    assert first.strangers == ["isp"]
    assert first.seconds - play.plan(known).seconds > 0.4


def test_what_earlier_runs_have_measured_counts_before_what_is_configured(tmp_path):
    runs = [measured(2200.0, 0.7), measured(2000.0, 0.9), measured(9000.0, None)]
    line = Play(tmp_path).plan(*runs).line
    assert (line.bytes_per_second, line.round_trip_seconds) == (2200.0, 0.7)
    assert line.is_measured
    line = Play(tmp_path / "other").plan().line
    assert (line.bytes_per_second, line.round_trip_seconds, line.is_measured) == (1000, 0.5, False)


def test_without_any_figures_bytes_are_known_and_seconds_are_not(tmp_path, capsys):
    play = Play(tmp_path, keys="")
    plan = play.plan(known, THREE)
    assert plan.seconds is None
    assert plan.mails[0].moment is None
    assert plan.bytes_out > 6000
    text = play.said(capsys, "plan")
    assert "its rate is not known yet" in text
    assert "in all: how long is not known" in text


def test_of_accounts_only_what_was_decided_is_known(tmp_path, capsys):
    account = (
        '[account.home]\nhost = "pop.example.net"\nuser = "u"\npassword_file = "pw"\n'
        'deliver_to = "user"\nlink = "isp"\n'
    )
    play = Play(tmp_path, more=account)
    play.node.password("pw")
    offer = Offer("home", "u1", "0a", 70_000, "x@y.example", "s", b"", "get", NOW, "user")
    plan = play.plan(lambda node: node.store.add([], [offer]))
    (visit,) = plan.visits
    assert (visit.account, visit.wanted, visit.wanted_bytes) == ("home", 1, 70_000)
    assert plan.bytes_in > 70_000
    assert plan.seconds > 70
    text = play.said(capsys, "plan", "isp")
    assert "account home (pop3): 1 mail to be got in 70,000 bytes; else what waits there" in text


def test_it_is_told_as_a_table_and_as_json(tmp_path, capsys):
    play = Play(tmp_path)
    play.do(known, measured(1200.0, 1.0), THREE)
    first, title, urgent, *_, total = play.said(capsys, "plan").splitlines()
    assert first.startswith("isp  9,600 bit/s, round trip 1.00 s (measured 2027-")
    assert title.split() == ["gone", "at", "bytes", "grade", "message", "for"]
    assert urgent.split()[2:] == ["A", "urgent", "<urgent@far.example>"]
    assert total.startswith("  in all: 0:0")
    found = json.loads(play.said(capsys, "plan", "isp", "--json"))
    assert [one["id"] for one in found["mails"]] == ["urgent", "small", "large"]
    assert found["line"]["bits_per_second"] == 9600
    assert found["seconds"] == pytest.approx(found["mails"][-1]["ends_seconds"], abs=0.1)


def test_why_says_when_mail_would_leave(tmp_path, capsys):
    play = Play(tmp_path)
    play.do(known, THREE)
    text = play.said(capsys, "why", "large")
    assert "would leave" in text
    assert "s into the next link-up of isp" in text
    (found,) = json.loads(play.said(capsys, "why", "large", "--json"))
    leaves = found["recipients"][0]["would_leave"]
    plan = play.plan()
    assert leaves["ends_seconds"] == pytest.approx(plan.mails[2].moment.ends, abs=0.01)


def test_mail_for_a_neighbour_goes_in_a_call_beside_the_smart_hosts(tmp_path, capsys):
    neighbour = '[neighbour.beta]\ncall = ["tcp:192.0.2.1"]\nlink = "isp"\n'
    play = Play(tmp_path, more=neighbour, tables={"mailertable": "far.example uucp-dom:beta\n"})
    job = NewJob("J", "beta", JobKind.SEND, "ann", NOW, content=Content.of(b"x" * 4000))
    before = play.plan(known, THREE)
    plan = play.plan(lambda node: node.store.uucp.jobs.add([job]))
    assert (before.calls, plan.calls) == ({"beta": 0}, {"beta": 1})
    assert 4000 < plan.bytes_out - before.bytes_out < 4400
    assert plan.strangers == []
    assert {one.way for one in plan.mails} == {"beta"}
    assert plan.seconds > 6
    assert "  neighbour beta: a call, 1 job besides mail\n" in play.said(capsys, "plan")


def test_mail_to_hosts_out_there_goes_to_each_by_itself(tmp_path):
    tables = {"mailertable": ".example esmtp:[192.0.2.9]\n"}
    link = 'kind = "always"\n' + CONFIGURED
    node = TestNode(tmp_path, f"[link.default]\n{link}\n", tables=tables)

    async def look():
        opened = node.open(clock=lambda: NOW)
        try:
            await opened.store.add([mail("a", 500), mail("b", 600)])
            return await Planner(opened.config, opened.parts).plan("default")
        finally:
            await opened.close()

    plan = asyncio.run(look())
    assert [one.queue_id for one in plan.mails] == ["a", "b"]
    assert plan.strangers == [plan.mails[0].way]


def test_a_message_that_has_ended_meanwhile_does_not_spoil_the_plan(tmp_path):
    play = Play(tmp_path)
    play.do(known, queued(mail("large", 200_000), mail("small", 1000)))
    for file in (tmp_path / "spool" / "content").rglob("*"):
        if file.is_file():
            file.unlink()
    assert [one.queue_id for one in play.plan().mails] == ["small", "large"]


def test_whoever_is_planned_for_is_not_routed_otherwise_afterwards(tmp_path, capsys):
    play = Play(tmp_path)
    play.do(known, THREE)
    found = json.loads(play.said(capsys, "why", "user@bsd.home", "--json"))
    assert [one["recipients"][0]["link"]["is_up"] for one in found] == [False] * 3


def test_what_it_costs_is_told_by_the_tariff(tmp_path, capsys):
    costs = "cost_per_minute = 0.6\ncost_per_megabyte = 2.0\ncost_per_call = 0.1\n"
    play = Play(tmp_path, keys=CONFIGURED + "\n" + costs)
    plan = play.plan(known, THREE)
    size = plan.bytes_out + plan.bytes_in
    assert plan.money == pytest.approx(0.1 + plan.seconds / 100 + size / 500_000, abs=0.011)
    assert f", cost {plan.money:.2f}" in play.said(capsys, "plan")
    assert Play(tmp_path / "free").plan(known, THREE).money is None


def test_mail_that_the_budget_has_no_room_for_stays_and_smaller_mail_goes(tmp_path, capsys):
    budget = "budget_megabytes_per_session = 0.008\n"
    play = Play(tmp_path, keys=CONFIGURED + "\n" + budget)
    plan = play.plan(known, queued(mail("large", 9000), mail("urgent", 9000, "A"), mail("b", 900)))
    assert {one.queue_id: one.fits for one in plan.mails} == {
        "b": True,
        "large": False,
        "urgent": False,
    }
    assert plan.bytes_out < 2000
    assert "2 mails would stay: the budget has no room" in play.said(capsys, "plan")


def test_a_budget_that_is_used_up_allows_no_run(tmp_path, capsys):
    play = Play(tmp_path, keys=CONFIGURED + "\nbudget_minutes_per_day = 1\n")
    used = LinkRunRecord("isp", NOW, seconds=60.0, ended="done")
    plan = play.plan(known, THREE, lambda node: node.store.link_runs.begin(used))
    assert plan.refusal
    assert (plan.bytes_out, plan.seconds) == (0, 0.0)
    assert not any(one.fits for one in plan.mails)
