"""How protocol j wraps the packets of protocol i, so that certain bytes never go over the line.

    ^ total, 2 bytes = data, 2 bytes @ the data, transformed | index, a pair for each changed byte ~

A length n is two printable bytes, 32 + n // 64 and 32 + n % 64. A byte to be avoided loses its
high bit; if it is no printable one then, its bit 20 (hex) changes, too. (The manual has 020 there,
as if octal; what goes over the wire is 32.) An index pair tells where, 32 + n // 32 and
32 + n % 32, and what was done: nothing is added to the second for the high bit, 32 for bit 20,
64 for both. Where that would make it 127, the pair is 126 and the first of the two instead.

j itself checks nothing: what is damaged on the way is found by i.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.lines.i_packet import SEARCHED_AGAIN_BYTES, STALE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_INNER_BYTES = 3007
"""What an index pair can point into."""

MAX_WRAPPED_BYTES = 6079
"""What a length can say."""

MAX_SENT_BYTES = (MAX_WRAPPED_BYTES - 8) // 3
"""The longest packet of i that can be wrapped even if all of its bytes are to be avoided."""

MAX_LIST_BYTES = 2 + 4 * 256
"""No list of bytes to avoid is longer."""

_HEADER_BYTES = 7
_TRAILER = b"~"
_HIGH_BIT, _OTHER_BIT = 0x80, 0x20
_FIRST_PRINTABLE, _DELETE = 0x20, 0x7F
_BOTH_AT_31 = 0x7E
_LIST = re.compile(rb"\^((?:\\[0-7]{3})*)~")
_HEADER = re.compile(rb"\^([ -~][ -_])=([ -~][ -_])@", re.DOTALL)


# --- the list


def encode_list(avoided: Iterable[int]) -> bytes:
    """What each side says first: the bytes it wants to be avoided."""
    return b"^" + b"".join(b"\\%03o" % byte for byte in avoided) + b"~"


def find_list(arrived: bytes) -> tuple[tuple[int, ...], int] | None:
    """The peer's list, and where it ends; None if it is not there yet.

    Raises: RemoteProtocolError if it cannot be followed.
    """
    found = _LIST.search(arrived)
    if found is None:
        return None
    avoided = tuple(int(octal, 8) for octal in found[1].split(b"\\")[1:])
    unfit = sorted(byte for byte in avoided if not is_avoidable(byte))
    if unfit:
        raise RemoteProtocolError(f"protocol j: the byte {unfit[0]:#o} cannot be avoided")
    return avoided, found.end()


def is_avoidable(byte: int) -> bool:
    """Printable bytes are what the others are changed to."""
    return byte <= 0xFF and not _FIRST_PRINTABLE <= byte < _DELETE


# --- packets


class Wrapper:
    """Wraps packets. `avoided`: bytes that are not to go over the line."""

    def __init__(self, avoided: Iterable[int]) -> None:
        avoided = frozenset(avoided)
        self._avoided = re.compile(b"[%s]" % re.escape(bytes(sorted(avoided)))) if avoided else None
        self._table = bytes(_shown(byte) if byte in avoided else byte for byte in range(256))

    def wrap(self, inner: bytes) -> bytes:
        """A packet of i of at most MAX_SENT_BYTES, wrapped."""
        changed = self._avoided.finditer(inner) if self._avoided is not None else ()
        index = b"".join(_index(found.start(), found[0][0]) for found in changed)
        total = _HEADER_BYTES + len(inner) + len(index) + len(_TRAILER)
        head = b"^" + _length(total) + b"=" + _length(len(inner)) + b"@"
        return head + inner.translate(self._table) + index + _TRAILER


def _length(number: int) -> bytes:
    return bytes((_FIRST_PRINTABLE + number // 64, _FIRST_PRINTABLE + number % 64))


def _number(length: bytes) -> int:
    return (length[0] - _FIRST_PRINTABLE) * 64 + length[1] - _FIRST_PRINTABLE


def _shown(byte: int) -> int:
    """What goes over the line instead."""
    low = byte & ~_HIGH_BIT
    return low ^ _OTHER_BIT if low < _FIRST_PRINTABLE or low == _DELETE else low


def _index(position: int, byte: int) -> bytes:
    high = _FIRST_PRINTABLE + position // 32
    low = _FIRST_PRINTABLE + position % 32
    changes = byte ^ _shown(byte)
    if changes == _OTHER_BIT:
        return bytes((high, low + 32))
    if changes == _HIGH_BIT:
        return bytes((high, low))
    return bytes((_BOTH_AT_31, high)) if low + 64 == _DELETE else bytes((high, low + 64))


def unwrap(wrapped: bytes) -> bytes | None:
    """The packet inside; None if this is not one whole packet of j."""
    found = _HEADER.match(wrapped)
    if found is None or _number(found[1]) != len(wrapped) or wrapped[-1:] != _TRAILER:
        return None
    end = _HEADER_BYTES + _number(found[2])
    index = wrapped[end:-1]
    inner = bytearray(wrapped[_HEADER_BYTES:end])
    for i in range(0, len(index), 2):
        position, changes = _place(*index[i : i + 2])
        if not 0 <= position < len(inner):
            return None
        inner[position] ^= changes
    return bytes(inner)


def _place(high: int, low: int) -> tuple[int, int]:
    """Where a byte was changed, and which of its bits."""
    if high == _BOTH_AT_31:
        return (low - _FIRST_PRINTABLE) * 32 + 31, _HIGH_BIT | _OTHER_BIT
    position = (high - _FIRST_PRINTABLE) * 32 + low % 32
    return position, (_HIGH_BIT, _OTHER_BIT, _HIGH_BIT | _OTHER_BIT)[max(0, min(low // 32 - 1, 2))]


class Unwrapper:
    """Finds wrapped packets in the bytes that arrive. Keeps less than one."""

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._fed_at = 0.0

    def feed(self, data: bytes, now: float) -> bytes:
        """The packets of i that are whole now, one behind the other."""
        if now >= self._fed_at + STALE_SECONDS:
            self._arrived.clear()
        self._fed_at = now
        self._arrived += data
        out = bytearray()
        start = 0
        while (begin := self._arrived.find(b"^", start)) >= 0:
            end, inner = self._read(begin)
            if end is None:
                start = begin
                break
            out += inner
            start = end
        else:
            start = len(self._arrived)
        del self._arrived[:start]
        return bytes(out)

    def _read(self, begin: int) -> tuple[int | None, bytes]:
        """The packet at `begin`, and where to go on; None as the end asks for more bytes."""
        head = bytes(self._arrived[begin : begin + _HEADER_BYTES])
        if len(head) < _HEADER_BYTES:
            return None, b""
        found = _HEADER.match(head)
        if found is None or not _fits(_number(found[1]), _number(found[2])):
            return begin + 1, b""
        end = begin + _number(found[1])
        if len(self._arrived) < end:
            return None, b""
        inner = unwrap(bytes(self._arrived[begin:end]))
        if inner is None:
            return max(begin + _HEADER_BYTES, end - SEARCHED_AGAIN_BYTES), b""
        return end, inner


def _fits(total: int, inner: int) -> bool:
    index = total - _HEADER_BYTES - inner - len(_TRAILER)
    return inner <= MAX_INNER_BYTES and 0 <= index <= 2 * inner and index % 2 == 0
