"""Folders that a daemon can live in.

pytest's tmp_path does not do: other users may not enter it, though daemons give up root, and its
paths are too long for unix sockets (108 bytes). So a daemon lives in a short folder below /tmp,
and when it has stopped, what a person may want to read is moved to where the test wants it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def make_home(peer: str) -> Path:
    """A new short folder that every user may enter."""
    home = Path(tempfile.mkdtemp(prefix=f"rn-{peer}-", dir="/tmp"))
    home.chmod(0o755)
    return home


def leave_home(home: Path, keep_in: Path | None, drop: Iterable[str]) -> Path:
    """Remove `home`, or move it into the folder `keep_in` without its parts named in `drop`.

    Returns where it is now.
    """
    if keep_in is None:
        shutil.rmtree(home)
        return home
    for name in drop:
        shutil.rmtree(home / name, ignore_errors=True)
    keep_in.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(home, keep_in / home.name))


def make_folder(path: Path, mode: int = 0o755, user: int = -1, group: int = -1) -> Path:
    """Make `path` with exactly this mode, whatever the umask, and this owner (-1: us)."""
    path.mkdir()
    give(path, mode, user, group)
    return path


def make_maildir(path: Path, user: int, group: int) -> Path:
    """Make an empty Maildir that belongs to `user`."""
    for folder in (path, path / "tmp", path / "new", path / "cur"):
        make_folder(folder, 0o700, user, group)
    return path


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """Write the file `path` with exactly this mode, whatever the umask, and dated in the past.

    Postfix takes a file that changed a moment ago for one being written, and waits over a second.
    """
    path.write_text(text)
    path.chmod(mode)
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    return path


def give(path: Path, mode: int, user: int = -1, group: int = -1) -> None:
    """Set mode and owner (-1: leave)."""
    os.chown(path, user, group)
    path.chmod(mode)
