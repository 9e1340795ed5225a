"""Limits, tariffs and what is left, by the calendar of the place."""

import math
import random
from dataclasses import replace
from datetime import datetime
from math import inf
from zoneinfo import ZoneInfo

import pytest

from relaynode.policy.budget import (
    Budget,
    Limit,
    Pace,
    Period,
    Room,
    Tariff,
    Use,
    day_of,
    fits,
    joined,
    month_of,
)

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(at):
    return datetime.fromtimestamp(at, BERLIN).utcoffset().total_seconds()


def at(*words):
    return datetime(*words, tzinfo=BERLIN).timestamp()


def test_started_minutes_are_billed_as_whole_ones():
    tariff = Tariff(per_minute=0.5, per_call=0.1, step_seconds=60)
    assert tariff.cost(0, 0) == pytest.approx(0.1)
    assert tariff.cost(60, 0) == pytest.approx(0.6)
    assert tariff.cost(60.5, 0) == pytest.approx(1.1)


def test_megabytes_are_a_million_bytes_and_billed_by_the_byte():
    assert Tariff(per_megabyte=4).cost(100, 250_000) == pytest.approx(1.0)


def test_money_gives_the_seconds_and_bytes_that_cost_no_more():
    chance = random.Random(9)
    for _ in range(500):
        tariff = Tariff(
            chance.choice([0, chance.random()]),
            chance.choice([0, chance.random()]),
            chance.choice([0, chance.random()]),
            chance.choice([1, 6, 60]),
        )
        money, size = chance.uniform(1, 9), chance.randrange(10**6)
        seconds = tariff.seconds_for(money, size)
        if tariff.cost(0, size) > money:
            assert seconds == 0
        elif seconds < inf:
            assert tariff.cost(seconds, size) <= money + 1e-9
            assert tariff.cost(seconds + tariff.step_seconds, size) > money
        carried = tariff.bytes_for(money, 90)
        if 0 < carried < inf:
            assert tariff.cost(90, carried) == pytest.approx(money)


def test_a_day_is_one_of_the_place_and_has_23_or_25_hours_when_clocks_are_changed():
    assert day_of(at(2026, 3, 29, 12), berlin) == (at(2026, 3, 29), at(2026, 3, 30))
    for day, hours in ((28, 24), (29, 23)):
        begins, ends = day_of(at(2026, 3, day, 5), berlin)
        assert ends - begins == hours * 3600
    begins, ends = day_of(at(2026, 10, 25, 0, 30), berlin)
    assert ends - begins == 25 * 3600


def test_a_month_ends_with_its_last_day():
    assert month_of(at(2026, 12, 31, 23, 59), berlin) == (at(2026, 12, 1), at(2027, 1, 1))
    assert month_of(at(2028, 2, 29, 1), berlin) == (at(2028, 2, 1), at(2028, 3, 1))
    assert month_of(at(2026, 3, 1), berlin) == (at(2026, 3, 1), at(2026, 4, 1))


def test_a_run_counts_for_the_day_on_which_it_began():
    budget = Budget(day=Limit(seconds=600), month=Limit(size_bytes=1000))
    runs = [Use(at(2026, 11, 21, 23, 59), 400, 300), Use(at(2026, 11, 22, 8), 100, 200)]
    day, month = budget.left(runs, at(2026, 11, 22, 10), berlin)
    assert (day.period, day.seconds, day.until) == (Period.DAY, 500, at(2026, 11, 23))
    assert (month.period, month.size_bytes, month.until) == (Period.MONTH, 500, at(2026, 12, 1))


def test_what_is_left_is_never_below_zero():
    (day,) = Budget(day=Limit(seconds=60)).left([Use(1000, 90, 0)], 2000, lambda _: 0)
    assert day.seconds == 0


def test_runs_that_overlap_are_one_call():
    runs = [Use(50, 20, 5), Use(0, 60, 1), Use(10, 10, 2), Use(100, 5, 4)]
    assert joined(runs) == [Use(0, 70, 8), Use(100, 5, 4)]
    spent = Budget(tariff=Tariff(per_call=1)).spent(runs)
    assert (spent.seconds, spent.size_bytes, spent.money) == (75, 12, 2)


def test_the_room_is_what_the_narrowest_limits_leave():
    budget = Budget(
        session=Limit(seconds=120, size_bytes=5000), day=Limit(seconds=600, size_bytes=9000)
    )
    room = budget.room(budget.left([Use(1000, 550, 1000)], 2000, lambda _: 0))
    assert (room.seconds, room.size_bytes, room.money) == (50, 5000, inf)


def test_a_link_without_limits_has_room_for_everything():
    room = Budget().room(())
    assert not room.is_too_small
    assert fits(room, Pace(10**9, 10**12, 10**12, 1), 10**12)


def test_a_run_that_could_only_end_is_not_begun_and_the_longest_limit_is_named():
    budget = Budget(day=Limit(seconds=60), month=Limit(money=1), tariff=Tariff(per_call=2))
    room = budget.room(budget.left([Use(1000, 60, 0)], 2000, lambda _: 0))
    assert room.is_too_small
    assert room.binding().period is Period.MONTH
    assert Budget(day=Limit(seconds=60)).room(()).binding() is None


def test_a_message_fits_if_it_and_the_end_of_the_session_do():
    room = Room(seconds=100)
    assert fits(room, Pace(0, 0, 0, 1000), 80_000)
    assert not fits(room, Pace(0, 0, 0, 1000), 82_000)  # 97.5 s with slack, and the end takes 3
    assert not fits(room, Pace(50, 0, 0, 1000), 80_000)
    assert fits(room, Pace(50, 0, 0, 0), 90_000)  # of a rate that nobody knows nothing follows
    assert not fits(room, Pace(97.5, 0, 0, 0), 0)


def test_what_is_under_way_takes_its_part():
    room = Room(size_bytes=10_000)
    assert fits(room, Pace(0, 1000, 1000), 8000)
    assert not fits(room, Pace(0, 1000, 2000), 8000)
    assert not fits(room, Pace(0, 1000, 1000), 8000, opening_bytes=1000)
    assert fits(room, Pace(0, 1000, 2000), 7000)  # a smaller one does


def test_money_binds_as_time_and_bytes_do():
    room = Room(money=1.0, tariff=Tariff(per_megabyte=1, per_minute=1))
    assert fits(room, Pace(0, 0, 0, 10**9), 900_000)
    assert not fits(room, Pace(30, 0, 0, 10**9), 900_000)


def test_what_goes_the_other_way_takes_bytes_and_no_time():
    room = Room(seconds=100, size_bytes=10**6)
    both = Pace(0, 0, 70_000, 1000)
    assert not fits(room, both, 70_000)
    assert fits(room, replace(both, waiting_bytes=0), 70_000)
    assert not fits(replace(room, size_bytes=100_000), replace(both, waiting_bytes=0), 70_000)


def test_a_run_that_was_not_begun_is_no_call():
    assert Budget(tariff=Tariff(per_call=1)).spent([Use(0, 0, 0)]).money == 0


def test_the_run_lasts_as_long_as_its_busier_direction():
    assert not fits(Room(seconds=100), Pace(0, 0, 0, 1000, 0, busy_seconds=90), 10)


def test_time_that_costs_has_no_end_where_money_has_none():
    tariff = Tariff(per_minute=0.5)
    assert tariff.seconds_for(math.inf, 1000.0) == math.inf
