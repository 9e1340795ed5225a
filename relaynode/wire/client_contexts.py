"""TLS contexts, one for a server and its settings, kept so that sessions can be resumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.wire.tls import add_certificate, client_context

if TYPE_CHECKING:
    from pathlib import Path

    from relaynode.wire.client_context import ClientContext


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How TLS is spoken with `server`, which is any text that tells it from others.

    `fingerprints`: of certificates that are trusted as they are. `is_old`: accept what is outdated.
    `own`: our certificate and key.
    """

    server: str
    ca_file: Path | None = None
    verify: bool = True
    fingerprints: frozenset[str] = frozenset()
    is_old: bool = False
    own: tuple[Path, Path] | None = None


class ClientContexts:
    """All contexts of a running program."""

    def __init__(self) -> None:
        self._made: dict[ClientSettings, tuple[tuple[int, ...], ClientContext]] = {}

    def get(self, settings: ClientSettings) -> ClientContext:
        """The context for a server, made anew when a file that it was made of has changed.

        Raises: TlsFailed.
        """
        stamps = tuple(_stamp(path) for path in (settings.ca_file, *(settings.own or ())))
        known = self._made.get(settings)
        if known is not None and known[0] == stamps:
            return known[1]
        context = _make(settings)
        self._made[settings] = stamps, context
        return context


def _make(settings: ClientSettings) -> ClientContext:
    context = client_context(ca_file=settings.ca_file, verify=settings.verify)
    if settings.is_old:
        context.accept_old()
    if settings.own is not None:
        add_certificate(context, *settings.own)
    context.pin(settings.fingerprints)
    context.tell_remedies()
    return context


def _stamp(path: Path | None) -> int:
    """Something that changes with the file; reading it will tell what is wrong with it."""
    try:
        return path.stat().st_mtime_ns if path is not None else 0
    except OSError:
        return -1
