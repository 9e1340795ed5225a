"""A mailbox to poll, whatever the protocol: where it is, how to log in, and what is wanted of it.

Made of [account.NAME] by links/fetching.py. Not here: ODMR, which fetches for domains (odmr.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.polls.choice import NO_WISHES, Wishes
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
    `wishes`: what of it is wanted. `expunge`: have deletions done for good after so many; 0: at the
    end alone. `warn_hours`: how often at most a letter tells of mail that is larger than is wanted;
    0: never.
    """

    name: str
    server: str
    open: Callable[[], Awaitable[Stream]]
    login: Login
    deliver_to: str
    tls: str = "tls"
    tls_context: Callable[[], ssl.SSLContext] | None = None
    timeout_seconds: float = 300.0
    filters: Filters | None = None
    multidrop: Multidrop | None = None
    drop_off_address: Callable[[str], str] | None = None
    edits: HeaderEdits = field(default_factory=HeaderEdits)
    wishes: Wishes = NO_WISHES
    expunge: int = 0
    warn_hours: int = 0

    @property
    def keep(self) -> bool:
        """Does what was fetched stay at the server?"""
        return self.wishes.keep
