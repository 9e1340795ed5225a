"""What one session of a queue run takes out of the queue: the messages of one way, claimed as the
mailer pulls them, and what becomes of each claim."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from relaynode.errors import MessageBroke
from relaynode.links.ledger import OVER_BUDGET
from relaynode.links.run_parts import Wanted
from relaynode.links.verdict import NEVER_AN_ATTEMPT, Tried, of_error
from relaynode.mail.status import temporary
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.policy.budget import OPENING_BYTES
from relaynode.queue.finish import finish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from relaynode.links.ledger import Ledger
    from relaynode.links.run_parts import Leg
    from relaynode.queue.model import QueuedMessage
    from relaynode.wire.meter import ByteCount

CLAIM_MESSAGES = 32
"""Messages claimed in one commit: enough to make its fsync cheap, few enough that a session which
ends early gives little back."""


class Supply:
    """The messages of one way on their way through one mailer, which pulls them from here."""

    def __init__(
        self,
        ledger: Ledger,
        count: ByteCount,
        leg: Leg,
        wanted: list[Wanted],
        *,
        clock: Callable[[], float],
        more: Callable[[], Awaitable[list[Wanted]]],
        unreached: Callable[[list[Wanted], Tried], None],
    ) -> None:
        """`wanted`: what there is to begin with. `clock`: epoch seconds. `more`: what has come
        since. `unreached`: told of what was left when the next hop did not answer."""
        self._ledger = ledger
        self._count = count
        self._leg = leg
        self._wanted = wanted
        self._clock = clock
        self._more = more
        self._unreached = unreached
        self._claimed: dict[int, Consignment] = {}
        self._unrecorded: set[int] = set()
        self._group: deque[Consignment] = deque()
        self._ahead: asyncio.Task[list[Consignment]] | None = None
        self._latest: Consignment | None = None
        self._taken: set[str] = set()
        """What the count was asked for and has not ended: queue ids."""
        self._passed: list[Consignment] = []
        """What does not fit into the budget."""
        self._has_begun = False
        self._last_before: Consignment | None = None
        """The latest when it was looked whether what was passed over fits after all."""

    def __aiter__(self) -> Supply:
        return self

    async def __anext__(self) -> Consignment:
        while (consignment := self.at_hand()) is None:
            if not await finish(self._stock_up()):
                raise StopAsyncIteration
        return consignment

    def at_hand(self) -> Consignment | None:
        """See Stocked."""
        while self._group:
            consignment = self._group.popleft()
            if self._fits(consignment.delivery.message):
                self._latest = consignment
                self._leg.began[consignment.delivery.message.queue_id] = self._clock()
                return consignment
            self._passed.append(consignment)
        return None

    def _fits(self, message: QueuedMessage) -> bool:
        """May it be begun? It is under way then."""
        opening_bytes = 0 if self._has_begun else OPENING_BYTES
        if not self._count.takes(message.size_bytes, opening_bytes):
            return False
        self._has_begun = True
        self._taken.add(message.queue_id)
        return True

    async def _stock_up(self) -> bool:
        """Claim a group, and another while the mailer sends this; False if there is no more."""
        if self._ahead is None:
            self._wanted = self._wanted or await self._more()
            if not self._wanted:
                return self._looks_again()
            if self._count.is_closing:
                wanted, self._wanted = self._wanted, []
                await self._ledger.over_budget(wanted, self._leg)
                return False
            self._ahead = asyncio.create_task(self._claim_group())
        self._group.extend(await self._claimed_ahead())
        self._ahead = asyncio.create_task(self._claim_group()) if self._wanted else None
        return True

    async def _claimed_ahead(self) -> list[Consignment]:
        ahead, self._ahead = self._ahead, None
        return [] if ahead is None else await ahead

    async def _claim_group(self) -> list[Consignment]:
        group = self._wanted[:CLAIM_MESSAGES]
        claimed = await self._ledger.claim(group)
        del self._wanted[: len(group)]
        for consignment in claimed:
            for recipient in consignment.delivery.recipients:
                self._claimed[recipient.id] = consignment
        return claimed

    async def report(self, attempts: Sequence[Attempt]) -> None:
        """What the mailer reports."""
        await finish(self._record(attempts))

    async def _record(self, attempts: Sequence[Attempt]) -> None:
        ended = {attempt.recipient.id for attempt in attempts}
        self._unrecorded |= ended
        await self._ledger.record(attempts, self._leg)
        self._unrecorded -= ended
        for recipient_id in ended:
            self._claimed.pop(recipient_id, None)
        for attempt in attempts:
            self._no_longer_taken(attempt.delivery.message.queue_id)

    def _no_longer_taken(self, queue_id: str) -> None:
        if queue_id in self._taken:
            self._taken.remove(queue_id)
            self._count.ended()

    def _looks_again(self) -> bool:
        """There is nothing else: does something fit now that did not before?"""
        if self._latest is self._last_before or not self._passed:
            return False  # nothing has gone since
        self._last_before = self._latest
        self._group.extend(self._passed)
        self._passed = []
        return True

    async def _pass_over(self) -> None:
        """What did not fit goes on waiting; it was not tried."""
        passed, self._passed = self._passed, []
        self._count.passed_over(len(passed))
        attempts = [
            Attempt(one.delivery, recipient, OVER_BUDGET.status, reason=OVER_BUDGET.reason)
            for one in passed
            for recipient in one.delivery.recipients
        ]
        if attempts:
            await self._record(attempts)

    async def failed(self, tried: Tried) -> None:
        """The session failed: all that it was for has had its try, or was not reached."""
        await self._claimed_ahead()
        await self._pass_over()
        untried = await self._untried()
        self._ledger.result.is_heard |= tried.is_answered
        self._ledger.result.is_unreachable |= not tried.is_answered
        if tried.is_unreached:
            self._unreached(untried, tried)
            return
        is_attempt = tried.reason not in NEVER_AN_ATTEMPT
        await self._ledger.defer(untried, tried, self._leg, is_attempt=is_attempt)

    async def broke(self, error: Exception) -> None:
        """Something that nobody expected: blamed on the message that was taken last."""
        tried = of_error(error)
        if self._latest is not None:
            delivery = self._latest.delivery
            status = temporary(tried.status.text, "4.3.0")
            await self._record(
                [
                    Attempt(delivery, one, status, reason=MessageBroke.reason)
                    for one in delivery.recipients
                    if one.id in self._claimed
                ]
            )
        await self._ledger.defer(await self._untried(), tried, self._leg)

    async def _untried(self) -> list[Wanted]:
        """What the session was for and did not come to, its claims given back: what a DSN is due
        for is claimed again, with its content."""
        untried = list(self._wanted)
        for consignment in {id(one): one for one in self._claimed.values()}.values():
            delivery = consignment.delivery
            recipients = [one for one in delivery.recipients if one.id in self._claimed]
            untried.append(Wanted(delivery.message, recipients, {}))
        self._wanted = []
        await self.give_back()
        return untried

    async def end(self) -> None:
        """Nothing more is pulled; what was claimed and came to nothing is given back."""
        try:
            await self._claimed_ahead()
            await self._pass_over()
        finally:
            for queue_id in list(self._taken):
                self._no_longer_taken(queue_id)
            await self.give_back()

    async def give_back(self) -> None:
        """Claims that came to nothing; where they came to something that could not be recorded, as
        when the disk is full, it must not be forgotten that they did."""
        if self._unrecorded:
            for recipient_id in self._unrecorded:
                self._claimed.pop(recipient_id, None)
            doubted, self._unrecorded = self._unrecorded, set()
            await self._ledger.doubt(doubted)
        if self._claimed:
            await self._ledger.unclaim(self._claimed)
            self._claimed.clear()
