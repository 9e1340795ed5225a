"""Which keys of the access table are tried for a host, an address or a mailbox, in which order.

    domain   a.b.example        a.b.example  b.example  example
    address  192.0.2.7          192.0.2.7  192.0.2  192.0  192
    mailbox  joe+x@b.example    joe+x@b.example  joe+*@b.example  joe@b.example
    user     joe+x              joe+x@  joe+*@  joe@

Each is tried with its tag first (`From:b.example`) and then without. The first entry decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.tables.access_value import Action, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.trail import Trail
    from relaynode.tables.access import Access
    from relaynode.tables.access_value import Value


@dataclass(frozen=True, slots=True)
class Tag:
    """What a look-up is for. `is_strict`: keys without a tag do not serve it."""

    name: str
    is_strict: bool = False

    def keys(self, key: str) -> Iterator[str]:
        """The keys as the table writes them."""
        yield f"{self.name}:{key}".lower()
        if not self.is_strict:
            yield key.lower()


CONNECT = Tag("Connect")
FROM = Tag("From")
FROM_STRICT = Tag("From", is_strict=True)
TO = Tag("To")
SPAM = Tag("Spam", is_strict=True)


@dataclass(frozen=True, slots=True)
class AccessLookup:
    """Look-ups in one table, written down in `trail`.

    SKIP for a host or a network ends the search as if there were no entry. `has_dot_domains`:
    `.domain` is tried for what is below a domain.
    """

    table: Access
    trail: Trail
    has_dot_domains: bool = False

    def domain(self, tag: Tag, host: str) -> Value | None:
        """The entry for a host name or one it is below; a literal [192.0.2.7] is cut like an
        address."""
        return self._search(tag, _hosts(host, self.has_dot_domains))

    def address(self, tag: Tag, address: str) -> Value | None:
        """The entry for an IP address or a network it is in."""
        return self._search(tag, _networks(address))

    def exact(self, tag: Tag, key: str) -> Value | None:
        """The entry for this key alone."""
        return self._first(tag, (key,))

    def mailbox(self, tag: Tag, user: str, domain: str) -> Value | None:
        """The entry for `user@domain`; for a user in any domain, where `domain` is empty."""
        return self._first(tag, _mailboxes(user, domain))

    def _search(self, tag: Tag, keys: Iterator[str]) -> Value | None:
        found = self._first(tag, keys)
        return None if found is not None and found.action is Action.SKIP else found

    def _first(self, tag: Tag, keys: Iterator[str] | tuple[str, ...]) -> Value | None:
        tried = []
        for key in keys:
            for written in tag.keys(key):
                entry = self.table.entries.get(written)
                if entry is not None:
                    place = f"{self.table.file}:{entry.line}"
                    self.trail.note(f"access {written}", format_value(entry.value), place)
                    return entry.value
            tried.append(key)
        if tried:
            self.trail.note(f"access {tag.name}:{tried[0]}", "no entry")
        return None


def _hosts(host: str, has_dot_domains: bool) -> Iterator[str]:
    if host.startswith("[") and host.endswith("]"):
        for network in _networks(host[1:-1]):
            yield f"[{network}]"
        return
    while host:
        yield host
        _, dot, rest = host.partition(".")
        if dot and has_dot_domains:
            yield f".{rest}"
        host = rest


def _networks(address: str) -> Iterator[str]:
    divider = ":" if ":" in address else "."
    while address:
        yield address
        address = address.rpartition(divider)[0].rstrip(divider)


def _mailboxes(user: str, domain: str) -> Iterator[str]:
    yield f"{user}@{domain}"
    name, plus, detail = user.partition("+")
    if plus and name:
        # The detail ends at the first @, which a name that was in quotes may have too.
        _, at, inner = detail.partition("@")
        rest = f"{inner}@{domain}" if at and domain else domain
        yield f"{name}+*@{rest}"
        yield f"{name}@{rest}"
