"""TCP and TLS on loopback: bytes both ways, and every trouble under its own name."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from connections import start_server
from relaynode.errors import ConnectFailed, LineLost, TimedOut, TlsFailed
from relaynode.wire import tcp, tls
from relaynode.wire.connection import Connection
from relaynode.wire.meter import ByteCount
from relaynode.wire.stream import READ_BYTES
from relaynode.wire.tcp import TcpStream, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

LONG = 10.0
"""Seconds that no test comes near."""


@asynccontextmanager
async def served(
    serve: Callable[[TcpStream], Awaitable[None]], context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server on loopback that hands each client's stream to `serve`; its port."""
    clients: list[asyncio.Task[None]] = []

    def accepted(connection: Connection) -> None:
        async def run() -> None:
            stream = TcpStream(connection)
            try:
                await serve(stream)
            finally:
                stream.abort()

        clients.append(asyncio.ensure_future(run()))

    server = await start_server(accepted, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def echo(stream: TcpStream) -> None:
    while data := await stream.read():
        await stream.write(data)
    await stream.close()


async def hang(stream: TcpStream) -> None:
    await asyncio.get_running_loop().create_future()


async def read_all(stream: TcpStream) -> bytes:
    data = b""
    while piece := await stream.read(LONG):
        assert len(piece) <= READ_BYTES
        data += piece
    return data


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    while not is_so():
        await asyncio.sleep(0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- connecting


def test_bytes_go_both_ways_and_are_counted() -> None:
    async def play() -> None:
        count = ByteCount()
        async with served(echo) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG, count=count)
            assert stream.peer == "127.0.0.1 [127.0.0.1]"
            assert stream.address == "127.0.0.1"
            await stream.write(b"")
            await stream.write(b"hello")
            assert await stream.read(LONG) == b"hello"
            assert (count.bytes_out, count.bytes_in) == (5, 5)
            await stream.close()

    asyncio.run(play())


def test_a_refused_connection_is_named() -> None:
    port = free_port()
    with pytest.raises(ConnectFailed, match=f"^127.0.0.1:{port}: Connection refused$"):
        asyncio.run(connect("127.0.0.1", port, timeout=LONG))


def test_an_unknown_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectFailed, match=r"relay\.example\.net: Name or service not known"):
        asyncio.run(connect("relay.example.net", 25, timeout=LONG))


@pytest.mark.parametrize("name", ["a..example", "x" * 64 + ".example", "\udcff.example"])
def test_a_name_that_dns_cannot_hold_is_an_unknown_name(name: str) -> None:
    with pytest.raises(ConnectFailed):
        asyncio.run(connect(name, 25, timeout=LONG))


def test_a_call_that_nobody_answers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(tcp, "open_connection", never)
    with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:25: no answer within 0\.001 s"):
        asyncio.run(connect("127.0.0.1", 25, timeout=0.001))


def test_an_address_that_is_silent_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = tcp.open_connection

    async def open_connection(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "192.0.2.1":
            await asyncio.get_running_loop().create_future()
        return await original(host, *arguments, **options)

    async def play() -> None:
        async with served(echo) as port:
            addresses = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
            monkeypatch.setattr(tcp, "open_connection", open_connection)
            stream = await connect("relay.example.net", port, timeout=0.2)
            assert stream.address == "127.0.0.1"
            stream.abort()

    asyncio.run(play())


def test_each_address_is_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with served(echo) as port:
            addresses = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", free_port())),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
            stream = await connect("relay.example.net", 25, timeout=LONG)
            assert stream.peer == "relay.example.net [127.0.0.1]"
            await stream.write(b"x")
            assert await stream.read(LONG) == b"x"
            stream.abort()
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses[:1] * 2)
            with pytest.raises(ConnectFailed):
                await connect("relay.example.net", 25, timeout=LONG)

    asyncio.run(play())


# --- reading and writing


def test_silence_is_a_time_out_and_loses_nothing() -> None:
    async def play() -> None:
        async with served(echo) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            with pytest.raises(TimedOut, match=r"silent for 0\.001 s"):
                await stream.read(0.001)
            await stream.write(b"x", LONG)
            assert await stream.read(LONG) == b"x"
            stream.abort()

    asyncio.run(play())


def test_a_peer_that_takes_nothing_is_a_time_out() -> None:
    async def play() -> None:
        async with served(hang) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            with pytest.raises(TimedOut, match=r"took nothing for 0\.01 s"):
                while True:
                    await stream.write(bytes(1 << 20), 0.01)
            stream.abort()

    asyncio.run(play())


def test_a_reset_is_a_lost_line() -> None:
    async def reset(stream: TcpStream) -> None:
        await stream.read()
        connection = stream._connection.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.abort()

    async def play() -> None:
        async with served(reset) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            await stream.write(b"x")
            with pytest.raises(LineLost, match=r"\[127\.0\.0\.1\]: Connection reset by peer$"):
                await stream.read(LONG)
            with pytest.raises(LineLost):
                await stream.write(b"x", LONG)
            assert stream.backlog() == 0
            await stream.close()

    asyncio.run(play())


def test_the_kernels_time_out_is_a_lost_line() -> None:
    async def play() -> None:
        async with served(hang) as port:
            for timeout in (None, LONG):
                stream = await connect("127.0.0.1", port, timeout=LONG)
                gone = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
                stream._connection.connection_lost(gone)
                with pytest.raises(LineLost, match="Connection timed out"):
                    await stream.read(timeout)
                with pytest.raises(LineLost, match="Connection timed out"):
                    await stream.write(b"x", timeout)
                stream.abort()

    asyncio.run(play())


def test_an_orderly_close_sends_all_that_was_written_first() -> None:
    data = bytes(range(256)) * 4096

    async def give(stream: TcpStream) -> None:
        await stream.write(data)
        await stream.close()

    async def play() -> None:
        async with served(give) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            assert await read_all(stream) == data
            assert await stream.read(LONG) == b""
            await stream.close()
            await stream.close()
            with pytest.raises(LineLost):
                await stream.write(b"x", LONG)
            assert stream.backlog() == 0

    asyncio.run(play())


def test_a_close_that_the_peer_does_not_let_end_is_an_abort(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "CLOSE_SECONDS", 0.01)

    async def play() -> None:
        async with served(hang) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            with pytest.raises(TimedOut):
                while True:
                    await stream.write(bytes(1 << 20), 0.01)
            await stream.close()
            await until(lambda: stream.backlog() == 0)

    asyncio.run(play())


def test_after_an_abort_nothing_is_read_and_nothing_can_be_written() -> None:
    async def play() -> None:
        async with served(hang) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            stream.abort()
            assert await stream.read(LONG) == b""
            with pytest.raises(LineLost):
                await stream.write(b"x", LONG)
            await stream.close()

    asyncio.run(play())


def test_the_backlog_is_what_the_peer_has_not_taken() -> None:
    async def play() -> None:
        may_read = asyncio.Event()
        taken = 0

        async def read_later(stream: TcpStream) -> None:
            nonlocal taken
            await may_read.wait()
            while data := await stream.read():
                taken += len(data)

        async with served(read_later) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            assert stream.backlog() == 0
            written = 0
            with pytest.raises(TimedOut):
                while True:
                    written += 1 << 20
                    await stream.write(bytes(1 << 20), 0.01)
            waiting = stream._connection.transport.get_write_buffer_size()
            assert waiting > tcp.WRITE_BUFFER_BYTES
            assert stream.backlog() > waiting  # the kernel's part is in it
            before = stream.backlog()
            may_read.set()
            await until(lambda: taken == written)
            assert stream.backlog() < before
            await until(lambda: stream.backlog() == 0)
            stream.abort()

    asyncio.run(play())


def test_little_waits_in_our_own_memory() -> None:
    async def play() -> None:
        async with served(hang) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            piece = bytes(1024)
            with pytest.raises(TimedOut):
                while True:
                    await stream.write(piece, 0.01)
            waiting = stream._connection.transport.get_write_buffer_size()
            assert waiting <= tcp.WRITE_BUFFER_BYTES + len(piece)
            stream.abort()

    asyncio.run(play())


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("relay.example.net").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return tls.client_context(ca_file=path)


def test_tls_can_begin_in_the_middle(
    server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def serve(stream: TcpStream) -> None:
        assert await stream.read() == b"STARTTLS\r\n"
        await stream.write(b"220 go\r\n")
        await stream.start_tls(server_context, None)
        await echo(stream)

    async def play() -> None:
        count = ByteCount()
        async with served(serve) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG, count=count)
            await stream.write(b"STARTTLS\r\n")
            assert await stream.read(LONG) == b"220 go\r\n"
            await stream.start_tls(trusting, "relay.example.net", LONG)
            data = bytes(range(256)) * 1024
            writing = asyncio.ensure_future(stream.write(data, LONG))
            read = b""
            while len(read) < len(data):
                read += await stream.read(LONG)
            await writing
            assert read == data
            assert count.bytes_out == len(data) + len(b"STARTTLS\r\n")
            await until(lambda: stream.backlog() == 0)
            await stream.close()
            assert stream.backlog() == 0

    asyncio.run(play())


def test_little_waits_in_our_own_memory_under_tls_too(
    server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def play() -> None:
        async with served(hang, server_context) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            await stream.start_tls(trusting, "relay.example.net", LONG)
            piece = bytes(1024)
            with pytest.raises(TimedOut):
                while True:
                    await stream.write(piece, 0.01)
            waiting = stream._connection.transport.get_write_buffer_size()
            assert waiting <= 2 * tcp.WRITE_BUFFER_BYTES
            stream.abort()

    asyncio.run(play())


def start_tls_with(
    context: ssl.SSLContext,
    name: str,
    server_context: ssl.SSLContext | None,
    serve: Callable[[TcpStream], Awaitable[None]] = hang,
    timeout: float | None = LONG,
) -> None:
    """Connect and start TLS, whatever the server does; raises what start_tls raises."""

    async def play() -> None:
        async with served(serve, server_context) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            try:
                await stream.start_tls(context, name, timeout)
            finally:
                stream.abort()

    asyncio.run(play())


def test_a_certificate_for_another_name_is_refused(
    server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    start_tls_with(trusting, "relay.example.net", server_context)
    with pytest.raises(TlsFailed, match="its certificate is not accepted: Hostname mismatch"):
        start_tls_with(trusting, "other.example.net", server_context)


def test_a_certificate_of_an_unknown_authority_is_refused(server_context: ssl.SSLContext) -> None:
    with pytest.raises(TlsFailed, match=r"its certificate is not accepted: .*issuer"):
        start_tls_with(tls.client_context(), "relay.example.net", server_context)


def test_anybody_is_trusted_only_where_that_is_asked_for(server_context: ssl.SSLContext) -> None:
    start_tls_with(tls.client_context(verify=False), "other.example.net", server_context)


def test_a_peer_that_speaks_no_tls_is_named(trusting: ssl.SSLContext) -> None:
    async def nonsense(stream: TcpStream) -> None:
        await stream.read()
        await stream.write(b"500 what?\r\n")
        await stream.read()

    with pytest.raises(TlsFailed, match=r"127\.0\.0\.1.*: TLS failed: "):
        start_tls_with(trusting, "relay.example.net", None, nonsense)


def test_a_peer_that_hangs_up_in_the_handshake_is_named(trusting: ssl.SSLContext) -> None:
    async def leave(stream: TcpStream) -> None:
        await stream.read()

    with pytest.raises(TlsFailed):
        start_tls_with(trusting, "relay.example.net", None, leave)


def test_a_handshake_that_does_not_end_is_a_time_out(trusting: ssl.SSLContext) -> None:
    with pytest.raises(TimedOut, match=r"no TLS within 0\.01 s"):
        start_tls_with(trusting, "relay.example.net", None, hang, timeout=0.01)


def test_only_our_own_limit_ends_a_slow_handshake(
    server_context: ssl.SSLContext, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(stream: TcpStream) -> None:
        await stream.read()
        await stream.write(b"go")
        await stream.start_tls(server_context, None)
        await echo(stream)

    async def play() -> None:
        async with served(serve) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            await stream.write(b"?")
            assert await stream.read(LONG) == b"go"
            await stream.start_tls(trusting, "relay.example.net", LONG)
            await stream.write(b"x")
            assert await stream.read(LONG) == b"x"
            stream.abort()

    # asyncio's own, which no handshake could keep.
    monkeypatch.setattr(asyncio.constants, "SSL_HANDSHAKE_TIMEOUT", 1e-9)
    asyncio.run(play())


def test_what_came_before_tls_is_never_read_as_if_it_came_under_it(
    server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def serve(stream: TcpStream) -> None:
        await stream.write(b"220 go\r\n")
        await stream.read()
        await stream.write(b"250 injected\r\n")
        await stream.start_tls(server_context, None)

    async def play() -> None:
        async with served(serve) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            assert await stream.read(LONG) == b"220 go\r\n"
            await stream.write(b"?")
            await until(lambda: stream._connection.has_spoken)
            with pytest.raises(TlsFailed, match="spoke before TLS was up"):
                await stream.start_tls(trusting, "relay.example.net", LONG)
            stream.abort()

    asyncio.run(play())


def test_a_line_that_was_closed_gets_no_tls(trusting: ssl.SSLContext) -> None:
    async def leave(stream: TcpStream) -> None:
        await stream.close()

    async def play() -> None:
        async with served(leave) as port:
            stream = await connect("127.0.0.1", port, timeout=LONG)
            assert await stream.read(LONG) == b""
            with pytest.raises(TlsFailed, match="closed the connection"):
                await stream.start_tls(trusting, "relay.example.net", LONG)
            stream.abort()

    asyncio.run(play())


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(TlsFailed, match=f"{missing}: no certificates can be read"):
        tls.client_context(ca_file=missing)
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    with pytest.raises(TlsFailed, match=f"{garbage}: no certificates can be read"):
        tls.client_context(ca_file=garbage)


def test_verifying_is_the_rule() -> None:
    context = tls.client_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
