"""The virtusertable against the rest: domains nobody asks for, addresses that lead in a circle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.policy.lint.finding import error, warning
from relaynode.policy.lint.mailertable import ERROR_WORDS
from relaynode.policy.tokens import tokenise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.lint.finding import Finding, Site
    from relaynode.tables.keyed import Entry

MAX_STEPS = 50
"""How far an address is followed; sendmail gives up there, too."""

_MAX_ARGUMENT = 3
_ERROR = re.compile(r"error:[ \t]*([^ \t:]*)(.?)", re.IGNORECASE)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+=-]+")
_PROBE = "probe"


def lint_virtusertable(site: Site) -> Iterator[Finding]:
    """All that is odd in the virtusertable."""
    table = site.routing.virtusertable
    told: set[str] = set()
    for entry in table.entries.values():
        if "@" not in entry.key:
            continue  # the parser has told it
        never = _why_never(site, entry.key)
        if never is not None:
            yield warning(
                table.file, entry.line, f"{entry.key} never matches: {never[0]}", never[1]
            )
        yield from _value(site, table.file, entry)
        if "%" in entry.value or "@" in entry.value:
            yield from _circle(site, entry, told)


def _why_never(site: Site, key: str) -> tuple[str, str] | None:
    """Why no address is looked up with this key, and the remedy."""
    domain = key.rpartition("@")[2]
    if not domain:
        return "it has no domain", f"write {key}{site.names.hostname}"
    if domain.endswith("."):
        return "domains are looked up without the dot at their end", f"write {key.rstrip('.')}"
    if not _is_asked(site, domain):
        what = f"{domain} is neither ours nor in [routing] virtual_domains"
        return what, "add it there, or to local-host-names"
    return None


def _is_asked(site: Site, domain: str) -> bool:
    return site.is_ours(domain) or site.names.is_virtual(tokenise(domain))


def _value(site: Site, file: str, entry: Entry) -> Iterator[Finding]:
    value = entry.value.strip()
    numbers = [int(number) for number in re.findall("%([0-9])", value.replace("%%", ""))]
    if any(number > _MAX_ARGUMENT for number in numbers):
        what = f"{entry.key}: %{max(numbers)} is always empty"
        yield warning(file, entry.line, what, "there are %0, %1, %2 and %3")
    found = _ERROR.match(value)
    if found is not None:
        yield from _error(file, entry, found[1], found[2])
    elif _PLAIN_NAME.fullmatch(value) and site.is_nobody(value):
        what = f"{entry.key}: nobody here is called {value}"
        yield warning(file, entry.line, what, "add an alias, or name a user")


def _error(file: str, entry: Entry, word: str, behind: str) -> Iterator[Finding]:
    """error:D.S.N:text, but error:word text; the parser has told of a blank behind D.S.N."""
    if re.fullmatch(r"[0-9.]+", word):
        return
    if word.lower() not in ERROR_WORDS:
        known = ", ".join(sorted(ERROR_WORDS))
        what = f"{entry.key}: {word or 'nothing'} is no D.S.N and no word of sysexits"
        yield warning(file, entry.line, what, f"write 5.1.1: or one of {known}")
    elif behind == ":":
        what = f"{entry.key}: the colon behind {word} becomes a part of the text"
        yield warning(file, entry.line, what, f"write error:{word} and a blank")


def _circle(site: Site, entry: Entry, told: set[str]) -> Iterator[Finding]:
    """An address that the table leads back to itself, followed from one that has this key."""
    file = site.routing.virtusertable.file
    keys: list[str] = []
    address = _example(entry.key)
    while len(keys) < MAX_STEPS:
        step = _looked_up(site, address)
        if step is None:
            return
        key, address = step
        if key in keys:
            circle = [*keys[keys.index(key) :], key]
            if not told & set(circle):
                what = f"{' -> '.join(circle)}: goes round in a circle"
                yield error(file, entry.line, what, "name a user, or an address elsewhere")
            told |= set(circle)
            return
        keys.append(key)
    what = f"{entry.key}: leads on for more than {MAX_STEPS} steps"
    yield error(file, entry.line, what, "name the last address at once")


def _example(key: str) -> str:
    """An address that a key is for."""
    user, _, domain = key.rpartition("@")
    user = re.sub(r"\+[+*]\Z", f"+{_PROBE}", user) or _PROBE
    return f"{_PROBE}{user}@{domain}" if user.startswith("+") else f"{user}@{domain}"


def _looked_up(site: Site, address: str) -> tuple[str, str] | None:
    """The key an address meets and what it becomes; None if it ends here or leads elsewhere."""
    user, at, domain = address.lower().rpartition("@")
    if not at or not re.fullmatch(r"[a-z0-9_.+=-]+", user) or not _is_asked(site, domain):
        return None
    table = site.routing.virtusertable
    name, plus, detail = user.partition("+")
    for key in table.keys(name, detail if plus else None, domain):
        entry = table.entries.get(key)
        if entry is not None:
            is_whole = plus and key == address.lower()
            arguments = (user,) if is_whole else (name, detail, plus + detail)
            return key, table.result(key, entry, arguments)
    return None
