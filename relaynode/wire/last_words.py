"""asyncio's stream protocol, but what the peer said before the line was lost is read to the end.

A peer that has enough of us answers and closes; what we go on sending then makes its kernel break
the connection, our next write fails, and asyncio throws away all that was not read yet: the answer.
Here the loss is an end of the stream behind that. `lost_with` tells which kind of end it was.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

MAX_LAST_BYTES = 1 << 20
"""What a kernel may hold for us, and more."""


class LastWords(asyncio.StreamReaderProtocol):
    """The protocol of one connection. `lost_with`: the error that ended it, if one did.
    `is_plain`: what the kernel holds is what the peer said; to be taken back when TLS begins."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.lost_with: Exception | None = None
        self.is_plain = True
        self._source = reader
        self._carrier: asyncio.BaseTransport | None = None
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._carrier = transport
        super().connection_made(transport)

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""
        self._has_ended = True
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.lost_with = exc
        if exc is not None and self.is_plain and not self._has_ended and self._carrier is not None:
            self._source.feed_data(_left_in(self._carrier.get_extra_info("socket")))
        super().connection_lost(None)


def _left_in(connection: Any) -> bytes:
    """What the kernel has for a socket that is about to be closed."""
    found = bytearray()
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.setblocking(False)
            while len(found) < MAX_LAST_BYTES and (data := same.recv(65536)):
                found += data
    except (OSError, ValueError, AttributeError):
        pass  # there is no more, or no socket any more
    return bytes(found)


async def open_connection(
    host: str, port: int, *, limit: int, source: tuple[str, int] | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, LastWords]:
    """As asyncio.open_connection, with this protocol. `source`: our address and port, if they
    matter. Raises: OSError."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = LastWords(reader)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, local_addr=source)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop), protocol
