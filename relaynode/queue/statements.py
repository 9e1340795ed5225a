"""What the store in SQLite does to messages and recipients, each inside a transaction of the
committer's: the moves of `model.py` as statements."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from relaynode.queue.model import (
    MAX_STRIKES,
    OPERATOR_MOVES,
    MessageState,
    NewMessage,
    Outcome,
    RecipientState,
    Result,
    Verb,
)
from relaynode.queue.texts import (
    IN_DOUBT_TEXT,
    INTERRUPTED_TEXT,
    POISON_TEXT,
)
from relaynode.queue.uucp import tables as uucp_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def insert_messages(db: sqlite3.Connection, messages: Sequence[NewMessage]) -> None:
    """Queue messages."""
    for message in messages:
        envelope, content = message.envelope, message.content
        db.execute(
            "INSERT INTO message (queue_id, state, arrived_at, source, reverse_path, body,"
            " smtputf8, ret, envid, trace, size_bytes, content_file, lines, body_bytes,"
            " grade, within_seconds, inline_content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                message.queue_id,
                MessageState.QUEUED,
                message.arrived_at,
                message.source,
                envelope.reverse_path,
                envelope.body,
                envelope.smtputf8,
                envelope.ret,
                envelope.envid,
                message.trace,
                content.size_bytes,
                content.path.name if content.path is not None else None,
                message.lines,
                message.body_bytes,
                message.grade,
                message.within_seconds,
                content.inline,
            ),
        )
        if message.links:
            db.executemany(
                "INSERT INTO message_link (queue_id, link) VALUES (?, ?)",
                [(message.queue_id, link) for link in message.links],
            )
        db.executemany(
            "INSERT INTO recipient (queue_id, address, notify, orcpt, expanded_from, state,"
            " mailer, host, run_as, attempts, next_attempt_at, in_doubt, relay)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, '')",
            [
                (
                    message.queue_id,
                    recipient.address,
                    recipient.notify,
                    recipient.orcpt,
                    recipient.expanded_from,
                    RecipientState.WAITING,
                    recipient.mailer,
                    recipient.host,
                    recipient.run_as,
                )
                for recipient in envelope.recipients
            ],
        )


def record(db: sqlite3.Connection, outcomes: Sequence[Outcome], owner: str, now: float) -> None:
    """Write down how tries ended, but for recipients that somebody else has."""
    recorded = [outcome for outcome in outcomes if _record_one(db, outcome, owner, now)]
    for outcome in {outcome.host: outcome for outcome in recorded if outcome.host}.values():
        _note_host(db, outcome, now)


def _record_one(db: sqlite3.Connection, outcome: Outcome, owner: str, now: float) -> bool:
    state = {
        Result.DELIVERED: RecipientState.DELIVERED,
        Result.FAILED: RecipientState.FAILED,
        Result.DEFERRED: RecipientState.WAITING,
    }[outcome.result]
    status = outcome.status
    is_news = outcome.is_attempt or _is_news(db, outcome)
    row = db.execute(
        "UPDATE recipient SET state = ?, claim = NULL, attempts = attempts + ?,"
        " last_attempt_at = CASE WHEN ? THEN ? ELSE last_attempt_at END, aged_seconds = ?,"
        " reason = ?, next_attempt_at = ?, in_doubt = in_doubt OR ?, status_code = ?,"
        " status_enhanced = ?, status_text = ?, relay = ? WHERE id = ? AND state = 'waiting'"
        " AND (claim IS NULL OR claim = ?) RETURNING address",
        (
            state,
            outcome.is_attempt,
            outcome.is_attempt,
            now,
            outcome.aged_seconds,
            outcome.reason,
            outcome.next_attempt_at,
            outcome.in_doubt,
            status.code,
            status.enhanced,
            status.text,
            outcome.relay,
            outcome.recipient_id,
            owner,
        ),
    ).fetchone()
    if row is None:
        return False  # removed by the operator meanwhile, or being delivered by somebody else
    text = f"{status} ({outcome.relay})" if outcome.relay else str(status)
    if is_news:
        note(db, outcome.queue_id, now, outcome.result, row[0], text)
    if outcome.in_doubt:
        note(db, outcome.queue_id, now, "in_doubt", row[0], IN_DOUBT_TEXT)
    return True


def _is_news(db: sqlite3.Connection, outcome: Outcome) -> bool:
    """A line that is down for a month is told of once, not at each turn of cron."""
    return (
        db.execute(
            "SELECT 1 FROM recipient WHERE id = ? AND reason = ? AND status_code IS NOT NULL",
            (outcome.recipient_id, outcome.reason),
        ).fetchone()
        is None
    )


def strike(db: sqlite3.Connection, queue_id: str, now: float) -> None:
    """A message broke us: set it aside if it does so always."""
    row = db.execute(
        "UPDATE message SET strikes = strikes + 1 WHERE queue_id = ? RETURNING strikes",
        (queue_id,),
    ).fetchone()
    if row is not None and row[0] >= MAX_STRIKES:
        move(db, Verb.HOLD, queue_id, now, POISON_TEXT, "poison")


def warn(db: sqlite3.Connection, queue_id: str, now: float) -> bool:
    """Is this the first warning about a message?"""
    changed = db.execute(
        "UPDATE message SET warned_at = ? WHERE queue_id = ? AND warned_at = 0", (now, queue_id)
    ).rowcount
    if changed:
        note(db, queue_id, now, "warned", "", "")
    return bool(changed)


def _note_host(db: sqlite3.Connection, outcome: Outcome, now: float) -> None:
    status = outcome.status
    db.execute(
        "INSERT INTO host_status (host, at, status_code, status_enhanced, status_text)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (host) DO UPDATE SET at = excluded.at,"
        " status_code = excluded.status_code, status_enhanced = excluded.status_enhanced,"
        " status_text = excluded.status_text",
        (outcome.host, now, status.code, status.enhanced, status.text),
    )


def finish(db: sqlite3.Connection, queue_ids: Iterable[str], now: float) -> list[str]:
    """End the messages that have no waiting recipient left; the names of their content files."""
    files = []
    for queue_id in queue_ids:
        row = db.execute(
            "SELECT content_file, state FROM message WHERE queue_id = ? AND finished_at IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.queue_id = message.queue_id"
            " AND r.state = 'waiting')",
            (queue_id,),
        ).fetchone()
        if row is None:
            continue
        file, state = row
        ended = MessageState.REMOVED if state == MessageState.REMOVED else MessageState.DONE
        db.execute(
            "UPDATE message SET state = ?, finished_at = ?, content = NULL, content_file = NULL,"
            " inline_content = NULL"
            " WHERE queue_id = ?",
            (ended, now, queue_id),
        )
        if file is not None:
            files.append(file)
    return files


def move(
    db: sqlite3.Connection,
    verb: Verb,
    queue_id: str,
    now: float,
    reason: str,
    held_for: str = "held",
) -> bool:
    """Do what the operator wants; was it legal?"""
    row = db.execute("SELECT state FROM message WHERE queue_id = ?", (queue_id,)).fetchone()
    target = None if row is None else OPERATOR_MOVES.get((MessageState(row[0]), verb))
    if target is None:
        return False
    db.execute(
        "UPDATE message SET state = ?, held_for = ?, told_at = 0 WHERE queue_id = ?",
        (target, held_for if verb is Verb.HOLD else "", queue_id),
    )
    if verb is Verb.RELEASE:  # it gets as many chances as the first time
        db.execute("UPDATE message SET strikes = 0 WHERE queue_id = ?", (queue_id,))
    if verb is Verb.REMOVE:
        db.execute(
            "UPDATE recipient SET state = 'removed', claim = NULL"
            " WHERE queue_id = ? AND state = 'waiting'",
            (queue_id,),
        )
    note(db, queue_id, now, verb, "", reason)
    return True


def free_claims(db: sqlite3.Connection, owner: str) -> None:
    """Give an owner's claims back."""
    db.execute("UPDATE recipient SET claim = NULL WHERE claim = ?", (owner,))
    uucp_tables.free_claims(db, owner)


def doubt(db: sqlite3.Connection, owner: str, now: float) -> list[str]:
    """Take back a dead owner's claims; the queue ids concerned."""
    rows = db.execute(
        "UPDATE recipient SET claim = NULL, in_doubt = in_doubt OR job_id IS NULL WHERE claim = ?"
        " RETURNING queue_id, address, job_id",
        (owner,),
    ).fetchall()
    for queue_id, address, job_id in rows:
        if job_id is None:  # else the neighbour will know the job again
            note(db, queue_id, now, "in_doubt", address, INTERRUPTED_TEXT)
    return [queue_id for queue_id, _, _ in rows]


def note(
    db: sqlite3.Connection, queue_id: str, at: float, kind: str, recipient: str, text: str
) -> None:
    """Add a line to a message's history."""
    db.execute(
        "INSERT INTO event (queue_id, at, kind, recipient, text) VALUES (?, ?, ?, ?, ?)",
        (queue_id, at, kind, recipient, text),
    )
