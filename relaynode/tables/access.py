"""access: whom mail is taken from, and for whom it is passed on.

    Connect:203.0.113        REJECT
    From:spammer@example.com ERROR:"550 5.7.1 Not you"
    To:customer.example      RELAY
    example.org              RELAY

A key is a domain, a network's first octets, `user@domain` or `user@`, with a tag in front that
says what it is asked for; a key without a tag serves Connect, From and To. Which keys are tried is
decided in `policy/access_lookup.py`. cf/README of sendmail, sections "Anti-spam" and "Access".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import Problem
from relaynode.tables.access_value import Action, Value, format_value, parse_value, value_problem
from relaynode.tables.keyed import parse_keyed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaynode.tables.keyed import Entry

DECIDING_TAGS = frozenset({"connect", "from", "to", "spam"})
"""Tags whose values are decisions."""

OTHER_TAGS = frozenset(
    {"authinfo", "clientconn", "clientrate", "clt_features", "greetpause", "srv_features"}
    | {"tls_clt", "tls_rcpt", "tls_srv", "try_tls"}
)
"""Tags that sendmail's table may have too; their values have grammars of their own."""

_TAG = re.compile(r"([a-z_]+):")
_PREFIX_LENGTH = re.compile(r"(?:[0-9.]+|ipv6:[0-9a-f:]+)/([0-9]+)\Z")


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One line. `key` is in lower case with its tag, `line` counts from 1."""

    key: str
    value: Value
    line: int


@dataclass(frozen=True, slots=True)
class Access:
    """An access table. `file` is its name, for trails and messages."""

    file: str
    entries: Mapping[str, AccessEntry]


def parse_access(text: str, file: str) -> tuple[Access, list[Problem]]:
    """An access table and what was wrong in its text.

    A value that means nothing is the text of a refusal, as in sendmail: an entry that somebody
    wrote is never taken for leave to pass. Entries of other tags than DECIDING_TAGS are left out,
    since their values may be secrets.
    """
    lines, problems = parse_keyed(text, file)
    known: dict[str, Value] = {}  # most values are one of a few: a million lines share them
    entries: dict[str, AccessEntry] = {}
    for key, line in lines.items():
        tag = _tag(key)
        problem = _problem(line, tag, file)
        if problem is not None:
            problems.append(problem)
        if tag in OTHER_TAGS:
            continue
        value = known.get(line.value)
        if value is None:
            value = known[line.value] = parse_value(line.value)
        entries[key] = AccessEntry(key, value, line.line)
    problems.sort(key=lambda problem: problem.line or 0)
    return Access(file, entries), problems


def format_access(table: Access) -> str:
    """A text that `parse_access` reads as `table`, one entry a line."""
    lines = (f"{entry.key}\t{format_value(entry.value)}\n" for entry in table.entries.values())
    return "".join(lines)


def _tag(key: str) -> str:
    """The tag of a key, or "". The IPv6: of an address is none."""
    found = _TAG.match(key)
    return found[1] if found and found[1] != "ipv6" else ""


def _problem(line: Entry, tag: str, file: str) -> Problem | None:
    if tag in OTHER_TAGS:
        return None
    if tag and tag not in DECIDING_TAGS:
        known = "Connect:, From:, To: or Spam:"
        return Problem(file, line.line, f"{line.key}: nothing asks for {tag}:", f"write {known}")
    wrong = _key_problem(line.key.removeprefix(f"{tag}:")) or value_problem(line.value)
    wrong = wrong or _wrong_place(tag, parse_value(line.value))
    if wrong is None:
        return None
    what, remedy = wrong
    subject = f"{line.key}: {line.value.strip()}" if what.startswith(("is ", "has ")) else line.key
    return Problem(file, line.line, f"{subject} {what}", remedy)


def _key_problem(key: str) -> tuple[str, str] | None:
    length = _PREFIX_LENGTH.match(key)
    if length is not None:
        return "never matches, a network is written by its first octets", "write 10.1 for 10.1.0.0"
    if key.startswith("@"):
        return "never matches, a domain has no @ here", f"write {key[1:]}"
    if key.startswith("*."):
        return "never matches, a domain stands for all below it", f"write {key[2:]}"
    return None


def _wrong_place(tag: str, value: Value) -> tuple[str, str] | None:
    is_taste = value.action in (Action.FRIEND, Action.HATER)
    if (tag == "spam") == is_taste:
        return None
    if is_taste:
        return f"is for Spam: alone, here it refuses mail, and says {value.text}", "write Spam:"
    return "is no word for Spam:", "write FRIEND or HATER"
