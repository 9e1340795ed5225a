"""What came from neighbours, in SQL: see `store.Received` for what each method promises."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.executions import insert as insert_execution
from relaynode.queue.uucp.home import columns_of, content_of, files_in
from relaynode.queue.uucp.model import Completed, Mark, Part, SpoolFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from relaynode.queue.uucp.home import Home

_PART = "neighbour, temp, content_file, target, expected_bytes, held_bytes, boot, updated_at"
_MARK = "neighbour, temp, target, size_bytes, received_at"


class SqlReceived:
    """See `store.Received`."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def new_path(self) -> Path:
        """Where a file may be written that a row will name."""
        return self._home.path_of(f"{new_queue_id()}.{self._home.owner}")

    def path_of(self, content_file: str) -> Path:
        """Where the file lies that a row calls so."""
        return self._home.path_of(content_file)

    async def begin_part(self, part: Part) -> None:
        """Remember a part; one that was there under the same name is deleted."""

        def work(db: sqlite3.Connection) -> list[str]:
            files = _delete_part(db, part.neighbour, part.temp)
            db.execute(
                f"INSERT INTO uucp_part ({_PART}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(part)
            )
            return [name for name in files if name != part.content_file]

        self._home.remove(await self._home.write(work))

    async def hold_part(self, part: Part) -> None:
        """So much of it is on the disk for good."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE uucp_part SET held_bytes = ?, boot = ?, updated_at = ?"
                " WHERE neighbour = ? AND temp = ? AND content_file = ?",
                (
                    part.held_bytes,
                    part.boot,
                    part.updated_at,
                    part.neighbour,
                    part.temp,
                    part.content_file,
                ),
            )

        await self._home.write(work)

    async def drop_part(self, neighbour: str, temp: str) -> None:
        """Forget a part and delete its file."""
        files = await self._home.write(lambda db: _delete_part(db, neighbour, temp))
        self._home.remove(files)

    async def parts(self, neighbour: str) -> list[Part]:
        """All parts of a neighbour's files, the oldest first."""

        def work(db: sqlite3.Connection) -> list[Part]:
            rows = db.execute(
                f"SELECT {_PART} FROM uucp_part WHERE neighbour = ? ORDER BY updated_at, temp",
                (neighbour,),
            )
            return [Part(*row) for row in rows]

        return await self._home.read(work)

    async def marks(self, neighbour: str) -> list[Mark]:
        """What was received of a neighbour and may be offered again."""

        def work(db: sqlite3.Connection) -> list[Mark]:
            rows = db.execute(f"SELECT {_MARK} FROM uucp_mark WHERE neighbour = ?", (neighbour,))
            return [Mark(*row) for row in rows]

        return await self._home.read(work)

    async def forget_marks(self, marks: Sequence[Mark]) -> None:
        """The neighbour has seen our acknowledgements: it will not offer these files again."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "DELETE FROM uucp_mark WHERE neighbour = ? AND temp = ? AND target = ?"
                " AND size_bytes = ? AND received_at = ?",
                [astuple(mark) for mark in marks],
            )

        await self._home.write(work)

    async def complete(self, completed: Completed) -> None:
        """A file has arrived and is synced: make of it what it is. Then CY may be sent."""

        def work(db: sqlite3.Connection) -> list[str]:
            files = [] if completed.part is None else _delete_part(db, *completed.part)
            kept = None
            if completed.mark is not None:
                _insert_mark(db, completed.mark)
            if completed.file is not None:
                path = completed.file.content.path
                kept = path.name if path is not None else None
                files += _insert_file(db, completed.file)
            if completed.execution is not None:
                insert_execution(db, completed.execution)
            return [name for name in files if name != kept]

        self._home.remove(await self._home.write(work))

    async def files(self, neighbour: str) -> list[SpoolFile]:
        """Files in the spool that no execution has asked for, the oldest first."""

        def work(db: sqlite3.Connection) -> list[SpoolFile]:
            rows = db.execute(
                "SELECT name, received_at, size_bytes, content, content_file FROM uucp_file"
                " WHERE neighbour = ? AND execution_id IS NULL ORDER BY id",
                (neighbour,),
            )
            found = []
            for name, received_at, *columns in rows:
                content = content_of(self._home, *columns)
                assert content is not None
                found.append(SpoolFile(neighbour, name, content, received_at))
            return found

        return await self._home.read(work)


# --- statements, each inside a transaction


def _delete_part(db: sqlite3.Connection, neighbour: str, temp: str) -> list[str]:
    return files_in(
        db.execute(
            "DELETE FROM uucp_part WHERE neighbour = ? AND temp = ? RETURNING content_file",
            (neighbour, temp),
        ).fetchall()
    )


def _insert_mark(db: sqlite3.Connection, mark: Mark) -> None:
    db.execute(f"INSERT OR REPLACE INTO uucp_mark ({_MARK}) VALUES (?, ?, ?, ?, ?)", astuple(mark))


def _insert_file(db: sqlite3.Connection, file: SpoolFile) -> list[str]:
    """Give a file to the execution that waits for it, or keep it for one that will.

    One that lies there under the same name, and that no execution has asked for, makes room: the
    neighbour sent it again. The content files that nobody names any more.
    """
    columns = (file.received_at, *columns_of(file.content))
    awaited = db.execute(
        "UPDATE uucp_file SET received_at = ?, size_bytes = ?, content = ?, content_file = ?"
        " WHERE id = (SELECT min(id) FROM uucp_file WHERE neighbour = ? AND name = ?"
        " AND received_at IS NULL) RETURNING id",
        (*columns, file.neighbour, file.name),
    ).fetchone()
    if awaited is not None:
        return []
    replaced = db.execute(
        "DELETE FROM uucp_file WHERE neighbour = ? AND name = ? AND execution_id IS NULL"
        " RETURNING content_file",
        (file.neighbour, file.name),
    ).fetchall()
    db.execute(
        "INSERT INTO uucp_file (received_at, size_bytes, content, content_file, neighbour, name)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*columns, file.neighbour, file.name),
    )
    return files_in(replaced)
