"""A mailer with several next hops: the first that can be used gets the mail, the others wait.

A hop that cannot be connected to, that sends us away, or whose session breaks is left for the next
one, with all that was pulled and has no outcome yet. What a hop says of a recipient is final for
this try, whatever the others might say: only whole sessions move on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import (
    ConnectFailed,
    LoginRefused,
    ProtocolError,
    RefusedError,
    TlsFailed,
    WireError,
)
from relaynode.mail.reason import Reason
from relaynode.mail.status import Status
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.same_for_all import SameForAll
from relaynode.mailers.smtp_supply import Supply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from relaynode.mailers.mailer import Mailer, Report
    from relaynode.mailers.smtp_hop import NextHop


_NO_HOPS = {
    "1.2": Reason.DNS_NO_SUCH_HOST,
    "1.10": Reason.NULL_MX,
    "3.5": Reason.MAIL_LOOP,
    "4.4": Reason.DNS_NO_SUCH_HOST,
}
"""What it means that there is nowhere to go: subject and detail of RFC 3463."""


class FirstThatTakes:
    """A `Mailer` out of mailers for one next hop each."""

    def __init__(
        self,
        hops: Callable[[], Awaitable[Sequence[NextHop] | Status]],
        mailer: Callable[[NextHop], Mailer],
    ) -> None:
        """`hops`: finds the next hops, or why mail can go to none. `mailer`: makes that for one."""
        self._hops = hops
        self._mailer = mailer

    async def deliver(self, consignments: AsyncIterator[Consignment], report: Report) -> None:
        """See Mailer. An error that ends it carries the `host` it was met with."""
        hops = await self._hops()
        if isinstance(hops, Status):
            reason = _NO_HOPS.get(hops.enhanced.partition(".")[2], "")
            await SameForAll(hops, reason=reason).deliver(consignments, report)
            return
        work = _Work(Supply(consignments))
        try:
            await self._try(deque(hops), work, report)
        finally:
            await work.supply.close()

    async def _try(self, hops: deque[NextHop], work: _Work, report: Report) -> None:
        worst: WireError | RefusedError | ProtocolError | None = None
        while hops:
            hop = hops.popleft()
            try:
                await self._deliver(hop, work, report)
                return
            except (WireError, RefusedError, ProtocolError) as error:
                error.host = hop.name
                # That nobody is there says least; who answered has told more.
                if worst is None or not isinstance(error, ConnectFailed):
                    worst = error
                _prepare_next(hop, error, hops)
                work.begin_again()
        assert worst is not None, "there is a hop, or a status"
        raise worst

    async def _deliver(self, hop: NextHop, work: _Work, report: Report) -> None:
        async def told(attempts: Sequence[Attempt]) -> None:
            await report([replace(attempt, host=hop.name) for attempt in attempts])
            work.forget(attempts)

        await self._mailer(hop).deliver(work, told)


def _prepare_next(hop: NextHop, error: Exception, hops: deque[NextHop]) -> None:
    """What a hop's failure means for those that are left."""
    if isinstance(error, TlsFailed) and hop.tls == "opportunistic":
        # RFC 7435: what is not demanded must not stand in the way. Once, and without.
        hops.appendleft(replace(hop, tls="none"))
    if isinstance(error, LoginRefused):
        remaining = [one for one in hops if (one.name, one.login) != (hop.name, hop.login)]
        hops.clear()
        hops.extend(remaining)


@dataclass(slots=True)
class _Work:
    """What there is to deliver, for one mailer after the other, or several at a time."""

    supply: Supply
    open: dict[int, Consignment] = field(default_factory=dict)

    def __aiter__(self) -> _Work:
        return self

    async def __anext__(self) -> Consignment:
        consignment = await self.supply.take()
        if consignment is None:
            raise StopAsyncIteration
        self._note(consignment)
        return consignment

    def at_hand(self) -> Consignment | None:
        """See Stocked."""
        consignment = self.supply.at_hand()
        if consignment is not None:
            self._note(consignment)
        return consignment

    def _note(self, consignment: Consignment) -> None:
        for recipient in consignment.delivery.recipients:
            self.open[recipient.id] = consignment

    def forget(self, attempts: Sequence[Attempt]) -> None:
        """These have an outcome."""
        for attempt in attempts:
            self.open.pop(attempt.recipient.id, None)

    def begin_again(self) -> None:
        """What was pulled and has no outcome is there once more, for those who have none."""
        consignments = {id(one): one for one in self.open.values()}.values()
        self.supply.begin_again([self._rest(one) for one in consignments])

    def _rest(self, consignment: Consignment) -> Consignment:
        delivery = consignment.delivery
        pairs = zip(delivery.recipients, consignment.addresses, strict=True)
        left = [(recipient, address) for recipient, address in pairs if recipient.id in self.open]
        recipients, addresses = zip(*left, strict=True)
        return Consignment(replace(delivery, recipients=recipients), addresses)
