"""Rows of the store's tables as the values of `model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import Status
from relaynode.queue.model import MessageState, QueuedMessage, QueuedRecipient, RecipientState

if TYPE_CHECKING:
    from collections.abc import Iterable

MESSAGE = (
    "m.queue_id, m.state, m.arrived_at, m.source, m.reverse_path, m.body, m.smtputf8, m.ret,"
    " m.envid, m.size_bytes, m.lines, m.body_bytes, m.held_for, m.warned_at, m.grade,"
    " m.within_seconds"
)
RECIPIENT = (
    "r.id, r.address, r.notify, r.orcpt, r.expanded_from, r.state, r.attempts, r.next_attempt_at,"
    " r.claim, r.in_doubt, r.status_code, r.status_enhanced, r.status_text, r.relay, r.mailer,"
    " r.host, r.run_as, r.reason, r.aged_seconds, r.last_attempt_at"
)
MESSAGE_COLUMNS = 16


def grouped(rows: Iterable[tuple[Any, ...]]) -> list[QueuedMessage]:
    """Messages out of rows of the MESSAGE and RECIPIENT columns, in the order they came."""
    grouped: dict[str, tuple[tuple[Any, ...], list[QueuedRecipient]]] = {}
    for row in rows:
        queue_id = str(row[0])
        _, recipients = grouped.setdefault(queue_id, (row[:MESSAGE_COLUMNS], []))
        recipients.append(_recipient(*row[MESSAGE_COLUMNS:]))
    return [_message(tuple(recipients), *columns) for columns, recipients in grouped.values()]


def _message(
    recipients: tuple[QueuedRecipient, ...],
    queue_id: str,
    state: str,
    arrived_at: float,
    source: str,
    reverse_path: str,
    body: str,
    smtputf8: int,
    ret: str,
    envid: str,
    size_bytes: int,
    lines: int,
    body_bytes: int,
    held_for: str,
    warned_at: float,
    grade: str,
    within_seconds: float | None,
) -> QueuedMessage:
    paths = tuple(recipient.forward_path for recipient in recipients)
    envelope = Envelope(reverse_path, paths, body, bool(smtputf8), ret, envid)
    return QueuedMessage(
        queue_id,
        MessageState(state),
        arrived_at,
        source,
        envelope,
        size_bytes,
        recipients,
        lines,
        body_bytes,
        held_for,
        warned_at,
        grade,
        within_seconds,
    )


def _recipient(
    identity: int,
    address: str,
    notify: str,
    orcpt: str,
    expanded_from: str,
    state: str,
    attempts: int,
    next_attempt_at: float,
    claim: str | None,
    in_doubt: int,
    status_code: int | None,
    status_enhanced: str,
    status_text: str,
    relay: str,
    mailer: str,
    host: str,
    run_as: str,
    reason: str,
    aged_seconds: float,
    last_attempt_at: float,
) -> QueuedRecipient:
    status = None
    if status_code is not None:
        status = Status(status_code, status_enhanced, status_text)
    return QueuedRecipient(
        identity,
        Recipient(address, notify, orcpt, expanded_from, mailer, host, run_as),
        RecipientState(state),
        attempts,
        next_attempt_at,
        claim,
        bool(in_doubt),
        status,
        relay,
        reason,
        aged_seconds,
        last_attempt_at,
    )
