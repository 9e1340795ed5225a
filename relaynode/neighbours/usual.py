"""What holds where nothing is said."""

from __future__ import annotations

from pathlib import Path

_LOCK_FOLDERS = (Path("/var/lock"), Path("/var/spool/lock"), Path("/var/spool/locks"))


def usual_locks(spool: Path) -> Path:
    """The system's folder of lock files, or our own."""
    return next((folder for folder in _LOCK_FOLDERS if folder.is_dir()), spool / "locks")
