"""Checkpoints: what stands in SQLite's write-ahead log is copied into the database, beside the
commits instead of inside every so many of them.

SQLite would do it at the end of the commit that makes the log long: 4 MB are written and synced
while a client waits for its 250, a second on a card. Here a thread does it. Most of it needs
nothing of those who write; what they have added meanwhile is copied in a turn of its own, after
which the log begins anew, and so stays short.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from relaynode.queue.turn import WriteTurn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FRAMES = 1000
"""Pages in the log, of 4 KiB, that are worth a checkpoint: SQLite's own number."""

MOST_FRAMES = 16 * FRAMES
"""With so many a commit does it all the same (wal_autocheckpoint)."""

_INDEX_FRAMES = struct.Struct("=I")
_INDEX_FRAMES_AT = 16
"""mxFrame, in the byte order of the machine: sqlite.org/walformat.html, "The WAL-Index Header"."""

log = logging.getLogger("relaynode")


class Checkpoints:
    """Those of one database, as far as this process makes them. Commits are one thread's."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection], turn: Path) -> None:
        """`path`: of the database. `turn`: the file of the turns to write (turn.py)."""
        self._index = path.with_name(f"{path.name}-shm")
        self._connect = connect
        self._turn = turn
        self._descriptor: int | None = None
        self._wanted = threading.Event()
        self._is_over = False
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        """There was a commit: is the log long?"""
        if self._wanted.is_set() or self._frames() < FRAMES:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="checkpoints", daemon=True)
            self._thread.start()
        self._wanted.set()

    def close(self) -> None:
        """End; one that is under way is finished."""
        self._is_over = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _frames(self) -> int:
        """What the log has: all of it, copied or not; 0 where that cannot be told."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._index, os.O_RDONLY | os.O_CLOEXEC)
            found = os.pread(self._descriptor, _INDEX_FRAMES.size, _INDEX_FRAMES_AT)
            frames: int = _INDEX_FRAMES.unpack(found)[0]
        except (OSError, struct.error):
            return 0
        return frames

    def _serve(self) -> None:
        with closing(self._connect()) as connection, closing(WriteTurn(self._turn)) as turn:
            while True:
                self._wanted.wait()
                self._wanted.clear()
                if self._is_over:  # looked at last: `close` says it before it wakes us
                    return
                try:
                    _checkpoint(connection, turn)
                except sqlite3.Error as error:  # a full disk: the log keeps what it has
                    log.error("queue: checkpoint: %s", error)


def _checkpoint(connection: sqlite3.Connection, turn: WriteTurn) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    with turn:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
