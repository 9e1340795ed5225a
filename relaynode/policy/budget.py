"""What a link may cost: limits for a session, a day and a month, and what is left of them.

Seconds, bytes and money. A tariff says what seconds and bytes cost; a period's use comes out of the
record of runs, by the calendar of the place. A run belongs to the day and month in which it began,
so what it may use is known when it begins.

Not here: counting (`wire/meter.py`), and who stops what when (`links/purse.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    UtcOffset = Callable[[float], float]
    """Seconds that local time is ahead of UTC, at a moment in epoch seconds."""

MEGABYTE = 1_000_000
"""As those count who send bills."""

END_SECONDS = 3.0
"""What an orderly end takes: the last replies and QUIT, a few round trips."""

END_BYTES = 256
"""What an orderly end carries, both ways together."""

OPENING_BYTES = 2048
"""What a session carries before its first message: greeting, hello, login, without a certificate
that would have to be shown anew."""

MESSAGE_BYTES = 300
GROWTH = 1.03
"""A message on the line is longer than in the queue: envelope, replies, dots, record headers."""

SLACK = 1.15
"""A line is seldom quicker than it was, and often slower."""

ALIKE_SECONDS = 0.01
"""Clocks that are read one after the other differ by no more."""

HARD_SECONDS = 0.5
"""What is cut off ends so long before the limit: closing takes a moment."""


class Period(StrEnum):
    """What a limit is for."""

    SESSION = "session"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be used in a period; infinite where nothing is said."""

    seconds: float = math.inf
    size_bytes: float = math.inf
    money: float = math.inf

    @property
    def is_set(self) -> bool:
        """Is there a limit at all?"""
        return min(self.seconds, self.size_bytes, self.money) < math.inf


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices. `step_seconds`: time is billed in whole steps, 60 for started minutes."""

    per_minute: float = 0.0
    per_megabyte: float = 0.0
    per_call: float = 0.0
    step_seconds: float = 1.0

    def cost(self, seconds: float, size_bytes: float) -> float:
        """Of one run."""
        # A hair less: 60.0000001 s by a clock that is read twice are one minute.
        steps = math.ceil(seconds / self.step_seconds - 1e-6)
        minutes = max(steps, 0) * self.step_seconds / 60
        return self.per_call + self.per_minute * minutes + self.per_megabyte * size_bytes / MEGABYTE

    def seconds_for(self, money: float, size_bytes: float) -> float:
        """How long a run may be that carries so much, to cost no more than `money`."""
        rest = money - self.cost(0.0, size_bytes)
        if rest < 0:
            return 0.0
        if self.per_minute <= 0 or rest == math.inf:
            return math.inf
        return math.floor(rest / self.per_minute * 60 / self.step_seconds + 1e-9) * (
            self.step_seconds
        )

    def bytes_for(self, money: float, seconds: float) -> float:
        """How much a run may carry that is so long, to cost no more than `money`."""
        rest = money - self.cost(seconds, 0.0)
        if rest < 0:
            return 0.0
        return math.inf if self.per_megabyte <= 0 else rest / self.per_megabyte * MEGABYTE


@dataclass(frozen=True, slots=True)
class Use:
    """A run, or some together. `began_at`: epoch seconds. `size_bytes`: both ways."""

    began_at: float
    seconds: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a period's runs have used."""

    seconds: float = 0.0
    size_bytes: float = 0.0
    money: float = 0.0


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one period's limit, before the tariff of a next run. `until`: when the period
    ends, epoch seconds; None for a session's."""

    period: Period
    limit: Limit
    spent: Spent
    until: float | None = None

    @property
    def seconds(self) -> float:
        """Not below 0, as all of these."""
        return max(self.limit.seconds - self.spent.seconds, 0.0)

    @property
    def size_bytes(self) -> float:
        """Of both ways together."""
        return max(self.limit.size_bytes - self.spent.size_bytes, 0.0)

    @property
    def money(self) -> float:
        """In whatever the tariff is in."""
        return max(self.limit.money - self.spent.money, 0.0)


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of a link, and its tariff."""

    session: Limit = field(default_factory=Limit)
    day: Limit = field(default_factory=Limit)
    month: Limit = field(default_factory=Limit)
    tariff: Tariff = field(default_factory=Tariff)

    @property
    def is_set(self) -> bool:
        """Is anything limited?"""
        return self.session.is_set or self.day.is_set or self.month.is_set

    def spent(self, runs: Iterable[Use]) -> Spent:
        """What runs have used together. Those that overlap shared one line and one call."""
        seconds = money = 0.0
        size_bytes = 0
        for one in joined(runs):
            seconds += one.seconds
            size_bytes += one.size_bytes
            if one.seconds or one.size_bytes:  # else it was not begun, and is no call
                money += self.tariff.cost(one.seconds, one.size_bytes)
        return Spent(seconds, size_bytes, money)

    def left(self, runs: Iterable[Use], now: float, utc_offset: UtcOffset) -> tuple[Left, ...]:
        """What is left of each limit that is set. `runs`: at least those of this month."""
        runs = list(runs)
        found = []
        if self.session.is_set:
            found.append(Left(Period.SESSION, self.session, Spent()))
        for period, limit, (begins, ends) in (
            (Period.DAY, self.day, day_of(now, utc_offset)),
            (Period.MONTH, self.month, month_of(now, utc_offset)),
        ):
            if limit.is_set:
                spent = self.spent(one for one in runs if begins <= one.began_at < ends)
                found.append(Left(period, limit, spent, ends))
        return tuple(found)

    def room(self, left: Iterable[Left]) -> Room:
        """What a run may use that begins now."""
        left = tuple(left)
        return Room(
            min((one.seconds for one in left), default=math.inf),
            min((one.size_bytes for one in left), default=math.inf),
            min((one.money for one in left), default=math.inf),
            self.tariff,
            left,
        )


@dataclass(frozen=True, slots=True)
class Room:
    """What one run may use, from its beginning to its end. `left`: where that comes from."""

    seconds: float = math.inf
    size_bytes: float = math.inf
    money: float = math.inf
    tariff: Tariff = field(default_factory=Tariff)
    left: tuple[Left, ...] = ()

    def seconds_with(self, size_bytes: float) -> float:
        """How long the run may be, if it carries so much."""
        return min(self.seconds, self.tariff.seconds_for(self.money, size_bytes))

    def bytes_within(self, seconds: float) -> float:
        """How much the run may carry, if it is so long."""
        return min(self.size_bytes, self.tariff.bytes_for(self.money, seconds))

    def allows(self, seconds: float, size_bytes: float) -> bool:
        """Is a run of so much within it?"""
        return (
            seconds <= self.seconds
            and size_bytes <= self.size_bytes
            and (
                self.money == math.inf or self.tariff.cost(seconds, size_bytes) <= self.money + 1e-9
            )
        )

    @property
    def is_too_small(self) -> bool:
        """Is it not worth a beginning: would the run have to end before its first message?"""
        return not self.allows(END_SECONDS, END_BYTES)

    def binding(self) -> Left | None:
        """Of the limits that leave no run, the one that lasts longest."""
        bound = [one for one in self.left if _alone(one, self.tariff).is_too_small]
        return max(bound, key=lambda one: one.until or 0.0, default=None)


def _alone(left: Left, tariff: Tariff) -> Room:
    return Room(left.seconds, left.size_bytes, left.money, tariff, (left,))


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run goes, for a message of one direction.

    `seconds`: so far. `size_bytes`: so far, both ways. `planned_bytes`: both ways, when all that is
    under way has come to its end. `bytes_per_second`: of the direction; 0 while that is not known.
    `waiting_bytes`: what has not crossed the line yet of what goes before it in its direction; None
    if both ways take turns. `busy_seconds`: how long the other direction needs for what it has.
    """

    seconds: float
    size_bytes: float
    planned_bytes: float
    bytes_per_second: float = 0.0
    waiting_bytes: float | None = None
    busy_seconds: float = 0.0

    @property
    def ahead_bytes(self) -> float:
        """What goes before a new message, in its direction."""
        if self.waiting_bytes is None:
            return max(self.planned_bytes - self.size_bytes, 0.0)
        return self.waiting_bytes


def on_line(message_bytes: float) -> float:
    """What a message is likely to take on the line."""
    return message_bytes * GROWTH + MESSAGE_BYTES


def fits(room: Room, pace: Pace, message_bytes: float, *, opening_bytes: float = 0.0) -> bool:
    """May a message still be taken, so that it ends within the room, and the run in order?

    `opening_bytes`: what comes before it, if its session has not begun.
    """
    more = on_line(message_bytes) + opening_bytes
    planned = max(pace.planned_bytes, pace.size_bytes) + more
    busy = pace.busy_seconds
    if pace.bytes_per_second > 0:
        busy = max(busy, (pace.ahead_bytes + more) / pace.bytes_per_second)
    seconds = pace.seconds + SLACK * busy + END_SECONDS
    return room.allows(seconds, planned + END_BYTES)


def joined(runs: Iterable[Use]) -> list[Use]:
    """Runs that overlap as one."""
    found: list[Use] = []
    for one in sorted(runs, key=lambda one: one.began_at):
        last = found[-1] if found else None
        if last is None or one.began_at >= last.began_at + last.seconds - ALIKE_SECONDS:
            found.append(one)
        else:
            ends = max(last.began_at + last.seconds, one.began_at + one.seconds)
            found[-1] = Use(last.began_at, ends - last.began_at, last.size_bytes + one.size_bytes)
    return found


def day_of(now: float, utc_offset: UtcOffset) -> tuple[float, float]:
    """When the day of `now` begins and the next, by the clock on the wall."""
    first = _local(now, utc_offset).replace(hour=0, minute=0, second=0, microsecond=0)
    return _epoch(first, utc_offset), _epoch(first + timedelta(days=1), utc_offset)


def month_of(now: float, utc_offset: UtcOffset) -> tuple[float, float]:
    """When the month of `now` begins and the next."""
    first = _local(now, utc_offset).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (first + timedelta(days=32)).replace(day=1)
    return _epoch(first, utc_offset), _epoch(after, utc_offset)


def _local(at: float, utc_offset: UtcOffset) -> datetime:
    """The wall's clock, as if it were UTC."""
    return datetime.fromtimestamp(at + utc_offset(at), UTC)


def _epoch(local: datetime, utc_offset: UtcOffset) -> float:
    """When the wall's clock shows that; clocks may be changed between now and then."""
    guess = local.timestamp() - utc_offset(local.timestamp())
    return local.timestamp() - utc_offset(guess)
