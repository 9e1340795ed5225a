"""Listening: accepts connections on one address and hands each to a service, or to another process
of the node that has one."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING

from relaynode.wire.connection import accepted
from relaynode.wire.ports import BACKLOG, listening_socket
from relaynode.wire.tcp import TcpStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.config.values import ListenAddress
    from relaynode.wire.stream import Stream

    Serve = Callable[[Stream, str], Awaitable[None]]
    """A service: gets each stream with the client's IP address."""

    PassOn = Callable[[socket.socket, str], bool]
    """Asked for each connection, with the client's IP address: has another process got it?"""

MAX_CONNECTIONS = 500
"""Of one address: more are closed at once, so that the others are served."""

SHORT_SECONDS = 1.0
"""How long nobody is let in when the system has no descriptor or memory left for it."""

_SHORT_OF = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

log = logging.getLogger("relaynode")


class Reception:
    """Connections that are being served, each in a task of its own. `on_left`: one is over."""

    def __init__(self, on_left: Callable[[], None] = lambda: None) -> None:
        self._on_left = on_left
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._tasks)

    def take(self, connected: socket.socket, serve: Serve) -> None:
        """Serve one more; the socket is ours to close."""
        connected.setblocking(False)
        one = _Guest(connected)
        task = asyncio.ensure_future(one.run(serve))
        self._tasks.add(task)
        task.add_done_callback(one.see_off)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._on_left()

    async def close(self) -> None:
        """End the connections: their services say goodbye."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Guest:
    """One connection, which is its transport's to close as soon as it has one."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket: socket.socket | None = connected

    async def run(self, serve: Serve) -> None:
        assert self._socket is not None
        connected, self._socket = self._socket, None
        try:
            stream = TcpStream(await accepted(connected))
        except OSError:  # it has gone
            connected.close()
            return
        await serve(stream, stream.address)

    def see_off(self, _: object) -> None:
        """It is over; it may have been called off before it began."""
        if self._socket is not None:
            self._socket.close()


class Listener:
    """One address being listened on."""

    def __init__(
        self, listening: socket.socket, serve: Serve, pass_on: PassOn | None = None
    ) -> None:
        """`listening`: the listener's to close. Begins at once. `pass_on`: see PassOn."""
        listening.setblocking(False)
        self._socket = listening
        self._serve = serve
        self._pass_on = pass_on
        self._reception = Reception()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    @classmethod
    async def open(
        cls, where: ListenAddress, serve: Serve, pass_on: PassOn | None = None
    ) -> Listener:
        """Listen on an address. Raises: ConnectFailed if it cannot be had."""
        return cls(listening_socket(where), serve, pass_on)

    def __len__(self) -> int:
        """How many connections are served here."""
        return len(self._reception)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept_all)

    def _accept_all(self) -> None:
        """All that have come; asyncio's own server takes a task and a transport for each, also for
        one that goes on to another process."""
        for _ in range(BACKLOG):
            try:
                connected, where = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait_a_little(error)
                return
            self._take(connected, str(where[0]))

    def _take(self, connected: socket.socket, address: str) -> None:
        is_served = self._pass_on is not None and self._pass_on(connected, address)
        if is_served or len(self._reception) >= MAX_CONNECTIONS:
            connected.close()
            return
        self._reception.take(connected, self._serve)

    def _wait_a_little(self, error: OSError) -> None:
        if error.errno not in _SHORT_OF:
            log.warning("accept: %s", error.strerror)
            return
        log.error("nobody is let in for %g s: %s", SHORT_SECONDS, error.strerror)
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(SHORT_SECONDS, self._resume)

    async def close(self) -> None:
        """Stop listening and end the connections: their services say goodbye."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        await self._reception.close()
