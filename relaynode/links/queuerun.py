"""One queue run: choose, claim, try, record.

Waiting recipients are routed anew, gathered by their way (one session a way), and handed to a
mailer that pulls. What arrives for a way while its session is open goes out in the same session.
Every recipient is tried once in a run, whatever happens.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import (
    ConnectFailed,
    FarHostSilent,
    NameServerFailed,
    ProtocolError,
    RefusedError,
    StoreError,
    TableError,
    WireError,
)
from relaynode.mail.status import Status, temporary
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.policy.expand import final_route
from relaynode.queue.finish import finish
from relaynode.queue.model import Delivery, Outcome, QueuedMessage, QueuedRecipient, Result
from relaynode.sources.dsn import Failed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence

    from relaynode.links.ways import Way, Ways
    from relaynode.queue.model import NewMessage
    from relaynode.queue.retry import RetryPolicy
    from relaynode.queue.store import Store
    from relaynode.queue.uucp.model import Settled
    from relaynode.rules import Rules
    from relaynode.sources.dsn import DsnSource
    from relaynode.wire.meter import ByteCount

CLAIM_MESSAGES = 32
"""Messages claimed in one commit: enough to make its fsync cheap, few enough that a session which
ends early gives little back."""


MAX_SESSIONS = 20
"""Sessions at a time in one run. A letter to hundreds of domains has a mail exchanger for each, and
neither a thin line nor our memory is helped by calling all of them at once."""


@dataclass(slots=True)
class RunResult:
    """What a run did, in recipients, but `sent_messages`. Kept up to date while it goes on.

    `is_unreachable`: to some next hop no connection came about.
    """

    delivered: int = 0
    deferred: int = 0
    failed: int = 0
    in_doubt: int = 0
    is_unreachable: bool = False
    sent_messages: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Wanted:
    """One message's recipients on one way, not claimed yet."""

    message: QueuedMessage
    recipients: list[QueuedRecipient]
    addresses: dict[int, str]


@dataclass(frozen=True, slots=True)
class RunParts:
    """What every run of a node shares. `clock`: epoch seconds."""

    store: Store
    rules: Rules
    ways: Ways
    retry: RetryPolicy
    dsns: DsnSource
    clock: Callable[[], float]


class QueueRun:
    """One run over the ways that `takes_way` accepts and the messages that `takes` accepts.

    `due_only`: leave alone what is to be tried later; a link-up tries all. `queue_ids`: look at
    these messages only. `result`: what to add to, if this run is a part of another.
    """

    def __init__(
        self,
        parts: RunParts,
        count: ByteCount,
        *,
        takes_way: Callable[[Way], bool],
        takes: Callable[[QueuedMessage, QueuedRecipient], bool] = lambda message, recipient: True,
        due_only: bool = False,
        queue_ids: Collection[str] | None = None,
        on_progress: Callable[[RunResult], None] = lambda result: None,
        result: RunResult | None = None,
    ) -> None:
        self._parts = parts
        self._count = count
        self._takes_way = takes_way
        self._takes = takes
        self._due_only = due_only
        self._queue_ids = queue_ids
        self._on_progress = on_progress
        self._tried: set[int] = set()
        self._sessions = asyncio.Semaphore(MAX_SESSIONS)
        self.result = result or RunResult()

    async def run(self) -> RunResult:
        """Try everything once. Raises: StoreError when the queue itself fails."""
        while work := await self.choose():
            sessions = [self._session(way, wanted) for way, wanted in work.items()]
            ended = await asyncio.gather(*sessions, return_exceptions=True)
            for end in ended:
                if isinstance(end, BaseException):
                    raise end
        return self.result

    async def has_work(self) -> bool:
        """Is there anything for this run to try?"""
        waiting = await self._waiting()
        return any(self._by_way(message) for message in waiting)

    async def ways(self) -> dict[Way, int]:
        """The ways there is something for, with the size of the smallest message."""
        found: dict[Way, int] = {}
        for message in await self._waiting():
            for way in self._by_way(message):
                found[way] = min(found.get(way, message.size_bytes), message.size_bytes)
        return found

    def forget(self, recipient_ids: Iterable[int]) -> None:
        """These were not tried after all: they may be chosen again."""
        self._tried.difference_update(recipient_ids)

    async def _waiting(self) -> list[QueuedMessage]:
        now = self._parts.clock() if self._due_only else None
        return await self._parts.store.waiting(now, self._queue_ids)

    # --- choose

    async def choose(self, only: Way | None = None) -> dict[Way, list[Wanted]]:
        """What waits and was not tried in this run, by way."""
        work: dict[Way, list[Wanted]] = defaultdict(list)
        for message in await self._waiting():
            for way, wanted in self._by_way(message).items():
                if only in (None, way):
                    work[way].append(wanted)
                    self._tried.update(recipient.id for recipient in wanted.recipients)
        return work

    def _by_way(self, message: QueuedMessage) -> dict[Way, Wanted]:
        found: dict[Way, Wanted] = {}
        for recipient in message.recipients:
            if recipient.id in self._tried or not self._takes(message, recipient):
                continue
            try:
                route = final_route(self._parts.rules.routing, recipient.forward_path)
                way = self._parts.ways.way_of(route, message.envelope.reverse_path)
            except TableError as error:
                self._problem(str(error))
                continue
            if self._takes_way(way):
                wanted = found.setdefault(way, Wanted(message, [], {}))
                wanted.recipients.append(recipient)
                wanted.addresses[recipient.id] = route.user
        return found

    # --- claim and try

    async def _session(self, way: Way, wanted: list[Wanted]) -> None:
        session = _Session(self, way, wanted)
        consignments = session.consignments()
        try:
            mailer = self._parts.ways.mailer(way, self._count)
            async with self._sessions:
                await mailer.deliver(consignments, session.report)
        except (WireError, RefusedError, ProtocolError, TableError) as error:
            self._problem(f"{way}: {error}")
            self.result.is_unreachable |= _is_silence(error)
            await finish(session.defer_rest(_session_status(error), error.host))
        finally:
            await finish(session.end(consignments))

    def _problem(self, text: str) -> None:
        if text not in self.result.problems:
            self.result.problems.append(text)

    async def more(self, way: Way) -> list[Wanted]:
        """What has come for a way since the run began."""
        return (await self.choose(way)).get(way, [])

    async def claim(self, wanted: Sequence[Wanted]) -> list[Consignment]:
        """Claim; what somebody else has meanwhile is left out."""
        addresses = {key: value for one in wanted for key, value in one.addresses.items()}
        deliveries = await self._parts.store.claim(
            [(one.message.queue_id, set(one.addresses)) for one in wanted]
        )
        return [
            Consignment(delivery, tuple(addresses[one.id] for one in delivery.recipients))
            for delivery in deliveries
        ]

    async def unclaim(self, recipient_ids: Iterable[int]) -> None:
        """Give back, untried."""
        await self._parts.store.unclaim(list(recipient_ids))

    # --- record

    async def record(
        self, attempts: Sequence[Attempt], host: str, settled: Settled | None = None
    ) -> None:
        """Write down attempts, with the DSNs of those that failed, in one commit.

        `host`: the next hop, for the host status. `settled`: the UUCP jobs that end with them.
        """
        now = self._parts.clock()
        outcomes = []
        failures: dict[str, tuple[Delivery, list[Failed]]] = {}
        for attempt in attempts:
            outcome = self._verdict(attempt, host, now)
            outcomes.append(outcome)
            self._tally(outcome)
            if outcome.result is Result.FAILED:
                _, failed = failures.setdefault(outcome.queue_id, (attempt.delivery, []))
                failed.append(
                    Failed(attempt.recipient, attempt.status, attempt.relay, attempt.dialogue)
                )
        dsns = [self._notice(delivery, failed, now) for delivery, failed in failures.values()]
        new = [notice for notice in dsns if notice is not None]
        await self._parts.store.record(outcomes, now, new, settled)
        self._on_progress(self.result)

    def _verdict(self, attempt: Attempt, host: str, now: float) -> Outcome:
        """What a status means for a recipient: the one place where that is decided."""
        status = attempt.status
        if status.is_success:
            result = Result.DELIVERED
        elif status.is_permanent or self.is_too_old(
            attempt.delivery.message, attempt.recipient, now
        ):
            result = Result.FAILED
        else:
            result = Result.DEFERRED
        return Outcome(
            attempt.delivery.message.queue_id,
            attempt.recipient.id,
            result,
            status,
            attempt.relay,
            attempt.in_doubt,
            self._parts.retry.next_attempt_at(attempt.recipient.attempts + 1, now),
            attempt.host or host,
        )

    def _tally(self, outcome: Outcome) -> None:
        match outcome.result:
            case Result.DELIVERED:
                self.result.delivered += 1
                self.result.sent_messages.add(outcome.queue_id)
            case Result.DEFERRED:
                self.result.deferred += 1
            case Result.FAILED:
                self.result.failed += 1
        self.result.in_doubt += outcome.in_doubt

    def _notice(
        self, delivery: Delivery, failed: Sequence[Failed], now: float
    ) -> NewMessage | None:
        try:
            return self._parts.dsns.notice(delivery, failed, now)
        except StoreError as error:  # the content is gone: the failure still stands
            self._problem(str(error))
            return None

    def is_too_old(self, message: QueuedMessage, recipient: QueuedRecipient, now: float) -> bool:
        """Would one more try that fails be the last?"""
        attempts = recipient.attempts + 1
        return self._parts.retry.is_too_old(message.arrived_at, attempts, now)

    def host_of(self, way: Way) -> str:
        """The next hop's name in the host status."""
        return self._parts.ways.host_of(way)

    async def defer(self, wanted: Sequence[Wanted], status: Status, host: str) -> None:
        """The next hop cannot be used: a try for all that was to go there."""
        now = self._parts.clock()
        retry = self._parts.retry
        old = [
            Wanted(one.message, too_old, {recipient.id: "" for recipient in too_old})
            for one in wanted
            if (too_old := [r for r in one.recipients if self.is_too_old(one.message, r, now)])
        ]
        # Their failing makes DSNs, for which the content is needed: claim them.
        claimed = [one.delivery for one in await self.claim(old)]
        await self.record(
            [Attempt(delivery, one, status) for delivery in claimed for one in delivery.recipients],
            host,
        )
        outcomes = [
            Outcome(
                one.message.queue_id,
                recipient.id,
                Result.DEFERRED,
                status,
                next_attempt_at=retry.next_attempt_at(recipient.attempts + 1, now),
                host=host,
            )
            for one in wanted
            for recipient in one.recipients
            if not self.is_too_old(one.message, recipient, now)
        ]
        for outcome in outcomes:
            self._tally(outcome)
        await self._parts.store.record(outcomes, now)
        self._on_progress(self.result)


class _Session:
    """The messages of one way on their way through one mailer."""

    def __init__(self, run: QueueRun, way: Way, wanted: list[Wanted]) -> None:
        self._run = run
        self._way = way
        self._wanted = wanted
        self._claimed: dict[int, Consignment] = {}

    async def consignments(self) -> AsyncGenerator[Consignment, None]:
        """Claims one group after another, as the mailer pulls."""
        while self._wanted:
            for consignment in await finish(self._claim_group()):
                yield consignment
            if not self._wanted:
                self._wanted = await self._run.more(self._way)

    async def _claim_group(self) -> list[Consignment]:
        group = self._wanted[:CLAIM_MESSAGES]
        claimed = await self._run.claim(group)
        del self._wanted[: len(group)]
        for consignment in claimed:
            for recipient in consignment.delivery.recipients:
                self._claimed[recipient.id] = consignment
        return claimed

    async def report(self, attempts: Sequence[Attempt]) -> None:
        """What the mailer reports."""
        await finish(self._record(attempts))

    async def _record(self, attempts: Sequence[Attempt]) -> None:
        await self._run.record(attempts, self._run.host_of(self._way))
        for attempt in attempts:
            self._claimed.pop(attempt.recipient.id, None)

    async def defer_rest(self, status: Status, host: str) -> None:
        """The session failed: all that it was for has had its try. `host`: with whom, or ""."""
        untried = list(self._wanted)
        for consignment in {id(one): one for one in self._claimed.values()}.values():
            delivery = consignment.delivery
            recipients = [one for one in delivery.recipients if one.id in self._claimed]
            untried.append(Wanted(delivery.message, recipients, {}))
        self._wanted = []
        await self.give_back()  # what is too old is claimed again, with its content for the DSN
        await self._run.defer(untried, status, host or self._run.host_of(self._way))

    async def end(self, consignments: AsyncGenerator[Consignment, None]) -> None:
        """Nothing more is pulled; what was and came to nothing is given back."""
        await consignments.aclose()
        await self.give_back()

    async def give_back(self) -> None:
        """Claims that came to nothing."""
        if self._claimed:
            await self._run.unclaim(self._claimed)
            self._claimed.clear()


def _is_silence(error: Exception) -> bool:
    """Does it look as if the line were gone? One of the many hosts out there says nothing of it."""
    if isinstance(error, NameServerFailed):
        return error.is_silent
    return isinstance(error, ConnectFailed) and not isinstance(error, FarHostSilent)


def _session_status(error: Exception) -> Status:
    """What the failure of a whole session means for a message: always temporary."""
    if isinstance(error, RefusedError):
        status = error.status
        code = 451 if status.is_permanent else status.code
        return Status(code, f"4{status.enhanced[1:]}" if status.enhanced else "", str(error))
    if isinstance(error, TableError):
        return temporary(str(error), "4.3.5")
    if isinstance(error, NameServerFailed):
        return temporary(str(error), "4.4.3")
    return temporary(str(error), "4.4.1" if not isinstance(error, ProtocolError) else "4.5.0")
