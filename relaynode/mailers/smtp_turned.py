"""The mailer for a connection that its other end has opened and turned round (ATRN, RFC 2645).

It is there once, and by nobody's doing here: when it is over, by QUIT or by a break, what is left
stays as it is, until the site calls again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RelaynodeError, StoreError, TableError
from relaynode.mailers.smtp_connections import Connections
from relaynode.mailers.smtp_hop import NextHop
from relaynode.mailers.smtp_session import Relearned
from relaynode.mailers.smtp_supply import Supply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from relaynode.mailers.mailer import Consignment, Report
    from relaynode.policy.masquerade import Masquerade
    from relaynode.wire.stream import Stream

log = logging.getLogger("relaynode")


class TurnedMailer:
    """A `Mailer` for one session on `stream`. `is_over`: nothing more can go this way.
    `hostname`: ours. `clock`: monotonic seconds."""

    def __init__(
        self,
        stream: Stream,
        *,
        hostname: str,
        masquerade: Masquerade,
        timeout_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._stream: Stream | None = stream
        self._hop = NextHop(
            stream.peer, self._take, timeout_seconds=timeout_seconds, max_connections=1
        )
        self._hostname = hostname
        self._masquerade = masquerade
        self._clock = clock
        self.is_over = False

    async def _take(self) -> Stream:
        if self._stream is None:
            raise LineLost("the connection was the other end's; it has to call again")
        stream, self._stream = self._stream, None
        return stream

    async def deliver(self, consignments: AsyncIterator[Consignment], report: Report) -> None:
        """See Mailer; but trouble with the other end is logged and not raised, since what was not
        tried by then has had no chance."""
        if self._stream is None:
            return
        supply = Supply(consignments)
        connections = Connections(
            self._hop, self._hostname, self._masquerade, self._clock, supply, report
        )
        try:
            await connections.run()
        except Relearned:
            log.warning("ODMR: %s: is not what it said at first", self._hop.name)
        except (StoreError, TableError):
            raise
        except RelaynodeError as error:
            log.warning("ODMR: %s", error)
        finally:
            self.is_over = True
            await supply.close()
