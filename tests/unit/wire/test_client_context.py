"""TLS as client: sessions are resumed, pins hold, and an error names what would accept a server."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
import socket
import ssl
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trustme

from relaynode.errors import TlsFailed
from relaynode.wire.client_contexts import ClientContexts, ClientSettings
from relaynode.wire.tcp import TcpStream, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from relaynode.wire.client_context import ClientContext

LONG = 10.0
CA = trustme.CA()


def server_context(
    certificate: trustme.LeafCert, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if version is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = version
    return context


@asynccontextmanager
async def served(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A server that echoes one line a connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            writer.write(await reader.readline())
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def visit(port: int, context: ClientContext, host: str = "localhost") -> bool:
    """One connection; was its TLS session resumed?"""
    stream: TcpStream = await connect("127.0.0.1", port, timeout=LONG)
    try:
        await stream.start_tls(context, host, LONG)
        await stream.write(b"hi\n", LONG)
        assert await stream.read(LONG) == b"hi\n"
        return stream.is_resumed
    finally:
        stream.abort()


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(path)
    return path


def fingerprint(leaf: trustme.LeafCert) -> str:
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    return hashlib.sha256(der).hexdigest()


LOCAL = CA.issue_cert("localhost")


def trouble(
    context: ssl.SSLContext | None, settings: ClientSettings, host: str = "localhost"
) -> str:
    async def go() -> str:
        async with served(context) as port:
            with pytest.raises(TlsFailed) as caught:
                await visit(port, ClientContexts().get(settings), host)
            return str(caught.value)

    return asyncio.run(go())


# --- sessions


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_second_connection_goes_on_where_the_first_was(
    ca_file: Path, version: ssl.TLSVersion
) -> None:
    contexts = ClientContexts()
    settings = ClientSettings("mx", ca_file)

    async def go() -> list[bool]:
        server = server_context(LOCAL)
        server.maximum_version = version
        async with served(server) as port:
            return [await visit(port, contexts.get(settings)) for _ in range(3)]

    assert asyncio.run(go()) == [False, True, True]


def test_a_server_that_has_forgotten_the_session_gets_a_whole_handshake(ca_file: Path) -> None:
    context = ClientContexts().get(ClientSettings("mx", ca_file))

    async def go() -> None:
        for _ in range(2):
            async with served(server_context(LOCAL)) as port:
                assert not await visit(port, context)

    asyncio.run(go())


def test_a_session_is_resumed_for_its_own_name_only(ca_file: Path) -> None:
    context = ClientContexts().get(ClientSettings("mx", ca_file))

    async def go() -> None:
        async with served(server_context(CA.issue_cert("localhost", "mx.example"))) as port:
            assert not await visit(port, context, "localhost")
            assert not await visit(port, context, "mx.example")
            assert await visit(port, context, "mx.example")

    asyncio.run(go())


def test_a_connection_that_is_still_up_lends_its_session_to_the_next(ca_file: Path) -> None:
    context = ClientContexts().get(ClientSettings("mx", ca_file))

    async def go() -> None:
        async with served(server_context(LOCAL)) as port:
            first = await connect("127.0.0.1", port, timeout=LONG)
            await first.start_tls(context, "localhost", LONG)
            await first.write(b"hi\n", LONG)
            assert await first.read(LONG) == b"hi\n"
            assert await visit(port, context)
            first.abort()

    asyncio.run(go())


def test_servers_and_settings_share_no_session(ca_file: Path) -> None:
    contexts = ClientContexts()
    one = contexts.get(ClientSettings("mx", ca_file))
    assert one is contexts.get(ClientSettings("mx", ca_file))
    assert one is not contexts.get(ClientSettings("my", ca_file))
    assert one is not contexts.get(ClientSettings("mx", ca_file, verify=False))


def test_a_changed_file_makes_a_new_context(ca_file: Path) -> None:
    contexts = ClientContexts()
    one = contexts.get(ClientSettings("mx", ca_file))
    other = trustme.CA()
    other.cert_pem.write_to_path(ca_file)
    os.utime(ca_file, ns=(1, 1))
    assert contexts.get(ClientSettings("mx", ca_file)) is not one


# --- pins


def test_a_pinned_certificate_is_accepted_whatever_is_wrong_with_it() -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    expired = trustme.CA().issue_cert("elsewhere.example", not_after=past)
    settings = ClientSettings("mx", fingerprints=frozenset([fingerprint(expired)]))

    async def go() -> list[bool]:
        context = ClientContexts().get(settings)
        async with served(server_context(expired)) as port:
            return [await visit(port, context) for _ in range(2)]

    assert asyncio.run(go()) == [False, True]


def test_another_certificate_than_the_pinned_one_is_refused_and_told(ca_file: Path) -> None:
    settings = ClientSettings("mx", ca_file, fingerprints=frozenset(["0" * 64]))
    text = trouble(server_context(LOCAL), settings)
    assert "not the pinned one" in text
    assert f"sha256:{fingerprint(LOCAL)}" in text


# --- what would help


def test_an_expired_certificate_is_told_with_its_date(ca_file: Path) -> None:
    past = datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
    expired = CA.issue_cert("localhost", not_after=past)
    text = trouble(server_context(expired), ClientSettings("mx", ca_file))
    assert "certificate is not accepted: it has expired on 2020-01-02" in text
    assert f'fingerprints = ["sha256:{fingerprint(expired)}"]' in text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_of_another_name_is_told_with_that_name(
    ca_file: Path, version: ssl.TLSVersion
) -> None:
    other = CA.issue_cert("mx.example.net", "192.0.2.25")
    server = server_context(other)
    server.maximum_version = version
    text = trouble(server, ClientSettings("mx", ca_file))
    assert "it is for mx.example.net, 192.0.2.25 and not for localhost" in text
    assert f"sha256:{fingerprint(other)}" in text


def test_a_certificate_nobody_vouches_for_is_told_with_its_fingerprint(ca_file: Path) -> None:
    other = trustme.CA().issue_cert("localhost")
    text = trouble(server_context(other), ClientSettings("mx", ca_file))
    assert "ca_file names who vouches for it" in text
    assert f'fingerprints = ["sha256:{fingerprint(other)}"]' in text


@contextmanager
def served_by_openssl(context: ssl.SSLContext) -> Iterator[int]:
    """A server that tells a client why it fails; asyncio's just hangs up."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    tls.sendall(tls.recv(3))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_an_old_server_is_accepted_where_that_is_said(ca_file: Path) -> None:
    contexts = ClientContexts()
    with served_by_openssl(server_context(LOCAL, ssl.TLSVersion.TLSv1_1)) as port:
        with pytest.raises(TlsFailed, match="old_tls = true accepts an old server"):
            asyncio.run(visit(port, contexts.get(ClientSettings("mx", ca_file))))
        asyncio.run(visit(port, contexts.get(ClientSettings("mx", ca_file, is_old=True))))


def test_what_speaks_no_tls_is_told_so(ca_file: Path) -> None:
    async def go() -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"220 mx.example.net ESMTP\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(TlsFailed) as caught:
                await visit(port, ClientContexts().get(ClientSettings("mx", ca_file)))
            return str(caught.value)

    assert 'tls = "starttls"' in asyncio.run(go())


def test_a_certificate_of_ours_is_shown_to_who_wants_one(tmp_path: Path, ca_file: Path) -> None:
    server = server_context(LOCAL)
    server.verify_mode = ssl.CERT_REQUIRED
    CA.configure_trust(server)
    us = CA.issue_cert("us.example")
    us.private_key_pem.write_to_path(tmp_path / "us.key")
    us.cert_chain_pems[0].write_to_path(tmp_path / "us.pem")

    async def go() -> None:
        async with served(server) as port:
            own = (tmp_path / "us.pem", tmp_path / "us.key")
            await visit(port, ClientContexts().get(ClientSettings("mx", ca_file, own=own)))

    asyncio.run(go())
