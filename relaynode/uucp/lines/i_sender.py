"""What we have sent over protocol i and the peer has not acknowledged, and when to send it again.

A packet is sent again when the peer asks for it, or when its acknowledgement is overdue (i_pace)
and the peer is not merely busy: while bytes keep coming, the acknowledgement may stand in the
peer's queue behind them. It does not when more packets came than a window holds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import LineLost
from relaynode.uucp.lines.i_duplex import FIRST_BYTES, SLACK_PACKETS, Duplex
from relaynode.uucp.lines.i_packet import MAX_CONTENT_BYTES, NUMBERS, Kind, packet_bytes
from relaynode.uucp.lines.i_parameters import MAX_WINDOW, Parameters, Wishes
from relaynode.uucp.lines.i_queue import Flight

if TYPE_CHECKING:
    from relaynode.uucp.lines.i_pace import Pace

MIN_BEARABLE_BYTES = 64
"""Packets get no shorter than that, however noisy the line is."""

CALM_PACKETS = 32
"""After so many packets in a row that came through, we dare longer ones."""

STUBBORN = 4
"""So many times more often we try again while the peer is heard at all."""

PACE_SLACK_SECONDS = 0.2
"""So much may be handed over before the line has taken what was sent: clocks and kernels are late.
Without the pace an acknowledgement of many packets makes a burst, the burst delays our own
acknowledgements, and the two sides end up sending in turns."""

DUPLEX_SLACK_SECONDS = 0.5
"""The same toward a peer that is not ours and sends files as well, unless the line is slow
(i_duplex): a window of data would keep our answers to it waiting."""

PEER_SENDS_SECONDS = 10.0
"""After the last piece of a file a peer counts as sending for so long: its next one may wait for
our answer."""

MAX_JUNK_BYTES = 2 * MAX_CONTENT_BYTES
"""So many bytes without a packet in them, and the peer counts as silent."""


@dataclass(slots=True)
class Sent:
    """A packet on its way.

    `ahead_bytes`: what was on the line when it was sent last, with itself. `first_ahead_bytes`: the
    same when it was sent first.
    """

    kind: Kind
    number: int
    local: int
    remote: int
    content: bytes
    sent_at: float
    ahead_bytes: int
    first_sent_at: float
    first_ahead_bytes: int
    is_fresh: bool = True

    @property
    def size_bytes(self) -> int:
        """How long it is on the line."""
        return packet_bytes(len(self.content))


class Sender:
    """The window."""

    def __init__(self, parameters: Parameters, pace: Pace) -> None:
        self._parameters = parameters
        self._pace = pace
        self._wishes = Wishes(packet_size=1, window=1)
        self._flight = Flight()
        self.duplex = Duplex()
        self.peer_sends_until = 0.0
        """Until when the peer is taken to be sending files."""
        self.peers_queue_seconds = 0.0
        """How long acknowledgements stand in the peer's queue (i_queue)."""
        self._taken_at = 0.0
        """When the line has taken what was sent, if it is as fast as it seems."""
        self._unacknowledged: deque[Sent] = deque()
        self._flight_bytes = 0
        self._next_number = 1
        self._bearable_bytes = MAX_CONTENT_BYTES
        self._calm_packets = 0
        self._shortened_at = 0.0
        self._starved = False
        self._has_been_answered = False
        self.has_been_acknowledged = False
        """Whether the peer has told of any packet: until then numbers are scarcest."""
        self._timeouts = 0
        self._timed_out_at = 0.0
        self._progress_at = 0.0
        self.heard_at = 0.0
        """When something came from the peer last that was not mere junk."""
        self._junk_bytes = 0
        self._numbered_received = 0
        self._received_when_due: int | None = None

    def open(self, wishes: Wishes, now: float) -> None:
        """The peer has told how it wants packets."""
        self._wishes = wishes
        self._progress_at = now

    @property
    def is_paced(self) -> bool:
        """Whether the peer acknowledges at once, so that what is on the line can be limited."""
        return self._wishes.largest is not None

    @property
    def largest_content(self) -> int:
        """The longest content for the next packet."""
        forced = self._parameters.remote_packet_size
        allowed = min(forced or self._wishes.allowed_size, self._parameters.largest_packet)
        wanted = forced or self._pace.packet_bytes
        if not self.is_paced:
            wanted = max(wanted, self.duplex.packet_bytes)
        return min(allowed, wanted, self._bearable_bytes)

    @property
    def flight_limit_bytes(self) -> int:
        """How much there may be on the line."""
        window_bytes = self._wishes.window * packet_bytes(self.largest_content)
        if not self.is_paced:
            return window_bytes
        arrived_bytes = int(self._pace.bytes_per_second * self.peers_queue_seconds)
        return min(window_bytes, self._flight.limit_bytes + arrived_bytes)

    def shares_slow_line(self, now: float) -> bool:
        """Whether a peer that is not ours sends files too, over a slow line."""
        is_shared = not self.is_paced and now < self.peer_sends_until
        return is_shared and self.duplex.is_slow(self._peers_window_bytes)

    def _awaits_speed(self, now: float) -> bool:
        """Whether such a peer may be sending, and nothing tells yet how fast the line is."""
        may_send = not self._has_been_answered or now < self.peer_sends_until
        return not self.is_paced and may_send and not self.duplex.is_known

    def numbers_are_scarce(self, now: float) -> bool:
        """Whether the window may be used up by many short packets, and the line run empty."""
        return self.shares_slow_line(now) or self._awaits_speed(now)

    @property
    def _peers_window_bytes(self) -> int:
        return self._parameters.window * self._parameters.packet_size

    def held_packets(self, now: float) -> int:
        """How many of its packets such a peer is told of late."""
        if not self.shares_slow_line(now):
            return 0
        return self._parameters.window * self.duplex.held_sixteenths(self._peers_window_bytes) // 16

    @property
    def is_all_acknowledged(self) -> bool:
        """Whether nothing is on its way."""
        return not self._unacknowledged

    @property
    def has_spare_numbers(self) -> bool:
        """Whether a quarter of the window is free."""
        return 4 * len(self._unacknowledged) < 3 * self._wishes.window

    @property
    def may_answer(self) -> bool:
        """Whether an answer may have a number while data waits that needs them."""
        return self.has_spare_numbers or self.duplex.sends_short_packets

    def can_take(self, is_urgent: bool, now: float) -> bool:
        """Whether another packet may be sent. What is urgent only needs a number."""
        if len(self._unacknowledged) >= self._wishes.window:
            return False
        if is_urgent:
            return True
        if self.paced_until(now) is not None:
            return False
        if self._awaits_speed(now):
            return self._flight_bytes < FIRST_BYTES
        return self._on_line_bytes(now) < self.flight_limit_bytes

    def paced_until(self, now: float) -> float | None:
        """Until when the line is taken up by what was sent; None if it is free."""
        if self.is_paced:
            free_at = self._taken_at - PACE_SLACK_SECONDS
        elif self.shares_slow_line(now):
            packet = packet_bytes(self.largest_content)
            free_at = self._taken_at - SLACK_PACKETS * self.duplex.taking_seconds(packet)
        elif now < self.peer_sends_until:
            free_at = self._taken_at - DUPLEX_SLACK_SECONDS
        else:
            return None
        return free_at if free_at > now else None

    def _on_line_bytes(self, now: float) -> int:
        """What is still on the line. Behind a packet that was lost the peer keeps others, which it
        cannot acknowledge: they have landed when they should have been acknowledged."""
        if all(sent.is_fresh for sent in self._unacknowledged):
            return self._flight_bytes
        return sum(
            sent.size_bytes
            for sent in self._unacknowledged
            if now < sent.sent_at + self._pace.expected_seconds(sent.ahead_bytes)
        )

    def add(self, kind: Kind, local: int, remote: int, content: bytes, now: float) -> Sent:
        """Number the next packet."""
        if not self._unacknowledged:
            self._interrupted()
            self._progress_at = now
        size_bytes = packet_bytes(len(content))
        self.duplex.packet_left(size_bytes)
        self._flight_bytes += size_bytes
        measure = self.duplex if self.shares_slow_line(now) else self._pace
        self._taken_at = max(now, self._taken_at) + measure.taking_seconds(size_bytes)
        number, ahead = self._next_number, self._flight_bytes
        sent = Sent(kind, number, local, remote, content, now, ahead, now, ahead)
        self._next_number = (self._next_number + 1) % NUMBERS
        self._unacknowledged.append(sent)
        return sent

    def starve(self) -> None:
        """There is nothing more to send, though there would be room for it."""
        self._starved = True

    # --- what the peer tells

    def heard(self, byte_count: int, now: float) -> None:
        """Bytes came from the peer, perhaps packets."""
        self._junk_bytes += byte_count
        if self._junk_bytes <= MAX_JUNK_BYTES:
            self.heard_at = now

    def heard_packet(self, is_numbered: bool, content_bytes: int) -> None:
        """There was a packet in them."""
        self._junk_bytes = 0
        if is_numbered:
            self.duplex.packet_arrived(packet_bytes(content_bytes))
        self._numbered_received += is_numbered
        self._has_been_answered |= is_numbered

    def acknowledge(self, number: int, queue_code: int, now: float) -> None:
        """The peer has all packets up to this number. Others than those on their way mean nothing:
        it is an old acknowledgement. `queue_code`: how long our queue was (i_queue)."""
        if not self._unacknowledged:
            return
        count = (number - self._unacknowledged[0].number + 1) % NUMBERS
        if not 0 < count <= len(self._unacknowledged):
            return
        self._has_been_answered = self.has_been_acknowledged = True
        gone = [self._unacknowledged.popleft() for _ in range(count)]
        byte_count = sum(sent.size_bytes for sent in gone)
        self._flight_bytes -= byte_count
        self._measure(gone, byte_count, queue_code, now)
        self._progress_at = now
        self._timeouts = 0
        self._received_when_due = None

    def _measure(self, gone: list[Sent], byte_count: int, queue_code: int, now: float) -> None:
        newest = gone[-1]
        fresh = sum(sent.is_fresh for sent in gone)
        if fresh == len(gone):
            self._pace.acknowledged_fresh(now - newest.sent_at, newest.ahead_bytes)
            self._pace.acknowledged(byte_count, now, self._starved)
            self.duplex.departures.acknowledged(byte_count, now, self._starved)
            if not self._starved:
                packet_bytes, rate = self._pace.packet_bytes, self._pace.bytes_per_second
                self._flight.told(queue_code, byte_count, packet_bytes, rate)
        else:  # among them are some that came before
            self._interrupted()
        self._pace.acknowledged_any(now - newest.first_sent_at, newest.first_ahead_bytes)
        self._starved = False
        self._calm_packets += fresh
        if self._calm_packets >= CALM_PACKETS:
            self._calm_packets = 0
            self._bearable_bytes = min(2 * self._bearable_bytes, MAX_CONTENT_BYTES)

    def _interrupted(self) -> None:
        self._pace.interrupted()
        self.duplex.departures.interrupted()

    def rejected(self, number: int, now: float) -> list[Sent]:
        """The peer asks for a packet: what to send again. Nothing if it is on its way already."""
        for sent in self._unacknowledged:
            if sent.number == number:
                break
        else:
            return []
        if sent.is_fresh:  # what came behind it has arrived
            self._pace.acknowledged_any(now - sent.sent_at, sent.ahead_bytes)
        if not self.is_paced and sent.sent_at < self._timed_out_at:
            # After a time-out such a peer asks for one packet in its own time-out; what was sent
            # before ours is lost, too.
            lost = [one for one in self._unacknowledged if one.sent_at < self._timed_out_at]
            return self._again(lost, now)
        if not sent.is_fresh and now < sent.sent_at + self._pace.round_trip_seconds:
            return []
        return self._again([sent], now)

    # --- time

    def overdue(self, now: float) -> list[Sent]:
        """What to send again now. Raises: LineLost after too many times without progress."""
        wake_at = self.wake_at
        if wake_at is None or now < wake_at:
            return []
        if self._received_when_due is None:
            self._received_when_due = self._numbered_received
        if self._is_peer_busy(now):
            return []
        self._timeouts += 1
        self._timed_out_at = now
        self._received_when_due = None
        if self._is_hopeless(now):
            raise LineLost(f"protocol i: no acknowledgement in {now - self._progress_at:.0f} s")
        # The oldest, for peers that ask for nothing; the newest, since behind it the peer sees what
        # else is missing, and asks for all of it.
        ends = {one.number: one for one in (self._unacknowledged[0], self._unacknowledged[-1])}
        return self._again(list(ends.values()), now)

    def _is_hopeless(self, now: float) -> bool:
        retries = self._parameters.retries
        seconds = self._parameters.timeout * (retries + 1)
        if now < self.heard_at + seconds:  # it lives, though much is lost
            retries *= STUBBORN
        return self._timeouts > retries and now - self._progress_at >= seconds

    def _is_peer_busy(self, now: float) -> bool:
        assert self._received_when_due is not None
        came = self._numbered_received - self._received_when_due
        return now < self._quiet_at and came <= MAX_WINDOW

    @property
    def _quiet_at(self) -> float:
        """When the peer counts as silent if nothing comes until then."""
        return self.heard_at + self._pace.patience_seconds(0)

    @property
    def wake_at(self) -> float | None:
        """When `overdue` must be asked."""
        if not self._unacknowledged:
            return None
        if self._received_when_due is not None:
            came = self._numbered_received - self._received_when_due
            return self._quiet_at if came <= MAX_WINDOW else self._due_at
        return self._due_at

    @property
    def _due_at(self) -> float:
        """When the oldest should have been acknowledged.

        A peer that is not ours acknowledges when half a window has come, or with the next packet
        that it has to send.
        """
        oldest = self._unacknowledged[0]
        telling, extra_seconds = oldest, 0.0
        if not self.is_paced:
            half = min(self._wishes.window // 2, len(self._unacknowledged) - 1)
            telling, extra_seconds = self._unacknowledged[half], float(self._parameters.timeout)
        since = max(oldest.sent_at, telling.sent_at, self._timed_out_at)
        patience = self._pace.patience_seconds(telling.ahead_bytes) + extra_seconds
        longest = max(patience, float(self._parameters.timeout))
        return since + min(patience * 2.0 ** min(self._timeouts, 16), longest)

    @property
    def patient_until(self) -> float:
        """When the newest packet should have been answered."""
        newest = self._unacknowledged[-1]
        return newest.sent_at + self._pace.patience_seconds(newest.ahead_bytes)

    def _again(self, packets: list[Sent], now: float) -> list[Sent]:
        self._interrupted()
        for sent in packets:
            if sent.is_fresh:
                self._shorten(sent, now)
            sent.ahead_bytes = self._on_line_bytes(now) + sent.size_bytes
            sent.is_fresh = False
            sent.sent_at = now
        return packets

    def _shorten(self, lost: Sent, now: float) -> None:
        """The line is noisy: shorter packets. Once for all that was under way together."""
        is_calm = self._calm_packets >= CALM_PACKETS // 2
        self._calm_packets = 0
        half = self.largest_content // 2
        if not is_calm and len(lost.content) > half and lost.sent_at >= self._shortened_at:
            self._shortened_at = now
            self._bearable_bytes = max(MIN_BEARABLE_BYTES, half)
