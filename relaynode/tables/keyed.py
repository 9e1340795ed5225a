"""The grammar that mailertable and its kin share: `key<blanks>value`, one entry a line.

Only a `#` in column 1 begins a comment; later it is part of the value. A line that begins with
white space is an error, a second entry for a key is one too, and the first stays (makemap(8)).

A table may have a million lines, of which few are asked for: the text is kept, a key leads to its
line, and an entry is made when it is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from relaynode.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LINE_BITS = 32
"""A place in a table is one number: where its line begins, and which line it is."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a table. `key` is in lower case, `value` as written, `line` counts from 1."""

    key: str
    value: str
    line: int


class Entries(Mapping[str, Entry]):
    """The entries of a text by key. `places`: by key, from `_place`."""

    __slots__ = ("_places", "_text")

    def __init__(self, text: str, places: dict[str, int]) -> None:
        self._text = text
        self._places = places

    def __getitem__(self, key: str) -> Entry:
        place = self._places[key]
        start, line = place >> _LINE_BITS, place & (1 << _LINE_BITS) - 1
        end = self._text.find("\n", start)
        row = self._text[start:] if end < 0 else self._text[start:end]
        return Entry(key, _divided(row.removesuffix("\r"))[1], line)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


Check: TypeAlias = "Callable[[str, str], tuple[str, str] | None]"
"""Says of a key and a value what is wrong with them, and the remedy."""


def parse_keyed(text: str, file: str, check: Check | None = None) -> tuple[Entries, list[Problem]]:
    """The entries by key, and what was wrong. `file` is named in problems.

    An entry that `check` finds fault with stays in.
    """
    places: dict[str, int] = {}
    problems: list[Problem] = []
    entries = Entries(text, places)
    for number, start, row in _rows(text):
        key, value = _divided(row)
        wrong = _wrong(key, value, entries)
        if wrong is None:
            places[key.lower()] = start << _LINE_BITS | number
            wrong = check(key.lower(), value) if check else None
        if wrong is not None:
            problems.append(Problem(file, number, *wrong))
    return entries, problems


def format_keyed(entries: Iterable[Entry]) -> str:
    """The text of a table with these entries, one a line."""
    return "".join(f"{entry.key}\t{entry.value}\n" for entry in entries)


def _rows(text: str) -> Iterator[tuple[int, int, str]]:
    """Number, place and text of each line that is neither empty nor a comment."""
    start, number = 0, 1
    while start < len(text):
        end = text.find("\n", start)
        if end < 0:
            end = len(text)
        row = text[start:end].removesuffix("\r")
        if row and row[0] != "#":
            yield number, start, row
        start = end + 1
        number += 1


def _divided(row: str) -> tuple[str, str]:
    """Key and value: only blanks and tabs divide them."""
    key = row.split("\t", 1)[0].split(" ", 1)[0]
    return key, row[len(key) :].lstrip(" \t")


def _wrong(key: str, value: str, entries: Entries) -> tuple[str, str] | None:
    if not key:
        return "leading space", "a key begins in the first column"
    if not value:
        return f"no value for {key}", "write the value behind a blank or tab"
    if key.lower() in entries:
        first = entries[key.lower()].line
        return f"{key} stands in line {first} already", "the first one counts"
    return None


def fill(text: str, arguments: tuple[str, ...]) -> str:
    """A value with %0, %1 ... replaced by arguments (missing ones by nothing), and %% by %."""
    if "%" not in text:
        return text
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
