"""Where an SMTP session goes, and all that is needed to open it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.queue.servers import NoServers
from relaynode.wire.meter import LineFigures

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from relaynode.logins import Login
    from relaynode.queue.servers import Servers
    from relaynode.wire.stream import Stream


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a session goes and how it is opened.

    `tls`: "none", "starttls", "tls", or "opportunistic": STARTTLS if the server offers it. `check`:
    looks at what the server has shown under TLS, and raises TlsFailed if that will not do.

    `mailer`: which of the SMTP mailers this is, for the form of addresses. `open`: makes the
    connection. `tls_context` is needed unless `tls` is "none". `login`: None to go without.
    `max_in_flight`: messages under way over one connection. `max_connections`: at once, to a server
    that does not take messages one behind the other. `port` and `servers`: where what the server
    shows of itself is kept. `is_lmtp`: it speaks LMTP. `line`: told what is seen of the line.
    """

    name: str
    open: Callable[[], Awaitable[Stream]]
    mailer: str = "esmtp"
    tls: str = "none"
    tls_context: Callable[[], ssl.SSLContext] | None = None
    check: Callable[[Stream], None] | None = None
    login: Login | None = None
    timeout_seconds: float = 300.0
    max_in_flight: int = 64
    max_connections: int = 5
    port: int = 25
    is_lmtp: bool = False
    servers: Servers = field(default_factory=NoServers)
    line: LineFigures = field(default_factory=LineFigures)
