"""What a budget says of mail that waits, and what an interface's counters add."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.errors import BudgetSpent
from relaynode.links import budgets
from relaynode.links.budgets import Budgets, spent_links
from relaynode.links.summary import Summary
from relaynode.links.why import Why
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.policy.budget import Room
from relaynode.queue.content import Content
from relaynode.queue.link_runs import LinkRunRecord, MemoryLinkRuns
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage
from relaynode.wire.memory import pair
from relaynode.wire.metered import MeteredStream

NOW = 1_800_000_000.0


def node(tmp_path, keys):
    made = TestNode(
        tmp_path,
        f'[link.isp]\nkind = "always"\n{keys}\n'
        '[smart_host.isp]\nhost = "next.example"\nlink = "isp"\n',
    )
    return made.open(store=MemoryStore(tmp_path / "scratch"), clock=lambda: NOW)


def test_why_says_that_mail_waits_for_the_budget_and_until_when(tmp_path):
    async def explain():
        one = node(tmp_path, "budget_minutes_per_day = 1")
        run = LinkRunRecord("isp", NOW - 60, seconds=60, ended="done")
        await one.store.link_runs.begin(run)
        content = Content.of(b"Subject: s\r\n\r\n")
        envelope = Envelope("a@b.c", (Recipient("x@far.example"),))
        await one.store.add([NewMessage("A", envelope, b"", content, "test", NOW)])
        spent = await spent_links(one.config.links, one.store.link_runs, NOW)
        why = Why(one.config, one.parts, set(), spent)
        (message,) = await why.find("A")
        return spent["isp"], (await why.explain(message))["recipients"][0]

    left, shown = asyncio.run(explain())
    assert shown["reason"] == "budget"
    assert shown["next"] == {
        "at": left.until,
        "event": "the budget of link isp for the next day begins",
    }
    assert NOW < left.until <= NOW + 86400


def kept(tmp_path, monkeypatch, counter):
    """Budgets whose interface shows what `counter` has at each look."""
    monkeypatch.setattr(budgets, "LOOK_SECONDS", 0)
    monkeypatch.setattr(budgets, "interface_bytes", lambda _: counter["bytes"])
    config = node(tmp_path, 'interface = "ppp0"\nbudget_megabytes_per_day = 0.01').config
    return Budgets(config.links, MemoryLinkRuns(), lambda: NOW, lambda: 0.0)


def test_what_an_interface_counts_besides_our_streams_is_overhead(tmp_path, monkeypatch):
    async def play():
        counter = {"bytes": 5000}
        found = kept(tmp_path, monkeypatch, counter)
        summary = Summary("isp", count=found.purse("isp"))
        async with found.kept(summary):
            seen = []
            for step in (5000, 6000, None, 700):  # it goes and comes again, and begins anew
                counter["bytes"] = step
                for _ in range(5):
                    await asyncio.sleep(0.005)
                summary.count.sent(50)
                seen.append(summary.count.overhead_bytes)
        return seen, summary.count.size_bytes

    assert asyncio.run(play()) == ([0, 950, 950, 1550], 1550 + 200)


def test_other_traffic_on_the_interface_uses_up_the_budget(tmp_path, monkeypatch):
    async def play():
        counter = {"bytes": 0}
        found = kept(tmp_path, monkeypatch, counter)
        summary = Summary("isp", count=found.purse("isp"))
        ours, _ = pair("a", "b")
        line = MeteredStream(ours, summary.count)
        async with found.kept(summary):
            await asyncio.sleep(0.01)
            counter["bytes"] = 20_000
            with pytest.raises(BudgetSpent):
                await line.read()
        return summary

    assert "its bytes are used up" in asyncio.run(play()).problems[0]


def test_runs_at_a_time_share_what_is_left():
    till = budgets.Till()
    one, two = (budgets.Purse(till=till) for _ in range(2))
    for purse in (one, two):
        purse.begin(Room(size_bytes=10_000))
    one.sent(6000)
    assert two.room_bytes(9000) == 4000
    assert not two.takes(5000)
    assert one.takes(2000)
    assert not two.takes(2000)  # it is under way already


def test_a_write_is_cut_at_the_limit():
    async def play():
        purse = budgets.Purse()
        purse.begin(Room(size_bytes=1000))
        ours, theirs = pair("a", "b")
        line = MeteredStream(ours, purse)
        await line.write(b"x" * 900)
        with pytest.raises(BudgetSpent):
            await line.write(b"y" * 900)
        assert await theirs.read() + await theirs.read() == b"x" * 900 + b"y" * 100
        with pytest.raises(BudgetSpent):
            await line.read()

    asyncio.run(play())
