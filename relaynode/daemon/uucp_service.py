"""UUCP neighbours that call over the network: their certificate or login, the call, what it left.

In the clear they log in. Under TLS a certificate of theirs may be enough: then nothing is asked.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from relaynode.errors import RelaynodeError, TlsFailed
from relaynode.uucico.opening import is_shown_by
from relaynode.wire import tls
from relaynode.wire.tcp import TcpStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from relaynode.neighbours import Neighbour
    from relaynode.node import Node
    from relaynode.wire.stream import Stream

log = logging.getLogger("relaynode.uucico")

TLS_SECONDS = 120.0
"""How long a caller may take until TLS is up: as for each message of the handshake."""


class UucpService:
    """What a listener does with each connection. `node`: the node of the moment."""

    def __init__(self, node: Callable[[], Node]) -> None:
        self._node = node

    async def serve(self, stream: Stream, _: str) -> None:
        """Answer a call in the clear, with prompts."""
        await self._answer(stream, None)

    async def serve_tls(self, stream: Stream, _: str) -> None:
        """Answer a call under TLS."""
        assert isinstance(stream, TcpStream)
        try:
            await stream.start_tls(_context(self._node()), None, TLS_SECONDS)
        except RelaynodeError as error:
            log.error("- - ERROR: %s", error)
            stream.abort()
            return
        await self._answer(stream, partial(_shows, stream))

    async def _answer(self, stream: Stream, shows: Callable[[Neighbour], bool] | None) -> None:
        node = self._node()
        is_known = shows is not None and any(
            one.tls.is_demanded and one.answer("") is not None and shows(one)
            for one in node.neighbours
        )
        try:
            await node.calls.answer(
                stream, has_prompts=not is_known, shows=shows, is_end_to_end=True
            )
            await node.executor.run_due()
        except RelaynodeError as error:
            log.error("%s: %s", stream.peer, error)


def _context(node: Node) -> ssl.SSLContext:
    """Certificates are demanded where nobody could call without one. Raises: TlsFailed."""
    config, own = node.config, node.config.file.uucp
    assert own.certificate is not None, "the configuration was checked"
    assert own.key is not None
    callers = [one for one in node.neighbours if one.answers]
    return tls.uucp_server_context(
        config.absolute(own.certificate),
        config.absolute(own.key),
        ca_files={one.tls.authorities for one in callers if one.tls.authorities is not None},
        is_demanded=bool(callers) and all(one.tls.is_demanded for one in callers),
    )


def _shows(stream: TcpStream, neighbour: Neighbour) -> bool:
    try:
        return is_shown_by(neighbour, stream)
    except TlsFailed as error:  # its file of certificates cannot be read any more
        log.error("%s - ERROR: %s", neighbour.name, error)
        return False
