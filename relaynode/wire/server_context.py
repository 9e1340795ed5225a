"""The server's side of TLS: one certificate and its key, out of files that are looked at again.

Certificates are renewed by other programs, which tell nobody: so each connection asks whether the
files are still those that were read. While they cannot be read, or do not belong together (one is
written before the other), the certificate that was read before stays in use.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from relaynode.errors import TlsFailed
from relaynode.wire.tls import add_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from relaynode.wire.stream import Stream

HANDSHAKE_SECONDS = 60.0
"""How long a client may take until TLS is up: three round trips of a thin line."""

log = logging.getLogger("relaynode")


class ServerCertificate:
    """What we show to those who call us. TLS 1.2 is the oldest that is spoken."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._context: ssl.SSLContext | None = None
        self._read: tuple[object, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Can TLS be offered now? If not, the log says why."""
        try:
            self.context()
        except TlsFailed as error:
            log.error("no TLS is offered: %s", error)
            return False
        return True

    async def accept(self, stream: Stream) -> None:
        """Shake hands with a client, as the server. Raises: TlsFailed, TimedOut."""
        try:
            await stream.start_tls(self.context(), None, HANDSHAKE_SECONDS)
        except TlsFailed as error:
            log.info("%s", error)
            raise

    def context(self) -> ssl.SSLContext:
        """The context for a connection that comes now. Raises: TlsFailed."""
        seen = (_state(self._certificate), _state(self._key))
        if self._context is None or seen != self._read:
            try:
                self._context = server_context(self._certificate, self._key)
            except TlsFailed as error:
                if self._context is None:
                    raise
                log.error("the certificate read before stays in use: %s", error)
            self._read = seen
        return self._context


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for being called, by anybody. Raises: TlsFailed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    add_certificate(context, certificate, key)
    return context


def _state(path: Path) -> object:
    """What changes when a file does; None for one that cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
