"""An emulated line: rate, round trip and cuts, for the demo, the tests and the benches.

A `Line` forwards TCP connections on loopback as a thin line would carry them: each direction has
its rate, shared by all connections in turn, and a delay. Only the bytes of the streams count; what
TCP and IP add on a real line is left out, in the ideal as in the measured figures.

A connection costs what it costs on a real line. The client is connected after one round trip, the
server sees the connection half a round trip later, so a server's greeting arrives two round trips
after the client called. Loopback connects at once; hence nothing leaves the client before one
round trip, and the server is called after one and a half.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SEGMENT_BYTES = 512
"""What one connection sends before another has its turn: about a TCP segment of a modem line."""

AHEAD_SECONDS = 0.02
"""How much the line holds ready, like a modem's buffer, so that it is never idle between two
segments because a timer came late."""

SOCKET_BUFFER_BYTES = 8 * 1024
"""What the kernel may hold before the line: little, so that senders feel the line."""


class Direction:
    """One way of a line. `bytes_carried` counts what has left at the far end or was lost there."""

    def __init__(self, bits_per_second: float, delay_seconds: float) -> None:
        self.bytes_per_second = bits_per_second / 8
        self.delay_seconds = delay_seconds
        self.bytes_carried = 0
        self._free_at = 0.0
        self._turn = asyncio.Lock()

    async def send(self, size: int, not_before: float) -> float:
        """Put `size` bytes on the line when it is free; the moment they arrive."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            start = max(loop.time(), self._free_at, not_before)
            self._free_at = start + size / self.bytes_per_second
            self.bytes_carried += size
            await asyncio.sleep(self._free_at - AHEAD_SECONDS - loop.time())
            return self._free_at + self.delay_seconds


class Line:
    """A line of so many bits per second each way and so many seconds per round trip.

    It is up at first. `forward` gives a local port for a port behind the line.
    """

    def __init__(self, bits_per_second: float, round_trip_seconds: float) -> None:
        self.round_trip_seconds = round_trip_seconds
        self.up = Direction(bits_per_second, round_trip_seconds / 2)
        self.down = Direction(bits_per_second, round_trip_seconds / 2)
        self.is_up = True
        self.on_carried: Callable[[], None] | None = None
        self._forwards: list[tuple[int, int]] = []
        self._listeners: dict[socket.socket, asyncio.Task[None]] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def forward(self, target_port: int, *, local_port: int = 0) -> int:
        """Carry connections from a local port to `target_port`; the local port."""
        listener = _listener(local_port)
        local_port = listener.getsockname()[1]
        self._forwards.append((local_port, target_port))
        if self.is_up:
            self._listen(listener, target_port)
        else:
            listener.close()
        return local_port

    async def cut(self) -> None:
        """The line goes down: what is under way is lost, nobody can connect."""
        self.is_up = False
        listeners, self._listeners = self._listeners, {}
        tasks = [*listeners.values(), *self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in listeners:
            listener.close()

    async def restore(self) -> None:
        """The line comes up again, on the same ports."""
        if not self.is_up:
            self.is_up = True
            for local_port, target_port in self._forwards:
                self._listen(_listener(local_port), target_port)

    async def close(self) -> None:
        """Take the line away."""
        await self.cut()
        self._forwards.clear()

    @property
    def busier_bytes(self) -> int:
        """The bytes of the direction that carried more."""
        return max(self.up.bytes_carried, self.down.bytes_carried)

    @property
    def ideal_seconds(self) -> float:
        """What the busier direction's bytes need at the line's rate."""
        return self.busier_bytes / self.up.bytes_per_second

    def _listen(self, listener: socket.socket, target_port: int) -> None:
        listener.listen()
        self._listeners[listener] = asyncio.ensure_future(self._accept(listener, target_port))

    async def _accept(self, listener: socket.socket, target_port: int) -> None:
        # Not asyncio.start_server: what it has just accepted when it is closed stays open.
        while True:
            near, _ = await asyncio.get_running_loop().sock_accept(listener)
            connection = asyncio.ensure_future(self._serve(near, target_port))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)
            connection.add_done_callback(partial(_close, near))  # also if it never began

    async def _serve(self, near: socket.socket, target_port: int) -> None:
        reader, writer = await asyncio.open_connection(sock=near, limit=SEGMENT_BYTES)
        try:
            await self._carry(reader, writer, target_port)
        finally:
            writer.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target_port: int
    ) -> None:
        loop = asyncio.get_running_loop()
        called_at = loop.time()

        async def call() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            await asyncio.sleep(1.5 * self.round_trip_seconds)
            far = socket.socket()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
            far.setblocking(False)
            try:
                await loop.sock_connect(far, ("127.0.0.1", target_port))
            except BaseException:
                far.close()
                raise
            return await asyncio.open_connection(sock=far, limit=SEGMENT_BYTES)

        async def near_end() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return reader, writer

        far_end = asyncio.ensure_future(call())
        near = asyncio.ensure_future(near_end())
        try:
            with contextlib.suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as both_ways:
                    first = called_at + self.round_trip_seconds
                    both_ways.create_task(self._pump(near, far_end, self.up, first))
                    both_ways.create_task(self._pump(far_end, near, self.down, first))
        finally:
            far_end.cancel()
            if far_end.done() and not far_end.cancelled() and far_end.exception() is None:
                far_end.result()[1].transport.abort()

    async def _pump(
        self,
        source: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
        target: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
        direction: Direction,
        not_before: float,
    ) -> None:
        arriving: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            loop = asyncio.get_running_loop()
            while True:
                at, data = await arriving.get()
                await asyncio.sleep(at - loop.time())
                _, writer = await asyncio.shield(target)
                if not data:
                    # All that was carried has arrived, however slowly it is taken there.
                    writer.transport.set_write_buffer_limits(high=0)
                    await writer.drain()
                    writer.write_eof()
                    return
                writer.write(data)
                if self.on_carried is not None:
                    self.on_carried()

        async with asyncio.TaskGroup() as group:
            group.create_task(arrive())
            reader, _ = await asyncio.shield(source)
            while True:
                data = await reader.read(SEGMENT_BYTES)
                at = await direction.send(len(data), not_before)
                arriving.put_nowait((at, data))
                if not data:
                    break


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
    listener.bind(("127.0.0.1", port))
    listener.setblocking(False)
    return listener


def _close(end: socket.socket, _: object) -> None:
    end.close()
