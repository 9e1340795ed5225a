"""The in-memory twin of a connection: two streams, each the other's peer. For tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, TimedOut, TlsFailed
from relaynode.wire.stream import READ_BYTES

if TYPE_CHECKING:
    import ssl


class MemoryStream:
    """One end of a `pair`."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._other: MemoryStream | None = None

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream. An aborted line raises LineLost, once what was written before is read."""
        try:
            async with asyncio.timeout(timeout):
                data = await self._incoming.get()
        except TimeoutError:
            raise TimedOut(f"{self.peer}: silent for {timeout:g} s") from None
        if not data:
            self._incoming.put_nowait(data)  # an end stays one
        if data is None:
            raise LineLost(f"{self.peer}: cut")
        return data

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream."""
        if not data:
            return
        if self._other is None:
            raise LineLost(f"{self.peer}: closed")
        for start in range(0, len(data), READ_BYTES):
            self._other._incoming.put_nowait(data[start : start + READ_BYTES])

    def backlog(self) -> int:
        """See Stream: memory is fast."""
        return 0

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """A twin has no TLS."""
        raise TlsFailed(f"{self.peer}: no TLS in memory")

    async def close(self) -> None:
        """See Stream."""
        if self._other is not None:
            self._other._incoming.put_nowait(b"")
            self._other = None

    def abort(self) -> None:
        """See Stream."""
        if self._other is not None:
            self._other._incoming.put_nowait(None)
            self._other._other = None
            self._other = None
        self._incoming.put_nowait(None)


def pair(
    peer_of_first: str = "second", peer_of_second: str = "first"
) -> tuple[MemoryStream, MemoryStream]:
    """Two connected streams."""
    first, second = MemoryStream(peer_of_first), MemoryStream(peer_of_second)
    first._other, second._other = second, first
    return first, second
