"""`relaynode fetch --list`, `--get` and `--delete`: large mail of which only the header came.

A decision is written down, and the next visit carries it out.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relaynode.cli.opened import in_store
from relaynode.errors import EX_OK, UsageError
from relaynode.queue.model import Decision

if TYPE_CHECKING:
    import argparse

    from relaynode.config.loader import Config
    from relaynode.queue.model import Offer


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Raises: UsageError, StoreError."""
    if arguments.list:
        found = in_store(config, lambda store: store.mailboxes.offers())
        wanted = [one for one in found if one.account in (arguments.accounts or (one.account,))]
        print(_as_json(wanted) if arguments.json else "".join(map(line, wanted)), end="")
        return EX_OK
    offer_id = arguments.get or arguments.delete
    decision = Decision.GET if arguments.get else Decision.DELETE
    is_known = in_store(config, lambda store: store.mailboxes.decide(offer_id.lower(), decision))
    if not is_known:
        raise UsageError(
            f"no message {offer_id} waits; `relaynode fetch --list` shows those that do"
        )
    if not arguments.quiet:
        done = "fetched" if decision is Decision.GET else "deleted"
        print(f"{offer_id} will be {done} at the next visit")
    return EX_OK


def line(offer: Offer) -> str:
    """One message that waits."""
    what = "" if offer.decision == Decision.OFFERED else f" ({offer.decision})"
    return (
        f"{offer.id}  {offer.account}  {offer.listed_bytes / 1_000_000:.1f} MB"
        f"  {offer.sender or '(unknown)'}  {offer.subject or '(no subject)'}{what}\n"
    )


def _as_json(found: list[Offer]) -> str:
    hidden = ("uid", "header_text")
    rows = [{k: v for k, v in asdict(one).items() if k not in hidden} for one in found]
    return json.dumps(rows, indent=2) + "\n"


def counts(summary: dict[str, Any]) -> str:
    """What `--check` found, one line an account."""
    return "".join(
        f"{poll['account']}: {poll['in_mailbox']} messages, {poll['waiting']} to be fetched"
        f" ({poll['waiting_bytes']} bytes)\n"
        for poll in summary["polls"]
    )
