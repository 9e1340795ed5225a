"""The mailers error and discard: mail that a table refuses fails with the table's own words, mail
that a table throws away is done with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.mailers.mailer import Attempt, Consignment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relaynode.mail.status import Status
    from relaynode.mailers.mailer import Report


class SameForAll:
    """A `Mailer` that gives every recipient the same status, for the same `reason`. `relay`: who is
    said to give it."""

    def __init__(self, status: Status, relay: str = "", *, reason: str = "") -> None:
        self._status = status
        self._relay = relay
        self._reason = reason

    async def deliver(
        self,
        consignments: AsyncIterator[Consignment],
        report: Report,
    ) -> None:
        """See Mailer."""
        async for consignment in consignments:
            delivery = consignment.delivery
            await report(
                [
                    Attempt(delivery, one, self._status, self._relay, reason=self._reason)
                    for one in delivery.recipients
                ]
            )
