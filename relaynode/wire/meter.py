"""What a line carries: byte counts, and its rate and round trip estimated from acknowledgements.

Time is an argument. The estimate follows what BBR does for TCP (draft-ietf-ccwg-bbr): the rate is
the best delivery rate of recent samples, the round trip the smallest seen, and their product is
what must be under way for the line never to be idle.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

ENOUGH_BYTES = 4096
"""What must have arrived before a rate is one: less is in a modem's buffer before it is sent."""


@dataclass(slots=True)
class LineFigures:
    """The rate and the round trip of a line, as all sessions of a run have seen them together.

    The rate is over the whole stretch from the first arrival that was known of to the last: what
    the line carried while it was busy, not its best moment. Bytes are those that go out.
    """

    _began_at: float | None = None
    _first_at: float | None = None
    _first_bytes: int = 0
    _last_at: float = 0.0
    _later_bytes: int = 0
    _answers: list[tuple[float, int]] = field(default_factory=list)

    def begins(self, now: float) -> None:
        """Something begins to go out."""
        if self._began_at is None:
            self._began_at = now

    def arrived(self, size_bytes: int, now: float) -> None:
        """So much more has arrived, it is known now."""
        if self._first_at is None:
            self._first_at, self._first_bytes = now, size_bytes
        else:
            self._later_bytes += size_bytes
        self._last_at = now

    def answered(self, seconds: float, size_bytes: int) -> None:
        """A question was answered; the bytes are those of both."""
        self._answers.append((seconds, size_bytes))

    @property
    def bytes_per_second(self) -> float | None:
        """None if too little has gone out to say.

        What there is to go by errs upwards: a first reply that was late makes the stretch behind it
        short, a round trip that was measured too long the one that began with the first byte.
        """
        found = [one for one in (self._between_arrivals(), self._since_begun()) if one is not None]
        return min(found, default=None)

    def _between_arrivals(self) -> float | None:
        if self._first_at is None or self._later_bytes < ENOUGH_BYTES:
            return None
        seconds = self._last_at - self._first_at
        return self._later_bytes / seconds if seconds > 0 else None

    def _since_begun(self) -> float | None:
        """All of it, in the time from its first byte to its last reply, but for a round trip: that
        is measured with the bytes of question and answer in it, which took their time, too."""
        size = self._first_bytes + self._later_bytes
        if self._began_at is None or not self._answers or size < ENOUGH_BYTES:
            return None
        trip, own_bytes = min(self._answers)
        seconds = self._last_at - self._began_at - trip
        return (size - own_bytes) / seconds if seconds > 0 and size > own_bytes else None

    @property
    def round_trip_seconds(self) -> float | None:
        """Without the time that the bytes of question and answer took; None if nobody answered."""
        rate = self.bytes_per_second
        trips = [one - (size / rate if rate else 0.0) for one, size in self._answers]
        return max(min(trips), 0.0) if trips else None


@dataclass(slots=True)
class ByteCount:
    """Bytes that crossed a line's streams, without what TCP and IP add.

    `line`: what the streams' users have seen of the line.
    """

    bytes_out: int = 0
    bytes_in: int = 0
    line: LineFigures = field(default_factory=LineFigures)

    def sent(self, size: int) -> None:
        """`size` bytes were given to the line."""
        self.bytes_out += size

    def received(self, size: int) -> None:
        """`size` bytes came from the line."""
        self.bytes_in += size


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
