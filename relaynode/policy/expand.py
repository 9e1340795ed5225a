"""Aliases: what a local recipient stands for, found once when a message is accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail.address import parse_path, split
from relaynode.mail.envelope import Recipient
from relaynode.mail.status import Status
from relaynode.policy.route import unquote
from relaynode.policy.trail import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.route import Routing
    from relaynode.tables.aliases import Aliases

MAX_DEPTH = 10
"""Aliases of aliases: sendmail's MaxAliasRecursion."""

MAX_RECIPIENTS = 100_000
"""What one address may grow to: a list gone mad must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What an address became: recipients, or a refusal, and the trail."""

    recipients: tuple[Recipient, ...]
    trail: tuple[Step, ...]
    refusal: Status | None = None


@dataclass(slots=True)
class _Search:
    """One expansion under way."""

    original: str
    found: dict[str, Recipient] = field(default_factory=dict)
    trail: list[Step] = field(default_factory=list)
    refusal: Status | None = None

    def refuse(self, status: Status) -> None:
        self.refusal = self.refusal or status


@dataclass(frozen=True, slots=True)
class Expander:
    """Expands aliases. `is_user` knows the local users by name (lower case)."""

    routing: Routing
    aliases: Aliases
    is_user: Callable[[str], bool]

    def expand(self, address: str) -> Expansion:
        """What mail for `address` is to be queued for.

        An address that is not ours comes back as it is. A refusal is given only if nothing at all
        is deliverable: one bad member of a list must not stop the others.
        """
        search = _Search(address)
        self._follow(address, (), search)
        recipients = tuple(search.found.values())
        refusal = None if recipients else search.refusal
        return Expansion(recipients, tuple(search.trail), refusal)

    def _follow(self, address: str, above: tuple[str, ...], search: _Search) -> None:
        local, domain = split(address)
        if not self.routing.is_local(domain):
            self._keep(address, search)
            return
        name = unquote(local).lower()
        values = self._look_up(name, above, search)
        if values is None:
            self._user(name, address, search)
        elif len(above) >= MAX_DEPTH:
            text = f"aliasing/forwarding loop broken ({MAX_DEPTH} aliases deep; {name})"
            search.refuse(Status(554, "5.4.6", text))
        else:
            for value in values:
                self._value(value, (*above, name), search)

    def _look_up(
        self, name: str, above: tuple[str, ...], search: _Search
    ) -> tuple[str, ...] | None:
        user, plus, _ = name.partition("+")
        for key in (name, f"{user}+*", user) if plus else (name,):
            entry = self.aliases.entries.get(key)
            if entry is not None and key not in above:
                place = f"{self.aliases.file}:{entry.line}"
                search.trail.append(Step(f"aliases {key}", entry.value, place))
                return self.aliases.values[key]
            answer = "no entry" if entry is None else "itself again: stop here"
            search.trail.append(Step(f"aliases {key}", answer))
        return None

    def _user(self, name: str, address: str, search: _Search) -> None:
        user = name if self.is_user(name) else name.partition("+")[0]
        if self.is_user(user):
            search.trail.append(Step(f"user {user}", "exists"))
            self._keep(address, search)
        else:
            search.trail.append(Step(f"user {user}", "does not exist"))
            search.refuse(Status(550, "5.1.1", f"<{address}>... User unknown"))

    def _value(self, value: str, above: tuple[str, ...], search: _Search) -> None:
        if value.startswith(("|", "/", ":include:", "\\")):
            # The mail waits rather than fails: the entry is right, this program is what lacks.
            search.trail.append(Step(f"alias value {value}", "programs and files are not served"))
            search.refuse(Status(451, "4.3.5", f"alias value {value.split()[0]} is not served"))
            return
        try:
            path = parse_path(value)
        except AddressError as error:
            search.trail.append(Step(f"alias value {value}", f"no address: {error}"))
            search.refuse(Status(554, "5.1.3", f"alias {above[-1]}: {value}: {error}"))
            return
        self._follow(path, above, search)

    def _keep(self, address: str, search: _Search) -> None:
        if len(search.found) < MAX_RECIPIENTS:
            origin = search.original if address != search.original else ""
            search.found.setdefault(address.lower(), Recipient(address, expanded_from=origin))
