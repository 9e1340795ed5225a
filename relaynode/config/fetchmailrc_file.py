"""Finds and opens a .fetchmailrc, refuses it as fetchmail does, and says what the machine adds."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.config.fetchmail_entries import Overrides, complete
from relaynode.config.fetchmail_setup import Setup, Surroundings
from relaynode.config.fetchmailrc import Fetchmailrc, FetchmailrcError, parse
from relaynode.config.netrc_file import read_netrc

if TYPE_CHECKING:
    from collections.abc import Mapping

PS_IOERR = 6
MAX_FILE_BYTES = 4 * 1024 * 1024

STANDARD_INPUT = "-"
_NONE = "/dev/null"


class FetchmailrcFileError(FetchmailrcError):
    """The file is not ours alone, or cannot be read."""

    exit_code = PS_IOERR


def usual_file(environ: Mapping[str, str] = os.environ) -> str:
    """Where the file is if nobody says: FETCHMAILHOME/fetchmailrc, or ~/.fetchmailrc."""
    if home := environ.get("FETCHMAILHOME"):
        return str(Path(home).absolute() / "fetchmailrc")
    return f"{home_of(environ)}/.fetchmailrc"


def read_setup(
    file: str,
    overrides: Overrides | None = None,
    *,
    hostname: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Setup:
    """Read, fill in and check the file; one that is not there says nothing, as with fetchmail.

    `hostname`: this machine's, by which ETRN and ODMR ask unless the file names domains.
    Raises: FetchmailrcError, FetchmailrcFileError.
    """
    shown = file if file == STANDARD_INPUT else str(Path(_folder(), file))
    text = _standard_input() if file == STANDARD_INPUT else _text(shown)
    rc = parse(text, shown) if text else Fetchmailrc()
    setup = complete(rc, surroundings(hostname, environ), overrides)
    _check_id_file(setup)
    return setup


def _check_id_file(setup: Setup) -> None:
    """fetchmail refuses one that others can read, too; we keep no such file, and read none."""
    file = setup.globals.idfile
    try:
        check_is_private(file, Path(file).stat())
    except OSError:
        return
    except FetchmailrcFileError as error:
        raise FetchmailrcFileError(*setup.warnings, *error.lines) from error


def surroundings(
    hostname: str | None = None, environ: Mapping[str, str] = os.environ
) -> Surroundings:
    """What this machine and its user add."""
    home = home_of(environ)
    secrets = _netrc(Path(home) / ".netrc")
    return Surroundings(
        login=_login(environ),
        hostname=hostname or socket.gethostname(),
        home=str(Path(environ["FETCHMAILHOME"]).absolute())
        if environ.get("FETCHMAILHOME")
        else home,
        folder=_folder(),
        is_root=os.geteuid() == 0,
        port_of=port_of,
        is_there=os.path.exists,
        secret_of=lambda host, login: secrets.get((host, login)),
    )


def port_of(service: str) -> int | None:
    """The port of a TCP service by its name, None if this machine does not know it."""
    try:
        return socket.getservbyname(service, "tcp")
    except OSError:
        return None


def home_of(environ: Mapping[str, str] = os.environ) -> str:
    """The caller's home; / for one who has none."""
    try:
        return environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def _folder() -> str:
    """Where the caller is; / if that is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return "/"


def _login(environ: Mapping[str, str]) -> str:
    """The user's name: what the environment says, if it is the caller's."""
    for name in (environ.get("LOGNAME"), environ.get("USER")):
        with contextlib.suppress(KeyError):
            if name and pwd.getpwnam(name).pw_uid == os.geteuid():
                return name
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _standard_input() -> str:
    return _decoded(sys.stdin.buffer.read(MAX_FILE_BYTES))


def _text(file: str) -> str:
    """Its content, "" if there is none. Raises: FetchmailrcFileError."""
    if file == _NONE:
        return ""
    try:
        # O_NONBLOCK: a named pipe is refused, not waited for.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise FetchmailrcFileError(f"fetchmail: {file}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as opened:
        check_is_private(file, os.fstat(descriptor))
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise FetchmailrcFileError(f"File {file} is larger than {MAX_FILE_BYTES} bytes.")
    return _decoded(content)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # as files of that age are


def check_is_private(file: str, found: os.stat_result) -> None:
    """Passwords are nobody else's business. (fetchmail does not look at execution by the group.)

    Raises: FetchmailrcFileError.
    """
    if not stat.S_ISREG(found.st_mode):
        raise FetchmailrcFileError(f"File {file} must be a regular file.")
    if stat.S_IMODE(found.st_mode) & 0o067:
        raise FetchmailrcFileError(
            f"File {file} must have no more than -rwx------ (0700) permissions."
        )
    if found.st_uid != os.geteuid():
        raise FetchmailrcFileError(f"File {file} must be owned by you.")


def _netrc(path: Path) -> dict[tuple[str, str], str]:
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES)
    except OSError:
        return {}
    return read_netrc(_decoded(content))
