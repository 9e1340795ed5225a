"""GSSAPI as a server: Kerberos tickets for the keys in a keytab (python-gssapi, an extra, which is
imported only then).

Who comes with a ticket is a user of the realm that our own key is of; other realms' users, and
principals with a second part (ann/admin), are nobody here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.errors import RemoteProtocolError, TableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Keytab:
    """Keys of ours, smtp/HOST@REALM and pop/HOST@REALM, in a file that `kadmin ktadd` has made."""

    path: Path

    def context(self) -> Ticket:
        """For one login. Raises: TableError."""
        try:
            import gssapi
        except ImportError:
            text = "the library is missing: pip install 'relaynode[gssapi]'"
            raise TableError(f"GSSAPI: {text}") from None
        except OSError as error:  # its C library is
            raise TableError(f"GSSAPI: the library cannot be loaded: {error}") from None
        try:
            store = {"keytab": f"FILE:{self.path}"}
            keys = gssapi.Credentials(usage="accept", store=store)
            return Ticket(gssapi.SecurityContext(creds=keys, usage="accept"))
        except gssapi.exceptions.GSSError as error:
            raise TableError(f"GSSAPI: keytab {self.path}: {error}") from None


@dataclass(slots=True)
class Ticket:
    """An `Acceptor` on python-gssapi's context. It reads the keytab and writes the replay cache."""

    _context: Any = field(repr=False)

    @property
    def is_complete(self) -> bool:
        """See Acceptor."""
        return bool(self._context.complete)

    @property
    def user(self) -> str:
        """See Acceptor."""
        name, _, realm = str(self._context.initiator_name).rpartition("@")
        ours = str(self._context.target_name).rpartition("@")[2]
        return name if realm == ours and "/" not in name and "@" not in name else ""

    def step(self, token: bytes) -> bytes:
        """See Acceptor."""
        return self._do(lambda: self._context.step(token)) or b""

    def wrap(self, message: bytes) -> bytes:
        """See Acceptor."""
        return self._do(lambda: self._context.wrap(message, False).message)

    def unwrap(self, message: bytes) -> bytes:
        """See Acceptor."""
        return self._do(lambda: self._context.unwrap(message).message)

    def _do(self, step: Callable[[], Any]) -> bytes:
        from gssapi.exceptions import GSSError

        try:
            found: bytes = step()
        except GSSError:
            # What it says is for the log of the KDC: it may name keys and hosts.
            raise RemoteProtocolError("GSSAPI: not a ticket for us") from None
        return found
