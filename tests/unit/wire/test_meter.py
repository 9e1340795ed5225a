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


def test_a_lines_rate_is_what_it_carried_while_it_was_busy() -> None:
    line = LineFigures()
    assert (line.bytes_per_second, line.round_trip_seconds) == (None, None)
    line.answered(1.0, 0)
    line.carried(4000, 0.0, 5.0)  # 4 s on the line, 1 s there and back
    line.carried(4000, 2.0, 9.0)  # handed over while the first went, and on the line behind it
    line.carried(2000, 20.0, 23.0)  # after a pause
    assert line.bytes_per_second == 1000.0
    assert line.round_trip_seconds == 1.0


def test_sessions_that_share_a_line_have_its_rate_together() -> None:
    line = LineFigures()
    line.answered(1.0, 0)
    for begun in (0.0, 0.5, 0.0):
        line.carried(3000, begun, 10.0)
    assert line.bytes_per_second == 1000.0


def test_the_round_trip_is_without_what_its_own_bytes_took() -> None:
    line = LineFigures()
    line.answered(2.0, 0)
    line.answered(0.9, 200)
    assert line.round_trip_seconds == 0.9
    line.carried(9000, 0.0, 9.7)
    assert line.round_trip_seconds == pytest.approx(0.7, abs=0.01)
    assert line.bytes_per_second == pytest.approx(1000.0, rel=0.01)


def test_a_note_alone_tells_nothing_of_a_rate() -> None:
    line = LineFigures()
    line.answered(1.0, 100)
    line.carried(500, 10.0, 11.1)
    line.carried(50_000, 20.0, 20.9)  # answered before it can have arrived
    assert line.bytes_per_second is None


def test_a_long_run_takes_no_more_memory() -> None:
    line = LineFigures()
    line.answered(1.0, 0)
    for number in range(3000):
        line.carried(1000, 10.0 * number, 10.0 * number + 2)
    assert line.bytes_per_second == 1000.0
    assert len(line._busy) == 1000
