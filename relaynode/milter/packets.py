"""Packets: how both sides divide their bytes.

     0        4      5
    +--------+------+------------------+
    | length | code | data             |
    +--------+------+------------------+

`length`: 32 bits, big-endian, of code and data together. `code`: one letter. Texts in the data end
with NUL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relaynode.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

CHUNK_BYTES = 65535
"""The most data that a packet carries (MILTER_CHUNK_SIZE, MILTER_MAX_DATA_SIZE)."""

MAX_PACKET_BYTES = 128 * 1024
"""The longest packet that is taken: twice what libmilter sends, for filters without it."""

_LENGTH_BYTES = 4


class Packet(NamedTuple):
    """One packet. `code`: one byte."""

    code: bytes
    data: bytes


def encode(code: bytes, data: bytes = b"") -> bytes:
    """The wire form of a packet."""
    return (len(data) + 1).to_bytes(_LENGTH_BYTES, "big") + code + data


def texts(*words: str | bytes) -> bytes:
    """Texts as packets hold them. A NUL would end one too early, so there is none in it."""
    return b"".join(_bytes(word).replace(b"\0", b"") + b"\0" for word in words)


def _bytes(word: str | bytes) -> bytes:
    return word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape")


def split_texts(data: bytes) -> list[bytes]:
    """The texts of a packet. Raises: RemoteProtocolError if the last one has no end."""
    *found, rest = data.split(b"\0")
    if rest:
        raise RemoteProtocolError("a text without its end")
    return found


class PacketReader:
    """Collects bytes into packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes that have come."""
        self._buffer += data

    def take(self) -> Packet | None:
        """The next whole packet, if there is one. Raises: RemoteProtocolError."""
        if len(self._buffer) < _LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
        if not 0 < length <= MAX_PACKET_BYTES:
            raise RemoteProtocolError(f"a packet of {length} bytes")
        end = _LENGTH_BYTES + length
        if len(self._buffer) < end:
            return None
        code, data = self._buffer[_LENGTH_BYTES : _LENGTH_BYTES + 1], self._buffer[5:end]
        packet = Packet(bytes(code), bytes(data))
        del self._buffer[:end]
        return packet


def all_texts(words: Iterable[tuple[str, str]]) -> bytes:
    """Names and values, one behind the other, as a packet of macros holds them."""
    return b"".join(texts(name, value) for name, value in words)
