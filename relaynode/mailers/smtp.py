"""The SMTP mailer: sessions to one next hop that keep the line full.

One connection does, where the server takes messages one behind the other (CHUNKING). Where each
message waits for replies, a few connections share the line (`smtp_connections`). A session that
finds the server to be other than it was taken for is followed by another one that knows better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.mailers.smtp_connections import Connections
from relaynode.mailers.smtp_session import Relearned
from relaynode.mailers.smtp_supply import Supply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from relaynode.mailers.mailer import Consignment, Report
    from relaynode.mailers.smtp_hop import NextHop
    from relaynode.policy.masquerade import Masquerade

MAX_LESSONS = 3
"""So often in a row a server may turn out to be other than it was."""


class SmtpMailer:
    """A `Mailer` to one next hop."""

    def __init__(
        self,
        next_hop: NextHop,
        *,
        hostname: str,
        masquerade: Masquerade,
        clock: Callable[[], float],
    ) -> None:
        """`clock`: monotonic seconds, to measure the line with."""
        self._next_hop = next_hop
        self._hostname = hostname
        self._masquerade = masquerade
        self._clock = clock

    async def deliver(self, consignments: AsyncIterator[Consignment], report: Report) -> None:
        """See Mailer."""
        supply = Supply(consignments)
        try:
            await self._deliver(supply, report)
        finally:
            await supply.close()

    async def _deliver(self, supply: Supply, report: Report) -> None:
        lessons = 0
        while True:
            connections = Connections(
                self._next_hop, self._hostname, self._masquerade, self._clock, supply, report
            )
            try:
                await connections.run()
            except Relearned:
                lessons += 1
                if lessons > MAX_LESSONS:
                    text = f"{self._next_hop.name}: offers something else each time"
                    raise RemoteProtocolError(text) from None
            if not await supply.has_more():
                return
