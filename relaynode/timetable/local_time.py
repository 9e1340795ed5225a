"""Local time and epoch seconds, over a zone that is a function: the way there and the way back.

Local times are naive datetimes. The way back is the one that timetables need: a local time that
exists twice means the first, one that does not exist means the next moment that does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

Zone = Callable[[float], int]
"""The seconds by which local time is ahead of UTC at a moment, in epoch seconds."""

EPOCH = datetime(1970, 1, 1)
DAY_SECONDS = 86_400


def local_time(at: float, zone: Zone) -> datetime:
    """What the clock on the wall says."""
    return EPOCH + timedelta(seconds=at + zone(at))


def moment_of(local: datetime, zone: Zone) -> float:
    """When a clock on the wall first says so, or more: epoch seconds."""
    seconds = (local - EPOCH).total_seconds()
    # A day away in either direction lies on the other side of any change of the clocks nearby.
    offsets = {zone(seconds - DAY_SECONDS), zone(seconds + DAY_SECONDS)}
    found = [seconds - offset for offset in offsets if zone(seconds - offset) == offset]
    return min(found) if found else _end_of_gap(seconds, zone)


def _end_of_gap(seconds: float, zone: Zone) -> float:
    """The second at which the clock jumps over a local time."""
    before, after = int(seconds) - DAY_SECONDS, int(seconds) + DAY_SECONDS
    while after - before > 1:
        middle = (before + after) // 2
        if middle + zone(middle) < seconds:
            before = middle
        else:
            after = middle
    return float(after)


def day_and_minute(local: datetime) -> tuple[int, int]:
    """The day of the week, 0 being Monday, and the minute of the day."""
    return local.weekday(), local.hour * 60 + local.minute
