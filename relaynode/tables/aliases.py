"""aliases: other names for local users, and lists (aliases(5)).

    name: value, value,
        value on a continuation line

Names are local and case-blind. A `#` is a comment in column 1 only, and lines indented below a
comment belong to it. Of two entries for one name the last counts, with a warning. What is wrong,
and in which line, is said in the words of newaliases(1). What values mean is for `policy/expand`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import Problem
from relaynode.tables.addresslist import name_end
from relaynode.tables.keyed import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+*=?&'#$^~-]+")
"""Names that are what they look like; any other is taken apart."""

_ATOM = re.compile(
    r'"(?:[^"\\]|\\.)*"?|\((?:[^()\\]|\\.)*\)?|\\.|[.:%@!^/\[\]+]|[ \t]+|.', re.DOTALL
)
_DOMAIN = re.compile(r"[\w.-]+|\[[\w.:]+\]")
_NEEDS_QUOTES = re.compile(r"[:,;%!|/()<>\[\] \t]")
_BLANKS = (" ", "\t")
_OPERATORS = ".:%@!^/[]+"
_SHOWN_CHARACTERS = 40
"""What newaliases shows of a line."""

_WARNING = "... Warning: "


@dataclass(frozen=True, slots=True)
class Tally:
    """What newaliases counts: entries, the longest value, names and values together, in bytes."""

    entries: int = 0
    longest_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Aliases:
    """An aliases file. `entries`: by name. `qualified`: those that were written name@domain, by
    name; they count where the domain is ours."""

    file: str
    entries: dict[str, Entry]
    qualified: dict[str, tuple[tuple[str, Entry], ...]] = field(default_factory=dict)
    tally: Tally = Tally()

    def find(self, name: str, is_ours: Callable[[str], bool]) -> Entry | None:
        """The entry of a local name. `is_ours`: knows our domains."""
        name = name.lower()
        found = [self.entries[name]] if name in self.entries else []
        for domain, entry in self.qualified.get(name, ()):
            if is_ours(domain):
                found.append(entry)
        return max(found, key=lambda entry: entry.line) if found else None


@dataclass(frozen=True, slots=True)
class _Line:
    """An entry with its continuation lines: `first` and `last` count from 1."""

    first: int
    last: int
    text: str


def parse_aliases(
    text: str, file: str, is_ours: Callable[[str], bool] | None = None
) -> tuple[Aliases, list[Problem]]:
    """The aliases and what was wrong; wrong lines are left out.

    `is_ours`: knows our domains, for names written name@domain; without it they are kept, to be
    judged when they are looked up.
    """
    parser = _Parser(file, is_ours)
    for line in parser.lines(text):
        parser.take(line)
    qualified = {name: tuple(found) for name, found in parser.qualified.items()}
    return Aliases(file, parser.entries, qualified, parser.tally), parser.problems


def format_aliases(aliases: Aliases) -> str:
    """The text of an aliases file with these entries."""
    named = [(_as_written(name), entry) for name, entry in aliases.entries.items()]
    for name, found in aliases.qualified.items():
        named += [(f"{_as_written(name)}@{domain}", entry) for domain, entry in found]
    return "".join(f"{name}: {entry.value}\n" for name, entry in named)


def is_warning(problem: Problem) -> bool:
    """Does newaliases end well in spite of it?"""
    return _WARNING in problem.text


class _Parser:
    def __init__(self, file: str, is_ours: Callable[[str], bool] | None) -> None:
        self._file = file
        self._is_ours = is_ours
        self.entries: dict[str, Entry] = {}
        self.qualified: dict[str, list[tuple[str, Entry]]] = {}
        self.problems: list[Problem] = []
        self._entry_count = self._longest_bytes = self._total_bytes = 0

    @property
    def tally(self) -> Tally:
        return Tally(self._entry_count, self._longest_bytes, self._total_bytes)

    def lines(self, text: str) -> Iterator[_Line]:
        """Entries with what continues them."""
        pieces: list[str] = []
        first = last = 0
        for number, line in self._physical_lines(text):
            if pieces and not line.startswith(_BLANKS):
                yield _Line(first, last, "".join(pieces))
                pieces = []
            if line:
                first, last = (first if pieces else number), number
                pieces.append(line)
        if pieces:
            yield _Line(first, last, "".join(pieces))

    @staticmethod
    def _physical_lines(text: str) -> Iterator[tuple[int, str]]:
        """Lines; a backslash at the end of one joins the next to it."""
        held = ""
        for number, line in enumerate(text.split("\n"), start=1):
            line = held + line.removesuffix("\r")
            held = ""
            if line.endswith("\\"):
                held = line[:-1]
            else:
                yield number, line
        if held:
            yield number, held

    def take(self, line: _Line) -> None:
        """One entry, or a comment."""
        if line.text.startswith("#"):
            return
        if line.text.startswith(_BLANKS):
            what = "Non-continuation line starts with space"
            self._wrong(line.last, what, "begin the name in the first column")
            return
        end = name_end(line.text)
        if end is None:
            self._wrong(line.last, "missing colon", "write name: address")
            return
        written, value = line.text[:end], line.text[end + 1 :].lstrip(" \t")
        shown = line.text[:_SHOWN_CHARACTERS]
        name, domain = _split_name(written)
        if name and (domain is None or self._is_foreign(domain)):
            what = f"{written}... cannot alias non-local names"
            self._wrong(line.last, what, "only names at this host have aliases")
        elif domain is None or not _is_writable(name, domain):
            self._wrong(line.last, f"{shown}... illegal alias name", "write name: address")
        elif not value.strip(" \t"):
            what = f"{shown}... missing value for alias"
            self._wrong(line.last, what, "name an address behind the colon")
        else:
            self._store(line, written, name, domain, value)

    def _is_foreign(self, domain: str) -> bool:
        return bool(domain) and self._is_ours is not None and not self._is_ours(domain)

    def _store(self, line: _Line, written: str, name: str, domain: str, value: str) -> None:
        if domain and self._is_ours is None:
            entry = Entry(f"{name}@{domain}", value, line.first)
            self.qualified.setdefault(name, []).append((domain, entry))
        else:
            if name in self.entries:
                what = f"{written}{_WARNING}duplicate alias name {name}"
                first = self.entries[name].line
                self._wrong(line.last, what, f"the last one counts, not that in line {first}")
            self.entries[name] = Entry(name, value, line.first)
        name_bytes, value_bytes = _byte_count(name), _byte_count(value)
        self._entry_count += 1
        self._longest_bytes = max(self._longest_bytes, value_bytes)
        self._total_bytes += name_bytes + value_bytes

    def _wrong(self, line: int, what: str, remedy: str) -> None:
        self.problems.append(Problem(self._file, line, what, remedy))


def _split_name(written: str) -> tuple[str, str | None]:
    """An alias's name in lower case, and the domain behind it: "" for none, None where the name
    leads to another host."""
    if _PLAIN_NAME.fullmatch(written):
        return written.lower(), ""
    atoms = _significant(_ATOM.findall(written.strip(" \t")))
    if "<" in atoms:
        atoms = atoms[atoms.index("<") + 1 :]
        atoms = atoms[: atoms.index(">")] if ">" in atoms else atoms
    domain = ""
    if "@" in atoms:
        at = len(atoms) - 1 - atoms[::-1].index("@")
        atoms, domain = atoms[:at], "".join(atoms[at + 1 :])
    name = _unquoted("".join(atoms)).lower()
    leads_on = any(atom in "@%!," for atom in atoms) or name.startswith(("|", "/", ":include:"))
    if name and not name.startswith('"') and "@" in name:
        leads_on = True
    return name, None if leads_on else domain.lower().rstrip(".")


def _significant(atoms: list[str]) -> list[str]:
    """Without comments and blanks; a blank between two words becomes a dot."""
    kept: list[str] = []
    is_apart = False
    for atom in atoms:
        if atom.startswith("(") or atom.isspace():
            is_apart = True
        else:
            if is_apart and kept and _is_word(kept[-1]) and _is_word(atom):
                kept.append(".")
            kept.append(atom)
            is_apart = False
    return kept


def _is_word(atom: str) -> bool:
    return not atom.startswith('"') and atom not in _OPERATORS and atom not in "<>"


def _unquoted(name: str) -> str:
    """A quoted name without its quotes, unless a blank or bracket in it needs them."""
    if len(name) > 2 and name[0] == name[-1] == '"' and not re.search(r'[ \t()<>\\"]', name[1:-1]):
        return name[1:-1]
    return name


def _as_written(name: str) -> str:
    """A name as a file must have it: quoted where something in it would mean more than itself."""
    return f'"{name}"' if '"' not in name and _NEEDS_QUOTES.search(name) else name


def _is_writable(name: str, domain: str) -> bool:
    """Would the name be read as itself? Not if its brackets or quotes do not match."""
    if domain and not _DOMAIN.fullmatch(domain):
        return False
    if _PLAIN_NAME.fullmatch(name):
        return True
    return bool(name) and _split_name(_as_written(name))[0] == name


def _byte_count(text: str) -> int:
    # A byte that was no UTF-8 counts as one again.
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
