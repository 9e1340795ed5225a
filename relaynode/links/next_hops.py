"""What an SMTP session is opened with: to a smart host, to a host out there, to any server.

A smart host is demanded what its section says. A host that only the DNS or a table names is spoken
to under TLS if it offers that (RFC 7435), and must show the certificate that the DNS names, if a
validating name server has told of one (DANE, RFC 7672).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import ConnectFailed, FarHostSilent, TlsFailed
from relaynode.mailers.smtp_hop import NextHop
from relaynode.policy.dane import match
from relaynode.wire import tcp, tls, unix
from relaynode.wire.authority import insist_on_authority
from relaynode.wire.client_contexts import ClientContexts, ClientSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from relaynode.config.loader import Config
    from relaynode.config.schema import RemoteSection
    from relaynode.config.values import HostPort, ServerPlace
    from relaynode.links.far_hosts import Dane, FarHost
    from relaynode.queue.servers import Servers
    from relaynode.wire.meter import ByteCount
    from relaynode.wire.stream import Stream

CONNECT_SECONDS = 60.0
"""A thin line answers a call within seconds or not at all; RFC 5321 would allow five minutes."""

FAR_CONNECT_SECONDS = 30.0
"""Where there is another address to try, less: the others wait for it."""

USUAL_PORTS = {"none": 25, "starttls": 25, "tls": 465}
LMTP_PORT = 24


def far_hop(
    host: FarHost, usual_port: int, mailer: str, count: ByteCount, sources: Sequence[str]
) -> NextHop:
    """One address of a host out there."""

    port = host.port or usual_port

    async def connect() -> Stream:
        try:
            return await tcp.connect(
                host.address,
                port,
                timeout=FAR_CONNECT_SECONDS,
                count=count,
                name=host.name,
                sources=sources,
            )
        except ConnectFailed as error:
            if host.name == host.address:
                raise  # no DNS was asked for it
            raise FarHostSilent(str(error), reason=error.reason) from error

    dane = host.dane
    return NextHop(
        # RFC 7672 section 8.1: the server is asked for by the name that its record stands under.
        name=host.name if dane is None else dane.names[0],
        open=connect,
        mailer=mailer,
        tls="opportunistic" if dane is None else "starttls",
        tls_context=lambda: tls.client_context(verify=False),
        check=None if dane is None else _checker(dane),
        port=port,
        line=count.line,
    )


def _checker(dane: Dane) -> Callable[[Stream], None] | None:
    """What looks at the certificate; None if there is nothing that could be checked."""
    if not dane.records:
        return None

    def check(stream: Stream) -> None:
        chain = stream.shown_certificates() if isinstance(stream, tcp.TcpStream) else ()
        found = match(dane.records, chain)
        if found.is_own:
            return  # RFC 7672 section 3.1.1: neither its name nor its dates matter then
        try:
            if not found.authorities:
                raise TlsFailed("none of its certificates is one that the DNS names")
            insist_on_authority(chain, found.authorities, dane.names)
        except TlsFailed as error:
            text = f"{stream.peer}: its certificate is not accepted (DANE): {error}"
            raise TlsFailed(text, reason="dane-failed") from error

    return check


def opener(
    where: HostPort, usual_port: int, count: ByteCount, sources: Sequence[str] = ()
) -> Callable[[], Awaitable[Stream]]:
    """Something that connects to `where` when it is called. `sources`: see `tcp.connect`."""
    host, port = where.with_default(usual_port)

    async def connect() -> Stream:
        return await tcp.connect(host, port, timeout=CONNECT_SECONDS, count=count, sources=sources)

    return connect


def local_hop(where: ServerPlace, timeout_seconds: float, servers: Servers) -> NextHop:
    """The server that local mail is handed to by LMTP."""

    async def connect() -> Stream:
        if where.path is not None:
            return await unix.connect(where.path, timeout=FAR_CONNECT_SECONDS)
        assert where.where is not None, "one of the two"
        host, port = where.where.with_default(LMTP_PORT)
        return await tcp.connect(host, port, timeout=FAR_CONNECT_SECONDS)

    return NextHop(
        name="local",
        open=connect,
        mailer="local",
        timeout_seconds=timeout_seconds,
        is_lmtp=True,
        servers=servers,
    )


def context_maker(
    config: Config,
    section: RemoteSection,
    contexts: ClientContexts,
    host: HostPort | None = None,
) -> Callable[[], ssl.SSLContext]:
    """Something that gives the TLS context of a server that we call when it is called.

    `host`: which one of them, if there are several.
    """

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else config.absolute(path)

    certificate, key = absolute(section.certificate), absolute(section.key)
    settings = ClientSettings(
        server=str(host or section.host),
        ca_file=absolute(section.ca_file),
        verify=section.verify,
        fingerprints=frozenset(one.digits for one in section.fingerprints),
        is_old=section.old_tls,
        own=None if certificate is None or key is None else (certificate, key),
    )
    return lambda: contexts.get(settings)
