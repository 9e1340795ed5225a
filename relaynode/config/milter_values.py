"""Where a filter listens, as sendmail's S= and Postfix's smtpd_milters write it."""

from __future__ import annotations

from dataclasses import dataclass

from relaynode.config.values import HostPort

_FORMS = '"inet:11332@localhost", "inet:localhost:11332" or "unix:/run/filter.sock"'


@dataclass(frozen=True, slots=True)
class MilterSocket:
    """`path` of a unix socket, or `host` and `port`. `version`: 6 for inet6, else 0."""

    path: str = ""
    host: str = ""
    port: int = 0
    version: int = 0

    @classmethod
    def parse(cls, text: str) -> MilterSocket:
        """Raises: ValueError."""
        kind, colon, where = text.strip().partition(":")
        if text.strip().startswith("/"):
            kind, colon, where = "unix", ":", text.strip()
        if kind in ("unix", "local") and where.startswith("/") and "\0" not in where:
            return cls(path=where)
        if kind in ("inet", "inet6") and colon:
            host, port = _host_and_port(text, where)
            return cls(host=host, port=port, version=6 if kind == "inet6" else 0)
        raise ValueError(f'"{text}" is no socket of a filter: write {_FORMS}')

    def __str__(self) -> str:
        kind = "inet6" if self.version == 6 else "inet"
        return f"unix:{self.path}" if self.path else f"{kind}:{self.port}@{self.host}"


def _host_and_port(text: str, where: str) -> tuple[str, int]:
    """sendmail writes port@host, Postfix host:port."""
    port, at, host = where.partition("@")
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    found = HostPort.parse(f"{bracketed}:{port}" if at else where)
    if found.port is None:
        raise ValueError(f'"{text}" lacks a port: write {_FORMS}')
    return found.host, found.port
