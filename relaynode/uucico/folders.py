"""Which folders a request may reach: Taylor's lists, where the last entry that applies counts.

    ~  /srv/drop  !~/private

`~` is the public folder, `!` excludes. Only texts are compared; that no symbolic link leads out of
a folder is held by whoever opens a file (`tree.py`).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def is_allowed(path: Path, folders: Sequence[str], public: Path) -> bool:
    """Does the list allow that path? A path with a step upward is never allowed."""
    if not path.is_absolute() or ".." in path.parts:
        return False
    allowed = False
    for entry in folders:
        folder = _folder(entry.removeprefix("!"), public)
        if folder is not None and PurePosixPath(path).is_relative_to(folder):
            allowed = not entry.startswith("!")
    return allowed


def _folder(entry: str, public: Path) -> PurePosixPath | None:
    """The folder that an entry names; None for one that means nothing here (another's home)."""
    if entry == "~" or entry.startswith("~/"):
        return PurePosixPath(public) / entry[2:]
    return PurePosixPath(entry) if entry.startswith("/") else None
