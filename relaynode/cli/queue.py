"""`queue`, `hold`, `release`, `remove`: the operator's view of the queue."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from relaynode.cli.client import DaemonClient
from relaynode.cli.opened import in_store
from relaynode.config.loader import find, load
from relaynode.errors import EX_DATAERR, EX_OK
from relaynode.queue.model import MessageState, QueuedMessage, RecipientState, Verb

if TYPE_CHECKING:
    import argparse

    from relaynode.config.loader import Config
    from relaynode.queue.model import QueuedRecipient


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, StoreError."""
    config = load(find(arguments.config))
    if arguments.command != "queue":
        return operate(config, Verb(arguments.command), arguments.ids)
    if arguments.id is not None:
        return _show(config, arguments.id, as_json=arguments.json)
    messages = in_store(config, lambda store: store.messages(finished=arguments.all))
    if arguments.json:
        print(json.dumps([as_json(message) for message in messages], indent=2))
    else:
        _print_list(messages, config)
    return EX_OK


def operate(config: Config, verb: Verb, ids: list[str]) -> int:
    """Hold, release or remove messages; 65 if one could not be."""
    moved = in_store(config, lambda store: store.operate(verb, ids, time.time()))
    for queue_id in ids:
        if queue_id not in moved:
            print(f"relaynode: {queue_id}: not in a state to {verb}", file=sys.stderr)
    daemon = DaemonClient.connect(config.control_socket)
    if daemon is not None and verb is Verb.RELEASE:
        daemon.ask("wake", [])
    return EX_OK if len(moved) == len(ids) else EX_DATAERR


def as_json(message: QueuedMessage) -> dict[str, Any]:
    """A message as plain values."""
    return {
        "id": message.queue_id,
        "state": message.state,
        "arrived_at": message.arrived_at,
        "source": message.source,
        "sender": message.envelope.reverse_path,
        "size_bytes": message.size_bytes,
        "held_for": message.held_for,
        "grade": message.grade,
        "recipients": [
            {
                "address": recipient.forward_path.address,
                "expanded_from": recipient.forward_path.expanded_from,
                "state": recipient.state,
                "is_claimed": recipient.claim is not None,
                "reason": recipient.reason,
                "attempts": recipient.attempts,
                "next_attempt_at": recipient.next_attempt_at,
                "in_doubt": recipient.in_doubt,
                "status": str(recipient.last_status) if recipient.last_status else "",
                "relay": recipient.relay,
            }
            for recipient in message.recipients
        ],
    }


def _print_list(messages: list[QueuedMessage], config: Config) -> None:
    if not messages:
        print(f"{config.spool}: the queue is empty")
        return
    for message in messages:
        state = "" if message.state is MessageState.QUEUED else f"  {message.state}"
        if message.held_for not in ("", "held"):
            state += f": {message.held_for}"
        print(
            f"{message.queue_id}  {message.size_bytes} bytes  {_when(message.arrived_at)}"
            f"  <{message.envelope.reverse_path}>{state}"
        )
        for recipient in message.recipients:
            print(f"    {_recipient(recipient)}")


def _recipient(recipient: QueuedRecipient) -> str:
    text = f"<{recipient.forward_path.address}>"
    if recipient.state is not RecipientState.WAITING:
        text += f"  {recipient.state}"
    elif recipient.claim is not None:
        text += "  being delivered"
    if recipient.last_status is not None:
        text += f"  ({recipient.last_status})"
    if recipient.in_doubt:
        text += "  may have been accepted"
    return text


def _show(config: Config, queue_id: str, *, as_json: bool) -> int:
    events = in_store(config, lambda store: store.history(queue_id))
    if not events:
        print(f"relaynode: {queue_id}: not known", file=sys.stderr)
        return EX_DATAERR
    if as_json:
        fields = ("at", "kind", "recipient", "text")
        plain = [{field: getattr(event, field) for field in fields} for event in events]
        print(json.dumps(plain, indent=2))
        return EX_OK
    for event in events:
        whom = f" <{event.recipient}>" if event.recipient else ""
        print(f"{_when(event.at)}  {event.kind}{whom}  {event.text}")
    return EX_OK


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
