"""A mailbox to poll, whatever the protocol: where it is, how to log in, and what is wanted of it.

Made of [account.NAME] by links/fetching.py. Not here: ODMR, which fetches for domains (odmr.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.polls.content import HeaderEdits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from relaynode.logins import Login
    from relaynode.policy.multidrop import Multidrop
    from relaynode.sources.filters import Filters
    from relaynode.wire.stream import Stream


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox to poll. `tls`: "none", "starttls" (STLS) or "tls". `server`: its name.

    `deliver_to`: whose mail it is; "" where `multidrop` finds that out for each message.
    `drop_off_address`: how a recipient is named to the server or program that gets the mail; None:
    it goes where the tables say. `edits`: what becomes of headers. `filters`: who is asked about
    its mail.
    """

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
    multidrop: Multidrop | None = None
    drop_off_address: Callable[[str], str] | None = None
    edits: HeaderEdits = field(default_factory=HeaderEdits)
