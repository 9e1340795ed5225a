"""Time strings, as Taylor UUCP has them: hours of the week, `Wk2305-0855,Sa,Su2305-1655`.

A list, with `,` or `|` between. Each part is one or more days (Su Mo ... Sa, Wk for Monday to
Friday, Any), then hours `HHMM-HHMM` or nothing for the whole day; or the whole is `Never`, or the
name of a timetable. Hours that end before they begin wrap within the *same* day: `Mo2300-0700` is
Monday until seven and Monday from eleven. Case does not matter.

Pure values: the time is an argument, in the local time of whoever asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DAY = 24 * 60
"""Minutes."""

WEEK = 7 * DAY

_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")  # time.struct_time counts them from Monday
_WORK_DAYS = (0, 1, 2, 3, 4)
_GROUPS = {
    **{name.lower(): (number,) for number, name in enumerate(_DAYS)},
    "wk": _WORK_DAYS,
    "any": tuple(range(7)),
}
_PART = re.compile(
    r"((?:su|mo|tu|we|th|fr|sa|wk|any)+)(?:([0-9]{1,4})-([0-9]{1,4}))?", re.IGNORECASE
)
_ONE_DAY = re.compile(r"su|mo|tu|we|th|fr|sa|wk|any", re.IGNORECASE)
_NOTHING = ("never", "none")
_FORM = "write days and hours: Any, Wk2305-0855,Sa,Su2305-1655, or Never"


class Span(NamedTuple):
    """Minutes of the week from Monday 00:00, `end` not among them."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TimeString:
    """Hours of the week. Two are equal that mean the same, however they were written."""

    spans: tuple[Span, ...]

    @classmethod
    def parse(cls, text: str, tables: Mapping[str, TimeString] | None = None) -> TimeString:
        """`tables`: timetables by name, in lower case. Raises: ValueError."""
        word = text.strip().lower()
        named = TIMETABLES if tables is None else tables
        if word in _NOTHING:
            return cls(())
        if word in named:
            return named[word]
        return cls(_merged(span for part in re.split("[,|]", word) for span in _part(part, text)))

    def is_open(self, weekday: int, minute_of_day: int) -> bool:
        """Is it one of these times? `weekday`: 0 is Monday."""
        minute = weekday * DAY + minute_of_day
        return any(span.start <= minute < span.end for span in self.spans)

    def opens_in(self, weekday: int, minute_of_day: int) -> int | None:
        """The minutes until it is one of these times, 0 if it is; None if it never will be."""
        minute = weekday * DAY + minute_of_day
        if self.is_open(weekday, minute_of_day):
            return 0
        return min(((span.start - minute) % WEEK for span in self.spans), default=None)

    def __str__(self) -> str:
        if not self.spans:
            return "Never"
        by_hours: dict[tuple[str, ...], list[int]] = {}
        for day in range(7):
            hours = tuple(_hours(self.spans, day))
            if hours:
                by_hours.setdefault(hours, []).append(day)
        return ",".join(
            f"{_days(days)}{hour}" for hours, days in by_hours.items() for hour in hours
        )


def _part(part: str, text: str) -> list[Span]:
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(f'"{text}" is no time string: what is "{part}"? {_FORM}')
    days = [day for name in _ONE_DAY.findall(found[1]) for day in _GROUPS[name]]
    if found[2] is None:
        windows = [Span(0, DAY)]
    else:
        start, end = _minute(found[2], text), _minute(found[3], text)
        # Wrapped within the day, as Taylor does it.
        windows = [Span(start, end)] if start < end else [Span(0, end), Span(start, DAY)]
    return [Span(day * DAY + one.start, day * DAY + one.end) for day in days for one in windows]


def _minute(digits: str, text: str) -> int:
    hour, minute = divmod(int(digits), 100)
    if minute >= 60 or hour * 60 + minute > DAY:
        raise ValueError(f'"{text}" is no time string: there is no time {digits}')
    return hour * 60 + minute


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """In order, without overlaps or gaps of nothing."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        elif span.start < span.end:
            merged.append(span)
    return tuple(merged)


def _hours(spans: tuple[Span, ...], day: int) -> list[str]:
    """What there is of a day, each as it is written behind the day's name."""
    hours = []
    for span in spans:
        start = max(span.start - day * DAY, 0)
        end = min(span.end - day * DAY, DAY)
        if (start, end) == (0, DAY):
            hours.append("")
        elif start < end:
            hours.append(f"{_digits(start)}-{_digits(end)}")
    return hours


def _digits(minute: int) -> str:
    """24:00 is written 0000: what ends there wraps to nothing."""
    return "{:02}{:02}".format(*divmod(minute % DAY, 60))


def _days(days: list[int]) -> str:
    if days == list(range(7)):
        return "Any"
    if days == list(_WORK_DAYS):
        return "Wk"
    return "".join(_DAYS[day] for day in days)


ANY = TimeString((Span(0, WEEK),))
NEVER = TimeString(())

TIMETABLES: Mapping[str, TimeString] = MappingProxyType(
    {
        "evening": TimeString.parse("Wk1705-0755,Sa,Su", {}),
        "night": TimeString.parse("Wk2305-0755,Sa,Su2305-1655", {}),
        "nonpeak": TimeString.parse("Wk1805-0655,Sa,Su", {}),
    }
)
"""Those that Taylor has built in."""
