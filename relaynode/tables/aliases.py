"""aliases: other names for local users, and lists (aliases(5)).

    name: value, value,
        value on a continuation line

Names are local and case-blind. A `#` is a comment in column 1 only. Of two entries for one name
the last counts, with a warning, as newaliases(1) has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from relaynode.errors import Problem
from relaynode.mail.address import scan
from relaynode.tables.keyed import Entry

_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"')
_PLAIN = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]+")
_SPECIAL = ("|", "/", ":include:", "\\")
"""What begins a value that is no address: a program, a file, a list, a name not to be expanded."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """An aliases file. Each entry's `values` are addresses without phrases, or `|program` ..."""

    file: str
    entries: dict[str, Entry]
    values: dict[str, tuple[str, ...]]


def parse_aliases(text: str, file: str) -> tuple[Aliases, list[Problem]]:
    """The aliases and what was wrong; wrong lines are left out."""
    entries: dict[str, Entry] = {}
    problems: list[Problem] = []
    for number, line in _logical_lines(text, file, problems):
        name, value = _split_name(line)
        if value is None:
            problems.append(Problem(file, number, "missing colon", "write name: address"))
        elif not name or "@" in name:
            what = f"cannot alias {name}" if name else "no name before the colon"
            problems.append(Problem(file, number, what, "only local names have aliases"))
        elif not value.strip(" \t,"):
            problems.append(Problem(file, number, f"{name}: missing value", "name an address"))
        else:
            if name in entries:
                first = entries[name].line
                what = f"{name} stands in line {first} too"
                problems.append(Problem(file, number, what, "the last one counts"))
            entries[name] = Entry(name, value.strip(), number)
    values = {name: tuple(split_values(entry.value)) for name, entry in entries.items()}
    return Aliases(file, entries, values), problems


def split_values(text: str) -> list[str]:
    """A list at its commas: not at those inside quotes, brackets or comments."""
    values: list[str] = []
    current = ""
    depth, in_quotes, is_escaped = 0, False, False
    for char in text:
        if is_escaped:
            is_escaped = False
        elif char == "\\":
            is_escaped = True
        elif char == '"':
            in_quotes = not in_quotes
        elif not in_quotes and char in "(<":
            depth += 1
        elif not in_quotes and char in ")>":
            depth = max(depth - 1, 0)
        elif char == "," and not in_quotes and not depth:
            values.append(current)
            current = ""
            continue
        current += char
    values.append(current)
    return [_unwrap(value.strip()) for value in values if value.strip()]


def _logical_lines(text: str, file: str, problems: list[Problem]) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    can_go_on = False  # a continuation must follow its entry at once, or it would join a stranger
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            can_go_on = False
        elif not line.startswith((" ", "\t")):
            lines.append((number, line))
            can_go_on = True
        elif can_go_on:
            first, before = lines[-1]
            lines[-1] = (first, f"{before} {line.strip()}")
        else:
            what = "a continuation line without a line before it"
            problems.append(Problem(file, number, what, "begin the name in the first column"))
    return lines


def _split_name(line: str) -> tuple[str, str | None]:
    """Name (lower case, quotes removed) and the text behind its colon, None without one."""
    if line.startswith('"'):
        end = line.find('"', 1)
        name, rest = line[1:end], line[end + 1 :].lstrip()
        if end < 0 or not rest.startswith(":"):
            return line, None
        return name.lower(), rest[1:]
    name, colon, value = line.partition(":")
    # Blanks inside an unquoted name become dots, as sendmail stores it.
    name = ".".join(name.split()).lower()
    return name.removeprefix("<").removesuffix(">"), value if colon else None


def _unwrap(value: str) -> str:
    """A value without phrase and comments, and without quotes that its address does not need."""
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        inner = re.sub(r"\\(.)", r"\1", quoted[1])
        return inner if inner.startswith(_SPECIAL) or _PLAIN.fullmatch(inner) else value
    if value.startswith(_SPECIAL):
        return value
    found = scan(value.encode("utf-8", "surrogateescape"))
    return found[0].address if len(found) == 1 else value
