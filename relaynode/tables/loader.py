"""Reads the table files, and reads them again when they have changed.

A file that is not there is an empty table. A file that is there and cannot be read raises
TableError at each use until it can: mail waits, it is never routed as if the table were empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from relaynode.errors import Problem, TableError
from relaynode.tables.aliases import Aliases, parse_aliases
from relaynode.tables.mailertable import Mailertable, parse_mailertable
from relaynode.tables.names import parse_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_ABSENT = (0, 0, 0, 0)


@dataclass(slots=True)
class TableFile(Generic[T]):
    """One file and the table parsed from it."""

    path: Path
    parse: Callable[[str, str], tuple[T, list[Problem]]]
    _stamp: tuple[int, ...] | None = None
    _table: T | None = None
    problems: list[Problem] = field(default_factory=list)

    def get(self) -> T:
        """The table as the file says now. Raises: TableError."""
        try:
            stamp = self._current_stamp()
            if stamp != self._stamp or self._table is None:
                text = "" if stamp == _ABSENT else self._read()
                self._table, self.problems = self.parse(text, str(self.path))
                self._stamp = stamp
        except OSError as error:
            self._stamp = None
            raise TableError(f"{self.path}: cannot be read: {error.strerror}") from error
        return self._table

    def _current_stamp(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return _ABSENT
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read(self) -> str:
        # Tables are ASCII or UTF-8; other bytes are kept, they match nothing.
        return self.path.read_bytes().decode("utf-8", "surrogateescape")


class Tables:
    """All tables of one folder (/etc/mail)."""

    def __init__(self, folder: Path) -> None:
        self._mailertable = TableFile[Mailertable](folder / "mailertable", parse_mailertable)
        self._aliases = TableFile[Aliases](folder / "aliases", parse_aliases)
        self._local_host_names = TableFile[frozenset[str]](folder / "local-host-names", parse_names)

    @property
    def mailertable(self) -> Mailertable:
        """Raises: TableError."""
        return self._mailertable.get()

    @property
    def aliases(self) -> Aliases:
        """Raises: TableError."""
        return self._aliases.get()

    @property
    def local_host_names(self) -> frozenset[str]:
        """Raises: TableError."""
        return self._local_host_names.get()

    def problems(self) -> list[Problem]:
        """All that is wrong in all tables, read now."""
        found: list[Problem] = []
        for table in (self._local_host_names, self._mailertable, self._aliases):
            try:
                table.get()
                found += table.problems
            except TableError as error:
                found.append(Problem(str(table.path), None, str(error).partition(": ")[2]))
        return found
