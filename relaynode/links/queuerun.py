"""One queue run: choose, claim, try, record.

Waiting recipients are routed anew, gathered by their way (one session a way), and handed to a
mailer that pulls. What arrives for a way while its session is open goes out in the same session.
Every recipient is tried once in a run, whatever happens. Ways to the same host are taken one after
the other, and a host that does not answer is asked once in a run.

Claims and outcomes are written down by `ledger.py`. Not here: the DSNs themselves
(`sources/dsn.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from relaynode.errors import (
    ProtocolError,
    RefusedError,
    RelaynodeError,
    TableError,
    WireError,
)
from relaynode.links.ledger import Ledger
from relaynode.links.run_parts import Leg, RunParts, RunResult, Wanted
from relaynode.links.supply import Supply
from relaynode.links.verdict import (
    Tried,
    counts,
    of_error,
)
from relaynode.policy.budget import OPENING_BYTES
from relaynode.policy.expand import final_route
from relaynode.policy.order import Urgency
from relaynode.queue.finish import finish
from relaynode.queue.model import QueuedMessage, QueuedRecipient

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
    )

    from relaynode.links.ways import Way
    from relaynode.mailers.mailer import Mailer
    from relaynode.policy.route import Route, Routing
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
        self._tried: set[int] = set()
        self._sessions = asyncio.Semaphore(MAX_SESSIONS)
        self._silent: dict[object, Tried] = {}
        """Hosts that did not answer in this run."""
        self._unreached: list[tuple[Way, list[Wanted], Tried]] = []
        """What was to go there, and is recorded when it is known whether others answered."""
        self.result = result or RunResult()
        self.ledger = Ledger(parts, count, self.result, on_progress)

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
        if self._queue_ids is None or self.ledger.has_poison:
            await self.ledger.tell_poison()
        return self.result

    def _key(self, way: Way) -> object:
        """Ways that lead to the same hosts have the same."""
        if way.kind != "smtp":
            return way
        return way.smart_hosts or self._ways.host_of(way)

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
            await self.ledger.defer(wanted, tried, self._leg(way), is_attempt=is_attempt)

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
            await self.ledger.defer(wanted, tried, self._leg(way), is_attempt=False)

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
            self.ledger.problem(str(error))
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
                self.ledger.problem(str(error))
                continue
            if self._takes_way(way) and self._key(way) not in self._silent:
                wanted = found.setdefault(way, Wanted(message, [], {}))
                wanted.recipients.append(recipient)
                wanted.addresses[recipient.id] = route.user
        return found

    # --- claim and try

    async def _session(self, way: Way, wanted: list[Wanted]) -> None:
        if not any(self.count.fits(one.message.size_bytes, OPENING_BYTES) for one in wanted):
            await self.ledger.over_budget(wanted, self._leg(way))
            return
        session = Supply(
            self.ledger,
            self.count,
            self._leg(way),
            wanted,
            clock=self._parts.clock,
            more=partial(self._more, way),
            unreached=partial(self._note_unreached, way),
        )
        try:
            mailer = self._ways.mailer(way, self.count)
            async with self._sessions:
                await mailer.deliver(session, session.report)
        except (WireError, RefusedError, ProtocolError, TableError) as error:
            self.ledger.problem(f"{way}: {error}")
            tried = of_error(error)
            if way.is_domain:
                # One of the many hosts that the DNS names says little of the line, whatever it is.
                tried = replace(tried, is_stranger=False)
            await finish(session.failed(tried))
        except RelaynodeError:
            raise
        except Exception as error:
            log.exception("%s: an internal error", way)
            self.ledger.problem(f"{way}: internal error: {error!r}")
            await finish(session.broke(error))
        finally:
            await finish(session.end())

    def _note_unreached(self, way: Way, wanted: list[Wanted], tried: Tried) -> None:
        """The next hop did not answer."""
        self._silent[self._key(way)] = tried
        self._unreached.append((way, wanted, tried))

    async def _more(self, way: Way) -> list[Wanted]:
        """What has come for a way since the run began."""
        return (await self.choose(way)).get(way, [])

    def _leg(self, way: Way) -> Leg:
        """What all attempts on a way have in common."""
        mailer = way.mailer or ("esmtp" if way.kind == "smtp" else way.kind)
        return Leg(self._ways.host_of(way), mailer, way.kind in FINAL_KINDS)
