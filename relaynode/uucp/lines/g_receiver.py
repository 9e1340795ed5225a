"""The receiving half of g, G and v: what is in order, what came twice, what is missing.

Only the next packet in order is kept. One that comes out of order is either a copy of what we have,
and then the acknowledgement was lost, or something before it was. Their numbers do not always tell,
since a window is nearly all the numbers there are; so the sums of the last ones are remembered.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from relaynode.uucp.lines.g_packet import MAX_WINDOW, NUMBERS, DataPacket


class Place(Enum):
    """Where a packet belongs."""

    NEXT = auto()
    REPEATED = auto()
    AHEAD = auto()


class Receiver:
    """What came, and what is to be said about it.

    `last`: the number of the last packet in order. `owes_ack`: the peer has not been told of it.
    `owes_reject`: the peer is to be told that something is missing after it.
    """

    def __init__(self) -> None:
        self.last = 0
        self.owes_ack = False
        self.owes_reject = False
        self._kept: deque[tuple[int, int]] = deque(maxlen=MAX_WINDOW)
        self._gap: int | None = None  # how far the last packet after the missing one was from it

    def take(self, packet: DataPacket) -> Place:
        """Where a packet belongs that is not damaged; the NEXT one is to be kept."""
        if packet.number == self._next:
            self.last = packet.number
            self.owes_ack = True
            self.owes_reject = False
            self._kept.append((packet.number, packet.field_sum))
            self._gap = None
            return Place.NEXT
        if (packet.number, packet.field_sum) in self._kept:
            return Place.REPEATED
        self._missed_before(packet.number)
        return Place.AHEAD

    def damaged(self, number: int) -> None:
        """A packet came whose content is damaged."""
        if number == self._next:
            self._gap = 0
            self.owes_reject = True
        else:
            self._missed_before(number)

    def _missed_before(self, number: int) -> None:
        """One rejection brings all that follows; only when that came, and lacks it again, another
        is due: then the distances begin anew."""
        distance = (number - self._next) % NUMBERS
        if self._gap is None or distance <= self._gap:
            self.owes_reject = True
        self._gap = distance

    @property
    def _next(self) -> int:
        return (self.last + 1) % NUMBERS
