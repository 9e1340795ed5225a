"""A mailbox to poll, whatever the protocol: where it is, how to log in, and what is wanted of it.

Made of [account.NAME] by links/fetching.py. Not here: ODMR, which fetches for domains (odmr.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from relaynode.logins import Login
    from relaynode.sources.filters import Filters
    from relaynode.wire.stream import Stream


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox to poll. `tls`: "none", "starttls" (STLS) or "tls". `server`: its name.
    `filters`: who is asked about its mail."""

    name: str
    server: str
    open: Callable[[], Awaitable[Stream]]
    login: Login
    deliver_to: str
    tls: str = "tls"
    tls_context: Callable[[], ssl.SSLContext] | None = None
    keep: bool = False
    timeout_seconds: float = 300.0
    max_message_bytes: int = 50 * 1024 * 1024
    filters: Filters | None = None
