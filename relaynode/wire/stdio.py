"""Standard input and output as a stream: for `sendmail -bs`, inetd and the like."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, TimedOut, TlsFailed
from relaynode.wire.stream import READ_BYTES

if TYPE_CHECKING:
    import ssl


class StdioStream:
    """A `Stream` on two file descriptors of any kind: terminals, pipes, plain files."""

    def __init__(self, read_from: int = 0, write_to: int = 1, *, peer: str = "stdio") -> None:
        self.peer = peer
        self._read_from = read_from
        self._write_to = write_to

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream. A read that timed out goes on in its thread and takes what comes next."""
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.to_thread(os.read, self._read_from, READ_BYTES)
        except TimeoutError:
            raise TimedOut(f"{self.peer}: silent for {timeout:g} s") from None
        except OSError as error:
            raise LineLost(f"{self.peer}: {error.strerror}") from error

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream."""
        try:
            while data:
                written = await asyncio.to_thread(os.write, self._write_to, data)
                data = data[written:]
        except OSError as error:
            raise LineLost(f"{self.peer}: {error.strerror}") from error

    def backlog(self) -> int:
        """See Stream: nobody knows."""
        return 0

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """No TLS here."""
        raise TlsFailed(f"{self.peer}: no TLS on standard input")

    async def close(self) -> None:
        """The descriptors are not ours to close."""

    def abort(self) -> None:
        """See close."""
