"""The grammar that mailertable and its kin share: `key<blanks>value`, one entry a line.

Only a `#` in column 1 begins a comment; later it is part of the value. A line that begins with
white space is an error, a second entry for a key is one too, and the first stays (makemap(8)).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from relaynode.errors import Problem

_LINE = re.compile(r"([^ \t]+)(?:[ \t]+(.*))?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a table. `key` is in lower case, `value` as written, `line` counts from 1."""

    key: str
    value: str
    line: int


def parse_keyed(text: str, file: str) -> tuple[dict[str, Entry], list[Problem]]:
    """The entries by key, and what was wrong. `file` is named in problems."""
    entries: dict[str, Entry] = {}
    problems: list[Problem] = []

    def wrong(line: int, what: str, remedy: str) -> None:
        problems.append(Problem(file, line, what, remedy))

    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line or line.startswith("#"):
            continue
        found = _LINE.match(line)
        if found is None:
            wrong(number, "leading space", "a key begins in the first column")
        elif not found[2]:
            wrong(number, f"no value for {found[1]}", "write the value behind a blank or tab")
        elif found[1].lower() in entries:
            first = entries[found[1].lower()].line
            wrong(number, f"{found[1]} stands in line {first} already", "the first one counts")
        else:
            entry = Entry(found[1].lower(), found[2], number)
            entries[entry.key] = entry
    return entries, problems
