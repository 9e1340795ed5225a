"""sendmail's macros and classes of this node, for its address test mode: $j, $=w and kin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode import __version__
from relaynode.policy import forms
from relaynode.policy.tokens import join

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.policy.names import Names
    from relaynode.rules import Rules


@dataclass(slots=True)
class Macros:
    """What the rules say, and what was set or added in a dialogue.

    A name of more than one letter stands in braces: `{VirtHost}`.
    """

    rules: Rules
    _values: dict[str, str] = field(default_factory=dict)
    _words: dict[str, set[str]] = field(default_factory=dict)

    def define(self, name: str, value: str) -> None:
        """Set a macro."""
        self._values[name] = value

    def add(self, name: str, words: Iterable[str]) -> None:
        """Put words into a class."""
        self._words.setdefault(name, set()).update(word.lower() for word in words)

    @property
    def names(self) -> Names:
        """What we are called, with what was added. Raises: TableError."""
        names = self.rules.names
        more = {
            key: getattr(names, key) | self._words[letter]
            for key, letter in (("local", "w"), ("virtual", "{VirtHost}"))
            if letter in self._words
        }
        return replace(names, **more) if more else names

    def value(self, name: str) -> str:
        """A macro's value, "" if it has none. Raises: TableError."""
        names, masquerade = self.rules.names, self.rules.masquerade
        relays = self.rules.routing.relays
        known = {
            "j": names.hostname,
            "w": names.hostname.partition(".")[0],
            "m": names.parent_domain or names.hostname,
            "k": names.hostname,
            "M": masquerade.as_domain,
            "S": relays.smart_host,
            "Y": relays.uucp_relay,
            "H": relays.mail_hub,
            "R": relays.local_relay,
            "L": relays.luser_relay,
            "n": join(forms.NOBODY),
            "Z": __version__,
            "v": __version__,
            **self._values,
        }
        return known.get(name, "")

    def words(self, name: str) -> set[str]:
        """A class's words. Raises: TableError."""
        names, masquerade = self.names, self.rules.masquerade
        known: dict[str, Iterable[object]] = {
            "w": names.local,
            "M": names.masqueraded,
            "G": names.generic,
            "{VirtHost}": names.virtual,
            "E": masquerade.exposed_users,
            "N": masquerade.exceptions,
            "L": self.rules.routing.local_users,
            "O": names.separators,
            "R": self.rules.tables.relay_domains.lines,
        }
        return {str(word) for word in known.get(name, ())} | self._words.get(name, set())
