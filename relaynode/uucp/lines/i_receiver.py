"""What the peer has sent over protocol i: back in order, and which packets to ask for again.

Every number that is missing is asked for at once. What came early is kept: at most a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.uucp.lines.i_packet import NUMBERS, Packet

if TYPE_CHECKING:
    from relaynode.uucp.line import Counts

ACK_DELAY_SECONDS = 0.05
"""So long, for each packet of the frequency, an acknowledgement waits for more packets."""

FREQUENCY_BYTES = 1024
"""A packet that is longer than that counts for more than one."""


class Receiver:
    """The other side's window, as we see it.

    `window`: how many packets we have asked for. `ack_frequency`: after how many an
    acknowledgement is due at once.
    """

    def __init__(self, window: int, ack_frequency: int, counts: Counts) -> None:
        self._window = window
        self._ack_frequency = ack_frequency
        self._counts = counts
        self._expected = 1
        self._early: dict[int, Packet] = {}
        self._asked_for: set[int] = set()
        self._wanted: list[int] = []
        self._unacknowledged = 0
        self._unacknowledged_bytes = 0
        self._ack_at: float | None = None
        self._untold = 0
        self._held = 0

    @property
    def number_to_tell(self) -> int:
        """The number to acknowledge: the last in order, but for those that are held back."""
        return (self._expected - 1 - min(self._untold, self._held)) % NUMBERS

    def take(self, packet: Packet, now: float) -> list[Packet]:
        """A numbered packet came: all that are in order now."""
        distance = self._distance(packet.number)
        if distance >= self._window or packet.number in self._early:
            self._repeated(now)
            return []
        self._early[packet.number] = packet
        self._asked_for.discard(packet.number)
        self._counts.received += 1
        if distance:
            self._counts.out_of_order += 1
        self._ask_before(distance)
        return self._in_order(now)

    def damaged(self, number: int) -> None:
        """A packet of this number came with a wrong content."""
        distance = self._distance(number)
        if distance < self._window and number not in self._early:
            self._ask_before(distance)
            self._ask(number)

    def take_wanted(self) -> list[int]:
        """The numbers that the peer is to be asked for now."""
        wanted, self._wanted = self._wanted, []
        return wanted

    def _distance(self, number: int) -> int:
        return (number - self._expected) % NUMBERS

    def _in_order(self, now: float) -> list[Packet]:
        ready: list[Packet] = []
        while self._expected in self._early:
            ready.append(self._early.pop(self._expected))
            self._unacknowledged_bytes += len(ready[-1].content)
            self._expected = (self._expected + 1) % NUMBERS
        self._unacknowledged += len(ready)
        self._untold += len(ready)
        if ready and self._ack_at is None:
            self._ack_at = now + ACK_DELAY_SECONDS * self._ack_frequency
        if self._is_much():
            self._ack_at = now
        return ready

    def _is_much(self) -> bool:
        much_bytes = self._ack_frequency * FREQUENCY_BYTES
        is_many = self._unacknowledged >= self._ack_frequency
        return is_many or self._unacknowledged_bytes >= much_bytes

    def _repeated(self, now: float) -> None:
        """The peer knows less of us than it should: say it again."""
        self._counts.out_of_order += 1
        self._ack_at = now
        self._untold = 0
        self._asked_for.clear()
        if self._early:
            self._ask_before(max(self._distance(number) for number in self._early))

    def _ask_before(self, distance: int) -> None:
        for i in range(distance):
            number = (self._expected + i) % NUMBERS
            if number not in self._early and number not in self._asked_for:
                self._ask(number)

    def _ask(self, number: int) -> None:
        self._asked_for.add(number)
        if number not in self._wanted:
            self._wanted.append(number)

    # --- acknowledging

    @property
    def ack_at(self) -> float | None:
        """When an acknowledgement must go, if nothing else carries it before."""
        return None if 0 < self._untold <= self._held else self._ack_at

    def is_ack_due(self, now: float) -> bool:
        """Whether that is now."""
        return self.ack_at is not None and self.ack_at <= now

    def hold_back(self, packets: int, now: float) -> None:
        """So many of the last packets are not acknowledged yet (i_duplex); what was held back and
        is not any more is acknowledged at once."""
        if packets < self._held and self._untold > packets:
            self._ack_at = now
        self._held = packets

    def acknowledged(self) -> None:
        """A packet with `number_to_tell` in it has been written."""
        self._unacknowledged = self._unacknowledged_bytes = 0
        self._untold = min(self._untold, self._held)
        self._ack_at = None
