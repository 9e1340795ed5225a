"""A recorded side that acknowledges what it is sent now, instead of what was sent in its call.

Over g, i and j the numbers in a recorded packet acknowledge packets of the recorded other side. How
many packets a sender makes of the same words is its own choice, so ours are other ones: each is
acknowledged as it comes, and the numbers in the recorded packets are set to that. Which channel a
request takes over i is free, too: answers go to the channel that the same request has now.
"""

from __future__ import annotations

import re
from dataclasses import replace

from relaynode.uucp.lines import g_packet, i_packet, j_packet
from relaynode.uucp.lines.j import DEFAULT_AVOIDED, read_avoided


class Untouched:
    """For protocols without acknowledgements: what was recorded is said."""

    def was_said(self, recorded):
        """What the side that we play said in the recorded call."""

    def acknowledgement_of(self, said):
        """What the other side answers at once to what we say."""
        return b""

    def retold(self, recorded):
        """What it says now."""
        return recorded


class _Packets:
    """Cuts a stream into packets and what lies between; a packet that is not whole waits."""

    def __init__(self, first, length_of):
        self._first = first
        self._length_of = length_of
        self._rest = b""

    def cut(self, data):
        data, self._rest = self._rest + data, b""
        at = 0
        while at < len(data):
            length = self._length_of(data[at : at + 8]) if data[at] == self._first else 1
            if at + length > len(data):
                self._rest = data[at:]
                return
            yield data[at : at + length]
            at += length


def _g_length(header):
    if len(header) < 6 or header[1] ^ header[2] ^ header[3] ^ header[4] != header[5]:
        return 1
    return 6 if header[1] == 9 else 6 + (1 << header[1] + 4)


class AcknowledgingG(Untouched):
    """Acknowledges the packets of g, G and v."""

    def __init__(self):
        self._ours = _Packets(g_packet.DLE, _g_length)
        self._recorded = _Packets(g_packet.DLE, _g_length)
        self._last = 0

    def acknowledgement_of(self, said):
        before = self._last
        for raw in self._ours.cut(said):
            match g_packet.PacketReader().read(raw):
                case [g_packet.DataPacket(number=number)] if number == (self._last + 1) % 8:
                    self._last = number
        return self._rr() if self._last != before else b""

    def _rr(self):
        return g_packet.ControlPacket(g_packet.Type.RR, self._last).encode()

    def retold(self, recorded):
        return b"".join(map(self._retold, self._recorded.cut(recorded)))

    def _retold(self, raw):
        match g_packet.PacketReader().read(raw):
            case [g_packet.DataPacket() as packet]:
                return replace(packet, acknowledges=self._last).encode()
            case [g_packet.ControlPacket(type=g_packet.Type.RR)]:
                return self._rr()
        return raw


def _i_length(header):
    decoded = i_packet.decode_header(header[:6]) if len(header) >= i_packet.HEADER_BYTES else None
    return i_packet.packet_bytes(decoded[1]) if decoded else 1


class AcknowledgingI(Untouched):
    """Acknowledges the packets of i. `is_caller`: whether the recorded side is."""

    def __init__(self, is_caller):
        self._is_caller = is_caller
        self._ours, self._recorded, self._said = (self._cutter() for _ in range(3))
        self._last = 0
        self._requests = {}  # recorded, by channel
        self._channels = {}  # of ours, by request

    def _cutter(self):
        return _Packets(i_packet.FIRST_BYTE, _i_length)

    def _inner(self, raw):
        """The packet of i in a packet."""
        return raw

    def _outer(self, inner):
        """The packet around one of i."""
        return inner

    def acknowledgement_of(self, said):
        before = self._last
        for raw in self._ours.cut(said):
            self._note(self._inner(raw))
        if self._last == before:
            return b""
        kind = i_packet.Kind.ACK
        return self._outer(
            i_packet.encode(
                i_packet.Packet(kind, acknowledged=self._last, is_from_caller=self._is_caller)
            )
        )

    def _note(self, inner):
        following = (self._last + 1) % i_packet.NUMBERS
        match list(i_packet.Scanner(is_caller=self._is_caller).feed(inner, 0)):
            case [i_packet.Packet(kind=kind, number=number) as packet] if number == following:
                self._last = number if kind in i_packet.NUMBERED else self._last
                if request := _request_in(packet):
                    self._channels[request] = packet.local

    def was_said(self, recorded):
        for raw in self._said.cut(recorded):
            match list(i_packet.Scanner(is_caller=self._is_caller).feed(self._inner(raw), 0)):
                case [i_packet.Packet() as packet] if request := _request_in(packet):
                    self._requests[packet.local] = request

    def retold(self, recorded):
        return b"".join(map(self._retold, self._recorded.cut(recorded)))

    def _retold(self, raw):
        inner = self._inner(raw)
        match list(i_packet.Scanner(is_caller=not self._is_caller).feed(inner, 0)):
            case [i_packet.Packet() as packet] if packet.kind is not i_packet.Kind.SYNC:
                remote = self._channels.get(self._requests.get(packet.remote), packet.remote)
                now = packet._replace(acknowledged=self._last, remote=remote)
                return self._outer(i_packet.encode(now))
        return raw


def _request_in(packet):
    is_request = packet.local and packet.content[:2] in (b"S ", b"E ", b"R ", b"X ")
    return packet.content if is_request and packet.kind is i_packet.Kind.DATA else None


_J_HEADER = re.compile(rb"\^([ -~])([ -_])=..@", re.DOTALL)


def _j_length(header):
    found = _J_HEADER.match(header)
    return (found[1][0] - 32) * 64 + found[2][0] - 32 if found else 1


class AcknowledgingJ(AcknowledgingI):
    """Acknowledges the packets of j."""

    def __init__(self, is_caller):
        super().__init__(is_caller)
        self._avoided = read_avoided(DEFAULT_AVOIDED)

    def _cutter(self):
        return _Packets(ord("^"), _j_length)

    def _inner(self, raw):
        return j_packet.unwrap(raw) or b""

    def _outer(self, inner):
        return j_packet.Wrapper(self._avoided).wrap(inner)

    def retold(self, recorded):
        if found := j_packet.find_list(recorded):
            self._avoided = (*self._avoided, *found[0])
        return super().retold(recorded)


def acknowledging(letter, is_caller):
    """What retells a recorded side of a protocol. `is_caller`: whether that side is."""
    match letter:
        case "g" | "G" | "v":
            return AcknowledgingG()
        case "i":
            return AcknowledgingI(is_caller)
        case "j":
            return AcknowledgingJ(is_caller)
    return Untouched()
