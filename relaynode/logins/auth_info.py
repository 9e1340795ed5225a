"""sendmail's AuthInfo: logins for servers that no [smart_host.NAME] has one for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.sasl import NAMES, Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.tables.authinfo import AuthInfo


class AuthInfoLogin:
    """A login if there is an entry for the server. As with sendmail a server that offers none
    gets the mail all the same.

    What is meant for any server (`AuthInfo:` alone, default-auth-info) is never shown to an open
    line: who would read it there is not known.
    """

    is_required = False

    def __init__(self, find: Callable[[str, str], AuthInfo | None]) -> None:
        """`find`: host and address -> the entry; it may raise TableError."""
        self._find = find

    async def credentials(self, host: str, address: str) -> Credentials | None:
        """See Login."""
        found = self._find(host, address)
        if found is None:
            return None
        # Of mechanisms that we do not know, PLUS forms for example, others may be offered too.
        mechanisms = tuple(name for name in found.mechanisms if name in NAMES)
        return Credentials(
            found.authid,
            found.password,
            acting_as=found.userid,
            realm=found.realm,
            mechanisms=mechanisms or found.mechanisms,
            is_guarded=found.is_default,
        )

    async def renewed(self, refused: Credentials) -> Credentials | None:
        """See Login: there are no others."""
        return None
