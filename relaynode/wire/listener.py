"""Listening: accepts connections on one address and hands each to a service."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

from relaynode.errors import ConnectFailed
from relaynode.wire.connection import start_server
from relaynode.wire.tcp import TcpStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.config.values import ListenAddress
    from relaynode.wire.connection import Connection
    from relaynode.wire.stream import Stream

BACKLOG = 256
MAX_CONNECTIONS = 500
"""Of one address: more are closed at once, so that the others are served."""


class Listener:
    """One address being listened on."""

    def __init__(self, serve: Callable[[Stream, str], Awaitable[None]]) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls, where: ListenAddress, serve: Callable[[Stream, str], Awaitable[None]]
    ) -> Listener:
        """Listen; `serve` gets each stream with the client's IP address.

        Raises: ConnectFailed if the address cannot be had.
        """
        listener = cls(serve)
        family = socket.AF_INET6 if where.address.version == 6 else socket.AF_INET
        try:
            listener._server = await start_server(
                listener._accepted,
                str(where.address),
                where.port,
                family=family,
                backlog=BACKLOG,
            )
        except OSError as error:
            raise ConnectFailed(f"cannot listen on {where}: {_why_not(error)}") from error
        return listener

    @classmethod
    async def on(
        cls, opened: socket.socket, serve: Callable[[Stream, str], Awaitable[None]]
    ) -> Listener:
        """Listen on a socket that is open already; it is the listener's to close."""
        listener = cls(serve)
        listener._server = await start_server(listener._accepted, sock=opened, backlog=BACKLOG)
        return listener

    def _accepted(self, connection: Connection) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:
            connection.transport.abort()
            return
        task = asyncio.ensure_future(self._run(TcpStream(connection)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: TcpStream) -> None:
        await self._serve(stream, stream.address)

    async def close(self) -> None:
        """Stop listening and end the connections: their services say goodbye."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _why_not(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return f"{error.strerror}: ports below 1024 are root's to open, at a start"
    return str(error.strerror)
