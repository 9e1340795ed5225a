"""How long what we send stands in queues before the line takes it, and how much to keep there.

Modems and kernels take whatever we give them; a reply waits behind it. The round trip does not tell
whose queue is long, ours or the peer's. So between two of our kind

- each bundle begins with a stamp: the sender's clock, in units of 20 ms, 2 bytes, modulo 65536;
- the receiver compares it with its own clock: the shortest difference seen is the bare line, what
  is more was spent in the queue. It tells that in each packet that names no channel (ACK, NAK,
  BUNDLE), in the six bits for channels, as a power: see `_seconds`;
- the sender keeps as much on the line as makes the queue about as long as two packets take, and
  half a second. So the line never runs empty, and nothing waits for long. What has arrived is not
  on the line any more, though its acknowledgement stands in the peer's queue: so much is added.

This is how LEDBAT (RFC 6817) does it.
"""

from __future__ import annotations

STAMP_BYTES = 2

FIRST_FLIGHT_BYTES = 8192
"""How much is put on a line of which nothing is known."""

TARGET_SECONDS = 0.5
TARGET_PACKETS = 2

FORGET_SECONDS = 600.0
"""The shortest difference is forgotten after that to twice that: clocks drift."""

_UNIT_SECONDS = 0.02
_STAMPS = 1 << (8 * STAMP_BYTES)
_CODES = 64
_STEP = 1.2


def stamp(now: float) -> bytes:
    """The stamp for a bundle that is written now."""
    return (int(now / _UNIT_SECONDS) % _STAMPS).to_bytes(STAMP_BYTES, "big")


def _seconds(code: int) -> float:
    """What a code means: 0, 20 ms, 24 ms ... 27 minutes."""
    return _UNIT_SECONDS * _STEP ** (code - 1) if code else 0.0


class Delay:
    """The peer's queue, as we see it when its bundles arrive."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._shortest = 0
        self._shortest_lately = 0
        self._forget_at = 0.0
        self.seconds = 0.0
        """How long its latest bundle stood there."""
        self.code = 0
        """What to tell the peer."""

    def note(self, stamped: bytes, now: float) -> None:
        """A bundle with this stamp came now."""
        difference = int(now / _UNIT_SECONDS) - int.from_bytes(stamped, "big")
        if self._first is None:
            self._first = difference
            self._forget_at = now + FORGET_SECONDS
        half = _STAMPS // 2
        difference = (difference - self._first + half) % _STAMPS - half
        if now >= self._forget_at:
            self._forget_at = now + FORGET_SECONDS
            self._shortest, self._shortest_lately = self._shortest_lately, difference
        self._shortest_lately = min(self._shortest_lately, difference)
        self._shortest = min(self._shortest, self._shortest_lately)
        self.seconds = (difference - self._shortest) * _UNIT_SECONDS
        self.code = _code(self.seconds)


def _code(seconds: float) -> int:
    for code in range(_CODES):
        if _seconds(code + 1) > seconds:
            return code
    return _CODES - 1


class Flight:
    """How much may be on the line."""

    def __init__(self) -> None:
        self.limit_bytes = FIRST_FLIGHT_BYTES
        self._is_finding = True
        """Whether our queue was never as long as it is to be."""

    def told(self, code: int, byte_count: int, packet_bytes: int, bytes_per_second: float) -> None:
        """The peer acknowledged so many bytes of a full flight, and told how long our queue was.

        At first twice as much in a round trip, until there is a queue; then up to two packets more,
        or down to three quarters.
        """
        target = TARGET_SECONDS + TARGET_PACKETS * packet_bytes / bytes_per_second
        lack = max(-1.0, (target - _seconds(code)) / target)
        self._is_finding = self._is_finding and lack > 0
        if self._is_finding:
            change = lack * byte_count
        elif lack > 0:
            change = lack * byte_count * TARGET_PACKETS * packet_bytes / self.limit_bytes
        else:
            change = lack * byte_count / 4
        self.limit_bytes = max(2 * packet_bytes, self.limit_bytes + int(change))
