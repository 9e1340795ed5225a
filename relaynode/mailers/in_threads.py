"""What mailers on this machine have in common: they work in threads, one message after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from relaynode.queue.finish import finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relaynode.mailers.mailer import Consignment, Report


class InThreads(ABC):
    """A `Mailer` that cannot be called off in the middle of a message: a thread goes on, and what
    it has written, run or queued must be recorded."""

    async def deliver(self, consignments: AsyncIterator[Consignment], report: Report) -> None:
        """See Mailer."""
        async for consignment in consignments:
            await finish(self._deliver_all(consignment, report))

    @abstractmethod
    async def _deliver_all(self, consignment: Consignment, report: Report) -> None:
        """Deliver one message to all its recipients, and report each of them."""
