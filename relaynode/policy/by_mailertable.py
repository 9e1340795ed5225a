"""The mailertable asked about a host: its whole name, then what is left of it label by label.

For a.b.c the keys are `a.b.c`, `.b.c`, `.c` and `.`. A value without a mailer is the name to go
on with, as sendmail has it: it takes the place of the host in the rest of the search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.policy.refusal import broken
from relaynode.policy.tokens import Tokens, join, tokenise
from relaynode.policy.triple import Triple, names_mailer

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.canonify import Focus
    from relaynode.policy.trail import Trail
    from relaynode.tables.mailertable import Mailertable

_WITHOUT_HOST = frozenset({"local", "discard"})
"""Mailers that need nothing behind their colon."""


@dataclass(frozen=True, slots=True)
class MailertableSearch:
    """One search. `triple`: what a value makes of the address."""

    table: Mailertable
    address: Focus
    trail: Trail
    triple: Callable[[Tokens], Triple | Focus]

    def run(self) -> Triple | Focus:
        """What the table says, or the address itself if it says nothing."""
        if not self.table.entries:
            return self.address
        host = self.address.bare_host
        value = self._value(join(host), ())
        if value is not None and names_mailer(value):
            return self._target(value)
        return self._by_suffixes(host if value is None else value)

    def _by_suffixes(self, name: Tokens) -> Triple | Focus:
        before: Tokens = ()
        depth = 0
        found: Triple | Focus | None = None
        while found is None:
            row = (*before, "<", *name, ">", *self.address.tokens)
            self.trail.enter("Mailertable", row)
            depth += 1
            before, name, found = self._step(before, name)
        for _ in range(depth):
            self.trail.leave("Mailertable", found.tokens)
        return found

    def _step(self, before: Tokens, name: Tokens) -> tuple[Tokens, Tokens, Triple | Focus | None]:
        """Try the key for what follows the first label; then what to go on with, or the end.

        `before`: what was cut off so far.
        """
        row = name
        if len(name) > 2 and name[1] == ".":
            first, rest = (*before, name[0]), name[1:]
            row = self._value(join(rest), (join(first), name[0])) or rest
            if names_mailer(row):
                return before, name, self._target(row)
            before = first
        if row[:1] == (".",) and len(row) > 1:
            return (*before, "."), row[1:], None
        value = self._value(".", (join((*before, *row)),))
        if value and names_mailer(value):
            return before, name, self._target(value)
        return before, name, self.address

    def _value(self, key: str, arguments: tuple[str, ...]) -> Tokens | None:
        key = key.lower()
        entry = self.table.entries.get(key)
        self.trail.look_up("mailertable", self.table.file, key, entry)
        if entry is None:
            return None
        lower = (argument.lower() for argument in arguments)
        return tokenise(self.table.value(entry, (key, *lower)))

    def _target(self, value: Tokens) -> Triple | Focus:
        if len(value) < 3 and value[0].lower() not in _WITHOUT_HOST:
            return broken(f"mailertable: {value[0]}: names no host")
        return self.triple(value)
