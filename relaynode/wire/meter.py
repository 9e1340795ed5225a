"""What a line carries: byte counts, and its rate and round trip estimated from acknowledgements.

Time is an argument. The estimate follows what BBR does for TCP (draft-ietf-ccwg-bbr): the rate is
the best delivery rate of recent samples, the round trip the smallest seen, and their product is
what must be under way for the line never to be idle.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

ENOUGH_BYTES = 4096
"""What must have arrived before a rate is one: less is in a modem's buffer before it is sent."""


MOST_STRETCHES = 1000
"""Of a run's busy time that are kept apart: the latest."""


@dataclass(slots=True)
class LineFigures:
    """The rate and the round trip of a line, as all sessions of a run have seen them together.

    A message keeps the line busy from when it began to go out until a round trip before it was
    answered. Sessions side by side share the line: so its rate is what all of them have carried, in
    the time in which any of them kept it busy. Bytes are those that go out.
    """

    _busy: deque[tuple[float, float, int]] = field(
        default_factory=lambda: deque(maxlen=MOST_STRETCHES)
    )
    _trip: tuple[float, int] | None = None

    def carried(self, size_bytes: int, begun_at: float, answered_at: float) -> None:
        """A message has gone and was answered, seconds of one clock."""
        if self._busy and self._trip is not None:
            first, last, size = self._busy[-1]
            if first <= begun_at <= last - self._trip[0]:  # one behind the other, without a pause
                self._busy[-1] = (first, max(last, answered_at), size + size_bytes)
                return
        self._busy.append((begun_at, answered_at, size_bytes))

    def answered(self, seconds: float, size_bytes: int) -> None:
        """A short question was answered; the bytes are those of both."""
        if self._trip is None or seconds < self._trip[0]:
            self._trip = (seconds, size_bytes)

    @property
    def bytes_per_second(self) -> float | None:
        """None if too little has gone out to say."""
        return self._figures()[0]

    @property
    def round_trip_seconds(self) -> float | None:
        """Without the time that the bytes of question and answer took; None if nobody answered."""
        return self._figures()[1]

    def _figures(self) -> tuple[float | None, float | None]:
        """Each is needed for the other: the second guess is near enough."""
        if self._trip is None:
            return None, None
        seconds, own_bytes = self._trip
        rate, trip = None, seconds
        for _ in range(3):
            rate = self._rate(trip)
            trip = max(seconds - own_bytes / rate, 0.0) if rate else seconds
        return rate, trip

    def _rate(self, trip: float) -> float | None:
        size, busy, until = 0, 0.0, 0.0
        for first, last, size_bytes in sorted(self._busy):
            end = last - trip
            if end > first:
                size += size_bytes
                busy += max(end - max(first, until), 0.0)
                until = max(until, end)
        return size / busy if size >= ENOUGH_BYTES and busy > 0 else None


@dataclass(slots=True, weakref_slot=True)
class ByteCount:
    """Bytes that crossed a line's streams, without what TCP and IP add.

    Streams tell it of each byte, and ask it whether the next may cross; whoever hands out messages
    asks whether one more is wise. This one allows everything; see links/purse.py for one that does
    not. `overhead_bytes`: what crossed the line besides, as far as that is counted.
    `line`: what the streams' users have seen of the line.
    """

    bytes_out: int = 0
    bytes_in: int = 0
    overhead_bytes: int = 0
    line: LineFigures = field(default_factory=LineFigures)

    def sent(self, size: int) -> None:
        """`size` bytes were given to the line."""
        self.bytes_out += size

    def received(self, size: int) -> None:
        """`size` bytes came from the line."""
        self.bytes_in += size

    # --- what streams ask

    def opened(self, line: MeteredLine) -> None:
        """A line that is counted here: it may have to end at once."""

    def room_bytes(self, size: int) -> int:
        """How many of `size` bytes may be sent."""
        return size

    def check(self) -> None:
        """Raises: BudgetSpent when no byte may cross any more."""

    # --- what those ask who hand out messages

    @property
    def is_closing(self) -> bool:
        """Is nothing to be begun any more, however small?"""
        return False

    def fits(self, size: int, opening_bytes: float = 0.0, *, is_inward: bool = False) -> bool:
        """Would `takes` take it?"""
        return True

    def takes(self, size: int, opening_bytes: float = 0.0, *, is_inward: bool = False) -> bool:
        """May a message of that size be begun, behind `opening_bytes` that its session needs? If
        so, it is under way until `ended`. `is_inward`: it comes."""
        return True

    def ended(self, *, is_inward: bool = False) -> None:
        """One that was taken is under way no more."""

    def passed_over(self, messages: int) -> None:
        """So many were not taken, and wait for another time."""


class MeteredLine(Protocol):
    """What is asked of a line that is counted: see Stream."""

    def abort(self) -> None: ...
    def backlog(self) -> int: ...


NO_LIMIT = ByteCount()
"""For those who need none: it is told of nothing."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was known when something was sent: give it back when it is acknowledged."""

    at: float
    size_bytes: int
    delivered_before: int
    delivered_at: float


class PipeMeter:
    """Estimates how many bytes fill the pipe."""

    GAIN = 2.0
    """Twice the product: room to find out that the line is faster than it seemed."""

    SAMPLES = 10
    """Acknowledgements that the best rate is taken from."""

    def __init__(self, now: float) -> None:
        self._delivered = 0
        self._delivered_at = now
        self._rates: deque[float] = deque(maxlen=self.SAMPLES)
        self._round_trip = float("inf")

    def round_trip(self, seconds: float) -> None:
        """A short question was answered after `seconds`."""
        self._round_trip = min(self._round_trip, max(seconds, 1e-6))

    def send(self, size_bytes: int, now: float) -> Sent:
        """Something of that size begins to go out."""
        return Sent(now, size_bytes, self._delivered, self._delivered_at)

    def acknowledge(self, sent: Sent, now: float) -> None:
        """It has arrived."""
        self._delivered += sent.size_bytes
        elapsed = max(now - sent.delivered_at, 1e-6)
        self._rates.append((self._delivered - sent.delivered_before) / elapsed)
        self._delivered_at = now

    @property
    def is_settled(self) -> bool:
        """Were there enough acknowledgements for the estimate to be one of a full pipe?"""
        return len(self._rates) >= self.SAMPLES

    @property
    def round_trip_seconds(self) -> float | None:
        """The shortest round trip seen, None before the first."""
        return None if self._round_trip == float("inf") else self._round_trip

    @property
    def rate(self) -> float:
        """Bytes per second, 0 while unknown."""
        return max(self._rates, default=0.0)

    @property
    def window_bytes(self) -> float:
        """How many bytes should be under way; 0 while unknown."""
        if not self._rates or self._round_trip == float("inf"):
            return 0.0
        return self.GAIN * self.rate * self._round_trip
