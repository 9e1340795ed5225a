"""TCP streams, with or without TLS on them, on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

from relaynode.errors import ConnectFailed, LineLost, TimedOut, TlsFailed
from relaynode.wire.client_context import ClientContext
from relaynode.wire.connection import open_connection
from relaynode.wire.tls import PeerCertificate, peer_certificate, shown_chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.wire.connection import Connection
    from relaynode.wire.meter import ByteCount

WRITE_BUFFER_BYTES = 16 * 1024
"""Bytes that wait in our own memory before `write` does: what lies there when the line drops was
"sent" for nobody."""

_UNSENT_REQUEST = 0x5411 if sys.platform == "linux" else 0x40046677
"""SIOCOUTQ of Linux (tcp(7)), FIONWRITE of the BSDs: bytes in a socket's send queue."""

_FAMILIES = {0: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}

HANDSHAKE_SECONDS = 86400.0
"""asyncio's own limit for a TLS handshake, out of the way: at 300 bit/s its minute is too short.
The limit that counts is the caller's timeout."""

_ANOTHER_NAME = frozenset((62, 64))
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""

CLOSE_SECONDS = 10.0
"""How long an orderly close may take before it is a disorderly one."""


async def connect(
    host: str,
    port: int,
    *,
    timeout: float,
    count: ByteCount | None = None,
    version: int = 0,
    name: str = "",
    sources: Sequence[str] = (),
) -> TcpStream:
    """A connection to `host`, tried at each of its addresses in turn, each for its share of
    `timeout` seconds: one that stays silent must not use up the others' time.

    `version`: only those of IPv4 or IPv6, or 0. `name`: what the host is called, if `host` is an
    address. `sources`: our own addresses to call from, the one that is of the same kind.
    Raises: ConnectFailed (refused, unreachable, unknown name, `timeout` seconds over), BudgetSpent.
    """
    if count is not None:
        count.check()
    what = f"{name} [{host}]:{port}" if name and name != host else f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, family=_FAMILIES[version]
            )
            connection = await _first_of(found, timeout, sources)
    except TimeoutError:
        text = f"{what}: no answer within {timeout:g} s"
        raise ConnectFailed(text, reason="connect-timeout") from None
    except socket.gaierror as error:
        raise ConnectFailed(f"{host}: {error.strerror}", reason=_dns_reason(error)) from error
    except ValueError as error:  # a label that DNS cannot hold
        raise ConnectFailed(f"{host}: {error}", reason="dns-no-such-host") from error
    except OSError as error:
        code = _connect_reason(error)
        raise ConnectFailed(f"{what}: {_reason(error)}", reason=code) from error
    return TcpStream(connection, name=name or host, count=count)


async def _first_of(found: Sequence[Any], seconds: float, sources: Sequence[str]) -> Connection:
    """A connection to the first address that takes one. Raises: OSError, the last one's."""
    for family, _, _, _, where in found[:-1]:
        with contextlib.suppress(OSError):  # TimeoutError is one, too
            async with asyncio.timeout(seconds / len(found)):
                return await _open(family, where, sources)
    family, _, _, _, where = found[-1]
    return await _open(family, where, sources)


async def _open(family: int, where: tuple[Any, ...], sources: Sequence[str]) -> Connection:
    is_six = family == socket.AF_INET6
    source = next(((own, 0) for own in sources if (":" in own) == is_six), None)
    return await open_connection(where[0], where[1], source=source)


class TcpStream:
    """A `Stream` on a TCP connection. `count`, when given, sees every byte."""

    def __init__(
        self, connection: Connection, *, name: str = "", count: ByteCount | None = None
    ) -> None:
        self._connection = connection
        self._count = count
        self._client_context: ClientContext | None = None
        self._has_failed_tls = False
        self.address = _address(self._told("peername"))
        self.peer = f"{name} [{self.address}]" if name else f"[{self.address}]"
        connection.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        if count is not None:
            count.opened(self)

    def _told(self, what: str) -> Any:
        return self._connection.transport.get_extra_info(what)

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream."""
        try:
            data = await self._connection.read(timeout)
        except TimeoutError:
            raise TimedOut(f"{self.peer}: silent for {timeout:g} s") from None
        if self._count is not None:
            self._count.received(len(data))
            self._count.check()
        if not data and self._connection.lost_with is not None:
            lost_with = self._connection.lost_with
            raise LineLost(f"{self.peer}: {_reason(lost_with)}") from lost_with
        return data

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream."""
        if not data:
            return
        connection, count = self._connection, self._count
        if count is not None:
            data = data[: count.room_bytes(len(data))]
        try:
            connection.transport.write(data)
            if count is not None:
                count.sent(len(data))
                count.check()
            if connection.is_crowded:
                await connection.room(timeout)
        except (OSError, RuntimeError) as error:  # RuntimeError: the transport is closed already
            if count is not None:
                count.check()  # it was ended because nothing may cross any more
            if _is_ours(error):
                raise TimedOut(f"{self.peer}: took nothing for {timeout:g} s") from None
            raise LineLost(f"{self.peer}: {_reason(connection.lost_with or error)}") from error

    def backlog(self) -> int:
        """See Stream: our buffer, and what the kernel holds until the peer acknowledges it."""
        waiting = self._connection.transport.get_write_buffer_size()
        connection = self._told("socket")
        if connection is None:  # a TLS transport that is closed
            return waiting
        with contextlib.suppress(OSError, ValueError):
            answer = fcntl.ioctl(connection.fileno(), _UNSENT_REQUEST, b"\0" * 4)
            waiting += int.from_bytes(answer, sys.byteorder)
        return waiting

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """See Stream. Nothing but TLS may have come in and not been read."""
        try:
            self._insist_on_silence()
            async with asyncio.timeout(timeout):
                await self._connection.start_tls(context, server_hostname, HANDSHAKE_SECONDS)
        except (OSError, RuntimeError) as error:
            if _is_ours(error):
                raise TimedOut(f"{self.peer}: no TLS within {timeout:g} s") from None
            is_about_certificate = isinstance(error, ssl.SSLCertVerificationError)
            failed = TlsFailed(
                f"{self.peer}: {_why(context, error, server_hostname)}",
                reason="tls-certificate" if is_about_certificate else "",
            )
            failed.is_stranger = getattr(error, "verify_code", 0) in _ANOTHER_NAME
            raise failed from error
        finally:
            self._has_failed_tls = self.cipher is None
        if isinstance(context, ClientContext):
            self._client_context = context
            self._insist_on_pin(context)
        self._connection.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def _insist_on_pin(self, context: ClientContext) -> None:
        why = context.pin_trouble(self._told("ssl_object"))
        if why:
            raise TlsFailed(f"{self.peer}: {why}", reason="tls-certificate")

    def _insist_on_silence(self) -> None:
        """Refuse what came in the clear: it would be read as if it had come under TLS.

        That is how commands and replies are injected in front of a handshake (CVE-2011-0411).
        """
        if self._connection.has_spoken:
            raise TlsFailed(f"{self.peer}: spoke before TLS was up")
        if self._connection.has_ended:
            raise TlsFailed(f"{self.peer}: closed the connection")

    def peer_certificate(self) -> PeerCertificate:
        """What the peer has shown under TLS; nothing without TLS."""
        connection = self._told("ssl_object")
        return PeerCertificate() if connection is None else peer_certificate(connection)

    @property
    def port(self) -> int:
        """The peer's port; 0 if it has none."""
        return _port(self._told("peername"))

    @property
    def own_address(self) -> str:
        """The address of ours that the peer is connected to."""
        return _address(self._told("sockname"))

    @property
    def cipher(self) -> tuple[str, str, int] | None:
        """Name, version of TLS and secret bits of what the line is encrypted with, if it is."""
        connection = self._told("ssl_object")
        found = None if connection is None else connection.cipher()
        # The name of a cipher comes with the version that first had it.
        return None if found is None else (found[0], connection.version(), found[2])

    @property
    def is_resumed(self) -> bool:
        """Was TLS taken up where an earlier connection had left it?"""
        connection = self._told("ssl_object")
        return connection is not None and bool(connection.session_reused)

    def _keep_session(self) -> None:
        """With TLS 1.3 what resumes a session comes behind the handshake, so it is taken late."""
        if self._client_context is not None:
            context, self._client_context = self._client_context, None
            context.keep_session(self._told("ssl_object"))

    def shown_certificates(self) -> tuple[bytes, ...]:
        """What the peer has sent of certificates, its own first, verified or not; DER."""
        connection = self._told("ssl_object")
        return () if connection is None else shown_chain(connection)

    async def close(self) -> None:
        """See Stream."""
        self._keep_session()
        if not self._has_failed_tls:  # asyncio would never tell that such a transport has closed
            with contextlib.suppress(TimeoutError):
                await self._connection.closed(CLOSE_SECONDS)
        self._connection.transport.abort()

    def abort(self) -> None:
        """See Stream."""
        self._keep_session()
        self._connection.transport.abort()


def _is_ours(error: Exception) -> bool:
    """Is it our own limit that ran out? The kernel's ETIMEDOUT means that the line is lost."""
    return isinstance(error, TimeoutError) and error.errno is None


def _why(context: ssl.SSLContext, error: Exception, host: str | None) -> str:
    """What a handshake failed of."""
    if isinstance(context, ClientContext) and isinstance(error, ssl.SSLError):
        return context.trouble(error, host)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return f"TLS failed: {_reason(error)}"


def _address(peername: Any) -> str:
    """The peer's address for people; a unix socket has none."""
    return str(peername[0]) if isinstance(peername, tuple) else "local"


def _port(peername: Any) -> int:
    return int(peername[1]) if isinstance(peername, tuple) else 0


def _dns_reason(error: socket.gaierror) -> str:
    """Nobody answered, or the DNS failed; or it says that there is no such name."""
    if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY):
        return "dns-temporary"
    return "dns-no-such-host"


_CONNECT_REASONS = (
    ((errno.ECONNREFUSED, errno.ECONNRESET), "connect-refused"),
    ((errno.ETIMEDOUT,), "connect-timeout"),
    ((errno.EHOSTUNREACH, errno.EHOSTDOWN), "no-route"),
    ((errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL), "no-network"),
)
"""Of a host with several addresses, what came nearest to it tells most: the first of these."""


def _connect_reason(error: OSError) -> str:
    # asyncio puts the errors of several addresses into the text of one.
    numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
    numbers |= {error.errno} if error.errno else set()
    found = (reason for some, reason in _CONNECT_REASONS if numbers.intersection(some))
    return next(found, "connect-failed")


def _reason(error: Exception) -> str:
    """The system's own words where there are some: asyncio wraps them in the call's arguments."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
