"""The sending half of g, G and v: a window of packets under way, and what is sent again when.

The peer keeps only what comes in order, so it is "go back n": what it rejects, and all after it, is
sent again. After a time-out only the oldest packet is: mostly an acknowledgement was lost, and the
answer to that one packet tells what the peer has.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import LineLost
from relaynode.uucp.lines.g_packet import HEADER_BYTES, NUMBERS, field_sum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.uucp.line import Counts
    from relaynode.uucp.lines.g_content import Field
    from relaynode.uucp.lines.g_pace import Pace

_LONGEST_BACKOFF_SECONDS = 60.0


@dataclass(slots=True)
class _UnderWay:
    """A packet that is not acknowledged. `ahead`: bytes under way when it was sent, with it."""

    number: int
    field: Field
    field_sum: int
    sent_at: float
    ahead: int
    delivered: int  # how much was acknowledged before it was sent
    is_busy: bool
    is_resent: bool = False

    @property
    def size_bytes(self) -> int:
        """Its size on the line."""
        return len(self.field.content) + HEADER_BYTES


class Sender:
    """Packets numbered, sent within the window, and sent again.

    `window`: how many may be under way. What is to go out waits for `take_outgoing`.
    """

    def __init__(self, pace: Pace, counts: Counts, retries: int) -> None:
        self._pace = pace
        self._counts = counts
        self.window = 0
        self._retries = retries
        self._waiting: deque[Field] = deque()
        self._under_way: deque[_UnderWay] = deque()
        self._number = 0  # of the last one sent
        self._delivered = 0
        self._backlog = 0.0  # bytes that the line has not carried yet, as far as known
        self._backlog_at = 0.0
        self._timeouts = 0
        self._suspected_before: float | None = None
        self._outgoing: list[_UnderWay] = []

    # --- what is to be sent

    @property
    def free(self) -> int:
        """How many more packets the window has room for."""
        return max(0, self.window - len(self._under_way) - len(self._waiting))

    @property
    def has_waiting(self) -> bool:
        """Whether something was never sent."""
        return bool(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether everything is acknowledged."""
        return not self._under_way and not self._waiting

    @property
    def bytes_under_way(self) -> int:
        """How much is sent and not acknowledged."""
        return sum(packet.size_bytes for packet in self._under_way)

    def send(self, fields: Iterable[Field], now: float) -> None:
        """Send these, as soon as the window allows."""
        self._waiting.extend(fields)
        self.fill_window(now)

    def fill_window(self, now: float) -> None:
        """Send what waits and may go."""
        while self._waiting and len(self._under_way) < self.window:
            field = self._waiting.popleft()
            self._number = (self._number + 1) % NUMBERS
            total = field_sum(field.content)
            packet = _UnderWay(self._number, field, total, now, 0, self._delivered, is_busy=False)
            self._under_way.append(packet)
            self._put(packet, now)

    def _put(self, packet: _UnderWay, now: float) -> None:
        carried = (now - self._backlog_at) / self._pace.seconds_for(1)
        self._backlog = max(0.0, self._backlog - carried) + packet.size_bytes
        self._backlog_at = now
        packet.sent_at = now
        packet.ahead = round(self._backlog)
        packet.is_busy = len(self._under_way) * 2 > self.window and len(self._under_way) > 1
        self._counts.sent += 1
        self._outgoing.append(packet)

    def _put_again(self, packets: Iterable[_UnderWay], now: float) -> None:
        for packet in packets:
            packet.is_resent = True
            self._counts.resent += 1
            self._put(packet, now)

    def take_outgoing(self) -> list[tuple[int, Field, int]]:
        """What is to go over the line now: number, field, sum of the field."""
        outgoing, self._outgoing = self._outgoing, []
        return [(packet.number, packet.field, packet.field_sum) for packet in outgoing]

    # --- what the peer has

    def acknowledged(self, number: int, now: float) -> int:
        """The peer has everything up to `number`. Returns how many bytes that is news of."""
        count = self._count_up_to(number)
        if not count:
            return 0
        packets = [self._under_way.popleft() for _ in range(count)]
        news = sum(packet.size_bytes for packet in packets)
        self._delivered += news
        self._timeouts = 0
        if not packets[-1].is_resent:
            self._measure(packets[-1], now)
        if not any(packet.is_resent for packet in self._under_way):
            self._backlog = min(self._backlog, self.bytes_under_way)
        self._resend_suspected(now)
        return news

    def _count_up_to(self, number: int) -> int:
        """How many of those under way are acknowledged by this; none by what was said before."""
        for count, packet in enumerate(self._under_way, start=1):
            if packet.number == number:
                return count
        return 0

    def _measure(self, packet: _UnderWay, now: float) -> None:
        self._pace.measured(
            now - packet.sent_at,
            packet.ahead,
            self._delivered - packet.delivered,
            is_busy=packet.is_busy,
        )

    def _resend_suspected(self, now: float) -> None:
        """After a time-out the peer has got on: what was sent before it, and lacks, was lost."""
        if self._suspected_before is None:
            return
        before, self._suspected_before = self._suspected_before, None
        self._put_again([one for one in self._under_way if one.sent_at < before], now)

    def rejected(self, number: int, now: float) -> int:
        """The peer has everything up to `number`, and lost what came next.

        Returns how many are sent again: none if the peer cannot have seen the last copy yet.
        """
        self.acknowledged(number, now)
        if not self._under_way:
            return 0
        oldest = self._under_way[0]
        if now - oldest.sent_at < self._pace.earliest_answer(oldest.ahead):
            return 0
        self._suspected_before = None
        self._put_again(list(self._under_way), now)
        return len(self._under_way)

    def rejected_one(self, number: int, now: float) -> int:
        """The peer lost this one. Returns how many are sent again."""
        packets = [packet for packet in self._under_way if packet.number == number]
        self._put_again(packets, now)
        return len(packets)

    # --- what the peer may not have

    @property
    def wake_at(self) -> float | None:
        """When the oldest packet counts as lost."""
        if not self._under_way:
            return None
        oldest = self._under_way[0]
        wait = self._pace.wait_for(oldest.ahead)
        longest = max(wait, _LONGEST_BACKOFF_SECONDS)
        return oldest.sent_at + min(wait * (1 << self._timeouts), longest)

    def timed_out(self, now: float) -> None:
        """Send the oldest packet again. Raises: LineLost (it was done often enough)."""
        self._timeouts += 1
        if self._timeouts > self._retries:
            raise LineLost("the peer does not acknowledge what we send")
        self._suspected_before = now
        self._put_again([self._under_way[0]], now)
