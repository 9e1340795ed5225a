"""Lists of names, one a line, `#` begins a comment line: local-host-names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable


def parse_names(text: str, file: str) -> tuple[frozenset[str], list[Problem]]:
    """The names in lower case, and what was wrong."""
    names = set()
    problems = []
    for number, line in enumerate(text.split("\n"), start=1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        if any(char.isspace() for char in name):
            problems.append(Problem(file, number, f'"{name}" is not one name', "one name a line"))
        else:
            names.add(name.lower().rstrip("."))
    return frozenset(names), problems


def format_names(names: Iterable[str]) -> str:
    """The text of a list of names, one a line, in order."""
    return "".join(f"{name}\n" for name in sorted(names))
