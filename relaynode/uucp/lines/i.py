"""Protocol i: packets with a window, checked, both ways at once, several files at a time.

    start   SYNC <-> SYNC                        what each asks of the other (i_parameters)
    then    DATA, SPOS -> ACK, NAK <-            both ways, until
    end     CLOSE <-> CLOSE

A command, its file and the answers to it share a channel. A file follows its command without
waiting for the answer; where the peer does not want it, or not from its beginning, it is cut short
or goes on elsewhere.

i_packet    a packet's bytes
i_pace      what the line is like
i_queue     how much of what we send stands in queues
i_duplex    what others than ours need when both send
i_sender    our window: what is on its way, what to send again
i_receiver  the peer's window: order, what to ask for again, when to acknowledge
i_incoming  what the peer's packets mean
i_outgoing  what waits to be put into packets
i_packing   which packets carry it
i_bundle    what we put into one packet for our own kind

Here is what holds them together: the start, the end, and what to put on the line when.

Bounds: the peer can make us keep one packet (i_packet), a window of packets that came early
(i_receiver) and the beginning of a command for each of 31 channels (i_incoming).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, LocalProtocolError
from relaynode.uucp.line import (
    MAIN,
    MAX_COMMAND_BYTES,
    Channel,
    Closed,
    Command,
    Counts,
    Data,
    Event,
    Remark,
    Settings,
    Started,
)
from relaynode.uucp.lines.i_bundle import BUNDLE_CHANNELS
from relaynode.uucp.lines.i_incoming import Incoming
from relaynode.uucp.lines.i_outgoing import Outgoing
from relaynode.uucp.lines.i_pace import Pace
from relaynode.uucp.lines.i_packet import (
    NUMBERED,
    Damaged,
    Kind,
    Packet,
    Scanner,
    encode,
)
from relaynode.uucp.lines.i_packing import POSITIONS, BundlePacking, Packing, PlainPacking
from relaynode.uucp.lines.i_parameters import (
    MAX_CHANNELS,
    Parameters,
    Wishes,
    decode_wishes,
    encode_wishes,
    read_parameters,
)
from relaynode.uucp.lines.i_queue import STAMP_BYTES, Delay, stamp
from relaynode.uucp.lines.i_receiver import Receiver
from relaynode.uucp.lines.i_sender import (
    MIN_BEARABLE_BYTES,
    PEER_SENDS_SECONDS,
    Sender,
    Sent,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

IDLE_SECONDS = 120.0
"""A peer that says nothing for so long, with nothing of ours on its way, is gone."""


class _State(Enum):
    WAITING = auto()
    """for the peer's SYNC"""
    OPEN = auto()
    CLOSING = auto()
    """we shall say CLOSE as soon as there is room for it"""
    CLOSE_SENT = auto()
    CLOSED = auto()


class LineI:
    """Protocol i."""

    letter = "i"
    is_full_duplex = True
    can_restart = True
    hears_on = True

    def __init__(self, settings: Settings) -> None:
        self._begin(settings.is_caller, read_parameters(self.letter, settings.parameters))
        # Who was told parameters knows better what this line bears.
        self._is_to_begin_at_once = settings.begins_at_once and not settings.parameters
        self._is_among_ours = settings.is_among_ours

    def _begin(self, is_caller: bool, parameters: Parameters) -> None:
        self.channels = MAX_CHANNELS
        self.counts = Counts()
        self._is_caller = is_caller
        self._parameters = parameters
        self._scanner = Scanner(is_caller)
        self._sender = Sender(parameters, Pace(parameters.timeout))
        self._receiver = Receiver(parameters.window, parameters.ack_frequency, self.counts)
        self._delay = Delay()
        self._incoming = Incoming()
        self._outgoing = Outgoing()
        self._packing: Packing = PlainPacking(self._outgoing)
        self._state = _State.WAITING
        self._packets: list[bytes] = []
        self._events: list[Event] = []
        self._is_to_be_filled = False
        self._paced_until: float | None = None
        """When the line is free again for what waits."""
        self._now = 0.0
        """When we were called last."""
        self._syncs_sent = 0
        self._sync_at: float | None = None
        """When to send SYNC again."""
        self._close_at: float | None = None
        """When we wait no longer for the peer's CLOSE."""
        self._peer_is_open = False
        self._errors = 0
        self._good_packets = 0
        self._is_to_begin_at_once = self._is_among_ours = False
        self._is_synchronised = False
        """Whether the peer has told what it wishes."""

    # --- start

    @property
    def is_waiting(self) -> bool:
        """Whether the peer has not begun."""
        return self._state is _State.WAITING

    @property
    def is_closed(self) -> bool:
        """Whether the protocol has ended."""
        return self._state is _State.CLOSED

    def start(self, now: float) -> None:
        """Say what we ask for."""
        self._sender.heard(0, now)
        self._send_sync(now)
        if self._is_to_begin_at_once:
            usual = self._parameters
            largest = usual.largest_packet if self._is_among_ours else None
            self._open(Wishes(usual.packet_size, usual.window, MAX_CHANNELS, largest), now)

    def _send_sync(self, now: float) -> None:
        """Every other one is without what other programs may not expect there."""
        asked = self._parameters
        is_plain = asked.plain or self._syncs_sent % 2
        largest = None if is_plain else asked.largest_packet
        wishes = Wishes(asked.packet_size, asked.window, MAX_CHANNELS, largest)
        self._write(Kind.SYNC, content=encode_wishes(wishes))
        self._syncs_sent += 1
        self._sync_at = now + asked.sync_timeout

    def _synchronised(self, content: bytes, now: float) -> None:
        wishes = decode_wishes(content)
        if self._is_synchronised:
            self._sync_came_again(now)
            return
        self._is_synchronised = True
        if self._state is _State.WAITING:
            self._open(wishes, now)
        else:
            self._sender.open(wishes, now)

    def _open(self, wishes: Wishes, now: float) -> None:
        self.channels = wishes.channels
        self._sender.open(wishes, now)
        is_ours = self._sender.is_paced and not self._parameters.plain
        if is_ours and self._sender.largest_content >= MIN_BEARABLE_BYTES:
            self._packing = BundlePacking(self._outgoing)
            self.channels = BUNDLE_CHANNELS
        self._state = _State.OPEN
        self._events.append(Started())

    def _sync_came_again(self, now: float) -> None:
        """Ours may be lost. Two sides must not answer each other's for ever."""
        is_due = self._sync_at is not None and now >= self._sync_at - self._half_sync_timeout
        if is_due and not self._peer_is_open and self._has_syncs_left:
            self._send_sync(now)

    @property
    def _half_sync_timeout(self) -> float:
        return self._parameters.sync_timeout / 2

    @property
    def _has_syncs_left(self) -> bool:
        return self._syncs_sent <= self._parameters.sync_retries

    # --- what arrives

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what came. Raises: RemoteProtocolError, LineLost."""
        if self.is_closed:
            return self._take_events()
        self._sender.heard(len(data), now)
        if data and not self.is_waiting:
            self._sender.duplex.arrivals.came(len(data), now)
        for found in self._scanner.feed(data, now):
            if isinstance(found, Damaged):
                self._damaged(found)
            else:
                self._packet(found, now)
            if self.is_closed:
                break
        self._fill(now)
        return self._take_events()

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _damaged(self, damaged: Damaged) -> None:
        self.counts.damaged += 1
        self._errors += 1
        which = "" if damaged.number is None else f" {damaged.number}"
        self._events.append(Remark(f"damaged packet{which}"))
        if 0 < self._parameters.errors < self._errors:
            raise LineLost(f"protocol {self.letter}: too many damaged packets")
        if damaged.number is not None and self._state is not _State.WAITING:
            self._receiver.damaged(damaged.number)
            self._ask_again()

    def _forgive(self) -> None:
        """So many good packets make up for one that was damaged."""
        self._good_packets += 1
        if self._good_packets >= self._parameters.error_decay:
            self._good_packets = 0
            self._errors = max(0, self._errors - 1)

    def _packet(self, packet: Packet, now: float) -> None:
        self._forgive()
        self._sender.heard_packet(packet.kind in NUMBERED, len(packet.content))
        if packet.kind is Kind.SYNC:
            self._synchronised(packet.content, now)
        elif self._state is _State.WAITING:
            self._missed_sync(now)
        else:
            self._peer_is_open = True
            names_no_channel = packet.kind in (Kind.ACK, Kind.NAK, Kind.BUNDLE)
            code = packet.local << 3 | packet.remote if names_no_channel else 0
            self._sender.acknowledge(packet.acknowledged, code, now)
            self._open_packet(packet, now)

    def _missed_sync(self, now: float) -> None:
        """The peer has begun, so its SYNC was lost: ours, said again, makes it repeat its own."""
        assert self._sync_at is not None
        if now >= self._sync_at - self._half_sync_timeout and self._has_syncs_left:
            self._send_sync(now)

    def _open_packet(self, packet: Packet, now: float) -> None:
        if packet.kind is Kind.NAK:
            self.counts.rejected += 1
            self._send_again(self._sender.rejected(packet.number, now))
        elif packet.kind in NUMBERED:
            if packet.kind is Kind.BUNDLE:
                self._delay.note(packet.content[:STAMP_BYTES], now)
                self._sender.peers_queue_seconds = self._delay.seconds
                packet = packet._replace(content=packet.content[STAMP_BYTES:])
            for ready in self._receiver.take(packet, now):
                self._in_order(ready, now)
            self._ask_again()

    def _in_order(self, packet: Packet, now: float) -> None:
        if self.is_closed:
            return
        if packet.kind is Kind.CLOSE:
            self._peer_closed(now)
            return
        events = self._incoming.take(packet)
        if any(isinstance(event, Data) or _offers_file(event) for event in events):
            self._sender.peer_sends_until = now + PEER_SENDS_SECONDS
        self._events += events

    def _ask_again(self) -> None:
        for number in self._receiver.take_wanted():
            self._write(Kind.NAK, number)

    # --- what we say

    def data_to_send(self) -> bytes:
        """Take all bytes for the peer."""
        return b"".join(self.packets_to_send())

    def packets_to_send(self) -> list[bytes]:
        """The same, packet by packet. An acknowledgement goes by itself only if nothing else was
        written meanwhile that carries it."""
        if self._is_to_be_filled:
            self._fill(self._now)
        self._receiver.hold_back(self._held_packets, self._now)
        if not self.is_closed and self._receiver.is_ack_due(self._now):
            self._write(Kind.ACK)
        packets, self._packets = self._packets, []
        return packets

    @property
    def _held_packets(self) -> int:
        """How many of the peer's packets it is told of late. With nothing of ours to send it would
        take our silence for a loss."""
        return self._sender.held_packets(self._now) if self._outgoing.has_files else 0

    def _write(
        self,
        kind: Kind,
        number: int = 0,
        local: int = 0,
        remote: int = 0,
        content: bytes = b"",
    ) -> None:
        if self._sender.is_paced and kind in (Kind.ACK, Kind.NAK, Kind.BUNDLE):
            local, remote = self._delay.code >> 3, self._delay.code & 7
        last = self._receiver.number_to_tell
        packet = Packet(kind, number, local, last, remote, self._is_caller, content)
        self._packets.append(encode(packet))
        self._receiver.acknowledged()

    def _write_sent(self, sent: Sent) -> None:
        stamped = stamp(sent.sent_at) if sent.kind is Kind.BUNDLE else b""
        self._write(sent.kind, sent.number, sent.local, sent.remote, stamped + sent.content)

    def _send_numbered(self, kind: Kind, channel: Channel, content: bytes, now: float) -> None:
        local, remote = (channel.number, 0) if channel.is_ours else (0, channel.number)
        self._write_sent(self._sender.add(kind, local, remote, content, now))
        self.counts.sent += 1

    def _send_again(self, packets: Iterable[Sent]) -> None:
        for sent in packets:
            self._write_sent(sent)
            self.counts.resent += 1
            self._events.append(Remark(f"packet {sent.number} sent again"))

    def _fill(self, now: float) -> None:
        """Put on the line what it has room for."""
        if self._state in (_State.OPEN, _State.CLOSING):
            self._outgoing.saves_numbers = self._sender.numbers_are_scarce(now)
            while self._can_take(now):
                is_full = not self._sender.can_take(is_urgent=False, now=now)
                packet = self._packing.next_packet(self._sender.largest_content, is_full)
                if packet is None:
                    self._sender.starve()
                    break
                self._send_numbered(*packet, now)
        self._close_if_due(now)
        self._now = now
        self._is_to_be_filled = False
        is_waiting = self._outgoing.waiting_bytes > 0
        self._paced_until = self._sender.paced_until(now) if is_waiting else None

    def _can_take(self, now: float) -> bool:
        self._outgoing.may_answer = self._sender.may_answer
        self._outgoing.may_interrupt = self._sender.has_been_acknowledged
        return self._sender.can_take(self._has_urgent, now)

    def _fill_later(self, now: float) -> None:
        """Bundles are made when bytes are taken: more may come now that fits into them. So are
        packets that must be few: what comes now may go before what is there."""
        self._now = now
        self._is_to_be_filled = True
        is_bundled = isinstance(self._packing, BundlePacking)
        if not is_bundled and not self._sender.numbers_are_scarce(now):
            self._fill(now)

    @property
    def _has_urgent(self) -> bool:
        """Whether a command goes before the line is free. Where data waits that it can go with, it
        must not take the numbers that the data needs."""
        is_affordable = self._sender.has_spare_numbers or not self._outgoing.has_files
        return self._packing.has_urgent and (is_affordable or not self._sender.is_paced)

    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        """Send a command or reply, before file data that waits. Raises: LocalProtocolError."""
        if b"\0" in text or len(text) > MAX_COMMAND_BYTES:
            raise LocalProtocolError("a command is too long, or holds its own terminator")
        self._outgoing.command(channel, text + b"\0")
        self._fill_later(now)

    def expect_file(self, channel: Channel, position: int) -> None:
        """Nothing to do: the file may be here already (i_incoming)."""

    def refuse_file(self, channel: Channel) -> None:
        """The peer's file is not wanted; see Line."""
        self._incoming.refuse(channel)

    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """We are going to send a file from `position` on, or an open one goes on from there.

        Raises: LocalProtocolError for one of more than 4 GiB, whose positions have no number.
        """
        if position + remaining_bytes > POSITIONS:
            raise LocalProtocolError(f"protocol {self.letter} carries files of up to 4 GiB")
        self._outgoing.begin(channel, position, remaining_bytes)

    @property
    def room(self) -> int:
        """How many bytes of files it takes now: as much may wait as the line may hold."""
        if self._state is not _State.OPEN:
            return 0
        return max(0, self._sender.flight_limit_bytes - self._outgoing.waiting_bytes)

    @property
    def has_waiting_files(self) -> bool:
        """Whether data of files waits, so that commands would overtake it."""
        return self._outgoing.has_files

    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        """Send the next piece of the file; dropped if the file was abandoned."""
        self._outgoing.data(channel, content)
        self._fill_later(now)

    def end_file(self, channel: Channel, now: float) -> None:
        """The file is complete."""
        self._outgoing.end(channel)
        self._fill_later(now)

    @property
    def has_said_all(self) -> bool:
        """Whether CLOSE is said."""
        return self._state in (_State.CLOSE_SENT, _State.CLOSED)

    def abandon_file(self, channel: Channel, now: float) -> None:
        """Stop sending a file that the peer does not want."""
        self._outgoing.abandon(channel)
        self._fill(now)

    # --- end

    def close(self, now: float) -> None:
        """Say CLOSE behind the commands that wait, and drop the files."""
        if self._state is _State.WAITING:
            self._state = _State.CLOSE_SENT
            self._close_at = now
        elif self._state is _State.OPEN:
            self._state = _State.CLOSING
            self._outgoing.drop_files()
            self._fill(now)

    def _close_if_due(self, now: float) -> None:
        is_due = self._state is _State.CLOSING and not self._packing.has_urgent
        if is_due and self._sender.can_take(is_urgent=True, now=now):
            self._send_numbered(Kind.CLOSE, MAIN, b"", now)
            self._state = _State.CLOSE_SENT
            self._close_at = self._sender.patient_until + self._parameters.timeout

    def _peer_closed(self, now: float) -> None:
        if self._state is not _State.CLOSE_SENT:
            self._outgoing.drop_files()
            self._fill(now)  # the answers that have not gone yet
            self._send_numbered(Kind.CLOSE, MAIN, b"", now)
        self._closed()

    def _closed(self) -> None:
        self._state = _State.CLOSED
        self._events.append(Closed())

    # --- time

    def tick(self, now: float) -> list[Event]:
        """Send again what is overdue, acknowledge what waited. Raises: LineLost."""
        if self.is_closed:
            return self._take_events()
        try:
            self._overdue(now)
        except LineLost:
            if self._state not in (_State.CLOSING, _State.CLOSE_SENT):
                raise
            self._closed()
        self._fill(now)
        return self._take_events()

    def _overdue(self, now: float) -> None:
        if self._close_at is not None and now >= self._close_at:
            self._closed()
        elif self._state is _State.WAITING:
            self._overdue_sync(now)
        else:
            self._send_again(self._sender.overdue(now))
            if self._idle_at is not None and now >= self._idle_at:
                raise LineLost(f"protocol {self.letter}: the peer has fallen silent")

    @property
    def _idle_at(self) -> float | None:
        is_idle = self._sender.is_all_acknowledged
        return self._sender.heard_at + IDLE_SECONDS if is_idle else None

    def _overdue_sync(self, now: float) -> None:
        if self._sync_at is None or now < self._sync_at:
            return
        if not self._has_syncs_left:
            raise LineLost(f"protocol {self.letter}: the peer does not begin")
        self._send_sync(now)

    @property
    def wake_at(self) -> float | None:
        """The earliest of all that may become due."""
        if self.is_closed:
            return None
        if self._state is _State.WAITING:
            return self._sync_at
        times = (
            self._sender.wake_at,
            self._paced_until,
            self._receiver.ack_at,
            self._close_at,
            self._idle_at,
        )
        return min((at for at in times if at is not None), default=None)


def _offers_file(event: Event) -> bool:
    return isinstance(event, Command) and event.text.startswith((b"S ", b"E "))
