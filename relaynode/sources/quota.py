"""How much a sender of ours may send in a day: refused when it is brought, never dropped later.

Counted is what the queue remembers of the last 24 hours, so that commands, the daemon and a restart
all see the same; which sender it is, is what the reverse-path says. Mail of strangers to us, DSNs
and mail without a sender are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.queue.store import Store

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Quota:
    """`sender_bytes_per_day`: 0 for any. `clock`: epoch seconds."""

    store: Store
    sender_bytes_per_day: int
    clock: Callable[[], float]

    async def refusal(self, sender: str, size_bytes: int) -> Status | None:
        """Why a message of this size cannot be taken from a sender, or None. Raises: StoreError."""
        limit = self.sender_bytes_per_day
        if not limit or not sender:
            return None
        if size_bytes > limit:
            text = f"{sender} may send {limit} bytes in a day, and this message alone has more"
            return Status(552, "5.2.2", text)
        sent = await self.store.sent_bytes(sender, self.clock() - DAY)
        if sent + size_bytes <= limit:
            return None
        text = f"{sender} has sent {sent} of {limit} bytes within 24 hours; try again later"
        return Status(452, "4.2.2", text)
