"""`relaynode install-names DIR`: the classic names as fast launchers."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.errors import EX_OK, UsageError

if TYPE_CHECKING:
    import argparse

NAMES = ("sendmail",)

_MARK = "# relaynode launcher"
# The whole search path is the launcher's folder and that of the extension modules: every folder
# more would be read before anything is found.
_SCRIPT = """\
#!{python} -IS
{mark}: made by `relaynode install-names`, which may make it again
import sys
sys.path[:] = [{folder!r}, {extensions!r}]
from launcher import main
arguments = [word.encode("utf-8", "surrogateescape") for word in sys.argv[1:]]
main(arguments, [{python!r}, "-m", "relaynode.cli.{module}"])
"""


def run(arguments: argparse.Namespace) -> int:
    """Raises: UsageError when a file of another program is in the way."""
    folder: Path = arguments.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            _install(folder / name, launcher(name))
            print(folder / name)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return EX_OK


def launcher(module: str) -> str:
    """The text of a launcher for `relaynode.cli.MODULE`."""
    return _SCRIPT.format(
        python=sys.executable,
        mark=_MARK,
        folder=str(Path(__file__).parent),
        extensions=sysconfig.get_config_var("DESTSHARED"),
        module=module,
    )


def _install(path: Path, text: str) -> None:
    if path.exists() and _MARK not in path.read_text(errors="replace"):
        raise UsageError(f"{path}: another program's file is in the way; move it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.replace(path)
