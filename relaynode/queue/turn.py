"""Whose turn it is to write to the queue: one process after the other, with the next one woken at
once.

SQLite lets one write at a time as well, but whoever finds it busy sleeps for milliseconds and looks
again, which is longer than a commit takes. SQLite's own lock stays what the queue's integrity rests
on: whoever does not wait here, such as the sqlite3 command, does no harm.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class WriteTurn:
    """A context to write in. One thread's at a time."""

    def __init__(self, path: Path) -> None:
        """`path`: a file for the lock; what is in it does not matter. Raises: OSError."""
        self._descriptor = os.open(path, os.O_CREAT | os.O_CLOEXEC | os.O_RDWR, 0o600)

    def __enter__(self) -> None:
        """Wait for the turn."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        """It is somebody else's."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it up for good."""
        os.close(self._descriptor)
