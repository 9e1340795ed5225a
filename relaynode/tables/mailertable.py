"""mailertable: which mailer takes the mail of a domain (sendmail cf/README, FEATURE(mailertable)).

For host a.b.c the keys tried are `a.b.c`, `.b.c`, `.c` and `.`, nothing else: `dom` never matches
a sub-domain, `.dom` never `dom` itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import Problem
from relaynode.tables.keyed import Entry, parse_keyed

if TYPE_CHECKING:
    from collections.abc import Iterator

MAILERS = frozenset({"smtp", "esmtp", "smtp8", "relay", "local", "error"})
"""The mailers an entry may name."""

_HOST = re.compile(r"(?:[^\s@]*@)?(?:\[[^\s\[\]]+\]|[^\s:@\[\]]+)(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Target:
    """The right-hand side of an entry: `mailer:host`, with the arguments filled in.

    For `local` the host is a user or empty; for `error` it is the rest of the text.
    """

    mailer: str
    host: str


@dataclass(frozen=True, slots=True)
class Mailertable:
    """A mailertable. `file` is its name, for trails and messages."""

    file: str
    entries: dict[str, Entry]

    @staticmethod
    def keys(host: str) -> Iterator[str]:
        """The keys that are tried for a host, in order."""
        host = host.lower()
        yield host
        _, dot, rest = host.partition(".")
        while dot:
            yield f".{rest}"
            _, dot, rest = rest.partition(".")
        if host != ".":
            yield "."

    def target(self, host: str, entry: Entry) -> Target:
        """What an entry found for `host` says, `%0` to `%2` replaced.

        For a suffix key `%1` is all that stands before the suffix and `%2` the label next to it;
        for `.` `%1` is the whole host; for an exact key both are empty.
        """
        first = second = ""
        if entry.key == ".":
            first = host
        elif entry.key.startswith("."):
            first = host[: -len(entry.key)]
            second = first.rpartition(".")[2]
        mailer, _, rest = entry.value.strip().partition(":")
        return Target(mailer.lower(), _fill(rest.strip(), (entry.key, first, second)))


def parse_mailertable(text: str, file: str) -> tuple[Mailertable, list[Problem]]:
    """A mailertable and what was wrong in its text.

    An entry without a usable mailer is left out. One whose host is wrong stays: its mail waits.
    """
    entries, problems = parse_keyed(text, file)
    good = {}
    for key, entry in entries.items():
        problem = _mailer_problem(entry, file)
        if problem is None:
            good[key] = entry
            problem = _host_problem(entry, file)
        if problem is not None:
            problems.append(problem)
    problems.sort(key=lambda problem: problem.line or 0)
    return Mailertable(file, good), problems


def _mailer_problem(entry: Entry, file: str) -> Problem | None:
    mailer, colon, host = entry.value.strip().partition(":")
    if not colon:
        text = f"{entry.key}: {entry.value} names no mailer"
        return Problem(file, entry.line, text, f"write smtp:{entry.value}")
    if mailer.lower() not in MAILERS:
        known = ", ".join(sorted(MAILERS))
        return Problem(file, entry.line, f"{entry.key}: unknown mailer {mailer}", f"known: {known}")
    if not host.strip() and mailer.lower() != "local":
        what, example = "host", "host.example.net"
        if mailer.lower() == "error":
            what, example = "text", "550 No such host"
        text = f"{entry.key}: {mailer}: names no {what}"
        return Problem(file, entry.line, text, f"write {mailer}:{example}")
    return None


def _host_problem(entry: Entry, file: str) -> Problem | None:
    mailer, _, host = entry.value.strip().partition(":")
    if mailer.lower() in ("local", "error") or _HOST.fullmatch(host.strip()):
        return None
    text = f"{entry.key}: {host.strip()} is no host or host:port"
    return Problem(file, entry.line, text, "write one host and nothing behind it")


def _fill(text: str, arguments: tuple[str, ...]) -> str:
    """Replace %0 ... %9 (missing ones by nothing) and %%."""
    pieces = []
    position = 0
    while (percent := text.find("%", position)) >= 0:
        pieces.append(text[position:percent])
        letter = text[percent + 1 : percent + 2]
        if letter.isascii() and letter.isdigit():
            pieces.append(arguments[int(letter)] if int(letter) < len(arguments) else "")
        else:
            pieces.append("%" if letter == "%" else f"%{letter}")
        position = percent + 1 + len(letter)
    return "".join(pieces) + text[position:]
