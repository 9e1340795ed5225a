"""Budgets in simulations: a run ends in time, and another begins when the day is over."""

import pytest

from relaynode.policy.budget import Budget, Limit, Tariff
from relaynode.simulate.plan import LinkPlan
from unit.simulate.plays import START, order_sent, play

HOUR = 3600


def link(kind="event", **limits):
    return LinkPlan("isp", kind, budget=Budget(**limits))


def test_a_run_takes_no_mail_that_it_could_not_end_within_its_bytes():
    outcome = play(START + "mail 10k x10\n+1h up isp", link(session=Limit(size_bytes=50_000)))
    (run,) = outcome.runs
    assert 0 < run.sent < 5
    assert run.bytes_out + run.bytes_in <= 50_000
    assert run.ended == "done"


def test_a_run_ends_within_its_seconds():
    outcome = play(START + "mail 10k x20\n+1h up isp", link(session=Limit(seconds=20)))
    (run,) = outcome.runs
    assert run.sent and run.seconds <= 20


def test_what_does_not_fit_is_passed_over_for_what_does():
    outcome = play(
        START + "mail 90k grade A\n+1s mail 2000\n+1h up isp",
        link(session=Limit(size_bytes=30_000)),
    )
    assert order_sent(outcome) == [2000]


def test_a_line_that_becomes_slow_is_cut_when_the_time_is_over():
    outcome = play(
        START + "mail 60k\n+1h up isp\n+3s rate isp 300", link(session=Limit(seconds=30))
    )
    (run,) = outcome.runs
    assert run.ended == "its budget is spent"
    assert run.seconds <= 30
    assert outcome.outgoing[0].delivered_at is None


def test_when_the_day_is_over_the_rest_goes():
    outcome = play(START + "mail 10k x8\n+2d end", link("always", day=Limit(size_bytes=50_000)))
    first = [one for one in outcome.runs if one.began_at < outcome.outgoing[0].event.at + 18 * HOUR]
    assert sum(one.bytes_out + one.bytes_in for one in first) <= 50_000
    assert sum(one.sent for one in outcome.runs) == 8


def test_a_run_that_has_nothing_left_is_not_begun():
    text = START + "mail 15k\n+1h up isp for 1h\n+2h mail 900\n+1m up isp for 1h"
    outcome = play(text, link(day=Limit(money=1.5), tariff=Tariff(per_call=1)))
    assert order_sent(outcome) == [15 * 1024]
    assert outcome.refused == {"isp": 1}


def test_a_tariff_says_what_runs_cost():
    tariff = Tariff(per_minute=0.5, per_megabyte=2.0, per_call=0.1, step_seconds=60)
    outcome = play(START + "mail 100k\n+1h up isp", link(tariff=tariff))
    (run,) = outcome.runs
    megabytes = (run.bytes_out + run.bytes_in) / 1e6
    assert run.cost == pytest.approx(0.1 + 0.5 + 2 * megabytes, abs=1e-3)


def test_a_price_alone_limits_nothing():
    tariff = Tariff(per_minute=0.5)
    outcome = play(START + "mail 100k\n+1h up isp", link(day=Limit(size_bytes=1e6), tariff=tariff))
    assert [run.ended for run in outcome.runs] == ["done"]
