"""What the store in SQLite reads of messages, each on a connection that its caller gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from relaynode.mail.status import Status
from relaynode.queue.model import Event, HostStatus, QueuedMessage
from relaynode.queue.rows import MESSAGE, MESSAGE_COLUMNS, RECIPIENT, grouped

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

_BOTH = f"SELECT {MESSAGE}, {RECIPIENT} FROM message m JOIN recipient r ON r.queue_id = m.queue_id"


def waiting(
    db: sqlite3.Connection, now: float | None, queue_ids: Collection[str] | None
) -> list[QueuedMessage]:
    """See `Store.waiting`."""
    chosen = "" if queue_ids is None else " AND m.queue_id IN (SELECT value FROM json_each(?))"
    rows = db.execute(
        f"SELECT {MESSAGE}, {RECIPIENT} FROM recipient r"
        " JOIN message m ON m.queue_id = r.queue_id"
        " WHERE r.state = 'waiting' AND r.claim IS NULL AND r.job_id IS NULL"
        " AND m.state = 'queued'"
        f" AND r.next_attempt_at <= ?{chosen} ORDER BY m.arrived_at, m.id, r.id",
        (
            float("inf") if now is None else now,
            *(() if queue_ids is None else (json.dumps(list(queue_ids)),)),
        ),
    )
    return grouped(rows)


def free(
    db: sqlite3.Connection, queue_id: str, recipient_ids: Collection[int], job_id: str | None
) -> QueuedMessage | None:
    """A queued message with those of these recipients that nobody has. `job_id`: the job that
    carries them, if one does."""
    rows = db.execute(
        f"{_BOTH} WHERE m.queue_id = ? AND m.state = 'queued'"
        " AND r.state = 'waiting' AND r.claim IS NULL AND r.job_id IS ? ORDER BY r.id",
        (queue_id, job_id),
    )
    chosen = [row for row in rows if row[MESSAGE_COLUMNS] in recipient_ids]
    return grouped(chosen)[0] if chosen else None


def messages(db: sqlite3.Connection, *, finished: bool) -> list[QueuedMessage]:
    """See `Store.messages`."""
    states = "" if finished else " WHERE m.state IN ('queued', 'held')"
    return grouped(db.execute(f"{_BOTH}{states} ORDER BY m.arrived_at, m.id, r.id"))


def message(db: sqlite3.Connection, queue_id: str) -> QueuedMessage | None:
    """See `Store.message`."""
    found = grouped(db.execute(f"{_BOTH} WHERE m.queue_id = ? ORDER BY r.id", (queue_id,)))
    return next(iter(found), None)


def poisoned(db: sqlite3.Connection) -> list[QueuedMessage]:
    """See `Store.poisoned`."""
    chosen = "WHERE m.held_for = 'poison' AND m.told_at = 0"
    return grouped(db.execute(f"{_BOTH} {chosen} ORDER BY m.id, r.id"))


def history(db: sqlite3.Connection, queue_id: str) -> list[Event]:
    """See `Store.history`. How a message came stands in its own row: to write it twice would slow
    intake down."""
    rows = db.execute(
        "SELECT queue_id, arrived_at, 'queued', '', source, 0 FROM message"
        " WHERE queue_id = ? UNION ALL"
        " SELECT queue_id, at, kind, recipient, text, id FROM event"
        " WHERE queue_id = ? ORDER BY 6",
        (queue_id, queue_id),
    )
    return [Event(*row[:5]) for row in rows]


def known(db: sqlite3.Connection, queue_ids: list[str]) -> list[str]:
    """Those that are queue ids of ours."""
    rows = db.execute(
        "SELECT queue_id FROM message WHERE queue_id IN (SELECT value FROM json_each(?))",
        (json.dumps(queue_ids),),
    )
    return [queue_id for (queue_id,) in rows]


def content_files(db: sqlite3.Connection) -> set[str]:
    """The names of those that messages have."""
    rows = db.execute("SELECT content_file FROM message WHERE content_file IS NOT NULL")
    return {name for (name,) in rows}


def host_status(db: sqlite3.Connection) -> list[HostStatus]:
    """See `Store.host_status`."""
    rows = db.execute(
        "SELECT host, at, status_code, status_enhanced, status_text FROM host_status"
        " ORDER BY at DESC, host"
    )
    return [HostStatus(host, at, Status(*status)) for host, at, *status in rows]
