"""The interface of every byte stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ssl

READ_BYTES = 64 * 1024


class Stream(Protocol):
    """A connection to a peer. `peer`: who that is, for people ("relay.example.net [192.0.2.1]")."""

    peer: str

    async def read(self, timeout: float | None = None) -> bytes:
        """The next bytes, at most READ_BYTES; b"" when the peer has closed its side.

        `timeout`: seconds. Raises: TimedOut, LineLost.
        """
        ...

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """Send `data`; returns when there is room for more. Raises: TimedOut, LineLost."""
        ...

    def backlog(self) -> int:
        """Bytes written that the peer has not confirmed, as far as this side can tell."""
        ...

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """Go on under TLS; as server if `server_hostname` is None. Raises: TlsFailed, TimedOut."""
        ...

    async def close(self) -> None:
        """End in order: what was written is sent first. Never raises."""
        ...

    def abort(self) -> None:
        """End at once; what was not sent yet is lost."""
        ...
