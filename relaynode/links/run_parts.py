"""What the parts of a queue run tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.links.ways import Ways
    from relaynode.queue.model import QueuedMessage, QueuedRecipient
    from relaynode.queue.retry import RetryPolicy
    from relaynode.queue.store import Store
    from relaynode.rules import Rules
    from relaynode.sources.dsn import DsnSource


@dataclass(slots=True)
class RunResult:
    """What a run did, in recipients, but `sent_messages`. Kept up to date while it goes on.

    `notices`: DSNs that were queued. `is_unreachable`: some next hop did not answer. `is_heard`:
    some other did, or the DNS.
    """

    delivered: int = 0
    deferred: int = 0
    failed: int = 0
    in_doubt: int = 0
    notices: int = 0
    is_unreachable: bool = False
    is_heard: bool = False
    sent_messages: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Wanted:
    """One message's recipients on one way, not claimed yet."""

    message: QueuedMessage
    recipients: list[QueuedRecipient]
    addresses: dict[int, str]


@dataclass(frozen=True, slots=True)
class Leg:
    """What the attempts of one session have in common.

    `host`: the next hop, for the host status. `mailer`: as the log calls it. `is_final`: what is
    taken there has arrived. `began`: when a message's turn came, by queue id, epoch seconds.
    """

    host: str
    mailer: str
    is_final: bool = False
    began: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunParts:
    """What every run of a node shares. `clock`: epoch seconds."""

    store: Store
    rules: Rules
    ways: Ways
    retry: RetryPolicy
    dsns: DsnSource
    clock: Callable[[], float]
