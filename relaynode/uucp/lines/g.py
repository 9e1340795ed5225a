"""The line protocols g, G and v: packets with checksums and a window, one transfer at a time.

Each side acknowledges what came in order, by RR or in the packets it sends itself, and rejects by
RJ what was damaged or is missing. g is everybody's; G (SVR4) is the same with packets of exactly
the size that was asked for; v (UUPC) has other defaults. The source is the manual of Taylor UUCP,
"UUCP 'g' Protocol", and what its calls were seen to do.

The parts: `g_packet` (bytes), `g_startup`, `g_content` (commands and files), `g_sender` (the
window), `g_receiver`, `g_pace` (how long to wait), `g_parameters`.

Where Taylor waits for ten seconds, whatever the line, these time-outs are measured; a packet that
is missing is noticed by the one after it; acknowledgements travel in packets where there are any.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError
from relaynode.uucp.line import Counts, Remark, Started
from relaynode.uucp.lines.g_content import Cutter, Joiner
from relaynode.uucp.lines.g_errors import Errors
from relaynode.uucp.lines.g_pace import MAX_WAIT_SECONDS, Pace
from relaynode.uucp.lines.g_packet import (
    ControlPacket,
    DamagedPacket,
    DataPacket,
    PacketReader,
    Skipped,
    Type,
)
from relaynode.uucp.lines.g_parameters import read_parameters, safe_window
from relaynode.uucp.lines.g_receiver import Place, Receiver
from relaynode.uucp.lines.g_sender import Sender
from relaynode.uucp.lines.g_startup import CalledStartup, CallerStartup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.uucp.line import Channel, Event, Settings
    from relaynode.uucp.lines.g_content import Field
    from relaynode.uucp.lines.g_packet import Found

_CLOSE = ControlPacket(Type.CLOSE).encode()

_LONGEST_SILENCE_SECONDS = 60.0

_STALL_SECONDS = 4.0
"""After this in the middle of a packet some of its bytes are lost: to say so is faster than the
peer's time-out."""

_PAUSE_SECONDS = 2.0
"""Bytes of one packet come closer together than this, mostly."""


class _State(Enum):
    STARTING = auto()
    OPEN = auto()
    CLOSING = auto()  # we have said CLOSE
    CLOSED = auto()


class LineG:
    """Protocol g, and what G and v are made of.

    `receive` and `tick` return what came up to the first command: what follows it may be a file,
    and `expect_file` must come between. The rest comes with the next call of either; `wake_at` is
    in the past meanwhile. Raises: ValueError (a parameter is unknown or wrong).
    """

    letter = "g"
    channels = 1
    is_full_duplex = False
    hears_on = False
    can_restart = True

    def __init__(self, settings: Settings) -> None:
        self.counts = Counts()
        self._parameters = read_parameters(self.letter, settings.parameters)
        self._pace = Pace()
        side = CallerStartup if settings.is_caller else CalledStartup
        self._startup: CallerStartup | CalledStartup = side(self._parameters, self._pace)
        self._state = _State.STARTING
        self._reader = PacketReader()
        self._receiver = Receiver()
        self._joiner = Joiner()
        self._sender = Sender(self._pace, self.counts, self._parameters.retries)
        self._cutter = Cutter(self._startup.remote_size, may_be_short=False)
        self._errors = Errors(self._parameters.errors, self._parameters.error_decay)
        self._out = bytearray()
        self._events: list[Event] = []
        self._skipped = 0
        self._is_started = False
        self._shall_close = False
        self._close_at = 0.0
        self._probes = 0
        self._now = self._heard_at = self._good_at = 0.0
        self._begun_at = self._acked_at = 0.0

    # --- from the peer

    def start(self, now: float) -> None:
        """Begin; the called side waits for the caller's first packet."""
        self._now = self._heard_at = self._good_at = now
        self._out += self._startup.begin(now)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what came over the line. Raises: RemoteProtocolError, LineLost."""
        self._now = now
        if data and self._state is not _State.CLOSED:
            self._heard_at = now
            if not self._reader.has_part:
                self._begun_at = now
            self._take(self._reader.read(data), now)
            if self._receiver.owes_reject:
                self._errors.one_more()
        return self._happened(now)

    def tick(self, now: float) -> list[Event]:
        """Send again what is due, or give up. Raises: RemoteProtocolError, LineLost."""
        self._now = now
        if not self._joiner.has_waiting and (due := self._due_at) is not None and now >= due:
            self._timed_out(now)
        return self._happened(now)

    def _happened(self, now: float) -> list[Event]:
        self._continue(now)
        events, self._events = self._events, []
        return events + self._joiner.events()

    def _take(self, found: Iterable[Found], now: float) -> None:
        for one in found:
            if self._state is _State.CLOSED:
                return
            if isinstance(one, Skipped):
                self._take_skipped(one)
            else:
                self._take_packet(one, now)

    def _take_skipped(self, skipped: Skipped) -> None:
        if not self._skipped and self._state is not _State.STARTING:
            self.counts.damaged += 1
        self._skipped += skipped.size_bytes
        if self._skipped > self._parameters.garbage:
            raise RemoteProtocolError(f"{self._skipped} bytes came that belong to no packet")

    def _take_packet(self, packet: ControlPacket | DataPacket | DamagedPacket, now: float) -> None:
        if self._skipped:
            self._remark(f"{self._skipped} bytes belong to no packet")
            self._skipped = 0
        if isinstance(packet, DamagedPacket):
            self._take_damaged(packet)
            return
        self._good_at = now
        self._probes = 0
        if self._state is _State.STARTING:
            self._take_start(packet, now)
        elif isinstance(packet, DataPacket):
            self._take_data(packet, now)
        else:
            self._take_control(packet, now)

    def _take_damaged(self, packet: DamagedPacket) -> None:
        if self._state is _State.STARTING:
            return
        self.counts.damaged += 1
        self._remark(f"packet {packet.number} is damaged")
        self._receiver.damaged(packet.number)

    def _take_start(self, packet: ControlPacket | DataPacket, now: float) -> None:
        if isinstance(packet, ControlPacket) and packet.type is Type.CLOSE:
            self._peer_closed()
            return
        self._startup.took(now - self._begun_at)
        self._out += self._startup.heard(packet, now)
        if self._startup.is_done:
            self._agree()

    def _agree(self) -> None:
        """Both have said what they want."""
        size = self._startup.remote_size
        self._sender.window = safe_window(self._startup.remote_window, size)
        self._cutter = Cutter(size, may_be_short=self._parameters.short_packets)
        self._state = _State.OPEN
        if not self._is_started:
            self._is_started = True
            self._events.append(Started())

    def _take_data(self, packet: DataPacket, now: float) -> None:
        self._take_ack(packet.acknowledges, now)
        place = self._receiver.take(packet)
        if place is Place.NEXT:
            self.counts.received += 1
            self._errors.forgive(len(packet.field))
            self._joiner.add(packet.content)
            return
        self.counts.out_of_order += 1
        # It may have been sent before our acknowledgement arrived. Taylor takes one that is no news
        # for a rejection, and sends again all that it has under way.
        if place is Place.REPEATED and now - self._acked_at >= self._pace.earliest_answer(0):
            self._receiver.owes_ack = True

    def _take_ack(self, number: int, now: float) -> None:
        news = self._sender.acknowledged(number, now)
        self._cutter.carried(news)
        self._errors.forgive(news)

    def _take_control(self, packet: ControlPacket, now: float) -> None:
        if packet.type is Type.RR:
            self._take_ack(packet.value, now)
        elif packet.type is Type.RJ:
            self._take_reject(packet.value, now)
        elif packet.type is Type.SRJ:
            self._resent(self._sender.rejected_one(packet.value, now), f"{packet.value} alone")
        elif packet.type is Type.CLOSE:
            self._peer_closed()
        elif not self.counts.received:  # the caller has not seen our answer, and says it again
            self._out += self._startup.heard(packet, now)
            self._agree_again()

    def _agree_again(self) -> None:
        """The called side was asked anew."""
        if self._sender.is_idle and self.counts.sent == 0:
            self._agree()

    def _take_reject(self, number: int, now: float) -> None:
        resent = self._sender.rejected(number, now)
        self._resent(resent, f"what follows {number}")
        if self._sender.is_idle:
            self._receiver.owes_ack = True  # the peer only asks whether we are there

    def _resent(self, count: int, which: str) -> None:
        if count:
            self.counts.rejected += 1
            self._errors.one_more()
            self._cutter.damaged()
            self._remark(f"the peer rejects {which}: {count} packets are sent again")

    @property
    def has_said_all(self) -> bool:
        """Whether CLOSE is said."""
        return self._state in (_State.CLOSING, _State.CLOSED)

    def _peer_closed(self) -> None:
        """Answer CLOSE, if we have not said it; nothing comes after it."""
        self._flush()
        if self._state is not _State.CLOSING:
            self._out += _CLOSE * 2
        self._state = _State.CLOSED
        self._receiver.owes_ack = self._receiver.owes_reject = False
        self._joiner.close()

    def _remark(self, text: str) -> None:
        self._events.append(Remark(text))

    # --- time

    @property
    def wake_at(self) -> float | None:
        """When `tick` must be called at the latest."""
        return self._now if self._joiner.has_waiting else self._due_at

    @property
    def _due_at(self) -> float | None:
        if self._state is _State.STARTING:
            return self._startup.wake_at
        if self._state is _State.CLOSING:
            return self._close_at
        if self._state is _State.CLOSED:
            return None
        if (lost_at := self._sender.wake_at) is not None:
            return self._not_within_a_packet(lost_at)
        return min(self._silent_at, self._good_at + MAX_WAIT_SECONDS)

    def _not_within_a_packet(self, at: float) -> float:
        """The acknowledgement that is missed may be in the packet that is just coming in."""
        return max(at, self._heard_at + _PAUSE_SECONDS) if self._reader.has_part else at

    @property
    def _silent_at(self) -> float:
        """When the peer, who owes us something or not, has been silent for long."""
        least = _STALL_SECONDS if self._reader.has_part else 2 * self._parameters.timeout
        wait = max(least, 4 * self._pace.round_trip)
        return self._heard_at + min(wait * (1 << self._probes), max(wait, _LONGEST_SILENCE_SECONDS))

    def _timed_out(self, now: float) -> None:
        if self._state is _State.STARTING:
            self._out += self._startup.tick(now)
        elif self._state is _State.CLOSING:
            self._peer_closed()
        elif self._sender.is_idle:
            self._probe(now)
        else:
            self._errors.one_more()
            self._cutter.damaged()
            self._sender.timed_out(now)
            self._remark("no acknowledgement in time: the oldest packet is sent again")

    def _probe(self, now: float) -> None:
        """Ask the peer to go on, or to say that it is there. Raises: LineLost."""
        self._probes += 1
        if self._probes > self._parameters.retries:
            raise LineLost("the peer is silent")
        self._heard_at = now
        self._take(self._reader.drop_part(), now)
        self._receiver.owes_reject = True

    # --- to the peer

    def data_to_send(self) -> bytes:
        """Take all bytes for the peer."""
        self._flush()
        if self._receiver.owes_ack:
            self._acknowledge(Type.RR)
        out = bytes(self._out)
        self._out.clear()
        return out

    def _flush(self) -> None:
        """A rejection first, then what the window let through, which acknowledges as well."""
        if self._receiver.owes_reject:
            self._acknowledge(Type.RJ)
            self._receiver.owes_reject = False
        last = self._receiver.last
        for number, field, total in self._sender.take_outgoing():
            packet = DataPacket(number, last, field.content, field.is_short, total)
            self._out += packet.encode()
            self._acked()

    def _acknowledge(self, by: Type) -> None:
        self._out += ControlPacket(by, self._receiver.last).encode()
        self._acked()

    def _acked(self) -> None:
        self._receiver.owes_ack = False
        self._acked_at = self._now

    def _continue(self, now: float) -> None:
        """Send what the window now has room for, and CLOSE after all of it."""
        if self._state is _State.OPEN:
            self._sender.send(self._cutter.data(b""), now)
        is_sent = not self._sender.has_waiting
        if self._shall_close and is_sent and self._state in (_State.STARTING, _State.OPEN):
            self._flush()
            self._out += _CLOSE * 2
            self._state = _State.CLOSING
            wait = self._pace.wait_for(self._sender.bytes_under_way)
            self._close_at = now + max(wait, self._parameters.timeout)

    def _send(self, fields: Iterable[Field], now: float) -> None:
        if self._state is _State.STARTING:
            raise LocalProtocolError(f"protocol {self.letter} has not started")
        self._now = now
        if self._state is _State.OPEN:  # else the peer listens no more
            self._sender.send(fields, now)

    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        """Send a command or reply."""
        self._send(self._cutter.command(text), now)

    def expect_file(self, channel: Channel, position: int) -> None:
        """What comes next is a file."""
        self._joiner.expect_file(position)

    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """We are going to send a file."""
        self._cutter.begin_file()

    @property
    def room(self) -> int:
        """How many bytes of the file the window has room for."""
        if self._state is not _State.OPEN:
            return 0
        return max(0, self._sender.free * self._cutter.piece_bytes - self._cutter.rest_bytes)

    @property
    def has_waiting_files(self) -> bool:
        """Nothing overtakes anything here."""
        return False

    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        """Send a piece of the file."""
        self._send(self._cutter.data(content), now)

    def end_file(self, channel: Channel, now: float) -> None:
        """The file is complete."""
        self._send(self._cutter.end_file(), now)

    def refuse_file(self, channel: Channel) -> None:
        """Nothing to do: data is never sent before the answer."""

    def abandon_file(self, channel: Channel, now: float) -> None:
        """Nothing to do: data is never sent before the answer."""

    def close(self, now: float) -> None:
        """Say CLOSE once everything was sent, and wait for the peer's."""
        self._now = now
        self._shall_close = True
        self._continue(now)


class LineCapitalG(LineG):
    """Protocol G: packets are never smaller than asked for, as SVR4 wants it."""

    letter = "G"


class LineV(LineG):
    """Protocol v: g with large packets, as UUPC has it."""

    letter = "v"
