"""What a line carries and how much fills it, told by a clock that the test holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.wire.meter import ByteCount, LineFigures, PipeMeter


def test_bytes_are_counted_each_way() -> None:
    count = ByteCount()
    count.sent(3)
    count.received(5)
    count.sent(4)
    assert (count.bytes_out, count.bytes_in) == (7, 5)


def test_nothing_is_known_before_the_first_answers() -> None:
    meter = PipeMeter(now=0.0)
    assert (meter.rate, meter.window_bytes) == (0.0, 0.0)
    meter.round_trip(0.5)
    assert meter.window_bytes == 0.0
    meter = PipeMeter(now=0.0)
    meter.acknowledge(meter.send(100, 0.0), 1.0)
    assert (meter.rate, meter.window_bytes) == (100.0, 0.0)


def test_the_window_is_twice_what_the_line_holds() -> None:
    meter = PipeMeter(now=10.0)
    meter.round_trip(0.5)
    meter.acknowledge(meter.send(1000, 10.0), 11.0)
    assert meter.rate == 1000.0
    assert meter.window_bytes == PipeMeter.GAIN * 1000.0 * 0.5


def test_the_smallest_round_trip_counts() -> None:
    meter = PipeMeter(now=0.0)
    meter.acknowledge(meter.send(1000, 0.0), 1.0)
    for seconds, window in ((0.5, 1000.0), (2.0, 1000.0), (0.1, 200.0)):
        meter.round_trip(seconds)
        assert meter.window_bytes == pytest.approx(window)


def test_the_best_rate_of_recent_samples_counts() -> None:
    meter = PipeMeter(now=0.0)
    meter.acknowledge(meter.send(1000, 0.0), 1.0)
    now = 1.0
    for _ in range(PipeMeter.SAMPLES - 1):
        meter.acknowledge(meter.send(10, now), now + 1.0)
        now += 1.0
        assert meter.rate == 1000.0
    meter.acknowledge(meter.send(10, now), now + 1.0)
    assert meter.rate == 10.0


def test_messages_in_flight_together_are_measured_together() -> None:
    meter = PipeMeter(now=0.0)
    sent = [meter.send(100, 0.0) for _ in range(4)]
    for index, one in enumerate(sent, start=1):
        meter.acknowledge(one, now=float(index))
    # Each second another hundred bytes arrived, whenever they were sent.
    assert meter.rate == 100.0


def test_a_line_that_answers_at_once_has_a_rate_all_the_same() -> None:
    meter = PipeMeter(now=5.0)
    meter.round_trip(0.0)
    meter.acknowledge(meter.send(1000, 5.0), 5.0)
    assert 0 < meter.window_bytes < float("inf")


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 10**4)), min_size=1),
    st.floats(0, 10**4),
)
def test_the_window_is_always_a_number_and_never_negative(
    flights: list[tuple[int, float]], round_trip: float
) -> None:
    now = 0.0
    meter = PipeMeter(now)
    meter.round_trip(round_trip)
    for size, seconds in flights:
        sent = meter.send(size, now)
        now += seconds
        meter.acknowledge(sent, now)
        assert 0 <= meter.window_bytes < float("inf")


def test_the_lines_rate_is_over_the_whole_stretch_of_all_its_sessions() -> None:
    line = LineFigures()
    line.begins(0.0)
    assert (line.bytes_per_second, line.round_trip_seconds) == (None, None)
    line.arrived(9999, 3.0)  # how long it has been on its way is not known
    for second in range(4, 8):
        line.arrived(4000, second)
    assert line.bytes_per_second == 4000.0


def test_the_round_trip_is_without_what_its_own_bytes_took() -> None:
    line = LineFigures()
    line.answered(0.9, 200)
    assert line.round_trip_seconds == 0.9
    line.begins(0.0)
    line.arrived(1000, 1.7)
    line.arrived(8000, 9.7)
    assert line.round_trip_seconds == pytest.approx(0.7)
    line.answered(0.1, 200)
    assert line.round_trip_seconds == 0.0


def test_one_message_alone_tells_the_rate_if_the_round_trip_is_known() -> None:
    line = LineFigures()
    line.begins(10.0)
    line.arrived(8100, 15.0)
    assert line.bytes_per_second is None
    line.answered(1.0, 100)
    assert line.bytes_per_second == 2000.0


def test_a_note_alone_tells_nothing_of_a_rate() -> None:
    line = LineFigures()
    line.answered(1.0, 100)
    line.begins(10.0)
    line.arrived(500, 11.1)
    line.arrived(500, 11.2)
    assert line.bytes_per_second is None


def test_a_first_reply_that_was_late_does_not_make_the_line_faster() -> None:
    line = LineFigures()
    line.begins(0.0)
    line.answered(1.2, 200)  # on a line of 1000 bytes per second and 1 s
    line.arrived(1000, 3.5)  # 2.0 would have been in time
    line.arrived(9000, 11.0)
    assert line.bytes_per_second == pytest.approx(1000.0)
