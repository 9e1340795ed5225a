"""Replacing a file as a whole: who reads it, or has a power cut, finds the old one or the new."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, data: bytes, *, mode: int = 0o600, keeps_owner: bool = False) -> None:
    """Put `data` in the place of the file, or make it, durably. `mode`: of a new one.

    `keeps_owner`: one that is there keeps its owner, and of its mode what is the owner's. Raises:
    OSError; then all is as before.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    before = path.stat() if keeps_owner and path.exists() else None
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before is not None:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode) & 0o700)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut (fsync(2), NOTES). Raises: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
