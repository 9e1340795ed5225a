"""A stream whose bytes are counted, and which ends where its count says so, on any kind of line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import WireError

if TYPE_CHECKING:
    import ssl

    from relaynode.wire.meter import ByteCount
    from relaynode.wire.stream import Stream


class MeteredStream:
    """A `Stream` on another. What the other has said of itself stays true."""

    def __init__(self, inner: Stream, count: ByteCount) -> None:
        self._inner = inner
        self._count = count
        self.peer = inner.peer
        count.opened(self)

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream. Raises: BudgetSpent too."""
        try:
            data = await self._inner.read(timeout)
        except WireError:
            self._count.check()
            raise
        self._count.received(len(data))
        self._count.check()
        return data

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream. Raises: BudgetSpent too."""
        data = data[: self._count.room_bytes(len(data))]
        self._count.sent(len(data))  # at once: others write and ask meanwhile
        try:
            await self._inner.write(data, timeout)
        except WireError:
            self._count.check()
            raise
        self._count.check()

    def backlog(self) -> int:
        """See Stream."""
        return self._inner.backlog()

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """See Stream."""
        await self._inner.start_tls(context, server_hostname, timeout)

    async def close(self) -> None:
        """See Stream."""
        await self._inner.close()

    def abort(self) -> None:
        """See Stream."""
        self._inner.abort()
