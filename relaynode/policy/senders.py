"""As whom the people here may write: any sender, one in a domain of ours, or their own address.

It is about who is let out, not about who is kept off: strangers who bring mail for us are not asked
(policy/access.py asks them other things). Bounces, which have no sender, are always let out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from relaynode.mail.status import Status
from relaynode.policy.tokens import tokenise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Set

    from relaynode.policy.names import Names

NOT_YOURS = Status(553, "5.7.1", "Sender address is not yours")


@dataclass(frozen=True, slots=True)
class SenderRule:
    """`kind`: how far people are trusted. `domains`: ours, beside what `Names` knows; in lower
    case. `refusal`: what others are told."""

    kind: Literal["any", "domain", "own"] = "any"
    domains: Set[str] = frozenset()
    refusal: Status = NOT_YOURS

    def refuses(
        self, names: Names, sender: str, user: str, stands_for: Callable[[], Iterable[str]]
    ) -> bool:
        """May `user` ("" for one who has not logged in) not write as `sender`?

        `stands_for`: asked for the addresses that mail to the sender goes to.
        """
        if self.kind == "any" or not sender:
            return False
        local_part, _, domain = sender.rpartition("@") if "@" in sender else (sender, "", "")
        if self.kind == "own" and sender.lower() == user:
            return False
        if domain and not self._is_ours(names, domain.lower().rstrip(".")):
            return True
        if self.kind == "domain" or not user:
            return False
        if local_part.partition("+")[0].lower() == user.partition("@")[0]:
            return False
        return not any(self._is_user(names, one, user) for one in stands_for())

    def _is_user(self, names: Names, address: str, user: str) -> bool:
        local_part, _, domain = address.lower().partition("@")
        return local_part == user and (not domain or self._is_ours(names, domain))

    def _is_ours(self, names: Names, domain: str) -> bool:
        if domain in names.local or domain in self.domains:
            return True
        host = tokenise(domain)
        return names.is_virtual(host) or names.is_masqueraded(host)
