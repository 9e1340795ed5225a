"""One queue run: choose, claim, try, record.

Waiting recipients are routed anew, gathered by their way (one session a way), and handed to a
mailer that pulls. What arrives for a way while its session is open goes out in the same session.
Every recipient is tried once in a run, whatever happens. Ways to the same host are taken one after
the other, and a host that does not answer is asked once in a run.

What an outcome means is decided in `verdict.py`. Not here: the DSNs themselves (`sources/dsn.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from relaynode.errors import (
    ProtocolError,
    RefusedError,
    RelaynodeError,
    TableError,
    WireError,
)
from relaynode.links.notices import Notices
from relaynode.links.run_parts import Leg, RunParts, RunResult, Wanted
from relaynode.links.supply import OVER_BUDGET, Supply
from relaynode.links.verdict import (
    NEVER_AN_ATTEMPT,
    Judge,
    Tried,
    counts,
    of_error,
)
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.policy.budget import OPENING_BYTES
from relaynode.policy.expand import final_route
from relaynode.policy.order import Urgency
from relaynode.queue.finish import finish
from relaynode.queue.model import Outcome, QueuedMessage, QueuedRecipient, Result

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
        Sequence,
    )

    from relaynode.links.ways import Way
    from relaynode.mailers.mailer import Mailer
    from relaynode.policy.route import Route, Routing
    from relaynode.queue.uucp.model import Settled
    from relaynode.wire.meter import ByteCount

log = logging.getLogger("relaynode")

FINAL_KINDS = frozenset(("local", "prog", "*file*"))
"""Kinds of ways that end in a mailbox, or what is as good as one."""

MAX_SESSIONS = 20
"""Sessions at a time in one run. A letter to hundreds of domains has a mail exchanger for each, and
neither a thin line nor our memory is helped by calling all of them at once."""


class RunWays(Protocol):
    """What a run asks of `Ways`."""

    def way_of(self, route: Route, reverse_path: str = "") -> Way: ...
    def host_of(self, way: Way) -> str: ...
    def is_always_up(self, way: Way) -> bool: ...
    def mailer(self, way: Way, count: ByteCount) -> Mailer: ...


class QueueRun:
    """One run over the ways that `takes_way` accepts and the messages that `takes` accepts.

    `due_only`: leave alone what is to be tried later; a link-up tries all. `queue_ids`: look at
    these messages only. `result`: what to add to, if this run is a part of another. `ways`: the
    node's own, if none are given.
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
        ways: RunWays | None = None,
    ) -> None:
        self._parts = parts
        self._ways = ways or parts.ways
        self.count = count
        self._takes_way = takes_way
        self._takes = takes
        self._due_only = due_only
        self._queue_ids = queue_ids
        self._on_progress = on_progress
        self._tried: set[int] = set()
        self._sessions = asyncio.Semaphore(MAX_SESSIONS)
        self._judge = Judge(parts.retry)
        self._notices = Notices(parts, self._problem)
        self._silent: dict[object, Tried] = {}
        """Hosts that did not answer in this run."""
        self._unreached: list[tuple[Way, list[Wanted], Tried]] = []
        """What was to go there, and is recorded when it is known whether others answered."""
        self.result = result or RunResult()

    async def run(self) -> RunResult:
        """Try everything once. Raises: StoreError when the queue itself fails."""
        while work := await self.choose():
            groups: dict[object, dict[Way, list[Wanted]]] = defaultdict(dict)
            for way, wanted in work.items():
                groups[self._key(way)][way] = wanted
            sessions = [self._in_turn(group) for group in groups.values()]
            ended = await asyncio.gather(*sessions, return_exceptions=True)
            for end in ended:
                if isinstance(end, BaseException):
                    raise end
            await finish(self._record_unreached())
        if self._queue_ids is None or self._notices.has_poison:
            await self._notices.tell_poison()
        return self.result

    def _key(self, way: Way) -> object:
        """Ways that lead to the same hosts have the same."""
        if way.kind != "smtp":
            return way
        return way.smart_hosts or self.host_of(way)

    async def _in_turn(self, group: dict[Way, list[Wanted]]) -> None:
        """Ways to one host."""
        for way, wanted in group.items():
            silent = self._silent.get(self._key(way))
            if silent is None:
                await self._session(way, wanted)
            else:
                self._unreached.append((way, wanted, silent))

    async def _record_unreached(self) -> None:
        unreached, self._unreached = self._unreached, []
        for way, wanted, tried in unreached:
            is_attempt = counts(
                tried,
                is_always_up=self._ways.is_always_up(way),
                is_line_heard=self.result.is_heard,
            )
            await self.defer(wanted, tried, self.leg(way), is_attempt=is_attempt)

    async def has_work(self) -> bool:
        """Is there anything for this run to try?"""
        return any(by_way for _, by_way in self._routed(await self._waiting()))

    async def ways(self) -> dict[Way, list[QueuedMessage]]:
        """The ways there is something for, with the messages."""
        found: dict[Way, list[QueuedMessage]] = defaultdict(list)
        for message, by_way in self._routed(await self._waiting()):
            for way in by_way:
                found[way].append(message)
        return found

    async def put_off(self, tried: Tried) -> None:
        """Try nothing: what waits goes on waiting, for that reason."""
        for way, wanted in (await self.choose()).items():
            await self.defer(wanted, tried, self.leg(way), is_attempt=False)

    async def over_budget(self, wanted: Sequence[Wanted], leg: Leg) -> None:
        """These do not fit into the budget, and go on waiting."""
        self.count.passed_over(len(wanted))
        await self.defer(wanted, OVER_BUDGET, leg, is_attempt=False)

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
        for _, by_way in self._routed(await self._waiting()):
            for way, wanted in by_way.items():
                if only in (None, way):
                    work[way].append(wanted)
                    self._tried.update(recipient.id for recipient in wanted.recipients)
        now = self._parts.clock()
        for some in work.values():
            some.sort(key=lambda one: self.place(one.message, now))
        return work

    def place(self, message: QueuedMessage, now: float) -> tuple[bool, float, str, int, float]:
        """To sort messages by, those that go first first."""
        urgency = Urgency(message.grade, message.within_seconds)
        return self._parts.rules.order.place(urgency, message.size_bytes, message.arrived_at, now)

    def _routed(
        self, messages: Iterable[QueuedMessage]
    ) -> Iterator[tuple[QueuedMessage, dict[Way, Wanted]]]:
        """Each message with where it goes, by the tables as they are now. With a table that cannot
        be read, mail waits."""
        try:
            routing = self._parts.rules.routing
        except TableError as error:
            self._problem(str(error))
            return
        for message in messages:
            yield message, self._by_way(message, routing)

    def _by_way(self, message: QueuedMessage, routing: Routing) -> dict[Way, Wanted]:
        found: dict[Way, Wanted] = {}
        for recipient in message.recipients:
            if recipient.id in self._tried or not self._takes(message, recipient):
                continue
            try:
                route = final_route(routing, recipient.forward_path)
                way = self._ways.way_of(route, message.envelope.reverse_path)
            except TableError as error:
                self._problem(str(error))
                continue
            if self._takes_way(way) and self._key(way) not in self._silent:
                wanted = found.setdefault(way, Wanted(message, [], {}))
                wanted.recipients.append(recipient)
                wanted.addresses[recipient.id] = route.user
        return found

    # --- claim and try

    async def _session(self, way: Way, wanted: list[Wanted]) -> None:
        if not any(self.count.fits(one.message.size_bytes, OPENING_BYTES) for one in wanted):
            await self.over_budget(wanted, self.leg(way))
            return
        session = Supply(self, self._parts, way, wanted)
        try:
            mailer = self._ways.mailer(way, self.count)
            async with self._sessions:
                await mailer.deliver(session, session.report)
        except (WireError, RefusedError, ProtocolError, TableError) as error:
            self._problem(f"{way}: {error}")
            await finish(session.failed(of_error(error)))
        except RelaynodeError:
            raise
        except Exception as error:
            log.exception("%s: an internal error", way)
            self._problem(f"{way}: internal error: {error!r}")
            await finish(session.broke(error))
        finally:
            await finish(session.end())

    def unreached(self, way: Way, wanted: list[Wanted], tried: Tried) -> None:
        """The next hop did not answer."""
        self.result.is_unreachable |= not tried.is_answered
        self.result.is_heard |= tried.is_answered
        self._silent[self._key(way)] = tried
        self._unreached.append((way, wanted, tried))

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

    async def doubt(self, recipient_ids: Iterable[int]) -> None:
        """Give back what was tried, and how it ended could not be recorded."""
        await self._parts.store.unclaim(list(recipient_ids), in_doubt=True)

    # --- record

    def leg(self, way: Way) -> Leg:
        """What all attempts on a way have in common."""
        mailer = way.mailer or ("esmtp" if way.kind == "smtp" else way.kind)
        return Leg(self.host_of(way), mailer, way.kind in FINAL_KINDS)

    async def record(
        self,
        attempts: Sequence[Attempt],
        leg: Leg,
        settled: Settled | None = None,
        *,
        is_attempt: bool = True,
    ) -> None:
        """Write down tries, with the DSNs that they make due, in one commit.

        `settled`: the UUCP jobs that end with them. `is_attempt`: do they count?
        """
        now = self._parts.clock()
        judged = [
            (one, self._outcome(one, leg.host, now, is_attempt=is_attempt)) for one in attempts
        ]
        outcomes = [outcome for _, outcome in judged]
        due = self._notices.due(judged, now, is_final=leg.is_final)
        await self._parts.store.record(outcomes, now, due.new, settled, due.warnings)
        for attempt, outcome in judged:
            self._tally(outcome)
            self._notices.log(attempt, outcome, leg, now)
        self._notices.log_queued(due)
        self.result.notices += len(due.final) + len(due.warnings)
        self._on_progress(self.result)

    def _outcome(self, attempt: Attempt, host: str, now: float, *, is_attempt: bool) -> Outcome:
        tried = Tried(
            attempt.status, attempt.reason, attempt.relay, attempt.in_doubt, host=attempt.host
        )
        self.result.is_heard |= tried.is_answered
        return self._judge.outcome(
            attempt.delivery.message.queue_id,
            attempt.recipient,
            tried,
            now,
            host=host,
            is_attempt=is_attempt and tried.reason not in NEVER_AN_ATTEMPT,
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

    def is_last(self, recipient: QueuedRecipient, now: float) -> bool:
        """Would one more try that fails be the last?"""
        return self._judge.is_last(recipient, now)

    def host_of(self, way: Way) -> str:
        """The next hop's name in the host status."""
        return self._ways.host_of(way)

    async def defer(
        self, wanted: Sequence[Wanted], tried: Tried, leg: Leg, *, is_attempt: bool = True
    ) -> None:
        """The next hop cannot be used: a try for all that was to go there.

        `is_attempt`: does it count?
        """
        now = self._parts.clock()
        marked: list[Wanted] = []
        outcomes = []
        for one in wanted:
            told = [r for r in one.recipients if is_attempt and self._is_to_be_told(one, r, now)]
            if told:
                marked.append(Wanted(one.message, told, {r.id: "" for r in told}))
            outcomes += [
                self._judge.outcome(
                    one.message.queue_id, r, tried, now, host=leg.host, is_attempt=is_attempt
                )
                for r in one.recipients
                if r not in told
            ]
        await self._record_claimed(marked, tried, leg)
        for outcome in outcomes:
            self._tally(outcome)
        await self._parts.store.record(outcomes, now)
        self._notices.log_deferred(wanted, outcomes, leg, now)
        self._on_progress(self.result)

    def _is_to_be_told(self, one: Wanted, recipient: QueuedRecipient, now: float) -> bool:
        """Would a DSN be due if one more attempt failed?"""
        is_late = self._parts.retry.is_late(self._judge.aged(recipient, now))
        return self._judge.is_last(recipient, now) or (is_late and not one.message.warned_at)

    async def _record_claimed(self, wanted: Sequence[Wanted], tried: Tried, leg: Leg) -> None:
        """DSNs want the content: claim what they are due for."""
        claimed = [one.delivery for one in await self.claim(wanted)] if wanted else []
        attempts = [
            Attempt(delivery, one, tried.status, tried.relay, reason=tried.reason)
            for delivery in claimed
            for one in delivery.recipients
        ]
        if attempts:
            await self.record(attempts, leg)
