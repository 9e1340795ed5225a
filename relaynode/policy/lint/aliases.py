"""The aliases against the rest: values that nobody has, names that only lead to each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.policy.expanding import MAX_DEPTH
from relaynode.policy.lint.finding import error, warning
from relaynode.tables.addresslist import split_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.lint.finding import Finding, Site
    from relaynode.tables.keyed import Entry

_MEMBER = re.compile(r"(?:[^<>\"]*<)?(\\?[\w.+=-]+)(?:@([\w.-]+))?>?\Z")


@dataclass(slots=True)
class _Value:
    """What an alias stands for: other aliases, names of users, nobodies, or something else."""

    entry: Entry
    aliases: list[str] = field(default_factory=list)
    nobodies: list[str] = field(default_factory=list)
    ends: bool = False
    """Something in it is delivered or refused: it does not only go round."""


def lint_aliases(site: Site) -> Iterator[Finding]:
    """All that is odd in the aliases."""
    file = site.aliases.file
    values = {name: _value(site, name, entry) for name, entry in site.aliases.entries.items()}
    for name, value in values.items():
        for nobody in value.nobodies:
            what = f"{name}: nobody here is called {nobody}"
            yield warning(file, value.entry.line, what, "add an alias, or name a user")
    graph = _Graph(values)
    for name in values:
        graph.visit(name)
    for circle in graph.circles:
        if any(values[name].ends or site.has_user(name) for name in circle):
            continue  # somebody gets the mail, and the circle is cut silently
        ordered = sorted(circle, key=lambda name: values[name].entry.line)
        what = f"{', '.join(ordered)}: stand for each other and for nobody else"
        yield error(file, values[ordered[0]].entry.line, what, "name a user or an address")
    for name, depth in graph.depths.items():
        if depth > MAX_DEPTH:
            what = f"{name}: {depth} aliases deep, mail for it is refused"
            yield error(file, values[name].entry.line, what, f"at most {MAX_DEPTH}")


def _value(site: Site, name: str, entry: Entry) -> _Value:
    value = _Value(entry)
    for written in split_list(entry.value):
        member = _local_name(site, written.strip())
        if member is None or (member == name and site.has_user(name)):
            value.ends = True
        elif member.startswith("\\"):
            value.ends = True
            if site.is_nobody(member[1:]):
                value.nobodies.append(member)
        elif member != name and (alias := site.alias_of(member)):
            _add_alias(site, value, alias)
        else:
            value.ends = True
            if member == name or site.is_nobody(member):
                value.nobodies.append(member)
    return value


def _add_alias(site: Site, value: _Value, alias: str) -> None:
    """An alias that stands in the table by its name; one with a domain is not followed."""
    if alias in site.aliases.entries:
        value.aliases.append(alias)
    else:
        value.ends = True


def _local_name(site: Site, member: str) -> str | None:
    """The local name that a member is; None for programs, files, lists, and addresses elsewhere."""
    found = _MEMBER.match(member)
    if found is None:
        return None
    name, domain = found[1].lower(), found[2]
    if domain and (not site.is_ours(domain) or site.routing.virtusertable.entries):
        return None
    return name


@dataclass(slots=True)
class _Graph:
    """Tarjan's search for circles, and how deep each alias leads; without recursion."""

    values: dict[str, _Value]
    circles: list[set[str]] = field(default_factory=list)
    depths: dict[str, int] = field(default_factory=dict)
    _index: dict[str, int] = field(default_factory=dict)
    _low: dict[str, int] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def visit(self, start: str) -> None:
        """Everything that can be reached from `start`."""
        if start in self._index:
            return
        way = [(start, iter(self.values[start].aliases))]
        self._enter(start)
        while way:
            name, rest = way[-1]
            following = next(rest, None)
            if following is None:
                way.pop()
                self._leave(name)
                if way:
                    self._meet(way[-1][0], self._low[name])
            elif following not in self._index:
                self._enter(following)
                way.append((following, iter(self.values[following].aliases)))
            elif following not in self.depths:  # still open: it leads back
                self._meet(name, self._index[following])

    def _enter(self, name: str) -> None:
        self._index[name] = self._low[name] = len(self._index)
        self._open.append(name)

    def _meet(self, name: str, low: int) -> None:
        self._low[name] = min(self._low[name], low)

    def _leave(self, name: str) -> None:
        """The last of a circle to be left closes it."""
        if self._low[name] != self._index[name]:
            return
        circle = {name}
        while (member := self._open.pop()) != name:
            circle.add(member)
        outside = {a for member in circle for a in self.values[member].aliases} - circle
        depth = 1 + max((self.depths[a] for a in outside), default=0)
        self.depths.update(dict.fromkeys(circle, depth))
        if len(circle) > 1:
            if outside:
                for member in circle:
                    self.values[member].ends = True
            self.circles.append(circle)
