"""Unix sockets: a listener and a stream made for low latency, as the daemon's commands want it, and
connections to servers of this machine.

asyncio's streams take several rounds of the event loop before the first byte is seen. A `sendmail`
waits for every one of them, so here a read or write that can be done at once is done at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from relaynode.errors import ConnectFailed, LineLost, TimedOut, TlsFailed
from relaynode.wire.stream import READ_BYTES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

BACKLOG = 256


async def connect(path: Path, *, timeout: float) -> UnixStream:
    """A connection to who listens there, within `timeout` seconds. Raises: ConnectFailed."""
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(connection, str(path))
    except TimeoutError:
        connection.close()
        text = f"{path}: no answer within {timeout:g} s"
        raise ConnectFailed(text, reason="connect-timeout") from None
    except OSError as error:
        connection.close()
        text = f"{path}: {error.strerror or error}"
        raise ConnectFailed(text, reason="connect-refused") from error
    except BaseException:
        connection.close()
        raise
    return UnixStream(connection, str(path))


class UnixStream:
    """A `Stream` on a connected unix socket. `peer`: who is at its other end, for people."""

    def __init__(self, connection: socket.socket, peer: str = "local") -> None:
        connection.setblocking(False)
        self.connection = connection
        self.peer = peer

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream."""
        try:
            with contextlib.suppress(BlockingIOError):
                return self.connection.recv(READ_BYTES)
            async with asyncio.timeout(timeout):
                return await asyncio.get_running_loop().sock_recv(self.connection, READ_BYTES)
        except TimeoutError:
            raise TimedOut(f"{self.peer}: silent for {timeout:g} s") from None
        except OSError as error:
            raise LineLost(f"{self.peer}: {error.strerror or error}") from error

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream."""
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_sendall(self.connection, data)
        except TimeoutError:
            raise TimedOut(f"{self.peer}: took nothing for {timeout:g} s") from None
        except OSError as error:
            raise LineLost(f"{self.peer}: {error.strerror or error}") from error

    def backlog(self) -> int:
        """See Stream: what was written is with the peer's kernel, which is ours."""
        return 0

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """No TLS within one machine."""
        raise TlsFailed(f"{self.peer}: no TLS on a unix socket")

    async def close(self) -> None:
        """See Stream."""
        self.connection.close()

    def abort(self) -> None:
        """See Stream."""
        self.connection.close()


class UnixListener:
    """Listens on a path; `serve` gets each connection in a task of its own."""

    def __init__(self, serve: Callable[[UnixStream], Awaitable[None]]) -> None:
        self._serve = serve
        self._accepting: asyncio.Future[None] | None = None
        self._path: Path | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    def listen(self, path: Path, mode: int) -> None:
        """Take the path, whatever stale socket lies there. Raises: ConnectFailed."""
        listener = socket.socket(socket.AF_UNIX)
        try:
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            path.chmod(mode)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise ConnectFailed(f"{path}: {error.strerror or error}") from error
        listener.setblocking(False)
        self._path = path
        self._accepting = asyncio.ensure_future(self._accept(listener))

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                connection, _ = await loop.sock_accept(listener)
                task = asyncio.ensure_future(self._run(UnixStream(connection)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: UnixStream) -> None:
        try:
            await self._serve(stream)
        finally:
            await stream.close()

    async def close(self) -> None:
        """Stop listening; what is being served is called off."""
        if self._accepting is None or self._path is None:
            return
        tasks = [self._accepting, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._path.unlink, missing_ok=True)


def is_served(path: Path) -> bool:
    """Does anybody answer on this socket?"""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False
