"""Timetables and windows against what happens to clocks: 0 missed, 0 double.

Each case is played over days in virtual time. What must happen is worked out here a second time,
minute by minute and without the code that is tried.
"""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.config.timestring import TimeString
from relaynode.timetable.timetable import Timetable, opens_at
from unit.timetable.machine import BERLIN, DAY, HOUR, LORD_HOWE, NEW_YORK, UTC, Machine, utc

MINUTE = timedelta(minutes=1)


class Referee:
    """Looks on: every turn that a clock on the wall has come to is given once, in time.

    `furthest`: the latest minute that the clock has shown. What lies behind it has been, also when
    the clock is set back, or jumped over it; but not when it is set right before the first turn.
    `waiting`: turns that have been and were not given. `ahead`: the wall clock, of the steady one.
    """

    def __init__(self, is_turn, window):
        self.is_turn = is_turn
        self.window = window
        self.waiting = []
        self.furthest = self.ahead = self.wall = None
        self.passed = 0

    def __call__(self, machine, turn, is_foreseen):
        local = machine.local
        ahead = machine.wall - machine.steady
        is_set_right = machine.is_new and self.ahead is not None and ahead < self.ahead - 60
        if self.furthest is None or is_set_right:
            self.furthest, self.waiting = minute(machine.furthest(machine.wall - 2 * HOUR)), []
        furthest = minute(machine.furthest(machine.wall if self.wall is None else self.wall))
        self.ahead, self.wall = ahead, machine.wall
        while self.furthest < furthest:
            self.furthest += MINUTE
            if self.is_turn(self.furthest) and self.is_open(self.furthest):
                self.waiting.append(self.furthest)
        if self.waiting and self.is_open(local):
            assert turn is not None, f"missed: {self.waiting} at {local}"
            assert turn.local == self.waiting[-1], f"at {local}"
            assert is_foreseen, f"late: {self.waiting} at {local}"
            self.waiting = []
            self.passed += 1
        else:
            assert turn is None, f"double: {turn} at {local}"

    def is_open(self, local):
        return self.window.is_open(local.weekday(), local.hour * 60 + local.minute)


def minute(local):
    return local.replace(second=0, microsecond=0)


def clock(*times, days=range(7)):
    """The same as a timetable says, told otherwise."""
    return lambda one: f"{one:%H:%M}" in times and one.weekday() in days


TIMETABLES = {
    "at 06:10 and 22:00": clock("06:10", "22:00"),
    "daily at 02:30": clock("02:30"),
    "at 00:00 and 03:00": clock("00:00", "03:00"),
    "mon,thu at 07:00": clock("07:00", days=(0, 3)),
    "hourly at :15": lambda one: one.minute == 15,
}
WINDOWS = ["Any", "Wk2305-0855,Sa,Su", "Any2200-0300"]
CLOCKS = {
    "midnight": (UTC, "2026-06-02 18:00", []),
    "spring": (BERLIN, "2026-03-28 12:00", []),
    "autumn": (BERLIN, "2026-10-24 12:00", []),
    "half an hour": (LORD_HOWE, "2026-10-03 00:00", []),
    "west": (NEW_YORK, "2026-10-31 18:00", []),
    "back 12 h": (BERLIN, "2026-06-02 18:00", [(3 * HOUR, "step", -12 * HOUR)]),
    "back over a turn": (BERLIN, "2026-06-02 18:00", [(2 * HOUR + 60, "step", -120)]),
    "back a second at a turn": (BERLIN, "2026-06-02 19:00", [(3 * HOUR, "step", -1)]),
    "back and forth": (
        BERLIN,
        "2026-06-02 18:00",
        [(3 * HOUR, "step", -12 * HOUR), (5 * HOUR, "step", 12 * HOUR)],
    ),
    "forward 3 days": (BERLIN, "2026-06-02 18:00", [(9 * HOUR, "step", 3 * DAY)]),
    "sleep over a turn": (BERLIN, "2026-06-02 18:00", [(3 * HOUR, "sleep", 12 * HOUR)]),
    "sleep over days": (BERLIN, "2026-06-02 18:00", [(HOUR, "sleep", 2.5 * DAY)]),
    "sleep into summer": (BERLIN, "2026-03-28 23:00", [(HOUR, "sleep", 10 * HOUR)]),
    "back while the hour is twice": (
        BERLIN,
        "2026-10-24 20:00",
        [(6.7 * HOUR, "step", -2 * HOUR)],
    ),
    "sleep into the hour that is twice": (
        BERLIN,
        "2026-10-24 20:00",
        [(3.9 * HOUR, "sleep", 1.3 * HOUR)],
    ),
    "off": (BERLIN, "2026-06-02 18:00", [(HOUR, "off", 30 * HOUR)]),
    "restart after back 12 h": (
        BERLIN,
        "2026-06-02 18:00",
        [(3 * HOUR, "step", -12 * HOUR), (3.5 * HOUR, "restart", 0.0)],
    ),
}


@pytest.mark.parametrize("happens", CLOCKS)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("timetable", TIMETABLES)
def test_each_turn_comes_exactly_once(timetable, window, happens):
    zone, start, events = CLOCKS[happens]
    hours = TimeString.parse(window)
    referee = Referee(TIMETABLES[timetable], hours)
    made = Timetable.parse_any(timetable)
    machine = Machine(made, zone, utc(start), hours, events=events, on_look=referee)
    runs = machine.play(4 * DAY)
    turns = [turn for _, _, turn in runs]
    assert turns == sorted(set(turns))
    assert len(runs) == referee.passed
    assert runs or not made.has_turn_in(hours)


def machine(text, start, *events, zone=BERLIN, **more):
    return Machine(Timetable.parse_any(text), zone, utc(start), events=list(events), **more)


def shown(runs):
    """`real hours: turn` of each."""
    return [f"{real / HOUR:.2f}: {turn:%d %H:%M}" for real, _, turn in runs]


def test_a_time_that_does_not_exist_comes_when_the_next_one_does():
    runs = machine("at 02:30 and 04:00", "2026-03-29 00:00").play(DAY)
    assert shown(runs) == ["1.00: 29 02:30", "2.00: 29 04:00"]


def test_a_time_that_is_there_twice_comes_at_the_first():
    runs = machine("at 02:30", "2026-10-24 22:00").play(DAY)
    assert shown(runs) == ["2.50: 25 02:30"]


def test_a_time_that_was_there_the_first_time_is_over_for_who_begins_in_the_second():
    assert shown(machine("at 02:30", "2026-10-25 01:12").play(DAY)) == []
    assert shown(machine("at 02:30", "2026-10-25 00:12").play(DAY)) == ["0.30: 25 02:30"]


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-10-25 00:12", "2026-10-25 00:30"),
        ("2026-10-25 00:45", "2026-10-25 00:45"),
        ("2026-10-25 01:12", "2026-10-25 01:30"),  # it is 02:12 again
        ("2026-03-28 23:00", "2026-03-29 01:00"),  # there is no 02:30
    ],
)
def test_a_window_opens_over_changes_of_the_clocks(now, opens):
    hours = TimeString.parse("Any0230-0400")
    assert opens_at(hours, utc(now), BERLIN) == utc(opens)
    assert opens_at(TimeString.parse("Never"), utc(now), BERLIN) is None


def test_what_was_missed_is_made_up_by_one_run():
    made = machine("hourly at :15", "2026-06-02 18:00", (HOUR, "sleep", 10.1 * HOUR))
    assert [round(real / HOUR, 2) for real, _, _ in made.play(DAY / 2)] == [0.25, 11.11, 11.25]


def test_a_clock_that_was_years_ahead_stalls_nothing():
    made = machine("at 06:10", "2031-06-02 20:00", (12 * HOUR, "step", -5 * 365 * DAY))
    assert [turn.year for _, _, turn in made.play(3 * DAY)] == [2031, 2026, 2026]


def test_a_clock_that_is_set_right_before_the_first_turn_takes_none_away():
    """At boot the battery's clock was hours ahead."""
    runs = machine("at 22:00", "2026-06-02 21:00", (60.0, "step", -12 * HOUR)).play(DAY)
    assert shown(runs) == ["11.00: 02 22:00"]


def test_what_came_while_the_window_was_closed_waits_until_it_opens():
    night = TimeString.parse("Any2200-0600")
    made = machine("at 05:30", "2026-06-02 18:00", (HOUR, "sleep", 10 * HOUR), window=night)
    assert shown(made.play(2 * DAY)) == ["26.00: 03 05:30", "33.50: 04 05:30"]


# --- intervals


def gaps(runs):
    times = [0.0, *(real for real, _, _ in runs)]
    return [after - before for before, after in pairwise(times)]


@pytest.mark.parametrize("counts_sleep", [True, False])
@pytest.mark.parametrize("step", [-5 * 365 * DAY, -12 * HOUR, -1.0, 1.0])
def test_an_interval_neither_stalls_nor_doubles_when_a_clock_is_set(step, counts_sleep):
    made = machine(
        "every 30 min", "2026-06-02 18:00", (HOUR + 600.0, "step", step), counts_sleep=counts_sleep
    )
    assert gaps(made.play(6 * HOUR)) == pytest.approx([1800.0] * 11)


def test_an_interval_does_not_see_a_clock_set_forward_if_that_is_known_from_sleep():
    made = machine("every 30 min", "2026-06-02 18:00", (HOUR + 600.0, "step", 3 * DAY))
    assert set(map(round, gaps(made.play(6 * HOUR)))) == {1800}


def test_where_the_steady_clock_sleeps_too_it_ends_once_too_early():
    made = machine(
        "every 30 min", "2026-06-02 18:00", (HOUR + 600.0, "step", 3 * DAY), counts_sleep=False
    )
    assert list(map(round, gaps(made.play(3 * HOUR)))) == [1800, 1800, 630, 1800, 1800, 1800]


@pytest.mark.parametrize("counts_sleep", [True, False])
@pytest.mark.parametrize("what", ["sleep", "off"])
def test_an_interval_goes_on_while_the_machine_does_not(what, counts_sleep):
    made = machine(
        "every 30 min",
        "2026-06-02 18:00",
        (HOUR + 600.0, what, 8 * HOUR),
        counts_sleep=counts_sleep,
    )
    assert list(map(round, gaps(made.play(10 * HOUR)))) == [1800, 1800, 8 * 3600 + 630, 1800]


def test_an_interval_ends_within_the_window_only():
    hours = TimeString.parse("Any2000-2200")
    made = machine("every 45 min", "2026-06-02 18:00", zone=UTC, window=hours)
    assert [f"{local:%d %H:%M}" for _, local, _ in made.play(2 * DAY)] == [
        "02 20:00", "02 20:45", "02 21:30", "03 20:00", "03 20:45", "03 21:30",
    ]  # fmt: skip


def test_an_interval_begins_anew_at_each_turn_by_the_clock():
    made = machine(["every 2 hours", "at 06:10"], "2026-06-02 04:00", zone=UTC)
    times = [f"{local:%H:%M}" for _, local, _ in made.play(7 * HOUR)]
    assert times == ["06:00", "06:10", "08:10", "10:10"]


# --- anything

CLOCK_TEXTS = st.tuples(st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59])).map(
    lambda one: "{:02}:{:02}".format(*one)
)
DAYS = st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), max_size=3)
EVENTS = st.tuples(
    st.floats(0, 4 * DAY),
    st.sampled_from(["step", "sleep", "off", "restart"]),
    st.floats(-6 * HOUR, 3 * DAY),
)


@given(
    times=st.lists(CLOCK_TEXTS, min_size=1, max_size=3),
    days=DAYS,
    window=st.sampled_from([*WINDOWS, "Wk0900-1700", "SaSu"]),
    zone=st.sampled_from([UTC, BERLIN, NEW_YORK, LORD_HOWE]),
    start=st.sampled_from(["2026-03-07 09:00", "2026-03-28 09:30", "2026-04-03 12:00",
                           "2026-10-03 11:00", "2026-10-24 09:00", "2026-10-31 12:00"]),
    events=st.lists(EVENTS, max_size=3),
    counts_sleep=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_no_turn_is_missed_or_doubled_whatever_happens(
    times, days, window, zone, start, events, counts_sleep
):
    happening = [
        (at, what, seconds if what == "step" else abs(seconds)) for at, what, seconds in events
    ]
    numbers = [["mon", "tue", "wed", "thu", "fri", "sat", "sun"].index(day) for day in days]
    hours = TimeString.parse(window)
    referee = Referee(clock(*times, days=numbers or range(7)), hours)
    text = f"{','.join(days)} at {' and '.join(times)}"
    made = Machine(
        Timetable.parse_any(text),
        zone,
        utc(start),
        hours,
        counts_sleep,
        happening,
        on_look=referee,
    )
    turns = [turn for _, _, turn in made.play(5 * DAY)]
    assert turns == sorted(set(turns))
