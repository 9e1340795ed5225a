"""A timetable: the turns of a link, as local times and as moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from typing import TYPE_CHECKING, Any, Protocol

from relaynode.timetable.entries import At, Every
from relaynode.timetable.forms import FORMS, parse_form
from relaynode.timetable.local_time import day_and_minute, local_time, moment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.timetable.local_time import Zone

LONGEST_OVERLAP = timedelta(hours=3)
"""By so much is a clock set back at most when summer time ends; nowhere is it more than two."""

_END_OF_A_WEEK = datetime(2026, 1, 5)


class Window(Protocol):
    """Hours of the week: `config.timestring.TimeString`."""

    def is_open(self, weekday: int, minute_of_day: int) -> bool:
        """Is it one of these times? `weekday`: 0 is Monday."""
        ...

    def opens_in(self, weekday: int, minute_of_day: int) -> int | None:
        """The minutes until it is one of these times, 0 if it is; None if it never will be."""
        ...


@dataclass(frozen=True, slots=True)
class Timetable:
    """Times of the day, an interval, or both.

    `every_seconds`: since the last turn, of whichever kind. `texts`: as it was written.
    """

    times: tuple[At, ...] = ()
    every_seconds: int | None = None
    texts: tuple[str, ...] = ()

    @classmethod
    def parse_any(cls, value: object) -> Timetable:
        """A text, or a list of such. Raises: ValueError."""
        texts: list[Any] = value if isinstance(value, list) else [value]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"wants a text in quotes, or a list of such: {FORMS}")
        entries = [parse_form(text) for text in texts]
        intervals = [one.seconds for one in entries if isinstance(one, Every)]
        if len(intervals) > 1:
            raise ValueError("has two intervals: the shorter one is enough")
        times = tuple(one for one in entries if isinstance(one, At))
        return cls(times, intervals[0] if intervals else None, tuple(texts))

    def __str__(self) -> str:
        return "; ".join(self.texts)

    def has_turn_in(self, window: Window | None) -> bool:
        """Does any turn lie within these hours?"""
        if self.every_seconds is not None:
            return window is None or window.opens_in(0, 0) is not None
        return any(_is_in(window, one) for at in self.times for one in at.before(_END_OF_A_WEEK))

    def latest(self, now: float, zone: Zone, window: Window | None = None) -> datetime | None:
        """The local time of the last turn by the clock at or before `now`, if it has such turns.

        A turn that the window excludes is none.
        """
        # While an hour is there for the second time, turns of its first time lie ahead on the
        # clock and have been.
        for one in self._before(local_time(now, zone) + LONGEST_OVERLAP):
            if _is_in(window, one) and moment_of(one, zone) <= now:
                return one
        return None

    def following(self, local: datetime, window: Window | None = None) -> datetime | None:
        """The local time of the first turn by the clock after that one, if it has such turns."""
        coming = merge(*(at.after(local) for at in self.times))
        return next((one for one in coming if _is_in(window, one)), None)

    def _before(self, local: datetime) -> Iterator[datetime]:
        """The latest first, a week and a bit of them."""
        return merge(*(at.before(local) for at in self.times), reverse=True)


def _is_in(window: Window | None, local: datetime) -> bool:
    return window is None or window.is_open(*day_and_minute(local))


def opens_at(window: Window, now: float, zone: Zone) -> float | None:
    """When these hours begin, `now` if it is one of them; None if they never do."""
    local = local_time(now, zone)
    minutes = window.opens_in(*day_and_minute(local))
    if minutes is None:
        return None
    if minutes == 0:
        return now
    opens = local.replace(second=0, microsecond=0) + timedelta(minutes=minutes)
    at = moment_of(opens, zone)
    # While an hour is there for the second time, that was when it was there first.
    return at if at > now else now - local.second - local.microsecond / 1e6 + minutes * 60
