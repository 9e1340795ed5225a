"""What the checks of tables go by, and what they find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import Problem
from relaynode.policy.tokens import tokenise

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.access_rules import AccessSettings
    from relaynode.policy.names import Names
    from relaynode.policy.route import Routing
    from relaynode.tables.access import Access
    from relaynode.tables.aliases import Aliases
    from relaynode.tables.genericstable import Genericstable


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. `is_error`: mail is lost in a loop or refused by it; else it only does nothing."""

    problem: Problem
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Settings and tables as they are now. `has_user`: knows local users, in lower case.

    `has_other_names`: names may be users although `has_user` does not know them (joe-work).
    `is_neighbour`: knows UUCP neighbours; None: they are known to another program.
    """

    routing: Routing
    genericstable: Genericstable
    access: Access
    access_settings: AccessSettings
    aliases: Aliases
    has_user: Callable[[str], bool]
    has_other_names: bool = False
    is_neighbour: Callable[[str], bool] | None = None

    @property
    def names(self) -> Names:
        """What we are called."""
        return self.routing.names

    def is_ours(self, domain: str) -> bool:
        """Is mail for the domain delivered here?"""
        return self.names.is_local(tokenise(domain.rstrip(".")))

    def alias_of(self, name: str) -> str:
        """The alias that a local name meets: its own, or that of the name before the plus."""
        user, plus, _ = name.partition("+")
        tried = [name, f"{user}+*", user] if plus else [name]
        for key in tried:
            if self.aliases.find(key, self.is_ours) is not None:
                return key
        return ""

    def is_nobody(self, name: str) -> bool:
        """Is mail for a local name refused, as far as can be told?"""
        relays = self.routing.relays
        if relays.luser_relay or relays.mail_hub or relays.local_relay or self.has_other_names:
            return False
        name = name.lower()
        return not self.alias_of(name) and not self.has_user(name.partition("+")[0])


def warning(file: str, line: int | None, text: str, remedy: str = "") -> Finding:
    """Something that does nothing, or not what it says."""
    return Finding(Problem(file, line, text, remedy))


def error(file: str, line: int, text: str, remedy: str = "") -> Finding:
    """Something that does harm."""
    return Finding(Problem(file, line, text, remedy), is_error=True)
