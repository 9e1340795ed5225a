"""The budgets of the links: out of the configuration and the record, before a run and during it.

A run that has nothing left is not begun. One that goes on is watched: by the clock, and by the
kernel's counters where an interface is named. What it may do and what it must stop is its purse's
(`purse.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import BudgetSpent
from relaynode.links.purse import Purse, Till
from relaynode.policy.budget import (
    MEGABYTE,
    Budget,
    Left,
    Limit,
    Period,
    Room,
    Tariff,
    Use,
    month_of,
)
from relaynode.wire.interface import interface_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from relaynode.config.schema import LinkSection
    from relaynode.links.summary import Summary
    from relaynode.queue.link_runs import LinkRunRecord, LinkRuns

LOOK_SECONDS = 1.0
"""How often an interface's counters are read."""

LATE_SECONDS = 1.0
"""What has not ended so long after its lines were cut is called off."""

NO_BUDGET = Budget()

RATE_RUNS = 5
LEAST_RATED_BYTES = 20_000
"""A run with less says nothing about the line."""


def utc_offset(at: float) -> float:
    """Seconds that this machine's clock on the wall is ahead of UTC then."""
    return float(time.localtime(at).tm_gmtoff or 0)


def budget_of(section: LinkSection) -> Budget:
    """What a [link.NAME] says."""
    limits = {
        period: Limit(
            _times(getattr(section, f"budget_minutes_per_{period}"), 60),
            _times(getattr(section, f"budget_megabytes_per_{period}"), MEGABYTE),
            _times(getattr(section, f"budget_money_per_{period}"), 1),
        )
        for period in Period
    }
    tariff = Tariff(
        section.cost_per_minute,
        section.cost_per_megabyte,
        section.cost_per_call,
        section.billing_seconds,
    )
    return Budget(limits[Period.SESSION], limits[Period.DAY], limits[Period.MONTH], tariff)


def _times(value: float | None, unit: float) -> float:
    return math.inf if value is None else value * unit


def uses_of(runs: Sequence[LinkRunRecord]) -> list[Use]:
    """What recorded runs have used."""
    return [
        Use(one.began_at, one.seconds, one.bytes_out + one.bytes_in + one.overhead_bytes)
        for one in runs
    ]


async def left_of(budget: Budget, link: str, runs: LinkRuns, now: float) -> tuple[Left, ...]:
    """What is left of a link's budget, by the record. Raises: StoreError."""
    if not budget.is_set:
        return ()
    begins, _ = month_of(now, utc_offset)
    return budget.left(uses_of(await runs.since(begins, link)), now, utc_offset)


async def spent_links(
    links: Mapping[str, LinkSection], runs: LinkRuns, now: float
) -> dict[str, Left]:
    """The links over which no run may begin now, and the limit that says so. Raises: StoreError."""
    found = {}
    for name, section in links.items():
        budget = budget_of(section)
        room = budget.room(await left_of(budget, name, runs, now))
        bound = room.binding()
        if room.is_too_small and bound is not None:
            found[name] = bound
    return found


def told(left: Left) -> str:
    """A limit that is used up, for people."""
    until = ""
    if left.until is not None:
        until = ", until " + time.strftime("%Y-%m-%d %H:%M", time.localtime(left.until))
    return f"the budget of the {left.period} is spent{until}"


@dataclass(slots=True)
class _Open:
    """A run that goes on."""

    purse: Purse
    began_at: float

    @property
    def use(self) -> Use:
        """So far."""
        own = self.purse.bytes_out + self.purse.bytes_in + self.purse.overhead_bytes
        return Use(self.began_at, self.purse.seconds, own)


@dataclass(slots=True)
class Budgets:
    """`clock`: epoch seconds. `monotonic`: seconds for measuring."""

    links: Mapping[str, LinkSection]
    runs: LinkRuns
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    _tills: dict[str, Till] = field(default_factory=lambda: defaultdict(Till))
    _open: dict[str, list[_Open]] = field(default_factory=lambda: defaultdict(list))

    def purse(self, link: str) -> Purse:
        """For a run over a link that has not begun."""
        return Purse(till=self._tills[link], now=self.monotonic)

    async def room(self, link: str) -> Room:
        """What a run may use that begins now. Raises: StoreError."""
        budget = budget_of(self.links[link])
        if not budget.is_set:
            return Room()
        now = self.clock()
        begins, _ = month_of(now, utc_offset)
        going_on = self._open[link]
        # What is written down of a run that goes on is older than what its purse knows.
        recorded = [
            one
            for one in await self.runs.since(begins, link)
            if one.ended or not any(abs(one.began_at - two.began_at) < 1 for two in going_on)
        ]
        uses = [*uses_of(recorded), *(one.use for one in going_on)]
        return budget.room(budget.left(uses, now, utc_offset))

    async def problem(self, link: str) -> str:
        """Why no run over a link may begin now; "" if one may. Raises: StoreError."""
        room = await self.room(link)
        bound = room.binding()
        return f"link {link}: {told(bound)}" if room.is_too_small and bound else ""

    @contextlib.asynccontextmanager
    async def kept(self, summary: Summary, *, over_budget: bool = False) -> AsyncIterator[None]:
        """While a run goes on, whose `count` is a purse: it ends within the link's budget.

        `over_budget`: somebody wants it whatever it costs. Raises: BudgetSpent if it may not begin,
        or had to be called off; StoreError.
        """
        link, purse = summary.link, summary.count
        assert isinstance(purse, Purse)
        room = Room() if over_budget else await self.room(link)
        bound = room.binding()
        if room.is_too_small and bound is not None:
            raise BudgetSpent(f"link {link}: {told(bound)}")
        purse.bytes_per_second = await self._rate(link)
        purse.begin(room)
        opened = _Open(purse, self.clock())
        self._open[link].append(opened)
        task = asyncio.current_task()
        assert task is not None
        watching = asyncio.ensure_future(self._watch(link, purse, task))
        try:
            yield
        except asyncio.CancelledError:
            is_ours = bool(purse.why_cut) and watching.done()
            if is_ours and task.uncancel() == 0:
                raise BudgetSpent(f"link {link}: {purse.why_cut}") from None
            raise
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self._open[link].remove(opened)
            _tell(summary, purse)

    async def _rate(self, link: str) -> float:
        """Bytes per second of one way, as configured or as the last runs had it."""
        section = self.links[link]
        if section.bits_per_second or not budget_of(section).is_set:
            return section.bits_per_second / 8
        rated = [
            one
            for one in await self.runs.last(4 * RATE_RUNS, link)
            if max(one.bytes_out, one.bytes_in) >= LEAST_RATED_BYTES and one.seconds > 0
        ][-RATE_RUNS:]
        seconds = sum(one.seconds for one in rated)
        return sum(max(one.bytes_out, one.bytes_in) for one in rated) / seconds if rated else 0.0

    async def _watch(self, link: str, purse: Purse, task: asyncio.Task[object]) -> None:
        """End the run when it must. Returns when it was called off."""
        name = self.links[link].interface
        counter = _Counter(name) if name is not None else None
        if counter is None and not purse.room.left:
            return
        before = purse.till.size_bytes
        while not purse.why_cut:
            if counter is not None:
                besides = await counter.look() - (purse.till.size_bytes - before)
                purse.overhead_bytes = max(purse.overhead_bytes, besides)
            purse.look()
            if not purse.why_cut:
                await asyncio.sleep(min(max(purse.seconds_left, 0.01), LOOK_SECONDS))
        await asyncio.sleep(LATE_SECONDS)
        task.cancel()


class _Counter:
    """Follows an interface's counters, over restarts of it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last: int | None = None
        self._has_looked = False
        self._total = 0

    async def look(self) -> int:
        """Bytes since the first look."""
        found = await asyncio.to_thread(interface_bytes, self._name)
        last, self._last = self._last or 0, found
        is_first, self._has_looked = not self._has_looked, True
        if found is not None and not is_first:
            self._total += found - last if found >= last else found
        return self._total


def _tell(summary: Summary, purse: Purse) -> None:
    if purse.why_cut:
        summary.problems.append(purse.why_cut)
    if purse.passed:
        text = f"{purse.passed} messages wait: they do not fit into what is left of the budget"
        summary.problems.append(text)
