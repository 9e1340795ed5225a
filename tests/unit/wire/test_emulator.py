"""The emulated line carries every byte in order, and loses what it must; its speed is a bench's."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from connections import start_server
from relaynode.errors import ConnectFailed, LineLost
from relaynode.wire import emulator
from relaynode.wire.connection import Connection, open_connection, over
from relaynode.wire.emulator import Line
from relaynode.wire.tcp import TcpStream, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LONG = 10.0
"""Seconds that no test comes near."""

FAST = 1e10
"""Bits per second: the emulation costs more time than the line."""

UP = bytes(range(256)) * 200
DOWN = bytes(reversed(range(256))) * 300


class Far:
    """The server behind the line: sends `sends` to each client and keeps what it hears."""

    def __init__(self, sends: bytes = b"") -> None:
        self.sends = sends
        self.heard: list[bytes] = []
        self.port = 0
        self.ended = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Far]:
        tasks = set()
        server = await start_server(
            lambda made: tasks.add(asyncio.ensure_future(self._serve(made))), "127.0.0.1", 0
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, connection: Connection) -> None:
        number = len(self.heard)
        self.heard.append(b"")
        stream = TcpStream(connection)
        try:
            await stream.write(self.sends)
            if self.sends:
                connection.transport.write_eof()
            while data := await stream.read():
                self.heard[number] += data
            await stream.close()
        except LineLost:
            pass
        finally:
            self.ended += 1


@asynccontextmanager
async def line_to(far: Far, *, round_trip_seconds: float = 0.0) -> AsyncIterator[tuple[Line, int]]:
    """A fast line to a server; the local port."""
    line = Line(FAST, round_trip_seconds)
    async with far.listening():
        try:
            yield line, await line.forward(far.port)
        finally:
            await line.close()


async def read_all(stream: TcpStream) -> bytes:
    read = []
    while piece := await stream.read(LONG):
        read.append(piece)
    return b"".join(read)


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    while not is_so():
        await asyncio.sleep(0)


async def call(port: int, sends: bytes) -> bytes:
    """Send it, close our side, and read all there is."""
    connection = await open_connection("127.0.0.1", port)
    stream = TcpStream(connection)
    reading = asyncio.ensure_future(read_all(stream))
    await stream.write(sends)
    connection.transport.write_eof()
    heard = await reading
    await stream.close()
    return heard


@pytest.mark.parametrize("round_trip_seconds", [0.0, 0.002])
def test_bytes_arrive_intact_and_in_order_both_ways_at_the_same_time(
    round_trip_seconds: float,
) -> None:
    async def play() -> None:
        far = Far(DOWN)
        async with line_to(far, round_trip_seconds=round_trip_seconds) as (line, port):
            assert await call(port, UP) == DOWN
            assert far.heard == [UP]
            assert (line.up.bytes_carried, line.down.bytes_carried) == (len(UP), len(DOWN))
            assert line.busier_bytes == len(DOWN)
            assert line.ideal_seconds == len(DOWN) * 8 / FAST

    asyncio.run(play())


def test_connections_share_the_line_and_are_not_mixed() -> None:
    async def play() -> None:
        far = Far(DOWN[:5000])
        async with line_to(far) as (line, port):
            sent = [bytes([number]) * 5000 for number in range(5)]
            heard = await asyncio.gather(*(call(port, one) for one in sent))
            assert heard == [DOWN[:5000]] * 5
            assert sorted(far.heard) == sent
            assert line.up.bytes_carried == line.down.bytes_carried == 25_000

    asyncio.run(play())


def test_one_way_may_end_before_the_other_begins() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read() + b" heard")
        writer.close()

    async def play() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        line = Line(FAST, 0.0)
        port = await line.forward(server.sockets[0].getsockname()[1])
        assert await call(port, b"all of it") == b"all of it heard"
        await until(lambda: not line._connections)
        await line.close()
        server.close()

    asyncio.run(play())


def test_a_reader_that_is_late_gets_all_that_was_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "SEGMENT_BYTES", 1 << 16)  # fewer turns

    async def play() -> None:
        far = Far(DOWN * 100)  # more than the kernel takes for a reader that sleeps
        async with line_to(far) as (line, port):
            near = socket.socket()
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            near.setblocking(False)
            await asyncio.get_running_loop().sock_connect(near, ("127.0.0.1", port))
            connection = await over(near)
            connection.transport.write_eof()
            await until(lambda: line.down.bytes_carried == len(far.sends))
            for _ in range(100):
                await asyncio.sleep(0)
            assert await read_all(TcpStream(connection)) == far.sends
            connection.transport.close()

    asyncio.run(play())


def test_every_arrival_is_told() -> None:
    async def play() -> None:
        far = Far()
        async with line_to(far) as (line, port):
            told: list[int] = []
            line.on_carried = lambda: told.append(line.up.bytes_carried)
            await call(port, UP[:2000])
            assert far.heard == [UP[:2000]]
            assert told
            assert told[-1] == 2000

    asyncio.run(play())


def test_a_server_that_is_not_there_ends_the_connection() -> None:
    async def play() -> None:
        line = Line(FAST, 0.0)
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = await line.forward(nobody.getsockname()[1])
            stream = await connect("127.0.0.1", port, timeout=LONG)
            with suppress(LineLost):
                assert await stream.read(LONG) == b""
            await line.close()

    asyncio.run(play())


async def is_lost(stream: TcpStream) -> bool:
    """Nothing more comes on it."""
    try:
        while await stream.read(LONG):
            pass
    except LineLost:
        pass
    return True


def test_a_cut_loses_what_is_under_way_and_refuses_calls() -> None:
    async def play() -> None:
        far = Far()
        async with line_to(far) as (line, port):
            streams = [await connect("127.0.0.1", port, timeout=LONG) for _ in range(3)]
            for stream in streams:
                await stream.write(UP)
            await until(lambda: line.up.bytes_carried > len(UP))
            assert line.is_up
            await line.cut()
            assert not line.is_up
            carried = line.up.bytes_carried
            assert carried < 3 * len(UP)
            assert [await is_lost(stream) for stream in streams] == [True] * 3
            assert sum(map(len, far.heard)) <= carried
            await until(lambda: far.ended == len(far.heard))  # the other end knows it too
            with pytest.raises(ConnectFailed):
                await connect("127.0.0.1", port, timeout=LONG)
            await line.cut()
            assert line.up.bytes_carried == carried

    asyncio.run(play())


@pytest.mark.parametrize("turns", range(12))
def test_a_call_just_before_the_cut_does_not_outlive_it(turns: int) -> None:
    async def play() -> None:
        far = Far(DOWN)
        async with line_to(far) as (line, port):
            near = socket.create_connection(("127.0.0.1", port))
            near.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            await line.cut()
            carried = line.up.bytes_carried + line.down.bytes_carried
            connection = await over(near)
            assert await is_lost(TcpStream(connection))
            for _ in range(20):
                await asyncio.sleep(0)
            assert line.up.bytes_carried + line.down.bytes_carried == carried
            connection.transport.abort()

    asyncio.run(play())


def test_a_line_restored_works_on_the_same_port() -> None:
    async def play() -> None:
        far = Far(b"hello")
        async with line_to(far) as (line, port):
            for number in range(1, 4):
                stream = await connect("127.0.0.1", port, timeout=LONG)
                await line.cut()
                assert await is_lost(stream)
                await line.restore()
                await line.restore()
                assert line.is_up
                far.heard.clear()
                assert await call(port, b"again %d" % number) == b"hello"
                assert far.heard == [b"again %d" % number]

    asyncio.run(play())


def test_a_port_forwarded_while_the_line_is_down_answers_when_it_is_up() -> None:
    async def play() -> None:
        far = Far(b"hello")
        async with far.listening():
            line = Line(FAST, 0.0)
            await line.cut()
            port = await line.forward(far.port)
            with pytest.raises(ConnectFailed):
                await connect("127.0.0.1", port, timeout=LONG)
            await line.restore()
            assert await call(port, b"x") == b"hello"
            await line.close()

    asyncio.run(play())


def test_the_local_port_can_be_chosen() -> None:
    async def play() -> None:
        far = Far(b"hello")
        async with line_to(far) as (line, port):
            await line.cut()
            other = Line(FAST, 0.0)
            assert await other.forward(far.port, local_port=port) == port
            assert await call(port, b"x") == b"hello"
            await other.close()

    asyncio.run(play())


def test_a_line_taken_away_does_not_come_back() -> None:
    async def play() -> None:
        far = Far(b"hello")
        async with line_to(far) as (line, port):
            await line.close()
            await line.restore()
            with pytest.raises(ConnectFailed):
                await connect("127.0.0.1", port, timeout=LONG)

    asyncio.run(play())
