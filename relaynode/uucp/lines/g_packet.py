"""The packets of g, G and v: bytes into packets and back. Nothing here knows what was said before.

    0    DLE, 10 hex
    1    k: 9 = control packet; 1 to 8 = 2^(k+4) bytes follow, 32 to 4096
    2-3  checksum, low byte first
    4    control byte: tt xxx yyy
    5    xor of bytes 1 to 4

    tt   0 control, xxx its type and yyy its value
         2 data, xxx its number and yyy the last number received well
         3 the same, short: the field begins with how many of its bytes do not count

A short field begins with one byte below 80 hex, or with two, the low seven bits first (and 80 hex
set in the first). The rest of the field is padding; the checksum is over all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from relaynode.errors import RemoteProtocolError

DLE = 0x10
HEADER_BYTES = 6
MIN_FIELD_BYTES = 32
MAX_FIELD_BYTES = 4096
FIELD_SIZES = tuple(MIN_FIELD_BYTES << n for n in range(8))

NUMBERS = 8
"""Packets are numbered modulo this."""

MAX_WINDOW = NUMBERS - 1

_K_CONTROL = 9
_CHECKSUM_BASE = 0xAAAA
_TT_CONTROL, _TT_DATA, _TT_SHORT = 0, 2, 3
_TWO_BYTES = 0x80


class Type(IntEnum):
    """What a control packet says; the value beside it is a packet's number where none is told."""

    CLOSE = 1
    RJ = 2  # send again what comes after
    SRJ = 3  # send this one again
    RR = 4  # received well up to
    INITC = 5  # window wanted
    INITB = 6  # field size wanted: 2^(value+5)
    INITA = 7  # window wanted


@dataclass(frozen=True, slots=True)
class ControlPacket:
    """A packet without a field."""

    type: Type
    value: int = 0

    def encode(self) -> bytes:
        """Its bytes."""
        control = self.type << 3 | self.value
        return _header(_K_CONTROL, _CHECKSUM_BASE - control, control)


@dataclass(frozen=True, slots=True)
class DataPacket:
    """A packet with a field, of one of FIELD_SIZES. `acknowledges`: the last number received."""

    number: int
    acknowledges: int
    field: bytes
    is_short: bool
    field_sum: int

    def encode(self) -> bytes:
        """Its bytes."""
        tt = _TT_SHORT if self.is_short else _TT_DATA
        control = tt << 6 | self.number << 3 | self.acknowledges
        k = FIELD_SIZES.index(len(self.field)) + 1
        return _header(k, _CHECKSUM_BASE - (self.field_sum ^ control), control) + self.field

    @property
    def content(self) -> bytes:
        """The bytes of the field that count. Raises: RemoteProtocolError."""
        return short_content(self.field) if self.is_short else self.field


@dataclass(frozen=True, slots=True)
class DamagedPacket:
    """A good header, and a field that does not fit its checksum."""

    number: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Bytes that belong to no packet."""

    size_bytes: int


Found: TypeAlias = ControlPacket | DataPacket | DamagedPacket | Skipped


def field_sum(field: bytes) -> int:
    """The sum over a whole field that goes, mixed with the control byte, into the checksum.

    It is weak. Damage to the first byte, and to the last one that is zero or makes `a` overflow, is
    often in `b` alone, and nothing brings it back into `a`: of 64 bytes of text with one damaged,
    more than one in a hundred pass. With a zero at the end it is one in three thousand.
    """
    a, b = 0xFFFF, 0
    left = len(field)
    for byte in field:
        a = ((a << 1 | a >> 15) & 0xFFFF) + byte
        if not byte or a > 0xFFFF:
            a &= 0xFFFF
            b += a ^ left
            a ^= b & 0xFFFF
        else:
            b += a ^ left
        left -= 1
    return a


def short_field(content: bytes, size_bytes: int) -> bytes:
    """A short field of that size; `content` must be smaller than it."""
    absent = size_bytes - len(content)
    if absent < _TWO_BYTES:
        length = bytes((absent,))
    else:
        length = bytes((absent & 0x7F | _TWO_BYTES, absent >> 7))
    return (length + content).ljust(size_bytes, b"\0")


def short_content(field: bytes) -> bytes:
    """What counts in a short field. Raises: RemoteProtocolError (its length is nonsense)."""
    absent, begin = field[0], 1
    if absent >= _TWO_BYTES:
        absent, begin = absent & 0x7F | field[1] << 7, 2
    end = begin + len(field) - absent
    if not begin <= end <= len(field):
        raise RemoteProtocolError(
            f"a short packet of {len(field)} bytes says that {absent} do not count"
        )
    return field[begin:end]


class PacketReader:
    """Finds packets in a stream of bytes, and skips what belongs to none.

    It holds no more than one packet that is not complete: HEADER_BYTES + MAX_FIELD_BYTES.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def has_part(self) -> bool:
        """Whether the beginning of a packet waits for the rest."""
        return bool(self._buffer)

    def read(self, data: bytes) -> list[Found]:
        """What the bytes complete, in order."""
        self._buffer += data
        found = []
        while (one := self._next()) is not None:
            found.append(one)
        return found

    def drop_part(self) -> list[Found]:
        """The rest of the packet will not come: look for others in what came of it."""
        if not self._buffer:
            return []
        return [self._skip(), *self.read(b"")]

    def _next(self) -> Found | None:
        buffer = self._buffer
        if buffer and buffer[0] != DLE:
            return self._skip()
        if len(buffer) < HEADER_BYTES:
            return None
        if not _is_header(buffer):
            return self._skip()
        return self._control() if buffer[1] == _K_CONTROL else self._data()

    def _skip(self) -> Skipped:
        """Leave out what is there up to the next byte that may begin a packet."""
        begin = self._buffer.find(DLE, 1)
        skipped = len(self._buffer) if begin < 0 else begin
        del self._buffer[:skipped]
        return Skipped(skipped)

    def _control(self) -> Found:
        checksum, control = _checksum_and_control(self._buffer)
        if checksum != _CHECKSUM_BASE - control:
            return self._skip()
        del self._buffer[:HEADER_BYTES]
        return ControlPacket(Type(control >> 3), control & 7)

    def _data(self) -> Found | None:
        end = HEADER_BYTES + FIELD_SIZES[self._buffer[1] - 1]
        if len(self._buffer) < end:
            return None
        checksum, control = _checksum_and_control(self._buffer)
        field = bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        number, sum_found = control >> 3 & 7, field_sum(field)
        if checksum != (_CHECKSUM_BASE - (sum_found ^ control)) & 0xFFFF:
            return DamagedPacket(number)
        return DataPacket(number, control & 7, field, control >> 6 == _TT_SHORT, sum_found)


def _header(k: int, checksum: int, control: int) -> bytes:
    low, high = checksum & 0xFF, checksum >> 8 & 0xFF
    return bytes((DLE, k, low, high, control, k ^ low ^ high ^ control))


def _checksum_and_control(header: bytearray) -> tuple[int, int]:
    return header[2] | header[3] << 8, header[4]


def _is_header(buffer: bytearray) -> bool:
    """Whether the first six bytes may be a header, its xor and the kind of packet considered."""
    _, k, low, high, control, xor = buffer[:HEADER_BYTES]
    if k ^ low ^ high ^ control != xor:
        return False
    tt = control >> 6
    if k == _K_CONTROL:
        return tt == _TT_CONTROL and control >> 3 != 0
    return 1 <= k <= len(FIELD_SIZES) and tt in (_TT_DATA, _TT_SHORT)
