"""Runs over an emulated line end within their budgets: bytes within a segment, time within 2 s."""

import asyncio
import os
import random
from math import inf

import pytest

from relaynode.links.budgets import budget_of, uses_of
from relaynode.links.wish import Wish
from relaynode.wire.emulator import SEGMENT_BYTES
from unit.links.budget_line import Trial
from unit.links.virtual_time import run

RANDOM_RUNS = 100 if os.environ.get("RELAYNODE_SOAK") else 25
LATE_SECONDS = 2.0
CUT = "the budget of the link is spent: "


def random_keys(chance):
    """Limits of minutes, megabytes, money, some of them."""
    keys = []
    if chance.random() < 0.6:
        period = chance.choice(["session", "day", "month"])
        keys.append(f"budget_minutes_per_{period} = {chance.uniform(10, 120) / 60}")
    if chance.random() < 0.6 or not keys:
        period = chance.choice(["session", "day", "month"])
        keys.append(f"budget_megabytes_per_{period} = {chance.randrange(5000, 200_000) / 1e6}")
    if chance.random() < 0.3:
        period = chance.choice(["session", "day", "month"])
        keys.append(f"budget_money_per_{period} = {chance.uniform(0.3, 2)}")
        keys += ["cost_per_minute = 0.6", "cost_per_megabyte = 5", "cost_per_call = 0.1"]
        keys.append(f"billing_seconds = {chance.choice([1, 6, 60])}")
    return "\n".join(keys)


def sizes(chance):
    small = [chance.randrange(300, 4000) for _ in range(chance.randrange(12))]
    return small + [chance.randrange(10_000, 120_000) for _ in range(chance.randrange(4))]


def assert_within(limit, runs, tariff):
    """A second run that begins with little left may be late once more, but not further."""
    assert sum(one.seconds for one in runs) <= limit.seconds + LATE_SECONDS
    assert sum(one.size_bytes for one in runs) <= limit.size_bytes + SEGMENT_BYTES
    if limit.money < inf:
        late = tariff.cost(0, SEGMENT_BYTES) - tariff.per_call
        money = sum(tariff.cost(one.seconds, one.size_bytes) for one in runs)
        assert money <= limit.money + late + 1e-9


@pytest.mark.parametrize("number", range(RANDOM_RUNS))
def test_random_runs_end_within_their_budgets(tmp_path, monkeypatch, number):
    chance = random.Random(20261122 + number)
    keys = random_keys(chance)
    rate, round_trip = chance.choice([(9600, 1.0), (33600, 0.2), (128_000, 0.6)])
    lie = chance.choice([1, 1, 1, 3])

    async def play():
        trial = await Trial.make(
            tmp_path, monkeypatch, keys, rate=rate, round_trip=round_trip, lie=lie
        )
        section = trial.node.config.links["isp"]
        queued = 0
        for _ in range(chance.randrange(1, 4)):
            some = sizes(chance)
            queued += len(some)
            await trial.queue(some)
            trial.offer(sizes(chance))
            await trial.linkup()
            await asyncio.sleep(60)
        runs, waiting = await trial.runs(), await trial.waiting()
        arrived = len(await trial.far.store.messages(finished=True))
        carried = trial.carried
        await trial.close()
        return section, runs, waiting, arrived, carried, queued

    section, runs, waiting, arrived, carried, queued = run(play())
    begun = [one for one in runs if one.seconds]
    budget, uses = budget_of(section), uses_of(begun)
    for one in uses:
        assert_within(budget.session, [one], budget.tariff)
    assert_within(budget.day, uses, budget.tariff)
    assert_within(budget.month, uses, budget.tariff)
    if lie == 1:  # what it has not listed is on the line before we know of it
        assert carried <= min(budget.day.size_bytes, budget.month.size_bytes) + SEGMENT_BYTES
        assert not [text for one in runs for text in one.problems if CUT in text]
    assert all(one.attempts == 0 for one in waiting if not one.in_doubt)
    assert arrived + len(waiting) >= queued  # nothing is lost


def first_of(found):
    (one,) = found
    return one


def test_a_run_with_no_budget_left_is_not_begun_and_the_record_says_so(tmp_path, monkeypatch):
    async def play():
        trial = await Trial.make(tmp_path, monkeypatch, "budget_minutes_per_day = 1")
        await trial.spend(seconds=60)
        await trial.queue([2000])
        trial.line.services.clear()  # nobody may be called
        second = await trial.linkup()
        runs, waiting = await trial.runs(), await trial.waiting()
        await trial.close()
        return second, runs, first_of(waiting)

    second, runs, waiting = run(play())
    assert (second.flush.delivered, second.flush.deferred) == (0, 1)
    assert "the budget of the day is spent, until 20" in second.all_problems[0]
    assert not second.is_clean  # exit 75
    assert "the budget of the day is spent" in runs[-1].ended
    assert (runs[-1].seconds, runs[-1].bytes_out) == (0, 0)
    assert (waiting.reason, waiting.attempts) == ("budget", 0)


def test_somebody_may_want_a_run_whatever_it_costs(tmp_path, monkeypatch):
    async def play():
        trial = await Trial.make(tmp_path, monkeypatch, "budget_megabytes_per_day = 0.0001")
        await trial.queue([2000])
        before = await trial.linkup()
        after = await trial.linkup(over_budget=True)
        await trial.close()
        return before, after

    before, after = run(play())
    assert before.flush.delivered == 0
    assert after.flush.delivered == 1
    assert after.is_clean
    assert Wish.from_json(Wish(over_budget=True).to_json()).over_budget


def test_large_mail_is_passed_over_while_small_mail_fits(tmp_path, monkeypatch):
    async def play():
        trial = await Trial.make(tmp_path, monkeypatch, "budget_megabytes_per_session = 0.02")
        await trial.queue([30_000, 1000, 1000])
        trial.offer([30_000, 1000])
        summary = await trial.linkup()
        waiting = await trial.waiting()
        hosts = await trial.store.host_status()
        await trial.close()
        return summary, first_of(waiting), hosts

    summary, waiting, hosts = run(play())
    assert summary.flush.delivered == 2
    assert all(one.status.is_success for one in hosts)  # the budget says nothing of them
    assert summary.polls[0].fetched == 1
    assert summary.polls[0].left == {"more than the link's budget allows": 1}
    assert "2 messages wait" in " ".join(summary.problems)
    assert (waiting.reason, waiting.attempts) == ("budget", 0)


def test_what_is_due_waits_without_a_record_of_its_own_while_nothing_is_left(tmp_path, monkeypatch):
    async def play():
        trial = await Trial.make(tmp_path, monkeypatch, "budget_minutes_per_month = 1")
        await trial.spend(seconds=59)
        await trial.queue([1000])
        result = await trial.node.links.run_due("isp")
        again = await trial.node.links.run_due("isp")
        runs = await trial.runs()
        await trial.close()
        return result, again, runs

    result, again, runs = run(play())
    assert (result.deferred, again.deferred) == (1, 0)  # it is not asked about at each tick
    assert len(runs) == 1


def test_a_server_that_sends_more_than_it_lists_is_cut_off_and_its_mail_fetched_later(
    tmp_path, monkeypatch
):
    async def play():
        keys = "budget_megabytes_per_session = 0.03"
        trial = await Trial.make(tmp_path, monkeypatch, keys, lie=20)
        trial.offer([10_000])
        first = await trial.linkup()
        trial.mailbox.lie = 1
        second = await trial.linkup()
        runs = await trial.runs()
        await trial.close()
        return first, second, runs

    first, second, runs = run(play())
    assert first.polls[0].reason == "budget"
    assert runs[0].bytes_out + runs[0].bytes_in <= 30_000 + SEGMENT_BYTES
    assert second.polls[0].fetched == 1
    assert second.is_clean


def test_a_server_that_falls_silent_is_left_when_the_time_is_up(tmp_path, monkeypatch):
    async def silent(stream, _):
        await stream.read()

    async def play():
        trial = await Trial.make(tmp_path, monkeypatch, "budget_minutes_per_session = 0.5")
        trial.line.services[25] = silent
        await trial.queue([1000])
        summary = await trial.linkup()
        runs, waiting = await trial.runs(), await trial.waiting()
        await trial.close()
        return summary, first_of(runs), first_of(waiting)

    summary, record, waiting = run(play())
    assert 27 < record.seconds < 32
    assert any("its time is used up" in text for text in summary.problems)
    assert (waiting.reason, waiting.attempts) == ("budget", 0)


def test_what_hangs_without_a_line_is_called_off_when_the_time_is_up(tmp_path, monkeypatch):
    async def play():
        trial = await Trial.make(tmp_path, monkeypatch, "budget_minutes_per_session = 0.5")

        async def hang(*_, **__):
            await asyncio.get_running_loop().create_future()

        monkeypatch.setattr("relaynode.wire.tcp.connect", hang)
        await trial.queue([1000])
        summary = await trial.linkup()
        runs = await trial.runs()
        await trial.close()
        return summary, first_of(runs)

    summary, record = run(play())
    assert 27 < record.seconds <= 32
    assert "its time is used up" in record.ended
    assert not summary.is_clean
