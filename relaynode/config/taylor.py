"""Taylor UUCP's configuration, read as it is: `config`, and the files that it names.

    config     names, folders, the other files          this module
    sys        systems                                  taylor_systems.py
    port, dial, dialcode   lines and modems             taylor_ports.py
    call, passwd           logins                       taylor_logins.py

Nothing here is fatal: what is wrong is a problem with file and line, and the rest works. Old V2 and
HDB files are not read.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaynode.config.taylor_keywords import (
    Problems,
    Settings,
    Table,
    flag,
    ignored,
    name,
    path,
    paths,
    said,
)
from relaynode.config.taylor_logins import read_calls, read_passwords
from relaynode.config.taylor_ports import read_dialcodes, read_dialers, read_ports
from relaynode.config.taylor_reader import MAX_FILE_BYTES, Line, lines_of
from relaynode.config.taylor_systems import read_systems, read_unknown
from relaynode.config.timestring import TIMETABLES, TimeString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from relaynode.config.taylor_logins import Login
    from relaynode.config.taylor_ports import DialerEntry, Port
    from relaynode.config.taylor_systems import System
    from relaynode.config.values import Password
    from relaynode.errors import Problem

FILES = ("sys", "port", "dial", "dialcode", "call", "passwd")
"""The other files, by their usual names; `config` may name several of each."""

_SECRET = ("call", "passwd")


@dataclass(frozen=True, slots=True)
class Taylor:
    """All that the files say. Where they say nothing, None."""

    folder: Path
    nodename: str | None = None
    spool: Path | None = None
    public: Path | None = None
    locks: Path | None = None
    strips_login: bool = True
    strips_handshake: bool = True
    systems: tuple[System, ...] = ()
    unknown: System | None = None
    ports: tuple[Port, ...] = ()
    dialers: Mapping[str, DialerEntry] = field(default_factory=dict)
    dialcodes: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, Login] = field(default_factory=dict)
    passwords: Mapping[str, Password] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_taylor(folder: Path) -> Taylor:
    """The configuration in `folder`. Never raises: what cannot be read is among the problems."""
    return _Reader(folder).read()


class _Reader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._problems: list[Problem] = []
        self._settings: Settings = {}
        self._tables = dict(TIMETABLES)
        self._unknown: list[Line] = []

    def read(self) -> Taylor:
        if not self._folder.is_dir():
            self._note(self._folder, "there is no such folder")
        config = Problems(self._folder / "config")
        for text in self._texts([config.file], must_be_there=False):
            self._config(text, config)
        unknown = read_unknown(self._unknown, config, self._tables)
        self._problems += config.found
        systems: dict[str, System] = {}
        for system in self._all("sys", self._systems):
            systems.setdefault(system.name, system)
        dialers: dict[str, DialerEntry] = {}
        for found in self._all("dial", lambda text, into: [read_dialers(text, into)]):
            dialers = {**found, **dialers}
        return Taylor(
            folder=self._folder,
            nodename=self._settings.get("nodename"),
            spool=self._settings.get("spool"),
            public=self._settings.get("pubdir"),
            locks=self._settings.get("lockdir"),
            strips_login=self._settings.get("strip-login", True),
            strips_handshake=self._settings.get("strip-proto", True),
            systems=tuple(systems.values()),
            unknown=unknown,
            ports=tuple(self._all("port", read_ports)),
            dialers=dialers,
            dialcodes=self._together("dialcode", read_dialcodes),
            calls=self._together("call", read_calls),
            passwords=self._together("passwd", read_passwords),
            problems=tuple(self._problems),
        )

    def _config(self, text: str, problems: Problems) -> None:
        for line in lines_of(text):
            if line.keyword == "timetable":
                self._timetable(line, problems)
            elif line.keyword == "unknown":
                self._unknown.append(Line(line.number, line.arguments))
            else:
                _CONFIG.take(line, self._settings, problems)
        if any(not line.words for line in self._unknown):
            problems.add(None, "unknown takes a keyword as in sys, and its arguments")
            self._unknown = [line for line in self._unknown if line.words]

    def _timetable(self, line: Line, problems: Problems) -> None:
        try:
            table, times = line.arguments
            self._tables[table.lower()] = TimeString.parse(times, self._tables)
        except ValueError as error:
            what = str(error) if len(line.arguments) == 2 else "takes a name and a time string"
            problems.add(line.number, f"timetable: {what}")

    def _systems(self, text: str, problems: Problems) -> list[System]:
        return read_systems(text, problems, self._tables)

    # --- files

    def _all(self, which: str, read: Callable[[str, Problems], Sequence[Any]]) -> list[Any]:
        """What all files of a kind hold, in order."""
        named: tuple[tuple[Path, ...], ...] = self._settings.get(which, ())
        files = [file for line in named for file in line]
        found: list[Any] = []
        for file in files or [Path(which)]:
            problems = Problems(self._folder / file)
            for text in self._texts([problems.file], must_be_there=bool(files)):
                found += read(text, problems)
                if which in _SECRET or (which == "sys" and _has_password(text)):
                    self._check_is_secret(problems)
            self._problems += problems.found
        return found

    def _together(
        self, which: str, read: Callable[[str, Problems], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Entries by name out of all files of a kind; the first of a name counts."""
        together: dict[str, Any] = {}
        for found in self._all(which, lambda text, problems: [read(text, problems)]):
            together = {**found, **together}
        return together

    def _texts(self, files: list[Path], *, must_be_there: bool) -> Iterator[str]:
        for file in files:
            try:
                with file.open("rb") as opened:
                    data = opened.read(MAX_FILE_BYTES + 1)
            except (FileNotFoundError, NotADirectoryError) as error:
                if must_be_there:
                    self._note(file, error.strerror or "is not there")
            except OSError as error:
                self._note(file, error.strerror or str(error))
            else:
                if len(data) > MAX_FILE_BYTES:
                    self._note(file, f"is larger than {MAX_FILE_BYTES} bytes and is not read")
                else:
                    yield data.decode("utf-8", "surrogateescape")

    def _check_is_secret(self, problems: Problems) -> None:
        """Everybody must not read it. A group may: uucp's own, as many systems have it."""
        mode = stat.S_IMODE(problems.file.stat().st_mode)
        if mode & stat.S_IROTH:
            remedy = f"chmod o-r {problems.file}"
            problems.add(
                None, f"holds passwords and everybody may read it (mode {mode:04o})", remedy
            )

    def _note(self, file: Path, text: str) -> None:
        problems = Problems(file)
        problems.add(None, text)
        self._problems += problems.found


def _has_password(text: str) -> bool:
    """Is there a password in a sys file itself?"""
    return any(
        line.keyword == "call-password" and line.arguments not in ((), ("*",))
        for line in lines_of(text)
    )


_CONFIG = Table(
    "of config",
    {
        "nodename": said(name, "nodename"),
        "hostname": said(name, "nodename"),
        "uuname": said(name, "nodename"),
        "spool": said(path, "spool"),
        "pubdir": said(path, "pubdir"),
        "lockdir": said(path, "lockdir"),
        "sysfile": said(paths, "sys", adds_up=True),
        "portfile": said(paths, "port", adds_up=True),
        "dialfile": said(paths, "dial", adds_up=True),
        "dialcodefile": said(paths, "dialcode", adds_up=True),
        "callfile": said(paths, "call", adds_up=True),
        "passwdfile": said(paths, "passwd", adds_up=True),
        "strip-login": said(flag, "strip-login"),
        "strip-proto": said(flag, "strip-proto"),
        # Ours are elsewhere: the log, the store, and links that say when what is run.
        "logfile": ignored(),
        "statfile": ignored(),
        "debugfile": ignored(),
        "debug": ignored(),
        "max-uuxqts": ignored(),
        "run-uuxqt": ignored(),
        "v2-files": ignored(),
        "hdb-files": ignored(),
    },
)
