"""Taylor UUCP with its configuration, spool and programs in one folder.

The programs are copied, since Debian's are set-user-id and would be `uucp`, who owns nothing there.
The machine's /etc/uucp and /var/spool/uucp are neither read nor written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.found import require
from peers.processes import PeerFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIMEOUT_SECONDS = 60
_NO_SENDMAIL = "ERROR: Got SIGPIPE signal"
"""uuxqt writes letters with /usr/sbin/sendmail, and ends where there is none and it did not see
that soon enough; the next one goes on behind the letter."""
_LETTERS = 10

USER = "daemon"
"""Whom all of it runs as where root runs the tests."""

_FILES = ("portfile", "dialfile", "dialcodefile", "callfile", "passwdfile")
_CONFIG = """\
nodename {name}
spool {folder}/spool
pubdir {folder}/public
lockdir {folder}/locks
sysfile {folder}/sys
logfile {folder}/log/Log
statfile {folder}/log/Stats
debugfile {folder}/log/Debug
v2-files no
hdb-files no
run-uuxqt never
"""

_COMMANDS = "commands rmail\ncommand-path {folder}/commands /bin /usr/bin\n"

_CALLED = """\
system {name}
time any
chat "" ""
port type pipe
port reliable true
port command {folder}/bin/uucico -I {folder}/config
"""

_UUX = """\
#!/bin/sh
exec {folder}/bin/uux -I {folder}/config "$@"
"""

_RMAIL = """\
#!/bin/sh
number=1
while ! mkdir {folder}/mail/$number 2>/dev/null; do number=$((number + 1)); done
for word in "$@"; do printf '%s\\n' "$word"; done >{folder}/mail/$number/argv
cat >{folder}/mail/$number/stdin
"""


def as_user() -> dict[str, Any]:
    """Whom its programs run as, for subprocess: not root."""
    if os.geteuid() != 0:
        return {}
    return {"user": USER, "group": USER, "extra_groups": []}


@dataclass(frozen=True)
class Job:
    """An rmail execution that waits for a neighbour: one `E` line of a C. file, and its data."""

    recipients: tuple[str, ...]
    results_to: str
    grade: str
    data: bytes


@dataclass(frozen=True)
class Arrived:
    """The same at the neighbour: the lines of the X. file, and the data."""

    lines: tuple[str, ...]
    data: bytes


class Taylor:
    """One system that knows some neighbours, and that calls when it is told to.

    `folder` is made, in one that every user may enter. `as_user`: whom its programs run as.
    """

    def __init__(self, folder: Path, name: str, neighbours: Iterable[str]) -> None:
        found = require("uucp")
        self.folder = folder
        self.name = name
        self.as_user = as_user()
        self._neighbours = list(neighbours)
        for part in ("", "bin", "commands", "spool", "public", "locks", "log", "mail"):
            (folder / part).mkdir()
            (folder / part).chmod(0o777)
        for program in ("uux", "uucico", "uuxqt"):
            shutil.copyfile(found.program(program), folder / "bin" / program)
            (folder / "bin" / program).chmod(0o755)
        (folder / "empty").touch()
        files = "".join(f"{file} {folder}/empty\n" for file in _FILES)
        (folder / "config").write_text(_CONFIG.format(name=name, folder=folder) + files)
        self._write_systems()
        self.uux = self._script("uux", _UUX)
        self._script("commands/rmail", _RMAIL)

    def _script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text.format(folder=self.folder))
        path.chmod(0o755)
        return path

    def _write_systems(self, called: Taylor | None = None) -> None:
        systems = [f"system {name}\ntime never\n" for name in self._neighbours]
        if called is not None:
            systems.append(_CALLED.format(name=called.name, folder=called.folder))
        (self.folder / "sys").write_text(_COMMANDS.format(folder=self.folder) + "".join(systems))

    # --- what waits

    @property
    def neighbours_with_jobs(self) -> set[str]:
        """For whom something waits."""
        return {path.parts[-3] for path in (self.folder / "spool").glob("*/C./C.*")}

    def jobs(self, neighbour: str) -> list[Job]:
        """What waits for a neighbour, sorted by recipients. Raises: PeerFailed."""
        paths = (self.folder / "spool" / neighbour).glob("C./C.*")
        return sorted((self._job(path) for path in paths), key=lambda job: job.recipients)

    def _job(self, path: Path) -> Job:
        """C. file of a job whose one file is the command's input:

        E from to user -options temp mode notify size command...
        """
        (line,) = path.read_text(encoding="latin-1").splitlines()
        letter, _, _, _, _, temp, _, notify, _, command, *recipients = line.split(" ")
        if (letter, command) != ("E", "rmail"):
            raise PeerFailed(f"{path.name} is no execution of rmail: {line}")
        data = path.parents[1] / "D." / temp
        return Job(tuple(recipients), notify, path.name[2], data.read_bytes())

    # --- a call

    def call(self, other: Taylor) -> None:
        """Send another system, which must know us, what waits for it. Raises: PeerFailed."""
        self._neighbours = [name for name in self._neighbours if name != other.name]
        self._write_systems(other)
        self._run("uucico", "-S", other.name)

    def arrived(self, sender: str) -> list[Arrived]:
        """The executions that `sender` has asked for, not done yet."""
        spool = self.folder / "spool" / sender
        return [
            self._arrived(spool, path.read_text(encoding="latin-1").splitlines())
            for path in sorted(spool.glob("X./X.*"))
        ]

    def _arrived(self, spool: Path, lines: list[str]) -> Arrived:
        (data,) = (line.split()[1] for line in lines if line.startswith("F "))
        return Arrived(tuple(lines), (spool / "D." / data).read_bytes())

    def execute(self) -> list[tuple[list[str], bytes]]:
        """Do what was asked for: arguments and input of each rmail. Raises: PeerFailed."""
        for _ in range(_LETTERS):
            before = self.log().count(_NO_SENDMAIL)
            try:
                self._run("uuxqt")
                break
            except PeerFailed:
                if self.log().count(_NO_SENDMAIL) == before:
                    raise
        calls = sorted((self.folder / "mail").iterdir(), key=lambda path: int(path.name))
        return [
            ((one / "argv").read_text().splitlines(), (one / "stdin").read_bytes()) for one in calls
        ]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.folder / "bin" / program, "-I", self.folder / "config", *arguments],
            cwd="/",
            **self.as_user,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise PeerFailed(f"{program} ended with {done.returncode}\n{self.log()}")

    def log(self) -> str:
        """What its programs have noted."""
        path = self.folder / "log" / "Log"
        return path.read_text(errors="replace") if path.exists() else ""
