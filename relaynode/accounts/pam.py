"""Logins checked by PAM, the system's own way (pamela, an extra, which is imported only then).

PAM is shown a name and a password, so PLAIN and LOGIN are all that there is. Which modules are
asked stands in /etc/pam.d. A module may take its time, after a wrong password on purpose: each
login has a thread of its own, and there are only so many.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from relaynode.accounts.local import LocalChecker
from relaynode.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from relaynode.accounts.hashes import Secret
    from relaynode.sasl.asked import Acceptor

THREADS = 8
"""Logins at once. A failure takes two seconds in pam_unix."""

MECHANISMS = ("PLAIN", "LOGIN")

# Of pam_start(3) and pam_authenticate(3): modules or service files that cannot be read, no memory,
# trouble in a module, on all systems; and where the account's keeper does not answer, a module is
# not known, or PAM wants the program to end. All else says no to this user, PAM_SYSTEM_ERR too: it
# is what pam_exec says when its command does not like the password, and guessing has its price.
_BROKEN = frozenset({1, 2, 3, 5} | ({9, 26, 28} if sys.platform == "linux" else {12}))


class PamChecker(LocalChecker):
    """A `Checker` on the PAM service of that name. `hostname`, `domains`, `tickets`: see
    LocalChecker."""

    def __init__(
        self,
        service: str,
        *,
        hostname: str,
        domains: Container[str] = (),
        tickets: Callable[[], Acceptor] | None = None,
    ) -> None:
        super().__init__((), hostname=hostname, domains=domains, threads=THREADS, tickets=tickets)
        self._service = service

    def _with_passwords(self) -> tuple[str, ...]:
        return MECHANISMS

    def find(self, user: str) -> tuple[str, Secret | None]:
        """The account's own name; what PAM knows of it stays there."""
        name = user.lower()
        bare, _, domain = name.rpartition("@")
        return (bare if bare and domain in self._domains else name), None

    def is_password(self, user: str, password: str) -> bool:
        """May this user log in with it? Slow, for a thread. Raises: TableError."""
        pamela = _library()
        try:
            pamela.authenticate(self.find(user)[0], password, self._service, resetcred=0)
        except pamela.PAMError as error:
            if error.errno not in _BROKEN:
                return False
            raise TableError(f"PAM service {self._service}: {error.message}") from None
        return True


def _library() -> Any:
    """Raises: TableError."""
    try:
        import pamela
    except ImportError:
        text = "the package pamela is missing: pip install 'relaynode[pam]'"
        raise TableError(f"PAM: {text}") from None
    except (OSError, AttributeError) as error:  # the system's libpam is
        raise TableError(f"PAM: libpam cannot be loaded: {error}") from None
    return pamela
