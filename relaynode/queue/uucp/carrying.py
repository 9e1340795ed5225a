"""Mail on its way to a neighbour, in SQL: recipients bound to the job that carries them.

A recipient with a `job_id` waits for that job and for nothing else: no run takes it up. The bond is
made in the transaction that queues the job, and goes in the one that ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import NotClaimed
from relaynode.queue.uucp import jobs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from relaynode.queue.uucp.model import MailJob


def bind(db: sqlite3.Connection, mail: Sequence[MailJob], owner: str) -> None:
    """Queue jobs, claimed, with the recipients that this owner has claimed. Raises: NotClaimed."""
    jobs.insert(db, [one.job for one in mail])
    for one in mail:
        db.execute("UPDATE uucp_job SET claim = ? WHERE job_id = ?", (owner, one.job.job_id))
        for recipient_id in one.recipient_ids:
            row = db.execute(
                "UPDATE recipient SET job_id = ? WHERE id = ? AND claim = ? AND state = 'waiting'"
                " AND job_id IS NULL RETURNING id",
                (one.job.job_id, recipient_id, owner),
            ).fetchone()
            if row is None:
                raise NotClaimed("a recipient was taken away before its job was queued")


def carried(db: sqlite3.Connection, job_id: str) -> list[tuple[str, list[int]]]:
    """The messages that a job carries, by queue id, with those of their recipients."""
    found: dict[str, list[int]] = {}
    for queue_id, recipient_id in db.execute(
        "SELECT queue_id, id FROM recipient WHERE job_id = ? AND state = 'waiting' ORDER BY id",
        (job_id,),
    ):
        found.setdefault(queue_id, []).append(recipient_id)
    return list(found.items())


def release(db: sqlite3.Connection, job_ids: Iterable[str], owner: str) -> None:
    """These jobs have ended: whom they carried, and who still waits, is free again."""
    db.executemany(
        "UPDATE recipient SET job_id = NULL, claim = CASE claim WHEN ? THEN NULL ELSE claim END"
        " WHERE job_id = ?",
        [(owner, job_id) for job_id in job_ids],
    )


def unbind(db: sqlite3.Connection, job_ids: Collection[str], owner: str) -> list[str]:
    """Undo jobs of this owner's that were not begun; the content files they leave."""
    files = jobs.delete(db, job_ids, owner)
    release(db, job_ids, owner)
    return files


def dissolve(db: sqlite3.Connection, queue_ids: Collection[str], now: float) -> list[str]:
    """End jobs that nobody is doing and that carry one of these messages, of which the operator
    wants none to go; the content files they leave.

    What else they carry is sent by another job, which the neighbour cannot know again.
    """
    files: list[str] = []
    for queue_id in queue_ids:
        rows = db.execute(
            "SELECT DISTINCT r.job_id, j.tries FROM recipient r JOIN uucp_job j USING (job_id)"
            " WHERE r.queue_id = ? AND j.state = 'waiting' AND j.claim IS NULL",
            (queue_id,),
        ).fetchall()
        for job_id, tries in rows:
            files += jobs.drop(db, job_id, now)
            db.execute(
                "UPDATE recipient SET job_id = NULL, in_doubt = in_doubt OR ? WHERE job_id = ?",
                (tries > 0, job_id),
            )
    return files
