"""How fast the line is, learned from acknowledgements: how long to wait for one that is missing.

A packet is back after the round trip of the line and the time in which it, and all that was under
way before it, go over the line. Both are measured. Until they are, the line is taken to be slow:
sending again what is still under way costs more than finding out late that it was lost.
"""

from __future__ import annotations

SLOWEST_BYTES_PER_SECOND = 10.0
"""What a line is believed to carry before anything was measured."""

PEER_SECONDS = 2.0
"""What a peer may take to answer, beyond what was measured."""

MAX_WAIT_SECONDS = 900.0

_MARGIN = 1.5
_SURELY = 0.75
_OFF_LINE = 1 / 8  # how much one worse measurement counts


class Pace:
    """The round trip and the rate of a line, as far as known. Times in seconds, sizes in bytes."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._is_rate_certain = False  # a busy line has shown it
        self._round_trip = PEER_SECONDS  # without what the rate explains; rather too long
        self._fastest: float | None = None

    def measured_start(self, seconds: float) -> None:
        """A packet without content was answered by another."""
        self._round_trip = seconds
        self._fastest = seconds

    def measured(self, seconds: float, ahead: int, delivered: int, *, is_busy: bool) -> None:
        """A packet that was sent once is acknowledged.

        `ahead`: what was under way when it was sent, itself included; `delivered`: what was
        acknowledged since, itself included; `is_busy`: the line had enough to carry.
        """
        self._learn_rate(delivered / max(seconds, 1e-6), is_busy=is_busy)
        self._fastest = seconds if self._fastest is None else min(self._fastest, seconds)
        unexplained = max(0.0, seconds - ahead / self._rate)
        if unexplained > self._round_trip:
            self._round_trip = unexplained
        else:
            self._round_trip += (unexplained - self._round_trip) * _OFF_LINE

    def _learn_rate(self, rate: float, *, is_busy: bool) -> None:
        self._is_rate_certain |= is_busy
        if rate >= self._rate:
            self._rate = rate
        elif is_busy:
            self._rate += (rate - self._rate) * _OFF_LINE

    def seconds_for(self, size_bytes: float) -> float:
        """How long that much takes on the line, at the least rate believed."""
        return size_bytes / max(self._rate, SLOWEST_BYTES_PER_SECOND)

    def wait_for(self, ahead: int) -> float:
        """How long to wait for the acknowledgement of a packet with that much under way."""
        wait = _MARGIN * (self._round_trip + self.seconds_for(ahead)) + PEER_SECONDS
        return min(wait, MAX_WAIT_SECONDS)

    def earliest_answer(self, ahead: int) -> float:
        """Before this has passed, nothing the peer says can be about the packet."""
        if self._fastest is None:
            return 0.0
        transmission = self.seconds_for(ahead) if self._is_rate_certain else 0.0
        return _SURELY * max(self._fastest, transmission)

    @property
    def round_trip(self) -> float:
        """What the line and the peer take beside the bytes; rather too long than too short."""
        return self._round_trip
