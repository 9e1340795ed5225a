"""What `mailq` and `-bP` answer, whoever asks: the command that opens the queue, or the daemon."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relaynode.links.wish import Wish
from relaynode.queue.listing import listing
from relaynode.queue.model import MessageState, Verb

if TYPE_CHECKING:
    from pathlib import Path

    from relaynode.queue.model import QueuedMessage
    from relaynode.queue.store import Store
    from relaynode.sources.sendmail_options import SendmailOptions


async def queue_text(store: Store, spool: Path, options: SendmailOptions) -> str:
    """The listing, or the count, that a command line asks for. Raises: StoreError."""
    found = chosen(await store.messages(), options)
    if options.mode == "P":
        return f"{spool}: entries={len(found)}\n\t\tTotal requests: {len(found)}\n"
    reasons = {}
    if options.queue_kind == "Q":
        reasons = {one.queue_id: await _reason(store, one.queue_id) for one in found}
    return listing(
        found,
        str(spool),
        time.localtime,
        is_long=options.is_verbose,
        quarantined=reasons,
    )


def chosen(messages: list[QueuedMessage], options: SendmailOptions) -> list[QueuedMessage]:
    """Those that -q asks for: of what is held with -qQ, else of what is not."""
    wish = Wish(only=tuple(options.queue_only))
    state = {"": MessageState.QUEUED, "Q": MessageState.HELD}.get(options.queue_kind)
    return [
        message
        for message in messages
        if message.state is state and options.has_queue and wish.takes(message)
    ]


async def _reason(store: Store, queue_id: str) -> str:
    """Why a message is held: what was said of it last."""
    events = await store.history(queue_id)
    return next((one.text for one in reversed(events) if one.kind == Verb.HOLD), "")
