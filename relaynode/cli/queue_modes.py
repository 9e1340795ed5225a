"""`sendmail -q...` and `-Q`: what changes the queue from the command line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relaynode.cli.client import DaemonClient
from relaynode.cli.link import flush_wishes, run_links
from relaynode.cli.opened import in_store
from relaynode.cli.progress import Screen
from relaynode.errors import EX_OK
from relaynode.links.queuelist import chosen
from relaynode.queue.model import Verb

if TYPE_CHECKING:
    from relaynode.config.loader import Config
    from relaynode.queue.store import Store
    from relaynode.sources.sendmail_options import SendmailOptions


def run(config: Config, options: SendmailOptions) -> int:
    """One queue run over each link that mail waits for; always in the foreground.

    Raises: BusyError, CalledOff, StoreError.
    """
    if not options.has_queue or options.queue_kind:
        return EX_OK  # held mail is not tried; there is no lost mail
    wishes = flush_wishes(config, tuple(options.queue_only))
    run_links(config, wishes, is_up=False, screen=Screen(is_quiet=not options.is_verbose))
    return EX_OK


def quarantine(config: Config, options: SendmailOptions) -> int:
    """`-Qreason`: hold what -q asks for, all without it. `-Q`: release it. Raises: StoreError."""
    reason = options.quarantine or ""
    # Seen: without a reason and without -qQ there is nothing to do.
    verb = Verb.HOLD if reason else Verb.RELEASE

    async def work(store: Store) -> None:
        found = chosen(await store.messages(), options)
        ids = [message.queue_id for message in found]
        await store.operate(verb, ids, time.time(), *([reason] if reason else []))

    in_store(config, work)
    daemon = DaemonClient.connect(config.control_socket) if verb is Verb.RELEASE else None
    if daemon is not None:
        daemon.ask("wake", [])
    return EX_OK
