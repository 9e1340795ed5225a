"""The UUCP piece of a store: its four pieces together, and what concerns them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.queue.texts import MAY_HAVE_RUN_TEXT
from relaynode.queue.uucp import executions, jobs
from relaynode.queue.uucp.executions import SqlExecutions
from relaynode.queue.uucp.home import files_in, note
from relaynode.queue.uucp.jobs import SqlJobs
from relaynode.queue.uucp.model import Settled, WorkEvent
from relaynode.queue.uucp.neighbours import SqlNeighbours
from relaynode.queue.uucp.received import SqlReceived

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from relaynode.queue.uucp.home import Home

_FILES = "SELECT content_file FROM {} WHERE content_file IS NOT NULL"
_TABLES_WITH_FILES = ("uucp_job", "uucp_part", "uucp_file")


class SqlUucpStore:
    """See `store.UucpStore`. `clock`: epoch seconds."""

    def __init__(self, home: Home, clock: Callable[[], float]) -> None:
        self._home = home
        self.jobs = SqlJobs(home)
        self.received = SqlReceived(home)
        self.executions = SqlExecutions(home)
        self.neighbours = SqlNeighbours(home, clock)

    async def settle(self, settled: Settled) -> None:
        """Write down how jobs and executions ended, and queue what comes of them."""
        owner = self._home.owner
        self._home.remove(await self._home.write(lambda db: settle(db, settled, owner)))

    async def history(self, work_id: str) -> list[WorkEvent]:
        """What happened to a job or an execution so far, in order."""

        def work(db: sqlite3.Connection) -> list[WorkEvent]:
            rows = db.execute(
                "SELECT work_id, at, kind, text FROM uucp_event WHERE work_id = ? ORDER BY id",
                (work_id,),
            )
            return [WorkEvent(*row) for row in rows]

        return await self._home.read(work)

    async def prune(self, before: float) -> int:
        """Forget what ended before then, and what came before then and came to nothing."""
        count, files = await self._home.write(lambda db: _prune(db, before))
        self._home.remove(files)
        return count


# --- statements, each inside a transaction


def settle(db: sqlite3.Connection, settled: Settled, owner: str) -> list[str]:
    """Write down how work ended; the content files it leaves. Raises: NotClaimed."""
    files: list[str] = []
    for outcome in settled.jobs:
        files += jobs.settle(db, outcome, owner, settled.at)
    for outcome in settled.executions:
        files += executions.settle(db, outcome, owner, settled.at)
    jobs.insert(db, settled.new_jobs)
    return files


def content_files(db: sqlite3.Connection) -> set[str]:
    """The content files that rows of this package name."""
    return {
        name
        for table in _TABLES_WITH_FILES
        for name in files_in(db.execute(_FILES.format(table)).fetchall())
    }


def claimants(db: sqlite3.Connection) -> set[str]:
    """The tokens of owners that hold a claim or a session."""
    rows = db.execute(
        "SELECT claim FROM uucp_job WHERE claim IS NOT NULL"
        " UNION SELECT claim FROM uucp_execution WHERE claim IS NOT NULL"
        " UNION SELECT session FROM uucp_neighbour WHERE session IS NOT NULL"
    )
    return {owner for (owner,) in rows}


def free_claims(db: sqlite3.Connection, owner: str) -> None:
    """An owner ends in order: what it held is as before."""
    db.execute("UPDATE uucp_job SET claim = NULL WHERE claim = ?", (owner,))
    db.execute("UPDATE uucp_execution SET claim = NULL WHERE claim = ?", (owner,))
    db.execute("UPDATE uucp_neighbour SET session = NULL WHERE session = ?", (owner,))


def take_back(db: sqlite3.Connection, owner: str, now: float) -> None:
    """An owner died: what it was running may have been done, what it was sending begun."""
    db.execute("UPDATE uucp_job SET tries = tries + 1 WHERE claim = ?", (owner,))
    rows = db.execute(
        "UPDATE uucp_execution SET claim = NULL, in_doubt = 1 WHERE claim = ?"
        " RETURNING execution_id",
        (owner,),
    ).fetchall()
    for (execution_id,) in rows:
        note(db, execution_id, now, "in_doubt", MAY_HAVE_RUN_TEXT)
    free_claims(db, owner)


def _prune(db: sqlite3.Connection, before: float) -> tuple[int, list[str]]:
    files = db.execute(
        "SELECT f.content_file FROM uucp_file f JOIN uucp_execution e"
        " ON e.execution_id = f.execution_id WHERE e.finished_at < ?",
        (before,),
    ).fetchall()
    for table in ("job", "execution"):
        db.execute(
            f"DELETE FROM uucp_event WHERE work_id IN"
            f" (SELECT {table}_id FROM uucp_{table} WHERE finished_at < ?)",
            (before,),
        )
    for table, condition in (
        ("uucp_part", "updated_at < ?"),
        ("uucp_file", "execution_id IS NULL AND received_at < ?"),
    ):
        files += db.execute(
            f"DELETE FROM {table} WHERE {condition} RETURNING content_file", (before,)
        ).fetchall()
    count = len(files)
    for table, column in (
        ("uucp_job", "finished_at"),
        ("uucp_execution", "finished_at"),
        ("uucp_mark", "received_at"),
        ("uucp_session", "began_at"),
    ):
        count += db.execute(f"DELETE FROM {table} WHERE {column} < ?", (before,)).rowcount
    return count, files_in(files)
