"""`relaynode install-names DIR`: the classic names as fast launchers.

`sendmail` and `send-mail` are called by cron and by every script, `rmail` and the commands for
batches by uuxqt for each job: they hand the message to the daemon themselves (launcher.py). The
other names are called by people, and start relaynode.

Starting Python is nearly all that a launcher costs, and it needs nothing of relaynode's own Python
but two modules that every one has. So it is run by whichever Python of this machine starts fastest
(a distribution's is often built with more care than one's own); what it cannot do itself goes to
relaynode's own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli.classic import FAST_UUCP_NAMES
from relaynode.errors import EX_OK, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

FAST_NAMES = ("sendmail", "send-mail")
OTHER_NAMES = ("mailq", "newaliases", "hoststat", "purgestat")
FETCH_NAMES = ("fetchmail",)
UUCP_NAMES = ("uucico", "uux", "uucp", "uuname", "uustat", "uulog", "uuxqt")

CANDIDATES = ("/usr/bin/python3", "/usr/local/bin/python3")
"""Where systems keep a Python of their own (Debian and its kin, FreeBSD)."""

_TRIES = 5
_PROBE = (
    "import sys, _socket, posix;"
    "assert sys.version_info >= (3, 8);"
    "import py_compile; py_compile.compile(sys.argv[1], quiet=2);"
    "print([path for path in sys.path if path.endswith('lib-dynload')][0])"
)
_MARK = "# relaynode launcher"
# The whole search path is the launcher's folder and that of the extension modules: every folder
# more would be read before anything is found.
_SCRIPT = """\
#!{fast} -IS
{mark}: made by `relaynode install-names`, which may make it again
import sys
sys.path[:] = [{folder!r}, {extensions!r}]
from launcher import main
arguments = [word.encode("utf-8", "surrogateescape") for word in sys.argv[1:]]
main(arguments, [{python!r}, "-P", "-m", "relaynode.cli.classic", {name!r}])
"""
_OTHER_SCRIPT = """\
#!/bin/sh
{mark}: made by `relaynode install-names`, which may make it again
exec {python} -P -m relaynode.cli.classic {name} "$@"
"""


def run(arguments: argparse.Namespace) -> int:
    """Raises: UsageError when a file of another program is in the way."""
    folder: Path = arguments.folder
    fast, extensions = fastest((sys.executable, *CANDIDATES))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FAST_NAMES:
            _install(folder / name, launcher(fast, extensions))
        for name in FAST_UUCP_NAMES:
            _install(folder / name, launcher(fast, extensions, name))
        for name in (*OTHER_NAMES, *FETCH_NAMES, *UUCP_NAMES):
            _install(folder / name, other_launcher(name))
        for name in (*FAST_NAMES, *OTHER_NAMES, *FETCH_NAMES, *FAST_UUCP_NAMES, *UUCP_NAMES):
            print(folder / name)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return EX_OK


def fastest(candidates: Iterable[str]) -> tuple[str, str]:
    """The Python that starts fastest and its folder of extension modules.

    Those that are missing, too old or lack a module are left out. Raises: UsageError if none is
    left, which cannot be while the running one is among them.
    """
    extensions = {python: folder for python in candidates if (folder := _probe(python))}
    if not extensions:
        raise UsageError("no Python here can run the launcher")
    seconds = dict.fromkeys(extensions, float("inf"))
    for _ in range(_TRIES):  # in turn, so that a machine that slows down slows all of them
        for python in seconds:
            seconds[python] = min(seconds[python], _start_seconds(python))
    best = min(seconds, key=lambda python: seconds[python])
    return best, extensions[best]


def _probe(python: str) -> str:
    """The folder of a usable Python's extension modules, else "". Compiles the launcher for it."""
    module = str(Path(__file__).with_name("launcher.py"))
    try:
        answer = subprocess.run(
            [python, "-IS", "-c", _PROBE, module], capture_output=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return os.fsdecode(answer.stdout).strip()


def _start_seconds(python: str) -> float:
    before = time.perf_counter()
    subprocess.run([python, "-IS", "-c", "import posix; posix._exit(0)"], check=True)
    return time.perf_counter() - before


def launcher(fast: str, extensions: str, name: str = "sendmail") -> str:
    """The text of a launcher for `sendmail` or another fast name, run by the Python `fast`."""
    return _SCRIPT.format(
        fast=fast,
        python=sys.executable,
        mark=_MARK,
        name=name,
        folder=str(Path(__file__).parent),
        extensions=extensions,
    )


def other_launcher(name: str) -> str:
    """The text of a launcher for one of the other names."""
    # No module is looked for in the folder that the caller happens to be in (-P).
    return _OTHER_SCRIPT.format(mark=_MARK, python=shlex.quote(sys.executable), name=name)


def _install(path: Path, text: str) -> None:
    if path.exists() and _MARK not in path.read_text(errors="replace"):
        raise UsageError(f"{path}: another program's file is in the way; move it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.replace(path)
