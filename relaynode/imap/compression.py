"""DEFLATE on the line, both ways (RFC 4978). What comes is unpacked a bounded piece at a time."""

from __future__ import annotations

import zlib

from relaynode.errors import RemoteProtocolError
from relaynode.imap.limits import MAX_UNPACKED_BYTES

_RAW = -zlib.MAX_WBITS  # RFC 1951 without a header


class Deflate:
    """Both directions of one session."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(wbits=_RAW)
        self._unpacker = zlib.decompressobj(wbits=_RAW)
        self._packed = b""
        self._is_full = False

    def pack(self, data: bytes) -> bytes:
        """All of it, so that the peer can read it now."""
        return self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def feed(self, data: bytes) -> None:
        """Packed bytes from the peer. Raises: RemoteProtocolError behind the end of what is packed,
        which servers write when they are about to close the line."""
        if self._unpacker.eof and data:
            raise RemoteProtocolError("the server goes on behind the end of its compression")
        self._packed += data

    @property
    def has_more(self) -> bool:
        """Is there something to unpack?"""
        return bool(self._packed) or self._is_full

    def unpack(self) -> bytes:
        """The next piece, at most MAX_UNPACKED_BYTES. Raises: RemoteProtocolError."""
        try:
            data = self._unpacker.decompress(self._packed, MAX_UNPACKED_BYTES)
        except zlib.error:
            raise RemoteProtocolError("what the server sent cannot be unpacked") from None
        if self._unpacker.unused_data:
            raise RemoteProtocolError("the server goes on behind the end of its compression")
        self._packed = self._unpacker.unconsumed_tail
        self._is_full = len(data) == MAX_UNPACKED_BYTES
        return data
