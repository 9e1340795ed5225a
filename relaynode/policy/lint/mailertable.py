"""The mailertable against the rest: keys that are never asked for, and mail that comes back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.policy.lint.finding import error, warning
from relaynode.policy.mailer_forms import KINDS
from relaynode.tables.relay_value import port_in, split_mailer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.lint.finding import Finding, Site
    from relaynode.tables.keyed import Entry

ERROR_WORDS = frozenset(
    ("usage", "nouser", "nohost", "unavailable", "software", "tempfail", "protocol", "config")
)
"""What may stand between `error:` and the text, beside D.S.N."""

_MAX_ARGUMENT = 2
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_ARGUMENT = re.compile(r"%([0-9])")
_OTHERS_NOT_HOSTS = ("local", "error", "discard", "")


def lint_mailertable(site: Site) -> Iterator[Finding]:
    """All that is odd in the mailertable."""
    table = site.routing.mailertable
    for entry in table.entries.values():
        never = _why_never(site, entry.key)
        if never is not None:
            yield warning(
                table.file, entry.line, f"{entry.key} never matches: {never[0]}", never[1]
            )
        yield from _value(site, table.file, entry)


def _why_never(site: Site, key: str) -> tuple[str, str] | None:
    """Why no host is looked up with this key, and the remedy."""
    if key == ".":
        return None
    if "@" in key or "!" in key:
        return "only domains are looked up", f"write {re.split('[@!]', key)[-1]}"
    if key.startswith("["):
        return "mail for an address literal goes straight there", "take it out"
    if "*" in key:
        return "sub-domains are meant by a dot", f"write {key.replace('*', '').replace('..', '.')}"
    if key.endswith("."):
        return "hosts are looked up without the dot at their end", f"write {key.rstrip('.')}"
    if ".." in key:
        return "no host has two dots in a row", f"write {re.sub('[.]+', '.', key)}"
    if not key.startswith(".") and site.is_ours(key):
        return "mail for this domain is delivered here", "take it out, or the domain from ours"
    return None


def _value(site: Site, file: str, entry: Entry) -> Iterator[Finding]:
    mailer, rest = split_mailer(entry.value)
    if mailer == "error":
        yield from _error(file, entry, rest)
    elif mailer == "local":
        yield from _local(site, file, entry, rest)
    elif mailer not in _OTHERS_NOT_HOSTS:
        yield from _host(site, file, entry, rest)
        if mailer in KINDS and KINDS[mailer].is_uucp:
            yield from _neighbour(site, file, entry, rest)
    yield from _arguments(file, entry)


def _error(file: str, entry: Entry, rest: str) -> Iterator[Finding]:
    """error:D.S.N:text and error:word:text; with a blank the word is part of the text."""
    word = re.split("[: \t]", rest)[0]
    behind = rest[len(word) : len(word) + 1]
    is_status = bool(_STATUS.fullmatch(word))
    if behind in (" ", "\t") and (is_status or word.lower() in ERROR_WORDS):
        what = f"{entry.key}: a blank behind {word} makes it a part of the text"
        yield warning(file, entry.line, what, f"write error:{word}:{rest[len(word) :].strip()}")
    elif behind == ":" and not is_status and word.lower() not in ERROR_WORDS:
        known = ", ".join(sorted(ERROR_WORDS))
        what = f"{entry.key}: {word} is no D.S.N and no word of sysexits"
        yield warning(file, entry.line, what, f"write 5.1.2, or one of {known}")


def _local(site: Site, file: str, entry: Entry, rest: str) -> Iterator[Finding]:
    user = rest.partition("@")[0]
    if user and "%" not in user and site.is_nobody(user):
        what = f"{entry.key}: nobody here is called {user}"
        yield warning(file, entry.line, what, "add an alias, or name a user")


def _host(site: Site, file: str, entry: Entry, rest: str) -> Iterator[Finding]:
    port = port_in(entry.value)
    if port:
        what = f"{entry.key}: {port} is taken for a port here, and for a second host by sendmail"
        yield warning(file, entry.line, what, "a [smart_host.NAME] says it plainly")
    host = rest.rpartition("@")[2].partition(":")[0].strip("[]")
    if host and "%" not in host and site.is_ours(host):
        what = f"{entry.key}: {host} is this host, so mail would go round in a circle"
        yield error(file, entry.line, what, "name another host, or make the domain one of ours")


def _neighbour(site: Site, file: str, entry: Entry, rest: str) -> Iterator[Finding]:
    host = rest.rpartition("@")[2].rstrip(".")
    if host and "%" not in host and site.is_neighbour is not None and not site.is_neighbour(host):
        what = f"{entry.key}: there is no neighbour {host}"
        yield warning(file, entry.line, what, f"add [neighbour.{host}], or name another")


def _arguments(file: str, entry: Entry) -> Iterator[Finding]:
    used = {int(number) for number in _ARGUMENT.findall(entry.value.replace("%%", ""))}
    if any(number > _MAX_ARGUMENT for number in used):
        what = f"{entry.key}: %{max(used)} is always empty"
        yield warning(file, entry.line, what, "there are %0, %1 and %2")
    elif not entry.key.startswith(".") and used - {0}:
        what = f"{entry.key}: %{max(used)} is empty for a whole domain"
        yield warning(file, entry.line, what, "it stands for what is before the dot of a .domain")
