"""Time strings mean what Taylor has them mean, and what is written is read as the same."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.config.timestring import ANY, DAY, NEVER, WEEK, TimeString
from relaynode.config.uucp_values import GradeTime

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = range(7)


def at(hour, minute=0):
    return 60 * hour + minute


def test_hours_that_end_before_they_begin_wrap_within_the_same_day():
    nights = TimeString.parse("Wk2305-0855,Sa,Su2305-1655")
    assert nights.is_open(MONDAY, at(0))
    assert nights.is_open(MONDAY, at(8, 54))
    assert not nights.is_open(MONDAY, at(8, 55))
    assert nights.is_open(FRIDAY, at(23, 5))
    assert all(nights.is_open(SATURDAY, minute) for minute in range(DAY))
    assert nights.is_open(SUNDAY, at(16, 54))
    assert not nights.is_open(SUNDAY, at(17))


def test_a_wrap_does_not_reach_into_the_next_day():
    monday = TimeString.parse("Mo2300-0700")
    assert monday.is_open(MONDAY, at(6))
    assert monday.is_open(MONDAY, at(23))
    assert not monday.is_open(TUESDAY, at(6))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("any", "Any"),
        ("MoWeFr0800-1700", "Mo0800-1700,We0800-1700|Fr0800-1700"),
        ("Any2305-2305", "Any"),
        ("Any0000-2400", "Any"),
        ("wk0800-1700,mo", "TuWeThFr0800-1700,Mo"),
        ("Sa5-630", "Sa0005-0630"),
        ("Wk2305-0000", "MoTuWeThFr2305-2400"),
        ("None", "Never"),
        ("night", "Wk2305-0755,Sa,Su2305-1655"),
        ("NonPeak", "Wk1805-0655,Sa,Su"),
    ],
)
def test_what_means_the_same_is_equal(text, same):
    assert TimeString.parse(text) == TimeString.parse(same)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0800-1700",
        "Mo0800",
        "Mo-Fr",
        "Su,Nope",
        "Night,Su",
        "su|mo,,we",
        "9:00-17:00",
        "Any2500-0100",
        "Any0060-0100",
        "Any0000-2401",
        "Any00000-0100",
        "NeverAny",
    ],
)
def test_what_is_none_is_refused_and_quoted(text):
    with pytest.raises(ValueError, match=r"is no time string"):
        TimeString.parse(text)


def test_timetables_of_the_site_have_a_name():
    tables = {"cheap": TimeString.parse("Sa")}
    assert TimeString.parse("CHEAP", tables) == TimeString.parse("Sa")


def test_never_matches_nothing_and_never_opens():
    assert not any(NEVER.is_open(day, minute) for day in range(7) for minute in range(0, DAY, 7))
    assert NEVER.opens_in(MONDAY, 0) is None
    assert str(NEVER) == "Never"


def test_it_tells_when_it_opens_next_over_the_end_of_the_week():
    mornings = TimeString.parse("Mo0600-0700")
    assert mornings.opens_in(MONDAY, at(5, 50)) == 10
    assert mornings.opens_in(MONDAY, at(6, 30)) == 0
    assert mornings.opens_in(SUNDAY, at(23, 59)) == 1 + at(6)
    assert mornings.opens_in(MONDAY, at(7)) == WEEK - 60


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Any", "Any"),
        ("su1705-2255|Wk0905-2255", "Wk0905-2255,Su1705-2255"),
        ("Mo2300-0700", "Mo0000-0700,Mo2300-0000"),
    ],
)
def test_it_is_written_in_its_shortest_form(text, written):
    assert str(TimeString.parse(text)) == written


minutes = st.integers(0, DAY)
windows = st.tuples(
    st.sampled_from("Su Mo Tu We Th Fr Sa Wk Any SaSu".split()), st.tuples(minutes, minutes)
)


@given(st.lists(windows, min_size=1, max_size=6))
def test_what_is_written_means_what_was_read(windows):
    text = ",".join(
        f"{day}{start // 60:02}{start % 60:02}-{end // 60:02}{end % 60:02}"
        for day, (start, end) in windows
    )
    times = TimeString.parse(text)
    assert TimeString.parse(str(times)) == times
    for span in times.spans:
        assert 0 <= span.start < span.end <= WEEK


@given(st.text(max_size=30))
def test_no_text_does_worse_than_a_value_error(text):
    with contextlib.suppress(ValueError):
        TimeString.parse(text)


# ---- with a grade and a wait


def test_a_grade_and_the_minutes_to_wait_stand_around_the_times():
    assert GradeTime.parse("C Wk0800-1700 10") == GradeTime(
        TimeString.parse("Wk0800-1700"), "C", 10
    )
    assert GradeTime.parse("Any") == GradeTime(ANY)
    assert GradeTime.parse("Sa 5").retry_minutes == 5
    assert str(GradeTime.parse("C Any 7")) == "C Any 7"


@pytest.mark.parametrize("text", ["", "C", "CC Any", "Any x", "Any 5 6", "C Any 5 6"])
def test_a_time_with_something_else_around_it_is_refused(text):
    with pytest.raises(ValueError):
        GradeTime.parse(text)
