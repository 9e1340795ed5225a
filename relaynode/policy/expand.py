"""Aliases: what a local recipient stands for, found once when a message is accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail.address import normalise_domain, parse_path, split
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


_Key = tuple[str, str]


@dataclass(slots=True)
class _Search:
    """One expansion under way.

    `found`, `unknown`: recipients by local part and domain, both in lower case, the domain "" for
    all that are ours. `expanded`: how deep each alias stood when it was expanded: once is enough.
    """

    original: str
    found: dict[_Key, Recipient] = field(default_factory=dict)
    unknown: dict[_Key, Recipient] = field(default_factory=dict)
    expanded: dict[str, int] = field(default_factory=dict)
    trail: list[Step] = field(default_factory=list)
    refusal: Status | None = None
    unserved: Status | None = None

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
        is deliverable: one bad member of a list must not stop the others. A member that nobody
        knows is queued with them, so that its failure is told to the sender. A member that we do
        not serve (a program, a file) makes the mail wait where it is: to take it would be to lose
        that member's copy.
        """
        search = _Search(address)
        self._follow(address, (), search)
        if search.unserved is not None:
            return Expansion((), tuple(search.trail), search.unserved)
        if not search.found:
            return Expansion((), tuple(search.trail), search.refusal)
        recipients = {**search.unknown, **search.found}
        return Expansion(tuple(recipients.values()), tuple(search.trail))

    def identity(self, address: str) -> tuple[str, str]:
        """What tells recipients apart: local part and domain in lower case, the domain "" for all
        that are ours."""
        local, domain = split(address)
        if self.routing.is_local(domain):
            return unquote(local).lower(), ""
        return local.lower(), normalise_domain(domain)

    def _follow(self, address: str, above: tuple[str, ...], search: _Search) -> None:
        """`above`: the keys of the aliases that led here."""
        local, domain = split(address)
        if not self.routing.is_local(domain):
            _keep(address, (local.lower(), normalise_domain(domain)), search.found, search)
            return
        name = unquote(local).lower()
        key = self._look_up(name, above, search)
        if key is None:
            self._user(name, address, search)
        elif len(above) >= MAX_DEPTH:
            text = f"aliasing/forwarding loop broken ({MAX_DEPTH} aliases deep; {name})"
            search.refuse(Status(554, "5.4.6", text))
        elif search.expanded.get(key, MAX_DEPTH) > len(above):
            search.expanded[key] = len(above)
            for value in self.aliases.values[key]:
                self._value(value, (*above, key), search)

    def _look_up(self, name: str, above: tuple[str, ...], search: _Search) -> str | None:
        """The key that has an alias for `name`."""
        user, plus, _ = name.partition("+")
        for key in (name, f"{user}+*", user) if plus else (name,):
            entry = self.aliases.entries.get(key)
            if entry is not None and key not in above:
                place = f"{self.aliases.file}:{entry.line}"
                search.trail.append(Step(f"aliases {key}", entry.value, place))
                return key
            answer = "no entry" if entry is None else "itself again: stop here"
            search.trail.append(Step(f"aliases {key}", answer))
        return None

    def _user(self, name: str, address: str, search: _Search) -> None:
        user = name if self.is_user(name) else name.partition("+")[0]
        if self.is_user(user):
            search.trail.append(Step(f"user {user}", "exists"))
            _keep(address, (name, ""), search.found, search)
        else:
            search.trail.append(Step(f"user {user}", "does not exist"))
            _keep(address, (name, ""), search.unknown, search)
            search.refuse(Status(550, "5.1.1", f"<{address}>... User unknown"))

    def _value(self, value: str, above: tuple[str, ...], search: _Search) -> None:
        if value.startswith(("|", "/", ":include:")):
            # The mail waits rather than fails: the entry is right, this program is what lacks.
            search.trail.append(Step(f"alias value {value}", "programs and files are not served"))
            text = f"alias value {value.split()[0]} is not served"
            search.unserved = search.unserved or Status(451, "4.3.5", text)
            return
        is_final = value.startswith("\\")  # aliases(5): the user himself, whatever his alias says
        try:
            path = parse_path(value.removeprefix("\\"))
            if not path:
                raise AddressError("the null path is nobody")
        except AddressError as error:
            search.trail.append(Step(f"alias value {value}", f"no address: {error}"))
            search.refuse(Status(554, "5.1.3", f"alias {above[-1]}: {value}: {error}"))
            return
        local, domain = split(path)
        if is_final and self.routing.is_local(domain):
            self._user(unquote(local).lower(), path, search)
        else:
            self._follow(path, above, search)


def _keep(address: str, key: _Key, where: dict[_Key, Recipient], search: _Search) -> None:
    if len(where) < MAX_RECIPIENTS:
        origin = search.original if address != search.original else ""
        where.setdefault(key, Recipient(address, expanded_from=origin))
