"""The jobs, in SQL: see `store.Jobs` for what each method promises."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from relaynode.errors import NotClaimed
from relaynode.queue.model import Verb
from relaynode.queue.texts import OPERATOR_TEXT
from relaynode.queue.uucp.home import UNFINISHED, columns_of, content_of, files_in, note, operate
from relaynode.queue.uucp.model import (
    WORK_MOVES,
    ClaimedJob,
    Job,
    JobKind,
    NewJob,
    WorkOutcome,
    WorkState,
)
from relaynode.queue.uucp.neighbours import take_number
from relaynode.queue.uucp.store import WORST_GRADE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from relaynode.queue.content import Content
    from relaynode.queue.uucp.home import UNFINISHED, Home, operate

_FIELDS = [field.name for field in fields(Job)]
_COLUMNS = ", ".join("claim IS NOT NULL" if name == "is_claimed" else name for name in _FIELDS)
_NO_LIMIT = 2**62
_ORDER = "ORDER BY grade, queued_at, id"


class SqlJobs:
    """See `store.Jobs`."""

    def __init__(self, home: Home) -> None:
        self._home = home

    async def add(self, jobs: Sequence[NewJob]) -> list[Job]:
        """Queue jobs, all or none. Each gets its number."""

        def work(db: sqlite3.Connection) -> list[Job]:
            insert(db, jobs)
            return [job for new in jobs for job in _select(db, "WHERE job_id = ?", new.job_id)]

        return await self._home.write(work)

    async def due(
        self,
        neighbour: str,
        now: float | None = None,
        *,
        worst_grade: str = WORST_GRADE,
        limit: int | None = None,
    ) -> list[Job]:
        """A neighbour's jobs that nobody is doing, best grade first, then the oldest."""
        await self._home.take_back()
        until = float("inf") if now is None else now
        where = (
            "WHERE neighbour = ? AND state = 'waiting' AND claim IS NULL AND grade <= ?"
            f" AND next_attempt_at <= ? {_ORDER} LIMIT ?"
        )
        most = _NO_LIMIT if limit is None else limit
        return await self._home.read(
            lambda db: _select(db, where, neighbour, worst_grade, until, most)
        )

    async def claim(self, job_ids: Sequence[str]) -> list[ClaimedJob]:
        """Claim jobs for this owner; those that still could be, in the order asked for."""

        def work(db: sqlite3.Connection) -> list[ClaimedJob]:
            claimed = (self._claim(db, job_id) for job_id in job_ids)
            return [job for job in claimed if job is not None]

        return await self._home.write(work)

    def _claim(self, db: sqlite3.Connection, job_id: str) -> ClaimedJob | None:
        row = db.execute(
            "UPDATE uucp_job SET claim = ? WHERE job_id = ? AND state = 'waiting'"
            " AND claim IS NULL RETURNING size_bytes, content, content_file",
            (self._home.owner, job_id),
        ).fetchone()
        if row is None:
            return None
        return ClaimedJob(select_one(db, job_id), content_of(self._home, *row))

    async def note_part(self, job_id: str, parts_done: int) -> None:
        """The neighbour has so many of the transfers of a job of ours."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE uucp_job SET parts_done = ? WHERE job_id = ? AND claim = ?",
                (parts_done, job_id, self._home.owner),
            )

        await self._home.write(work)

    async def attach(self, job_id: str, content: Content) -> None:
        """Give a job of ours the copy of its file, taken now."""

        def work(db: sqlite3.Connection) -> None:
            size_bytes, inline, file = columns_of(content)
            row = db.execute(
                "UPDATE uucp_job SET size_bytes = ?, content = ?, content_file = ?"
                " WHERE job_id = ? AND claim = ? AND state = 'waiting' AND size_bytes IS NULL"
                " RETURNING job_id",
                (size_bytes, inline, file, job_id, self._home.owner),
            ).fetchone()
            if row is None:
                raise NotClaimed(f"{job_id}: this job is not ours")

        await self._home.write(work)

    async def unclaim(self, job_ids: Collection[str]) -> None:
        """Give claims back without counting a try."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE uucp_job SET claim = NULL WHERE job_id = ? AND claim = ?",
                [(job_id, self._home.owner) for job_id in job_ids],
            )

        await self._home.write(work)

    async def find(self, neighbour: str | None = None, *, finished: bool = False) -> list[Job]:
        """All jobs that wait or are held; with `finished`, the others too."""
        where = f"WHERE {UNFINISHED} {_ORDER}"
        return await self._home.read(lambda db: _select(db, where, neighbour, neighbour, finished))

    async def job(self, job_id: str) -> Job | None:
        """One job, in whatever state; None if it is not known."""
        found = await self._home.read(lambda db: _select(db, "WHERE job_id = ?", job_id))
        return next(iter(found), None)

    async def operate(
        self, verb: Verb, job_ids: Collection[str], now: float, reason: str = OPERATOR_TEXT
    ) -> list[str]:
        """Hold, release or remove. The ids for which that was legal (model.WORK_MOVES)."""
        return await operate(
            self._home,
            job_ids,
            lambda db, job_id: _move(db, verb, job_id, now, reason),
        )


# --- statements, each inside a transaction


def _select(db: sqlite3.Connection, where: str, *values: Any) -> list[Job]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM uucp_job {where}", values)
    return [_job(row) for row in rows]


def select_one(db: sqlite3.Connection, job_id: str) -> Job:
    """A job that is there."""
    (job,) = _select(db, "WHERE job_id = ?", job_id)
    return job


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip(_FIELDS, row, strict=True))
    values["kind"] = JobKind(values["kind"])
    values["state"] = WorkState(values["state"])
    values["is_claimed"] = bool(values["is_claimed"])
    return Job(**values)


def insert(db: sqlite3.Connection, jobs: Sequence[NewJob]) -> None:
    """Queue jobs."""
    for new in jobs:
        number = take_number(db, new.neighbour, new.queued_at)
        db.execute(
            "INSERT INTO uucp_job (job_id, neighbour, kind, user, queued_at, grade, source, target,"
            " options, mode, notify, command, size_bytes, content, content_file, number, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting')",
            (
                new.job_id,
                new.neighbour,
                new.kind,
                new.user,
                new.queued_at,
                new.grade,
                new.source,
                new.target,
                new.options,
                new.mode,
                new.notify,
                new.command,
                *columns_of(new.content),
                number,
            ),
        )
        note(db, new.job_id, new.queued_at, "queued", new.user)


def settle(db: sqlite3.Connection, outcome: WorkOutcome, owner: str, at: float) -> list[str]:
    """Write down how a job ended; the content files it leaves. Raises: NotClaimed."""
    row = db.execute(
        "UPDATE uucp_job SET state = ?, claim = NULL, next_attempt_at = ?, last_error = ?,"
        " tries = tries + (? <> 'done') WHERE job_id = ? AND claim = ? AND state = 'waiting'"
        " RETURNING job_id",
        (
            outcome.state,
            outcome.next_attempt_at,
            "" if outcome.state is WorkState.DONE else outcome.text,
            outcome.state,
            outcome.work_id,
            owner,
        ),
    ).fetchone()
    if row is None:
        raise NotClaimed(f"{outcome.work_id}: this job is not ours to end")
    kind = "deferred" if outcome.state is WorkState.WAITING else outcome.state
    note(db, outcome.work_id, at, kind, outcome.text)
    return [] if outcome.state is WorkState.WAITING else _drop_content(db, outcome.work_id, at)


def delete(db: sqlite3.Connection, job_ids: Collection[str], owner: str) -> list[str]:
    """Undo jobs of this owner's, as if they had never been; the content files they leave."""
    files: list[str] = []
    for job_id in job_ids:
        rows = db.execute(
            "DELETE FROM uucp_job WHERE job_id = ? AND claim = ? AND state = 'waiting'"
            " RETURNING content_file",
            (job_id, owner),
        ).fetchall()
        files += files_in(rows)
        if rows:
            db.execute("DELETE FROM uucp_event WHERE work_id = ?", (job_id,))
    return files


def drop(db: sqlite3.Connection, job_id: str, at: float) -> list[str]:
    """Take a job away; the content files it leaves."""
    db.execute(
        "UPDATE uucp_job SET state = ?, claim = NULL WHERE job_id = ?", (WorkState.REMOVED, job_id)
    )
    return _drop_content(db, job_id, at)


def _drop_content(db: sqlite3.Connection, job_id: str, at: float) -> list[str]:
    files = db.execute("SELECT content_file FROM uucp_job WHERE job_id = ?", (job_id,)).fetchall()
    db.execute(
        "UPDATE uucp_job SET finished_at = ?, content = NULL, content_file = NULL WHERE job_id = ?",
        (at, job_id),
    )
    return files_in(files)


def _move(
    db: sqlite3.Connection, verb: Verb, job_id: str, now: float, reason: str
) -> list[str] | None:
    row = db.execute(
        "SELECT state FROM uucp_job WHERE job_id = ? AND kind <> ?", (job_id, JobKind.MAIL)
    ).fetchone()
    target = None if row is None else WORK_MOVES.get((WorkState(row[0]), verb))
    if target is None:
        return None
    db.execute("UPDATE uucp_job SET state = ? WHERE job_id = ?", (target, job_id))
    note(db, job_id, now, verb, reason)
    return drop(db, job_id, now) if verb is Verb.REMOVE else []
