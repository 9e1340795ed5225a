"""What the line is like, as its acknowledgements tell: rate, round trip, how long to wait.

From it follow when a packet counts as lost - not after some fixed time, but when its
acknowledgement is overdue at the rate measured, given what was on the line before it - and how long
a packet should be.

Lateness is measured where all that is acknowledged together was sent once (Karn's rule): the
acknowledgement of another packet may belong to either sending, and those behind it waited for it.
"""

from __future__ import annotations

SLOWEST_BYTES_PER_SECOND = 20.0
"""What a 200 bit/s radio line carries: assumed until the line was seen to carry more."""

MARGIN_SECONDS = 1.0
"""An acknowledgement may come so much later than it should, at least."""

RATE_CAUTION = 1.25
"""The line may have become slower by this much since it was measured."""

PACE_GAIN = 1.25
"""We hand over bytes that much faster than the line seems to be, to see when it becomes faster."""

TRAIN_BYTES = 4096
TRAIN_SECONDS = 3.0
"""A rate is measured over so many bytes acknowledged in one go, or so long a time."""

PACKET_SECONDS = 0.3
SLOW_PACKET_SECONDS = 4.0
SLOW_PACKET_BYTES = 1024
MIN_PACKET_BYTES = 256
"""A packet is as long as the line carries in that time. On slow lines the ten bytes around it
count for more than the wait: up to 1024 bytes it may take four seconds."""


class Pace:
    """The measurements of one direction.

    `timeout_seconds`: how long an acknowledgement may take on a line not measured yet, beside the
    time that the bytes take at 200 bit/s.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._shortest: float | None = None
        self._least_rate = SLOWEST_BYTES_PER_SECOND
        self._rate: float | None = None
        self._lateness = 0.0
        self._train_from: float | None = None
        self._train_bytes = 0
        self._train_was_starved = False

    # --- measuring

    def acknowledged_fresh(self, seconds: float, ahead_bytes: int) -> None:
        """A packet that was sent once was acknowledged `seconds` after it was sent, with
        `ahead_bytes` on the line then, itself included."""
        if self._shortest is not None:
            late = seconds - self.expected_seconds(ahead_bytes)
            self._lateness = max(late, self._lateness * 7 / 8)

    def acknowledged_any(self, seconds: float, ahead_bytes: int) -> None:
        """A packet was acknowledged so long after it was sent first: the line is no worse than
        that, even if it was sent again."""
        self._shortest = seconds if self._shortest is None else min(self._shortest, seconds)
        self._least_rate = max(self._least_rate, ahead_bytes / max(seconds, 1e-6))

    def acknowledged(self, byte_count: int, now: float, was_starved: bool) -> None:
        """So many bytes were acknowledged. `was_starved`: we had too little to send to fill the
        line, so that a low rate says nothing."""
        if self._train_from is None:
            self._begin_train(now)
            return
        self._train_bytes += byte_count
        self._train_was_starved |= was_starved
        elapsed = now - self._train_from
        is_long = elapsed >= min(self.round_trip_seconds, TRAIN_SECONDS)
        if (
            elapsed > 0
            and is_long
            and (self._train_bytes >= TRAIN_BYTES or elapsed >= TRAIN_SECONDS)
        ):
            self._note_rate(self._train_bytes / elapsed)
            self._begin_train(now)

    def _begin_train(self, now: float) -> None:
        self._train_from, self._train_bytes, self._train_was_starved = now, 0, False

    def interrupted(self) -> None:
        """Nothing is on the line any more, or something was lost: a new train begins."""
        self._train_from = None

    def _note_rate(self, rate: float) -> None:
        if self._rate is None:
            self._rate = rate
        elif rate > self._rate:
            self._rate += (rate - self._rate) / 2
        elif not self._train_was_starved:
            self._rate += (rate - self._rate) / 8

    # --- what follows

    @property
    def bytes_per_second(self) -> float:
        """What the line carries, at least."""
        return self._least_rate if self._rate is None else max(self._rate, 1.0)

    @property
    def round_trip_seconds(self) -> float:
        """The shortest round trip seen; the time-out if there was none."""
        return self._timeout_seconds if self._shortest is None else self._shortest

    def expected_seconds(self, ahead_bytes: int) -> float:
        """When the acknowledgement of a packet should come, with so much before it."""
        return self.round_trip_seconds + RATE_CAUTION * ahead_bytes / self.bytes_per_second

    def taking_seconds(self, byte_count: int) -> float:
        """How long the line needs at most for so many bytes; 0 if that is not known."""
        return byte_count / (PACE_GAIN * self._rate) if self._rate else 0.0

    def patience_seconds(self, ahead_bytes: int) -> float:
        """How long to wait for the acknowledgement of a packet with so much before it."""
        return self.expected_seconds(ahead_bytes) + MARGIN_SECONDS + 2 * self._lateness

    @property
    def packet_bytes(self) -> int:
        """How long the content of a packet should be."""
        quick = int(self.bytes_per_second * PACKET_SECONDS)
        if self._rate is None:  # it is at least as fast as that
            return max(SLOW_PACKET_BYTES, quick)
        slow = int(min(self._rate * SLOW_PACKET_SECONDS, SLOW_PACKET_BYTES))
        return max(MIN_PACKET_BYTES, slow, quick)
