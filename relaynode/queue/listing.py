"""The queue as sendmail's mailq prints it: other programs read this layout, column by column.

    -----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------
    6ALGWY9N005467     3600 Sat Nov 21 16:32 alice@gate.example.org
          8BITMIME   (Deferred: Connection timed out)
                                             carol@down.example

Size is that of the body alone, with Unix line ends. Behind the id stands `*` while a recipient is
being delivered. The order is that of the next queue run, most urgent first: by a priority that is
made of size, recipients and tries, as sendmail's is (but for its Precedence).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.queue.model import RecipientState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relaynode.queue.model import QueuedMessage, QueuedRecipient

PRIORITY_OF_RECIPIENT = 30_000
PRIORITY_OF_TRY = 90_000


@dataclass(frozen=True, slots=True)
class _Layout:
    """How wide things are: more with -v."""

    title: str
    sender: int
    recipient: int
    status: int
    recipient_indent: str


_SHORT = _Layout(
    "-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------",
    39,
    38,
    60,
    "\t\t\t\t\t ",
)
_LONG = _Layout(
    "-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------",
    78,
    71,
    100,
    "\t\t\t\t\t\t",
)


def listing(
    messages: Sequence[QueuedMessage],
    spool: str,
    local_time: Callable[[float], time.struct_time],
    *,
    is_long: bool = False,
    quarantined: Mapping[str, str] | None = None,
) -> str:
    """All that `sendmail -bp` prints. `quarantined`: why messages are held, by queue id."""
    trailer = f"\t\tTotal requests: {len(messages)}\n"
    if not messages:
        return f"{spool} is empty\n{trailer}"
    layout = _LONG if is_long else _SHORT
    requests = "1 request" if len(messages) == 1 else f"{len(messages)} requests"
    lines = [f"\t\t{spool} ({requests})", layout.title]
    for message in sorted(messages, key=lambda one: (priority(one), one.arrived_at)):
        reason = (quarantined or {}).get(message.queue_id)
        lines += _message(message, layout, local_time(message.arrived_at), reason)
    return "\n".join(lines) + "\n" + trailer


def priority(message: QueuedMessage) -> int:
    """What decides the order: the lower, the sooner."""
    recipients = message.recipients
    tries = max((one.attempts for one in recipients), default=0)
    size_bytes = message.size_bytes - message.lines
    return size_bytes + PRIORITY_OF_RECIPIENT * len(recipients) + PRIORITY_OF_TRY * tries


def _message(
    message: QueuedMessage, layout: _Layout, arrived: time.struct_time, reason: str | None
) -> list[str]:
    waiting = [one for one in message.recipients if one.state is RecipientState.WAITING]
    flag = "*" if any(one.claim is not None for one in waiting) else " "
    row = f"{message.queue_id}{flag}{message.body_bytes:>8} "
    if layout is _LONG:
        row += f"{priority(message):>10} {_date(arrived)} "
    else:
        row += f"{time.strftime('%a', arrived)} {_date(arrived)} "
    sender = message.envelope.reverse_path or "<>"
    lines = [row + sender[: layout.sender]]
    if reason is not None:
        lines.append(f"     QUARANTINE: {reason[: layout.status]}")
    # sendmail keeps one status a message; ours is that of the first recipient that has one.
    status = next((one.last_status for one in waiting if one.last_status is not None), None)
    if message.envelope.body or status is not None:
        text = f"Deferred: {status.text}"[: layout.status] if status is not None else ""
        told = f"   ({text})" if text else ""
        lines.append(f"    {message.envelope.body:>10}{told}")
    lines += [layout.recipient_indent + _name(one)[: layout.recipient] for one in waiting]
    return lines


def _date(arrived: time.struct_time) -> str:
    return f"{time.strftime('%b', arrived)} {arrived.tm_mday:>2} {time.strftime('%H:%M', arrived)}"


def _name(recipient: QueuedRecipient) -> str:
    path = recipient.forward_path
    if path.mailer == "prog":
        return f'"|{path.address.removeprefix("|")}"'
    return path.address
