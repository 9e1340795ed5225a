"""What people write for a timetable, read: `every 30 min`, `mon,thu at 07:00`, `hourly at :15`.

Times are of 24 hours. Case does not matter, nor do blanks.
"""

from __future__ import annotations

import re

from relaynode.timetable.entries import ALL_DAYS, At, Every

FORMS = (
    '"every 30 min", "every 2 hours", "at 06:10 and 22:00", "every day at 06:10",'
    ' "mon,thu at 07:00", "mon-fri at 07:00", "hourly at :15"'
)
"""The accepted forms, for a person."""

LONGEST_SECONDS = 7 * 86_400

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_GROUPS = {
    "": ALL_DAYS,
    "day": ALL_DAYS,
    "daily": ALL_DAYS,
    "weekday": frozenset(range(5)),
    "weekend": frozenset((5, 6)),
}
_EVERY = re.compile(
    r"every(?: (?P<count>[0-9]{1,5}))? ?(?P<unit>m|mins?|minutes?|h|hrs?|hours?|days?)"
)
_HOURLY = re.compile(
    r"(?:hourly|every(?: (?P<count>[0-9]{1,2}))? ?(?:h|hrs?|hours?))(?: at (?P<minutes>.+))?"
)
_ON_DAYS = re.compile(r"(?:every |on )?(?P<days>.*?) ?\bat (?P<times>.+)")
_SEPARATOR = re.compile(r" ?(?:,| and |&) ?| ")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_PAST_HOUR = re.compile(r":([0-9]{2})")


def parse_form(text: str) -> At | Every:
    """One entry of a timetable. Raises: ValueError."""
    words = " ".join(text.lower().split())
    try:
        if words != "every day" and (found := _EVERY.fullmatch(words)):
            return _interval(found["count"] or "1", found["unit"])
        if found := _HOURLY.fullmatch(words):
            return _hourly(found["count"] or "1", found["minutes"] or ":00")
        if found := _ON_DAYS.fullmatch(words):
            return At(_times(found["times"]), _days(found["days"]))
    except ValueError as error:
        raise ValueError(f'"{text}" is no timetable: {error}; write for example {FORMS}') from None
    raise ValueError(f'"{text}" is no timetable; write for example {FORMS}')


def _interval(count: str, unit: str) -> Every:
    seconds = int(count) * _UNITS[unit[0]]
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError("an interval is a minute to 7 days")
    return Every(seconds)


def _hourly(count: str, minutes: str) -> At:
    hours = int(count)
    if not hours or 24 % hours:
        raise ValueError(f"a day is no whole number of times {hours} hours")
    past = sorted({_past_hour(word) for word in _SEPARATOR.split(minutes)})
    return At(tuple(hour * 60 + minute for hour in range(0, 24, hours) for minute in past))


def _past_hour(word: str) -> int:
    found = _PAST_HOUR.fullmatch(word)
    if found is None or int(found[1]) > 59:
        raise ValueError(f'"{word}" is no minute of an hour as in ":15"')
    return int(found[1])


def _times(text: str) -> tuple[int, ...]:
    return tuple(sorted({_time(word) for word in _SEPARATOR.split(text)}))


def _time(word: str) -> int:
    found = _TIME.fullmatch(word)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f'"{word}" is no time of the day as in "06:10"')
    return int(found[1]) * 60 + int(found[2])


def _days(text: str) -> frozenset[int]:
    if text.removesuffix("s") in _GROUPS:
        return _GROUPS[text.removesuffix("s")]
    return frozenset(day for word in _SEPARATOR.split(text) for day in _some_days(word))


def _some_days(word: str) -> list[int]:
    """`mon`, or `fri-mon`, which goes over the week's end."""
    first, dash, last = word.partition("-")
    start = _day(first)
    length = (_day(last) - start) % 7 if dash else 0
    return [(start + one) % 7 for one in range(length + 1)]


def _day(word: str) -> int:
    """As short as one likes, from two letters on."""
    for number, name in enumerate(_DAYS):
        if len(word) >= 2 and f"{name}s".startswith(word):
            return number
    raise ValueError(f'"{word}" is no day of the week')
