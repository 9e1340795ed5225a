"""Opens the line to a neighbour, and sees to it that it is the neighbour who is at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import TlsFailed
from relaynode.wire import tls
from relaynode.wire.calling import open_call
from relaynode.wire.tcp import TcpStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from relaynode.neighbours import Neighbour, Neighbours, Way
    from relaynode.wire.stream import Stream


def line_opener(
    neighbours: Callable[[], Neighbours],
    sources: Callable[[str], Sequence[str]],
) -> Callable[[Neighbour, Way], Awaitable[Stream]]:
    """What opens a line by a way. Its result raises BusyError and WireError.

    `sources`: our addresses to call from over a link.
    """

    async def open_line(neighbour: Neighbour, way: Way) -> Stream:
        stream = await open_call(
            way.call,
            locks=neighbours().locks,
            context=lambda: _context(neighbour),
            sources=sources(neighbour.link),
        )
        try:
            _check(neighbour, stream)
        except TlsFailed:
            stream.abort()
            raise
        return stream

    return open_line


def _context(neighbour: Neighbour) -> ssl.SSLContext:
    own = neighbour.tls
    pair = (own.certificate, own.key) if own.certificate and own.key else None
    return tls.uucp_client_context(
        ca_file=own.authorities, is_pinned=bool(own.fingerprints), own=pair
    )


def _check(neighbour: Neighbour, stream: Stream) -> None:
    """Raises: TlsFailed if the certificate is not the neighbour's."""
    is_tls = isinstance(stream, TcpStream) and bool(stream.peer_certificate().chain)
    if is_tls and not is_shown_by(neighbour, stream):
        raise TlsFailed(f"{stream.peer}: its certificate is not that of {neighbour.name}")


def is_shown_by(neighbour: Neighbour, stream: Stream) -> bool:
    """Does the certificate of a connection show the neighbour? Raises: TlsFailed."""
    assert isinstance(stream, TcpStream)
    shown = stream.peer_certificate()
    authorities = neighbour.tls.authorities
    trusted = tls.certificates_in(authorities) if authorities is not None else frozenset()
    return neighbour.accepts_certificate(shown.chain, shown.names, trusted)
