"""One TCP connection on asyncio's transports: what a stream waits for, and little else.

asyncio's own streams cost a server that answers thousands of short commands a second more than the
commands do: a timer is made for each wait, and what has come is copied twice. Here one timer serves
all waits of a connection, and what has come is handed on as it came.

They also throw away what has arrived when a write fails: a peer that has enough of us answers and
closes, what we go on sending makes its kernel break the connection, and the answer is gone. Here
the loss is an end behind all that the peer has said; `lost_with` tells which kind of end it was.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from relaynode.wire.stream import READ_BYTES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

MOST_BYTES_AHEAD = 2 * READ_BYTES
"""What may have come and not been read before the peer has to wait."""

MAX_LAST_BYTES = 1 << 20
"""What a kernel may hold for us, and more."""


class Connection(asyncio.Protocol):
    """`on_made`: called with this once it is connected. `lost_with`: the error that ended it, if
    one did. One task at a time reads, and one writes."""

    transport: asyncio.Transport

    def __init__(self, on_made: Callable[[Connection], None] = lambda made: None) -> None:
        self.lost_with: Exception | None = None
        self._on_made = on_made
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._is_held = False
        self._has_ended = False
        self._is_plain = True
        self._reading: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._room: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_lost = False
        self._closing: asyncio.Future[None] | None = None

    # --- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self._is_plain = transport.get_extra_info("sslcontext") is None
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._pieces.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MOST_BYTES_AHEAD and not self._is_held:
            self._is_held = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """See asyncio.Protocol. What we have to say is still said, but for TLS, which cannot."""
        self._has_ended = True
        self._wake()
        return self._is_plain

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._is_lost = True
        self.lost_with = exc
        if exc is not None and self._is_plain and not self._has_ended:
            last = _left_in(self.transport.get_extra_info("socket"))
            if last:
                self._pieces.append(last)
        self._has_ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()
        for waiting in (self._room, self._closing):
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # --- reading

    @property
    def has_spoken(self) -> bool:
        """Has anything come that is not read yet?"""
        return bool(self._pieces)

    @property
    def has_ended(self) -> bool:
        """Will nothing come any more?"""
        return self._has_ended

    async def read(self, timeout: float | None) -> bytes:
        """At most READ_BYTES; b"" at the end of what the peer has said.

        Raises: TimeoutError after `timeout` seconds without a byte.
        """
        if not self._pieces and not self._has_ended:
            await self._some(timeout)
        if not self._pieces:
            return b""
        data = self._take()
        self._waiting_bytes -= len(data)
        if self._is_held and self._waiting_bytes <= READ_BYTES:
            self._is_held = False
            if not self._is_lost:
                self.transport.resume_reading()
        return data

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        if len(piece) > READ_BYTES:
            self._pieces.appendleft(piece[READ_BYTES:])
            return piece[:READ_BYTES]
        if not self._pieces:
            return piece
        found, size = [piece], len(piece)
        while self._pieces and size + len(self._pieces[0]) <= READ_BYTES:
            found.append(self._pieces.popleft())
            size += len(found[-1])
        return b"".join(found)

    async def _some(self, timeout: float | None) -> None:
        self._reading = self._loop.create_future()
        if timeout is not None:
            self._expect_within(timeout)
        try:
            await self._reading
        finally:
            self._reading = None

    def _expect_within(self, timeout: float) -> None:
        """One timer for all waits: it goes off at the earliest, and looks whether it is time."""
        self._deadline = self._loop.time() + timeout
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look_at_time)

    def _look_at_time(self) -> None:
        self._timer = None
        if self._reading is None or self._reading.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look_at_time)
        else:
            self._reading.set_exception(TimeoutError())

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    # --- writing

    @property
    def is_crowded(self) -> bool:
        """Is there something to wait for before more is written, or to be told of?"""
        return self._is_full or self._has_ended or self.transport.is_closing()

    async def room(self, timeout: float | None) -> None:
        """Until there is room for more. Raises: TimeoutError, OSError if the line is lost."""
        if self._is_lost:
            raise self.lost_with or ConnectionResetError("Connection lost")
        if not self._is_full:
            if self.transport.is_closing():  # the next turn tells why
                await asyncio.sleep(0)
                if self._is_lost:
                    raise self.lost_with or ConnectionResetError("Connection lost")
            return
        self._room = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._room
        finally:
            self._room = None
        if self._is_lost:
            raise self.lost_with or ConnectionResetError("Connection lost")

    # --- TLS, and the end

    async def start_tls(self, context: ssl.SSLContext, host: str | None, seconds: float) -> None:
        """Go on under TLS; as server if `host` is None. `seconds`: asyncio's own limit.

        Raises: OSError, ssl.SSLError.
        """
        self._is_plain = False
        changed = await self._loop.start_tls(
            self.transport,
            self,
            context,
            server_side=host is None,
            server_hostname=host,
            ssl_handshake_timeout=seconds,
        )
        if changed is None:  # it ended in the middle
            raise ConnectionResetError("Connection lost")
        self.transport = changed

    async def closed(self, seconds: float) -> None:
        """Close in order: what was written goes out first. Raises: TimeoutError."""
        self.transport.close()
        if self._is_lost:
            return
        self._closing = self._loop.create_future()
        if self._is_plain and not self.transport.get_write_buffer_size():
            await self._closing  # the loop's next turn closes it
            return
        async with asyncio.timeout(seconds):
            await self._closing


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
    host: str, port: int, *, source: tuple[str, int] | None = None
) -> Connection:
    """A connection to a host. `source`: our address and port, if they matter. Raises: OSError."""
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(Connection, host, port, local_addr=source)
    return made


async def accepted(connected: socket.socket) -> Connection:
    """The connection of a socket that somebody has connected to."""
    loop = asyncio.get_running_loop()
    _, made = await loop.connect_accepted_socket(Connection, connected)
    return made


async def over(connected: socket.socket) -> Connection:
    """The connection that a socket has."""
    _, made = await asyncio.get_running_loop().create_connection(Connection, sock=connected)
    return made
