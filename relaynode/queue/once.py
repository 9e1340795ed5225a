"""Statements for mail that would be known again, each inside a transaction of its caller's.

A mark is written in the transaction that queues the mail, or the time between would be one in which
a lost answer doubles it. See `model.OnceMark`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import TakenBefore

if TYPE_CHECKING:
    import sqlite3

    from relaynode.queue.model import OnceMark


def known(db: sqlite3.Connection, mark: OnceMark) -> dict[str, str]:
    """The recipients for whom this mail was queued, each with its queue id then."""
    rows = db.execute(
        "SELECT recipient, queue_id FROM once WHERE once_id = ? AND digest = ?",
        (mark.once_id, mark.digest),
    )
    return {recipient: queue_id for recipient, queue_id in rows if recipient in mark.recipients}


def remember(db: sqlite3.Connection, mark: OnceMark, queue_id: str, now: float) -> None:
    """Know this mail again. Raises: TakenBefore if it was queued for one of the recipients."""
    if known(db, mark):
        raise TakenBefore(f"{queue_id}: another session has brought this mail just now")
    db.executemany(
        "INSERT INTO once (once_id, recipient, digest, queue_id, taken_at) VALUES (?, ?, ?, ?, ?)",
        [
            (mark.once_id, path, mark.digest, queue_id, now)
            for path in dict.fromkeys(mark.recipients)
        ],
    )


def forget(db: sqlite3.Connection, before: float) -> int:
    """Forget what was taken before then; how many marks that were."""
    return db.execute("DELETE FROM once WHERE taken_at < ?", (before,)).rowcount
