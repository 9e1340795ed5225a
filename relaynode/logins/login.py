"""What a session asks for credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relaynode.errors import NoSecret
from relaynode.mail.status import temporary

if TYPE_CHECKING:
    from relaynode.sasl import Credentials


class Login(Protocol):
    """The way into one server. `is_required`: without being logged in nothing may be done there."""

    is_required: bool

    async def credentials(self, host: str, address: str) -> Credentials | None:
        """What to log in with at the server `host`, reached at `address`; None: no login there.

        Raises: NoSecret, TableError.
        """
        ...

    async def renewed(self, refused: Credentials) -> Credentials | None:
        """Newer ones, when the server did not like these; None if there are none.

        Raises: NoSecret.
        """
        ...


class Known:
    """A login that is known already."""

    def __init__(self, credentials: Credentials, *, is_required: bool = True) -> None:
        self._credentials = credentials
        self.is_required = is_required

    async def credentials(self, host: str, address: str) -> Credentials | None:
        """See Login."""
        return self._credentials

    async def renewed(self, refused: Credentials) -> Credentials | None:
        """See Login: there are no newer ones."""
        return None


def no_secret(what: str, why: str) -> NoSecret:
    """The error for a secret that cannot be had: mail waits, somebody has to mend it."""
    return NoSecret(temporary(why, "4.7.0", 454), what)
