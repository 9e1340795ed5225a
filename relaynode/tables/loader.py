"""Reads the table files, and reads them again when they have changed.

A file that is not there is an empty table. A file that is there and cannot be read raises
TableError at each use until it can: mail waits, it is never routed as if the table were empty.
"""

from __future__ import annotations

import math
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from relaynode.errors import Problem, TableError
from relaynode.tables.access import Access, parse_access
from relaynode.tables.aliases import Aliases, parse_aliases
from relaynode.tables.authinfo import (
    AuthInfo,
    AuthInfos,
    parse_access_authinfo,
    parse_authinfo,
    parse_default_auth_info,
)
from relaynode.tables.genericstable import Genericstable, parse_genericstable
from relaynode.tables.mailertable import Mailertable, parse_mailertable
from relaynode.tables.names import parse_names
from relaynode.tables.relay_domains import RelayDomains, parse_relay_domains
from relaynode.tables.virtusertable import Virtusertable, parse_virtusertable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_ABSENT = (0, 0, 0, 0)


@dataclass(slots=True)
class Looking:
    """How often files are looked at. `seconds`: a look holds for so long; with 0 each use looks.
    `clock`: monotonic seconds."""

    seconds: float = 0.0
    clock: Callable[[], float] = lambda: 0.0


@dataclass(slots=True)
class TableFile(Generic[T]):
    """One file and the table parsed from it.

    `is_required`: it is an error that it is not there. `holds_secrets`: told of a table that others
    must not be able to read; one that they can is not used. `looking`: when it is looked at again.
    """

    path: Path
    parse: Callable[[str, str], tuple[T, list[Problem]]]
    is_required: bool = False
    holds_secrets: Callable[[T], bool] = lambda table: False
    looking: Looking = field(default_factory=Looking)
    _looked_at: float = -math.inf
    _stamp: tuple[int, ...] | None = None
    _table: T | None = None
    problems: list[Problem] = field(default_factory=list)

    def get(self) -> T:
        """The table as the file says now. Raises: TableError."""
        now = self.looking.clock()
        if self._table is not None and now - self._looked_at < self.looking.seconds:
            return self._table
        self._looked_at = -math.inf
        try:
            stamp = self._current_stamp()
            if stamp != self._stamp or self._table is None:
                text = "" if stamp == _ABSENT else self._read(stamp)
                table, self.problems = self.parse(text, str(self.path))
                if self.holds_secrets(table):
                    self._insist_on_privacy()
                self._table, self._stamp = table, stamp
        except FileNotFoundError as error:
            raise TableError(f"{self.path}: the settings name it and it is not there") from error
        except OSError as error:
            self._stamp = None
            raise TableError(f"{self.path}: cannot be read: {error.strerror}") from error
        self._looked_at = now
        return self._table

    def _insist_on_privacy(self) -> None:
        """Raises: TableError."""
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            self._stamp = None
            text = f"holds passwords and others can read it (mode {mode:04o})"
            raise TableError(f"{self.path}: {text}; say: chmod 600 {self.path}")

    def _current_stamp(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if self.is_required:
                raise
            return _ABSENT
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read(self, stamp: tuple[int, ...]) -> str:
        content = self.path.read_bytes()
        if self._current_stamp() != stamp:  # half of it would send mail astray: ask again later
            self._stamp = None
            raise TableError(f"{self.path}: is being written")
        # Tables are ASCII or UTF-8; other bytes are kept, they match nothing.
        return content.decode("utf-8", "surrogateescape")


class Tables:
    """All tables of one folder (/etc/mail). `aliases`: where these are, if they are elsewhere."""

    def __init__(self, folder: Path, aliases: Path | None = None) -> None:
        self._mailertable = TableFile[Mailertable](folder / "mailertable", parse_mailertable)
        self._virtusertable = TableFile[Virtusertable](
            folder / "virtusertable", parse_virtusertable
        )
        self._genericstable = TableFile[Genericstable](
            folder / "genericstable", parse_genericstable
        )
        self._access = TableFile[Access](folder / "access", parse_access)
        self._auth_infos = [
            TableFile[AuthInfos](
                folder / name, parse, holds_secrets=lambda table: bool(table.entries)
            )
            for name, parse in (
                ("authinfo", parse_authinfo),
                ("access", parse_access_authinfo),
                ("default-auth-info", parse_default_auth_info),
            )
        ]
        self._relay_domains = TableFile[RelayDomains](folder / "relay-domains", parse_relay_domains)
        self._aliases = TableFile[Aliases](aliases or folder / "aliases", parse_aliases)
        self._local_host_names = TableFile[frozenset[str]](folder / "local-host-names", parse_names)
        self._named: dict[str, TableFile[frozenset[str]]] = {}
        self._trusted_users = TableFile[frozenset[str]](folder / "trusted-users", parse_names)
        self.looking = Looking()
        for table in self._all():
            table.looking = self.looking

    def look_every(self, seconds: float, clock: Callable[[], float]) -> None:
        """From now on a file that was looked at is not looked at again for so long: a daemon uses
        each of them many times for each message. `clock`: monotonic seconds."""
        self.looking.seconds, self.looking.clock = seconds, clock

    @property
    def mailertable(self) -> Mailertable:
        """Raises: TableError."""
        return self._mailertable.get()

    @property
    def virtusertable(self) -> Virtusertable:
        """Raises: TableError."""
        return self._virtusertable.get()

    @property
    def genericstable(self) -> Genericstable:
        """Raises: TableError."""
        return self._genericstable.get()

    @property
    def access(self) -> Access:
        """Raises: TableError."""
        return self._access.get()

    def auth_info(self, host: str, address: str) -> AuthInfo | None:
        """sendmail's login for a server, if there is one: of the file authinfo, of the access map,
        or the default. Raises: TableError."""
        for table in self._auth_infos:
            found = table.get().find(host, address)
            if found is not None:
                return found
        return None

    @property
    def relay_domains(self) -> RelayDomains:
        """Raises: TableError."""
        return self._relay_domains.get()

    @property
    def aliases(self) -> Aliases:
        """Raises: TableError."""
        return self._aliases.get()

    @property
    def local_host_names(self) -> frozenset[str]:
        """Raises: TableError."""
        return self._local_host_names.get()

    @property
    def trusted_users(self) -> frozenset[str]:
        """Raises: TableError."""
        return self._trusted_users.get()

    def listed(self, entries: Iterable[str]) -> frozenset[str]:
        """The names in a list of settings, in lower case: an entry `/...` is a file of such.

        Raises: TableError.
        """
        names: set[str] = set()
        for entry in entries:
            if not entry.startswith("/"):
                names.add(entry.lower().rstrip("."))
                continue
            if entry not in self._named:
                path = Path(entry)
                self._named[entry] = TableFile[frozenset[str]](
                    path, parse_names, is_required=True, looking=self.looking
                )
            names |= self._named[entry].get()
        return frozenset(names)

    def files(self) -> list[Path]:
        """All table files that may be there, also those that settings have named so far."""
        return list(dict.fromkeys(table.path for table in self._all()))

    def problems(self) -> list[Problem]:
        """All that is wrong in all tables, read now."""
        found: list[Problem] = []
        for table in self._all():
            try:
                table.get()
                found += table.problems
            except TableError as error:
                found.append(Problem(str(table.path), None, str(error).partition(": ")[2]))
        return list(dict.fromkeys(found))  # access is read for two purposes

    def _all(self) -> list[TableFile[Any]]:
        return [
            self._local_host_names,
            self._trusted_users,
            self._mailertable,
            self._virtusertable,
            self._genericstable,
            self._access,
            *self._auth_infos,
            self._relay_domains,
            self._aliases,
            *self._named.values(),
        ]
