"""Sendmail, asked in its address test mode where it would send mail, or made to run for a test.

To be asked it runs in a network namespace of its own, so it can reach nobody. Its configuration is
made by its own m4 files and its tables by its own makemap, all in one folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from peers.found import PeerMissing, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TIMEOUT_SECONDS = 60

_PROGRAM = "usr/libexec/sendmail/sendmail"

_KEYED = ("mailertable", "virtusertable", "genericstable", "access", "authinfo")

_IN_NAMESPACE = ("unshare", "--uts", "--net", "sh", "-c")
_ALONE = 'hostname "$1"; shift; ip link set lo up 2>/dev/null || ifconfig lo up; exec "$@"'
"""What the namespace needs before a program starts in it."""

_FRAME = """\
OSTYPE(linux)dnl
define(`confDONT_PROBE_INTERFACES',`true')dnl
define(`confSERVICE_SWITCH_FILE',`{folder}/service.switch')dnl
define(`confCW_FILE',`{folder}/local-host-names')dnl
define(`confDONT_BLAME_SENDMAIL',`MapInUnsafeDirPath,ClassFileInUnsafeDirPath')dnl
define(`confDOMAIN_NAME',`{hostname}')dnl
define(`ALIAS_FILE',`{folder}/aliases')dnl
"""


class Sendmail:
    """One configuration.

    `mc`: the lines that follow an OSTYPE; tables are named `{folder}/mailertable` in it and so on.
    `tables`: texts by name. Raises: PeerMissing, AssertionError.
    """

    def __init__(self, folder: Path, hostname: str, mc: str, tables: Mapping[str, str]) -> None:
        self._found = require("sendmail")
        if shutil.which("unshare") is None:
            raise PeerMissing("sendmail runs in a network namespace, which needs unshare")
        self._folder = folder
        # Debian's is set-group-id, and such a program does not find unpacked libraries.
        self._program = Path(shutil.copy(self._found.path(_PROGRAM), folder / "sendmail"))
        self._hostname = hostname
        self.mc = _FRAME.format(folder=folder, hostname=hostname) + mc.format(folder=folder)
        for name, text in {"aliases": "", "local-host-names": "", **tables}.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "service.switch").write_text("hosts files\naliases files\n")
        self._make_configuration()
        for name in _KEYED:
            if name in tables:
                own = ("-C", str(folder / "sendmail.cf"))
                self._run("makemap", *own, "hash", str(folder / name), text=tables[name])

    def _make_configuration(self) -> None:
        macros = self._found.path("usr/share/sendmail/cf")
        (self._folder / "sendmail.mc").write_text(self.mc)
        made = self._run(
            "m4",
            f"-D_CF_DIR_={macros}/",
            f"-I{macros}",
            str(macros / "m4/cf.m4"),
            str(self._folder / "sendmail.mc"),
            folder=macros / "cf",
        )
        assert "Mlocal" in made, made
        (self._folder / "sendmail.cf").write_text(made)

    def address_test(self, lines: Iterable[str]) -> str:
        """What `sendmail -bt` prints for these lines on its standard input."""
        text = "".join(f"{line}\n" for line in lines)
        return self._run("sendmail", f"-C{self._folder}/sendmail.cf", "-bt", text=text)

    def parse(self, addresses: list[str]) -> list[list[str]]:
        """For each address what `/parse` prints, line by line."""
        said = self.address_test(f"/parse {address}" for address in addresses)
        answers = re.split(r"^> Cracked address.*\n", said, flags=re.MULTILINE)[1:]
        assert len(answers) == len(addresses), said
        return [[line for line in one.split("\n") if line.strip("> ")] for one in answers]

    def rewrite(self, asked: list[tuple[str, str]]) -> list[dict[str, str]]:
        """For each mailer and address what `/try` gives in each of the four roles."""
        roles = ("HS", "HR", "ES", "ER")
        lines = [
            line
            for mailer, address in asked
            for role in roles
            for line in (f"/tryflags {role}", f"/try {mailer} {address}")
        ]
        results = re.findall(r"^Rcode = .*?, addr = (.*)$", self.address_test(lines), re.MULTILINE)
        assert len(results) == len(roles) * len(asked)
        return [
            dict(zip(roles, results[place : place + 4], strict=True))
            for place in range(0, len(results), 4)
        ]

    def command(self, *arguments: str) -> list[str]:
        """The command that runs it on this machine's own network, under its hostname."""
        named = ("unshare", "--uts", "sh", "-c", 'hostname "$1"; shift; exec "$@"')
        program = (str(self._program), f"-C{self._folder}/sendmail.cf")
        return [*named, "sh", self._hostname, *program, *arguments]

    def send(self, content: bytes, *recipients: str) -> None:
        """Send a message, LF line ends, at once, wherever the configuration says."""
        done = subprocess.run(
            self.command("-odi", "-i", *recipients),
            env=self._found.environment,
            input=content,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _run(
        self, program: str, *arguments: str, text: str = "", folder: Path | None = None
    ) -> str:
        path = self._program if program == "sendmail" else self._found.program(program)
        done = subprocess.run(
            [*_IN_NAMESPACE, _ALONE, "sh", self._hostname, str(path), *arguments],
            cwd=folder or self._folder,
            env={**self._found.environment, "LC_ALL": "C"},
            input=text.encode(),
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        # In test mode its status is that of the last address that was refused.
        if done.returncode != 0 and b"Enter <ruleset>" not in done.stdout:
            said = (done.stdout + done.stderr).decode("utf-8", "replace")
            raise AssertionError(f"{program}: {said}")
        return done.stdout.decode("utf-8", "replace")
