"""When both sides send files over a slow line, and the peer is not one of ours.

Such a peer (Taylor's uucico) puts its whole window on the line at once, so that its answers and
acknowledgements arrive a window late. Whoever does the same waits for the other: two windows of 16
packets, some of them short, are just enough or just not, as chance has it, and then each waits for
half a window in turn. Seen on the wire at 2,400 bit/s: a line that was idle for 12 s of 160 s.
So we

- keep little more than one packet waiting before the line, so that what the peer waits for does not
  stand behind our data. How fast the line is, its own bytes tell from the first seconds on; the
  acknowledgements come in heaps and tell it late, and only if the line was never empty;
- begin with little, because of that;
- save numbers (i_outgoing): requests, answers and positions are packets, too, and the first window
  must last until the peer's first acknowledgement, which comes behind its own first window;
- tell it of the last packets late, two or four: it has so many fewer on the line, and its
  acknowledgements arrive before our window is used up.

Where packets are short, because the files are, a window is used up in seconds by either side, and
the line is idle if it becomes smaller still: then nothing is told late, and answers do not wait.

Faster lines do not need it: there the round trip counts, and a window is short.
"""

from __future__ import annotations

FIRST_BYTES = 4096
"""How much is put on the line before it is known how fast it is."""

SLOW_SECONDS = 3.0
"""A line is slow if a window takes so long. It must be more than any round trip, lest fewer packets
leave the line empty."""

SLACK_PACKETS = 1.2
"""So much may wait before the line."""

PACKET_SECONDS = 4.0
LONG_PACKET_BYTES = 1024
"""A packet is as long as the line carries in that time, up to so many bytes."""

VERY_SLOW_SECONDS = 20.0
"""A line is very slow if a window takes so long."""

HELD_SIXTEENTHS = 2
HELD_SIXTEENTHS_IF_VERY_SLOW = 4
"""So much of the window is acknowledged late."""

SHORT_PACKET_BYTES = LONG_PACKET_BYTES // 3
MEAN_PACKETS = 16
"""Packets are short if so many are no longer than that in the mean: small files and their commands.
A window of them lasts for so few seconds that nothing is gained by making it smaller."""

ARRIVAL_BYTES = 1000
ARRIVAL_SECONDS = 10.0
"""The speed of what comes is taken over so many bytes, if they took no longer than that: what is
slower was not sent without a break."""

STEADY_BYTES = 4096
STEADY_SECONDS = 3.0
"""Once it is known, it is taken over so many bytes or so long a time: a machine that is busy for a
moment hands over in a heap what has come, and no line is as fast as that."""

TRAIN_BYTES = 8192
"""The speed of what goes is taken over so many bytes acknowledged."""

HEAP_SECONDS = 0.1
"""Acknowledgements so close to each other came in one heap: time counts from the last of them."""


class Arrivals:
    """How fast the peer's bytes come when they come fastest."""

    def __init__(self) -> None:
        self.bytes_per_second = 0.0
        self._since: float | None = None
        self._bytes = 0

    def came(self, byte_count: int, now: float) -> None:
        """So many bytes came now."""
        if self._since is None or now - self._since > ARRIVAL_SECONDS:
            self._begin(now)
            return
        self._bytes += byte_count
        elapsed = now - self._since
        is_steady = self._bytes >= STEADY_BYTES or elapsed >= STEADY_SECONDS
        is_enough = is_steady or not self.bytes_per_second
        if self._bytes >= ARRIVAL_BYTES and elapsed > 0 and is_enough:
            self.bytes_per_second = max(self.bytes_per_second, self._bytes / elapsed)
            self._begin(now)

    def _begin(self, now: float) -> None:
        self._since, self._bytes = now, 0


class Departures:
    """How fast our bytes are acknowledged."""

    def __init__(self) -> None:
        self.bytes_per_second = 0.0
        self._since: float | None = None
        self._bytes = 0
        self._was_starved = False

    def acknowledged(self, byte_count: int, now: float, was_starved: bool) -> None:
        """So many bytes were. `was_starved`: we had too little to send to fill the line."""
        if self._since is None:
            self._begin(now)
            return
        self._bytes += byte_count
        self._was_starved |= was_starved
        elapsed = now - self._since
        if self._bytes >= TRAIN_BYTES and elapsed > 0:
            self._note(self._bytes / elapsed)
            self._begin(now)
        elif elapsed < HEAP_SECONDS:
            self._begin(now)

    def interrupted(self) -> None:
        """Nothing is on the line any more, or something was lost."""
        self._since = None

    def _note(self, rate: float) -> None:
        if not self.bytes_per_second:
            self.bytes_per_second = rate
        elif rate > self.bytes_per_second or not self._was_starved:
            self.bytes_per_second += (rate - self.bytes_per_second) / 2

    def _begin(self, now: float) -> None:
        self._since, self._bytes, self._was_starved = now, 0, False


class Duplex:
    """What the line carries in either direction, and what follows for us."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.departures = Departures()
        # Until the peer's are seen to be long nothing is told late.
        self._arriving_bytes = float(SHORT_PACKET_BYTES)
        self._leaving_bytes = float(LONG_PACKET_BYTES)

    @property
    def is_known(self) -> bool:
        """Whether enough has come to tell how fast the line is."""
        return self.arrivals.bytes_per_second > 0

    @property
    def packet_bytes(self) -> int:
        """How long the content of a packet should be at least, since numbers are scarce."""
        return int(min(self.arrivals.bytes_per_second * PACKET_SECONDS, LONG_PACKET_BYTES))

    def packet_arrived(self, byte_count: int) -> None:
        """A numbered packet of the peer's."""
        self._arriving_bytes += (byte_count - self._arriving_bytes) / MEAN_PACKETS

    def packet_left(self, byte_count: int) -> None:
        """A numbered packet of ours."""
        self._leaving_bytes += (byte_count - self._leaving_bytes) / MEAN_PACKETS

    @property
    def gets_short_packets(self) -> bool:
        """Whether the peer's packets are short."""
        return self._arriving_bytes <= SHORT_PACKET_BYTES

    @property
    def sends_short_packets(self) -> bool:
        """Whether ours are short."""
        return self._leaving_bytes <= SHORT_PACKET_BYTES

    def is_slow(self, window_bytes: int) -> bool:
        """Whether so much takes long. Not if nothing has come yet that tells it."""
        rate = self.arrivals.bytes_per_second
        return 0 < rate * SLOW_SECONDS <= window_bytes

    def held_sixteenths(self, window_bytes: int) -> int:
        """How much of such a window of the peer's is acknowledged late on a line that is_slow."""
        if self.gets_short_packets:
            return 0
        is_very_slow = self.arrivals.bytes_per_second * VERY_SLOW_SECONDS <= window_bytes
        return HELD_SIXTEENTHS_IF_VERY_SLOW if is_very_slow else HELD_SIXTEENTHS

    def taking_seconds(self, byte_count: int) -> float:
        """How long a line needs for so many bytes that is_slow."""
        rate = max(self.arrivals.bytes_per_second, self.departures.bytes_per_second)
        return byte_count / rate
