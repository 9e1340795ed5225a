"""Servers that fetched mail is handed to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relaynode.config.values import HostPort

_WRITTEN = "write smtp:host:port, lmtp:host:port or lmtp:/path/of/its/socket"


@dataclass(frozen=True, slots=True)
class DropOff:
    """`smtp:host`, `smtp:host:port` or `smtp:host/port`; `lmtp:host:port`; `lmtp:/path`. One of
    `path` and `where` is None."""

    protocol: str
    path: Path | None = None
    where: HostPort | None = None

    @classmethod
    def parse(cls, text: str) -> DropOff:
        """Raises: ValueError."""
        protocol, _, place = text.strip().partition(":")
        if protocol not in ("smtp", "lmtp") or not place:
            raise ValueError(f'"{text}" is no drop-off; {_WRITTEN}')
        if place.startswith("/"):
            if protocol == "smtp":
                raise ValueError(f'"{text}": at a socket LMTP is spoken; write lmtp:{place}')
            return cls(protocol, path=Path(place))
        host, slash, port = place.rpartition("/")
        if slash and host.count(":") > 1 and not host.startswith("["):
            host = f"[{host}]"
        where = HostPort.parse(f"{host}:{port}" if slash else place)
        if protocol == "lmtp" and where.port is None:
            raise ValueError(f'"{text}" lacks a port: LMTP has no usual one')
        return cls(protocol, where=where)

    def __str__(self) -> str:
        return f"{self.protocol}:{self.where if self.path is None else self.path}"
