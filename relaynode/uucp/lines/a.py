"""The headers of protocol a, which frames as Zmodem does. The protocol itself is not spoken.

    hex header    * * CAN B  tt pppppppp cccccccc  CR [XON]

type (tt), 4 bytes of position or flags, and the CRC-32 over both, low byte first, all in lower-case
hex digits. XON follows unless the header acknowledges or ends something. What peers say in these
headers we know too little of to offer the protocol: every peer that has it has i and g too.
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from relaynode.errors import RemoteProtocolError

_HEX_HEADER = re.compile(rb"\*\*\x18B([0-9a-f]{10})([0-9a-f]{8})\r[\n\x8a]?\x11?", re.DOTALL)

ACKNOWLEDGE = 0x03
FINISH = 0x08
_WITHOUT_XON = (ACKNOWLEDGE, FINISH)


class Header(NamedTuple):
    """`kind`: Zmodem's frame type. `flags`: 4 bytes as they are sent; a position low byte first."""

    kind: int
    flags: bytes

    def encoded(self) -> bytes:
        """The hex header."""
        content = bytes([self.kind]) + self.flags
        digits = (content + _checksum(content)).hex().encode()
        return b"**\x18B" + digits + (b"\r" if self.kind in _WITHOUT_XON else b"\r\x11")


def read_header(data: bytes) -> Header:
    """The header that `data` is. Raises: RemoteProtocolError if it is none, or damaged."""
    found = _HEX_HEADER.fullmatch(data)
    if found is None:
        raise RemoteProtocolError("protocol a: no header")
    content = bytes.fromhex(found[1].decode())
    if bytes.fromhex(found[2].decode()) != _checksum(content):
        raise RemoteProtocolError("protocol a: a header arrived damaged")
    return Header(content[0], content[1:])


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")
