"""The packets of protocol i: bytes to packet and back.

    07 | number:5 local:3 | acknowledged:5 remote:3 | kind:3 caller:1 length:12 (2 bytes) | xor
       | content, length bytes | CRC-32, high byte first      both absent where the length is 0

`xor` is that of the four bytes before it. The CRC is the usual one without its final inversion.
`number` counts DATA, SPOS and CLOSE, modulo 32; in NAK it is the number wanted again. The caller
bit is 1 in what the caller sends, so an echoed packet shows itself.

BUNDLE is ours (i_bundle), and numbered like DATA.

What lies between packets is skipped: line noise, echoes, prompts of a shell.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = 32
MAX_CONTENT_BYTES = 4095
HEADER_BYTES = 6
CRC_BYTES = 4

FIRST_BYTE = 0x07
CALLER_BIT = 0x10

SEARCHED_AGAIN_BYTES = 64
"""How much at the end of a damaged packet is searched for the beginning of the next one, which lies
there if the line has lost bytes. Not all of it: a file may hold whole packets, and they must not be
taken for the peer's."""

STALE_SECONDS = 5.0
"""After such a silence the beginning of a packet is dropped. It is noise that looked like a header,
or has lost bytes, and would swallow what the peer sends again."""

_MAX_SYNC_BYTES = 64
SPOS_BYTES = 4


class Kind(IntEnum):
    """What a packet is for."""

    DATA = 0
    SYNC = 1
    ACK = 2
    NAK = 3
    SPOS = 4
    CLOSE = 5
    BUNDLE = 6


NUMBERED = (Kind.DATA, Kind.SPOS, Kind.CLOSE, Kind.BUNDLE)


class Packet(NamedTuple):
    """A whole packet."""

    kind: Kind
    number: int = 0
    local: int = 0
    acknowledged: int = 0
    remote: int = 0
    is_from_caller: bool = False
    content: bytes = b""


class Damaged(NamedTuple):
    """There was something between the packets. `number`: of the packet whose header was whole and
    whose content was not; None where not even that is known."""

    number: int | None


def packet_bytes(content_bytes: int) -> int:
    """How long a packet with so much content is."""
    return HEADER_BYTES + (content_bytes + CRC_BYTES if content_bytes else 0)


def crc(content: bytes) -> int:
    """The check of a content."""
    return zlib.crc32(content) ^ 0xFFFFFFFF


def encode(packet: Packet) -> bytes:
    """The bytes of a packet."""
    length = len(packet.content)
    caller = CALLER_BIT if packet.is_from_caller else 0
    one = (packet.number << 3 | packet.local) & 0xFF
    two = (packet.acknowledged << 3 | packet.remote) & 0xFF
    three = packet.kind << 5 | caller | length >> 8
    four = length & 0xFF
    header = bytes((FIRST_BYTE, one, two, three, four, one ^ two ^ three ^ four))
    if not length:
        return header
    return header + packet.content + crc(packet.content).to_bytes(CRC_BYTES, "big")


def decode_header(header: bytes) -> tuple[Packet, int] | None:
    """A packet without its content, and the length of that; None if this is no header."""
    first, one, two, three, four, check = header
    if first != FIRST_BYTE or check != one ^ two ^ three ^ four:
        return None
    length = (three & 0x0F) << 8 | four
    if not _can_be(three >> 5, length):
        return None
    is_from_caller = bool(three & CALLER_BIT)
    packet = Packet(Kind(three >> 5), one >> 3, one & 7, two >> 3, two & 7, is_from_caller)
    return packet, length


def _can_be(kind: int, length: int) -> bool:
    """Whether a packet of this kind can be so long: noise that looks like a header often cannot,
    and we would wait for its content."""
    if kind == Kind.SYNC:
        return 3 <= length <= _MAX_SYNC_BYTES
    if kind == Kind.SPOS:
        return length == SPOS_BYTES
    return kind <= Kind.BUNDLE


class Scanner:
    """Finds the peer's packets in the bytes that arrive. Keeps less than one packet.

    `is_caller`: whether we are; what carries our own caller bit is an echo.
    """

    def __init__(self, is_caller: bool) -> None:
        self._is_caller = is_caller
        self._arrived = bytearray()
        self._is_in_noise = False
        self._fed_at = 0.0

    def feed(self, data: bytes, now: float) -> Iterator[Packet | Damaged]:
        """All packets that are whole now. A stretch of noise is told of once."""
        if now >= self._fed_at + STALE_SECONDS:
            self._arrived.clear()
        self._fed_at = now
        self._arrived += data
        start = 0
        while True:
            begin = self._arrived.find(FIRST_BYTE, start)
            if begin != start and start < len(self._arrived):
                yield from self._noise()
            if begin < 0:
                start = len(self._arrived)
                break
            end, found = self._read(begin)
            if end is None:
                start = begin
                break
            start = end
            if found is not None:
                self._is_in_noise = isinstance(found, Damaged)
                yield found
            elif end == begin + 1:
                yield from self._noise()
        del self._arrived[:start]

    def _noise(self) -> Iterator[Damaged]:
        if not self._is_in_noise:
            self._is_in_noise = True
            yield Damaged(None)

    def _read(self, begin: int) -> tuple[int | None, Packet | Damaged | None]:
        """What stands at `begin`, and where to go on; None as the end asks for more bytes."""
        body = begin + HEADER_BYTES
        if len(self._arrived) < body:
            return None, None
        decoded = decode_header(bytes(self._arrived[begin:body]))
        if decoded is None:
            return begin + 1, None
        packet, length = decoded
        end = begin + packet_bytes(length)
        if len(self._arrived) < end:
            return None, None
        if packet.is_from_caller == self._is_caller:
            return end, None
        content = bytes(self._arrived[body : body + length])
        if length and crc(content) != int.from_bytes(self._arrived[end - CRC_BYTES : end], "big"):
            is_numbered = packet.kind in NUMBERED
            again = max(body, end - SEARCHED_AGAIN_BYTES)
            return again, Damaged(packet.number if is_numbered else None)
        return end, packet._replace(content=content)
