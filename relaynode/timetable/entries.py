"""What a timetable consists of: times of the day on some days, or an interval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL_DAYS = frozenset(range(7))

WEEK_DAYS_AND_ONE = 8
"""So far must be looked for a time that is there once a week."""


@dataclass(frozen=True, slots=True)
class At:
    """Minutes of the day in ascending order, on days of the week, 0 being Monday."""

    minutes: tuple[int, ...]
    days: frozenset[int] = ALL_DAYS

    def before(self, local: datetime) -> Iterator[datetime]:
        """The local times at or before that one, the latest first, a week of them."""
        midnight = datetime.combine(local, time())
        for back in range(WEEK_DAYS_AND_ONE):
            day = midnight - timedelta(days=back)
            for minute in reversed(self._of_day(day)):
                if (one := day + timedelta(minutes=minute)) <= local:
                    yield one

    def after(self, local: datetime) -> Iterator[datetime]:
        """The local times after that one, the earliest first, a week of them."""
        midnight = datetime.combine(local, time())
        for ahead in range(WEEK_DAYS_AND_ONE):
            day = midnight + timedelta(days=ahead)
            for minute in self._of_day(day):
                if (one := day + timedelta(minutes=minute)) > local:
                    yield one

    def _of_day(self, day: datetime) -> tuple[int, ...]:
        return self.minutes if day.weekday() in self.days else ()


@dataclass(frozen=True, slots=True)
class Every:
    """An interval."""

    seconds: int
