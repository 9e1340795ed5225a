"""mailertable: which mailer takes the mail of a domain (sendmail cf/README, FEATURE(mailertable)).

For host a.b.c the keys tried are `a.b.c`, `.b.c`, `.c` and `.`, nothing else: `dom` never matches
a sub-domain, `.dom` never `dom` itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.tables.keyed import Entry, fill, parse_keyed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaynode.errors import Problem

MAILERS = frozenset(
    """smtp esmtp smtp8 dsmtp relay local error discard
    uucp uucp-old suucp uucp-new uucp-dom uucp-uudom""".split()
)
"""The mailers an entry may name."""

_HOST = re.compile(r"(?:[^\s@]*@)?(?:\[[^\s\[\]]+\]|[^\s:@\[\]]+)(?::[0-9]{1,5})?")
_HOSTS = re.compile(r"[^\s:@]+(?::[^\s:@]+)*")


@dataclass(frozen=True, slots=True)
class Mailertable:
    """A mailertable. `file` is its name, for trails and messages."""

    file: str
    entries: Mapping[str, Entry]

    @staticmethod
    def value(entry: Entry, arguments: tuple[str, ...]) -> str:
        """What an entry says, %0, %1 and %2 replaced.

        For a suffix key `%1` is all that stands before the suffix and `%2` the label next to it;
        for `.` `%1` is the whole host; for an exact key both are empty. `%0` is the key.
        """
        return fill(entry.value, arguments)


def parse_mailertable(text: str, file: str) -> tuple[Mailertable, list[Problem]]:
    """A mailertable and what was wrong in its text.

    An entry that is wrong stays: mail for its key must wait for the administrator, and not take
    another way. sendmail passes over a value without a mailer, and so does routing.
    """
    entries, problems = parse_keyed(text, file, _wrong)
    return Mailertable(file, entries), problems


def _wrong(key: str, value: str) -> tuple[str, str] | None:
    mailer, colon, host = value.strip().partition(":")
    mailer, host = mailer.lower(), host.strip()
    if not colon:
        return f"{key}: {value} names no mailer", f"write smtp:{value}"
    if mailer not in MAILERS:
        return f"{key}: unknown mailer {mailer}", f"known: {', '.join(sorted(MAILERS))}"
    if mailer in ("local", "discard"):
        return None
    if mailer == "error":
        return None if host else (f"{key}: error: names no text", "write error:550 No such host")
    if not host:
        return f"{key}: {mailer}: names no host", f"write {mailer}:host.example.net"
    if _HOST.fullmatch(host) or _HOSTS.fullmatch(host):
        return None
    return f"{key}: {host} is no host", "write one host, or hosts with colons in between"
