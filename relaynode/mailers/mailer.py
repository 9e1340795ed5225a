"""The interface of every mailer, and what it tells the queue run.

A mailer pulls: it is handed an iterator that claims one message at each step, and takes the next
one when its session has room. So pipelining across messages, order and stopping early need no
code of their own. Ends of tries are reported as they become known, in groups, so that a group
shares a commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from relaynode.mail.status import Status
    from relaynode.queue.model import Delivery, QueuedRecipient


@dataclass(frozen=True, slots=True)
class Consignment:
    """A claimed message and the addresses the route gives its recipients, one for each."""

    delivery: Delivery
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one try for one recipient ended: success, temporary or permanent by its status.

    `relay`: who said so. `in_doubt`: the content was sent, the final reply was not read.
    `dialogue`: lines that the sender may want to see if it failed, such as a program's output.
    `host`: the next hop that it was, for the host status; "" if that is the way's own.
    `reason`: a code of mail/reason.py; "" where the status says it all. `passes_dsn`: the next hop
    tells of success itself, if the sender wants to know (RFC 3461).
    """

    delivery: Delivery
    recipient: QueuedRecipient
    status: Status
    relay: str = ""
    in_doubt: bool = False
    dialogue: tuple[str, ...] = ()
    host: str = ""
    reason: str = ""
    passes_dsn: bool = False


Report: TypeAlias = "Callable[[Sequence[Attempt]], Awaitable[None]]"
"""What a mailer tells its attempts to."""


class Mailer(Protocol):
    """A named way mail goes out, for one next hop."""

    async def deliver(
        self,
        consignments: AsyncIterator[Consignment],
        report: Report,
    ) -> None:
        """Deliver until `consignments` ends or nothing more can be done.

        Every try is reported, recipient by recipient, before this returns or raises; what was
        taken and is not reported was not tried. Raises: WireError, RefusedError, ProtocolError
        when the next hop as a whole cannot be used any more.
        """
        ...
