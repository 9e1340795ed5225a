"""The error mailer: what a table refuses (`error:` in the mailertable) fails with its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.mailers.mailer import Attempt, Consignment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from relaynode.mail.status import Status


class ErrorMailer:
    """A `Mailer` that gives every recipient the same status."""

    def __init__(self, status: Status) -> None:
        self._status = status

    async def deliver(
        self,
        consignments: AsyncIterator[Consignment],
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        """See Mailer."""
        async for consignment in consignments:
            delivery = consignment.delivery
            await report([Attempt(delivery, one, self._status) for one in delivery.recipients])
