"""The executions, in SQL: see `store.Executions` for what each method promises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relaynode.errors import NotClaimed
from relaynode.queue.model import Verb
from relaynode.queue.texts import OPERATOR_TEXT
from relaynode.queue.uucp.home import UNFINISHED, content_of, files_in, note, operate
from relaynode.queue.uucp.model import (
    WORK_MOVES,
    ClaimedExecution,
    Execution,
    Need,
    NewExecution,
    WorkOutcome,
    WorkState,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from relaynode.queue.content import Content
    from relaynode.queue.uucp.home import UNFINISHED, Home, operate

_NEW = (
    "execution_id, neighbour, user, command, received_at, grade, input_name, output,"
    " output_system, result_address, flags"
)
_IS_MISSING = (
    "EXISTS (SELECT 1 FROM uucp_file f WHERE f.execution_id = uucp_execution.execution_id"
    " AND f.received_at IS NULL)"
)
_COLUMNS = (
    f"{_NEW}, state, claim IS NOT NULL, {_IS_MISSING}, in_doubt, tries, next_attempt_at, last_error"
)
_ORDER = "ORDER BY grade, received_at, id"


class SqlExecutions:
    """See `store.Executions`."""

    def __init__(self, home: Home) -> None:
        self._home = home

    async def due(self, now: float | None = None) -> list[Execution]:
        """Executions that nobody runs and whose files are there."""
        await self._home.take_back()
        until = float("inf") if now is None else now
        where = (
            "WHERE state = 'waiting' AND claim IS NULL AND next_attempt_at <= ?"
            f" AND NOT {_IS_MISSING} {_ORDER}"
        )
        return await self._home.read(lambda db: _select(db, where, until))

    async def claim(
        self, execution_id: str, *, even_if_missing: bool = False
    ) -> ClaimedExecution | None:
        """Claim one for this owner; None if it cannot be."""

        return await self._home.write(
            lambda db: self._claim(db, execution_id, even_if_missing=even_if_missing)
        )

    async def claim_together(self, execution_ids: Sequence[str]) -> list[ClaimedExecution]:
        """Claim several of one neighbour, to run at the same time."""

        def work(db: sqlite3.Connection) -> list[ClaimedExecution]:
            found: list[ClaimedExecution] = []
            for execution_id in execution_ids:
                beside = [one.execution.new.execution_id for one in found]
                if (claimed := self._claim(db, execution_id, beside=beside)) is not None:
                    found.append(claimed)
            return found

        return await self._home.write(work)

    def _claim(
        self,
        db: sqlite3.Connection,
        execution_id: str,
        *,
        beside: Sequence[str] = (),
        even_if_missing: bool = False,
    ) -> ClaimedExecution | None:
        """`beside`: others of the neighbour's that may run at the same time."""
        row = db.execute(
            "UPDATE uucp_execution SET claim = ? WHERE execution_id = ? AND state = 'waiting'"
            f" AND claim IS NULL AND (? OR NOT {_IS_MISSING}) AND NOT EXISTS (SELECT 1 FROM"
            " uucp_execution other WHERE other.neighbour = uucp_execution.neighbour"
            " AND other.claim IS NOT NULL"
            " AND other.execution_id NOT IN (SELECT value FROM json_each(?)))"
            " RETURNING execution_id",
            (self._home.owner, execution_id, even_if_missing, json.dumps(beside)),
        ).fetchone()
        if row is None:
            return None
        (execution,) = _select(db, "WHERE execution_id = ?", execution_id)
        return ClaimedExecution(execution, self._files(db, execution_id))

    def _files(self, db: sqlite3.Connection, execution_id: str) -> dict[str, Content]:
        rows = db.execute(
            "SELECT name, size_bytes, content, content_file FROM uucp_file WHERE execution_id = ?"
            " AND received_at IS NOT NULL",
            (execution_id,),
        )
        found = {}
        for name, *columns in rows:
            content = content_of(self._home, *columns)
            assert content is not None
            found[name] = content
        return found

    async def unclaim(self, execution_id: str) -> None:
        """Give a claim back without counting a try."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE uucp_execution SET claim = NULL WHERE execution_id = ? AND claim = ?",
                (execution_id, self._home.owner),
            )

        await self._home.write(work)

    async def find(
        self, neighbour: str | None = None, *, finished: bool = False
    ) -> list[Execution]:
        """All executions that wait or are held; with `finished`, the others too."""
        where = f"WHERE {UNFINISHED} {_ORDER}"
        return await self._home.read(lambda db: _select(db, where, neighbour, neighbour, finished))

    async def operate(
        self, verb: Verb, execution_ids: Collection[str], now: float, reason: str = OPERATOR_TEXT
    ) -> list[str]:
        """Hold, release or remove. The ids for which that was legal (model.WORK_MOVES)."""
        return await operate(
            self._home,
            execution_ids,
            lambda db, execution_id: _move(db, verb, execution_id, now, reason),
        )


# --- statements, each inside a transaction


def _select(db: sqlite3.Connection, where: str, *values: Any) -> list[Execution]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM uucp_execution {where}", values).fetchall()
    needs: dict[str, list[Need]] = {}
    for row in rows:
        found = db.execute(
            "SELECT name, as_name FROM uucp_file WHERE execution_id = ? ORDER BY id", (row[0],)
        )
        needs[row[0]] = [Need(*one) for one in found]
    return [_execution(tuple(needs[row[0]]), *row) for row in rows]


def _execution(
    needs: tuple[Need, ...],
    execution_id: str,
    neighbour: str,
    user: str,
    command: str,
    received_at: float,
    grade: str,
    input_name: str,
    output: str,
    output_system: str,
    result_address: str,
    flags: str,
    state: str,
    is_claimed: int,
    is_missing: int,
    in_doubt: int,
    *rest: Any,
) -> Execution:
    new = NewExecution(
        execution_id,
        neighbour,
        user,
        tuple(json.loads(command)),
        received_at,
        grade,
        input_name,
        needs,
        output,
        output_system,
        result_address,
        flags,
    )
    return Execution(
        new, WorkState(state), bool(is_claimed), bool(is_missing), bool(in_doubt), *rest
    )


def insert(db: sqlite3.Connection, new: NewExecution) -> None:
    """Queue an execution, and give it the files it needs, as far as they are here."""
    db.execute(
        f"INSERT INTO uucp_execution ({_NEW}, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting')",
        (
            new.execution_id,
            new.neighbour,
            new.user,
            json.dumps(new.command),
            new.received_at,
            new.grade,
            new.input_name,
            new.output,
            new.output_system,
            new.result_address,
            new.flags,
        ),
    )
    for need in new.needs:
        _attach(db, new, need)
    note(db, new.execution_id, new.received_at, "queued", new.neighbour)


def _attach(db: sqlite3.Connection, new: NewExecution, need: Need) -> None:
    found = db.execute(
        "UPDATE uucp_file SET execution_id = ?, as_name = ?"
        " WHERE neighbour = ? AND name = ? AND execution_id IS NULL RETURNING id",
        (new.execution_id, need.as_name, new.neighbour, need.name),
    ).fetchone()
    if found is None:
        db.execute(
            "INSERT INTO uucp_file (neighbour, name, execution_id, as_name) VALUES (?, ?, ?, ?)",
            (new.neighbour, need.name, new.execution_id, need.as_name),
        )


def settle(db: sqlite3.Connection, outcome: WorkOutcome, owner: str, at: float) -> list[str]:
    """Write down how an execution ended; the content files it leaves. Raises: NotClaimed."""
    row = db.execute(
        "UPDATE uucp_execution SET state = ?, claim = NULL, next_attempt_at = ?, last_error = ?,"
        " tries = tries + (? <> 'done') WHERE execution_id = ? AND claim = ?"
        " AND state = 'waiting' RETURNING execution_id",
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
        raise NotClaimed(f"{outcome.work_id}: this execution is not ours to end")
    if outcome.state is WorkState.WAITING:
        note(db, outcome.work_id, at, "deferred", outcome.text)
        return []
    note(db, outcome.work_id, at, outcome.state, outcome.text)
    return _end(db, outcome.work_id, at, keeps_files=outcome.state is WorkState.FAILED)


def _end(db: sqlite3.Connection, execution_id: str, at: float, *, keeps_files: bool) -> list[str]:
    db.execute(
        "UPDATE uucp_execution SET finished_at = ?, claim = NULL WHERE execution_id = ?",
        (at, execution_id),
    )
    if keeps_files:
        return []
    return files_in(
        db.execute(
            "DELETE FROM uucp_file WHERE execution_id = ? RETURNING content_file", (execution_id,)
        ).fetchall()
    )


def _move(
    db: sqlite3.Connection, verb: Verb, execution_id: str, now: float, reason: str
) -> list[str] | None:
    row = db.execute(
        "SELECT state FROM uucp_execution WHERE execution_id = ?", (execution_id,)
    ).fetchone()
    target = None if row is None else WORK_MOVES.get((WorkState(row[0]), verb))
    if target is None:
        return None
    db.execute("UPDATE uucp_execution SET state = ? WHERE execution_id = ?", (target, execution_id))
    note(db, execution_id, now, verb, reason)
    return _end(db, execution_id, now, keeps_files=False) if verb is Verb.REMOVE else []
