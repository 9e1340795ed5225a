"""What servers have shown of themselves, kept from one session to the next.

It saves round trips and mistakes, and is never believed: a server's own answer counts as soon as it
is there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from relaynode.queue.store_part import StorePart

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class KnownServer:
    """What is known of a server.

    `extensions`: what it answered to EHLO last, keywords with arguments; empty if it was never
    asked. `broken`: extensions that it advertises and cannot do. `max_recipients`: how many it
    took in one transaction before it said that these were too many; None if it never did.
    `connections`: how many at once the line to it bears, where one cannot fill it. `insists`: it
    refuses commands that come behind EHLO before its answer, as RFC 2920 section 3.1 lets it.
    """

    extensions: Mapping[str, str] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    max_recipients: int | None = None
    connections: int = 1
    insists: bool = False


class Servers(Protocol):
    """The memory. `name` tells servers apart: address, port, and how it is spoken to."""

    async def recall(self, name: str) -> KnownServer | None:
        """What is known of a server; None if it is a stranger. Raises: StoreError."""
        ...

    async def recall_host(self, host: str, port: int, tls: str) -> KnownServer | None:
        """What is known of a server whose address is not asked for: of one of its addresses.
        Raises: StoreError."""
        ...

    async def remember(self, name: str, known: KnownServer) -> None:
        """Keep it instead of what was known before. Raises: StoreError."""
        ...


def is_of_host(name: str, host: str, port: int, tls: str) -> bool:
    """Is it the name of a server of that host? See `Servers`: HOST [ADDRESS]:PORT TLS."""
    return name.startswith(f"{host} [") and name.endswith(f"]:{port} {tls}")


class NoServers:
    """A memory that keeps nothing."""

    async def recall(self, name: str) -> KnownServer | None:
        """See Servers."""
        return None

    async def recall_host(self, host: str, port: int, tls: str) -> KnownServer | None:
        """See Servers."""
        return None

    async def remember(self, name: str, known: KnownServer) -> None:
        """See Servers."""


class MemoryServers:
    """The memory's twin in memory."""

    def __init__(self) -> None:
        self._known: dict[str, KnownServer] = {}

    async def recall(self, name: str) -> KnownServer | None:
        """See Servers."""
        return self._known.get(name)

    async def recall_host(self, host: str, port: int, tls: str) -> KnownServer | None:
        """See Servers."""
        found = (known for name, known in self._known.items() if is_of_host(name, host, port, tls))
        return next(found, None)

    async def remember(self, name: str, known: KnownServer) -> None:
        """See Servers."""
        self._known[name] = known


class SqlServers(StorePart):
    """The memory in a database, whose reading and writing the store does."""

    async def recall(self, name: str) -> KnownServer | None:
        """See Servers."""
        row = await self._read(
            lambda db: db.execute(
                "SELECT extensions, broken, max_recipients, connections, insists FROM server"
                " WHERE name = ?",
                (name,),
            ).fetchone()
        )
        if row is None:
            return None
        extensions, broken, max_recipients, connections, insists = row
        return KnownServer(
            json.loads(extensions),
            frozenset(broken.split()),
            max_recipients,
            connections,
            bool(insists),
        )

    async def recall_host(self, host: str, port: int, tls: str) -> KnownServer | None:
        """See Servers."""
        rows = await self._read(lambda db: db.execute("SELECT name FROM server").fetchall())
        found = (name for (name,) in rows if is_of_host(name, host, port, tls))
        name = next(found, None)
        return None if name is None else await self.recall(name)

    async def remember(self, name: str, known: KnownServer) -> None:
        """See Servers."""
        row = (
            name,
            json.dumps(dict(known.extensions)),
            " ".join(sorted(known.broken)),
            known.max_recipients,
            known.connections,
            known.insists,
        )
        await self._write(
            lambda db: db.execute(
                "INSERT INTO server"
                " (name, extensions, broken, max_recipients, connections, insists)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " extensions = excluded.extensions, broken = excluded.broken,"
                " max_recipients = excluded.max_recipients, connections = excluded.connections,"
                " insists = excluded.insists",
                row,
            )
        )
