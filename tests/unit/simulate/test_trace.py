"""Traces: what lines mean, and what is said of lines that mean nothing."""

import pytest

from relaynode.simulate.events import LineChange, MailIn, MailOut
from unit.simulate.plays import read

DAY = 86_400
BEGIN = 1_793_512_800.0  # 2026-11-01 06:00 UTC


def problem(line):
    _, reader = read(f"2026-11-01 06:00 down isp\n{line}\n+30d end")
    (found,) = reader.problems
    return str(found)


def test_a_link_comes_up_with_its_rate_and_round_trip():
    trace, _ = read("2026-11-01 06:00 up isp 9600 1000ms")
    assert trace.events == (LineChange(BEGIN, "isp", True, 9600.0, 1.0),)


def test_a_link_that_comes_up_for_a_time_goes_down_after_it():
    trace, _ = read("2026-11-01 06:00 up isp for 20m")
    assert trace.events[1] == LineChange(BEGIN + 1200, "isp", is_up=False)


def test_times_count_from_the_line_before():
    trace, _ = read(
        "2026-11-01 06:00 up isp\n+35m down isp\n\n06:50 rate isp 2400 # noon\n02:00 up isp"
    )
    assert [one.at - BEGIN for one in trace.events] == [0, 2100, 3000, 20 * 3600]


def test_rates_and_losses_change():
    trace, _ = read("2026-11-01 06:00 rate isp 33.6k 200ms\n+0s loss isp 5%")
    assert trace.events == (
        LineChange(BEGIN, "isp", None, 33_600.0, 0.2),
        LineChange(BEGIN, "isp", loss=0.05),
    )


def test_mail_has_a_size_addresses_and_a_grade():
    trace, _ = read("2026-11-01 06:00 mail 14k from a@b to c@d grade A")
    assert trace.events == (MailOut(BEGIN, 14 * 1024, "a@b", "c@d", "A"),)


@pytest.mark.parametrize("text", ["fetch box 4k x12", "fetch box 12 x 4k"])
def test_mail_waits_in_an_account(text):
    trace, _ = read(f"2026-11-01 06:00 {text}")
    assert trace.events == (MailIn(BEGIN, 4096, "box"),) * 12


def test_mail_that_comes_every_so_often_is_spread_over_the_time_between():
    trace, _ = read("2026-11-01 06:00 every 3h mail 2k..40k x20\n+1d end")
    assert len(trace.events) == 160
    assert all(2048 <= one.size_bytes <= 40 * 1024 for one in trace.events)
    assert len({one.at for one in trace.events}) > 100
    assert trace.events == tuple(sorted(trace.events, key=lambda one: one.at))


def test_links_that_come_up_every_so_often_do_so_at_that_moment():
    trace, _ = read("2026-11-01 06:00 every 1d up isp\n+3d end")
    assert [one.at for one in trace.events] == [BEGIN, BEGIN + DAY, BEGIN + 2 * DAY]


def test_the_same_seed_gives_the_same_mail_and_another_one_other_mail():
    text = "seed {}\n2026-11-01 06:00 every 3h mail 2k..40k x5\n+1d end"
    assert read(text.format(3))[0] == read(text.format(3))[0] != read(text.format(4))[0]


@pytest.mark.parametrize(
    ("line", "wrong", "remedy"),
    [
        ("+5m fly isp", '"fly" is no event', "write one of"),
        ("+5m", "says nothing", "write one of"),
        ("+5x up isp", '"+5x" is no time that passes', '"+35m"'),
        ("soon up isp", '"soon" is no moment', "begin with"),
        ("2026-10-01 06:00 up isp", "earlier than the line before", "order of their times"),
        ("25:00 up isp", '"25:00" is no time of the day', "06:10"),
        ("+5m up sat", 'no link "sat"', "name one of isp, or add [link.sat]"),
        ("+5m up", "names no link", "name one of isp"),
        ("+5m up isp fast", '"fast" is no rate', "9600 1000ms"),
        ("+5m up isp for ever", '"ever" is no time that passes', "for 20m"),
        ("+5m down isp now", '"now" is not understood', "leave it out"),
        ("+5m rate isp", "says no rate", "rate isp 2400"),
        ("+5m loss isp 100%", "no share", "loss isp 5%"),
        ("+5m mail", "says no size", "14k"),
        ("+5m mail 40k..2k", '"40k..2k" is no size', "2k..40k"),
        ("+5m mail 99999m", "is no size", "14k"),
        ("+5m mail 4k cc a@b", '"cc" is not understood', "from ADDRESS"),
        ("+5m mail 4k grade AA", '"AA" is no grade', "0-9"),
        ("+5m fetch other 4k", 'no account "other"', "name one of box"),
        ("every never mail 4k", "no interval", "every 3h"),
        ("every 1s mail 4k x999999", "more than 250,000 events", "end the trace earlier"),
        ("seed x", "no number", "seed 7"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_its_remedy(line, wrong, remedy):
    found = problem(line)
    assert found.startswith("t.trace:2: ")
    assert wrong in found and remedy in found


def test_what_repeats_wants_an_end():
    _, reader = read("2026-11-01 06:00 every 1d up isp")
    assert "without end" in str(reader.problems[0])


def test_the_first_event_wants_a_date():
    _, reader = read("06:00 up isp")
    assert "give the first event a date" in str(reader.problems[0])


def test_nothing_stands_behind_the_end():
    _, reader = read("2026-11-01 06:00 end\n+1h up isp")
    assert str(reader.problems[0]).startswith("t.trace:2: stands behind the end")


def test_an_empty_trace_has_no_event():
    _, reader = read("# nothing\n")
    assert "has no event" in str(reader.problems[0])


def test_all_lines_that_are_wrong_are_named_at_once():
    _, reader = read("2026-11-01 06:00 fly isp\n+1h swim isp")
    assert [one.line for one in reader.problems] == [1, 2]
