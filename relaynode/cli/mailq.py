"""The queue as sendmail's mailq prints it: other programs read this layout."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relaynode.queue.model import MessageState, RecipientState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.queue.model import QueuedMessage

_TITLE = "-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------"
_ADDRESS_WIDTH = 38
_STATUS_INDENT = 17
_BODY_INDENT = 10
_RECIPIENT_INDENT = "\t\t\t\t\t "


def listing(
    messages: Sequence[QueuedMessage],
    spool: str,
    local_time: Callable[[float], time.struct_time],
) -> str:
    """All of `sendmail -bp`'s output. Held messages are left out, as sendmail's quarantined are."""
    shown = [message for message in messages if message.state is MessageState.QUEUED]
    trailer = f"\t\tTotal requests: {len(shown)}\n"
    if not shown:
        return f"{spool} is empty\n{trailer}"
    requests = "1 request" if len(shown) == 1 else f"{len(shown)} requests"
    lines = [f"\t\t{spool} ({requests})", _TITLE]
    for message in shown:
        lines += _message(message, local_time)
    return "\n".join(lines) + "\n" + trailer


def _message(message: QueuedMessage, local_time: Callable[[float], time.struct_time]) -> list[str]:
    waiting = [one for one in message.recipients if one.state is RecipientState.WAITING]
    flag = "*" if any(one.claim is not None for one in waiting) else " "
    arrived = time.strftime("%a %b %d %H:%M", local_time(message.arrived_at))
    sender = message.envelope.reverse_path or "<>"
    row = f"{message.queue_id}{flag}{message.size_bytes:>8} {arrived} {sender}"
    lines = [row[: row.index(sender) + _ADDRESS_WIDTH]]
    if message.envelope.body:
        lines.append(" " * _BODY_INDENT + message.envelope.body)
    # sendmail keeps one status a message; ours is that of the first recipient that has one.
    status = next((one.last_status for one in waiting if one.last_status is not None), None)
    if status is not None:
        lines.append(" " * _STATUS_INDENT + f"(Deferred: {status.text})")
    lines += [_RECIPIENT_INDENT + one.forward_path.address[:_ADDRESS_WIDTH] for one in waiting]
    return lines
