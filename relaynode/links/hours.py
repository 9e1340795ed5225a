"""When a link may be used, by the clock of this machine: the clock and the zone that turns need.

The turns themselves are worked out in `timetable/`, which knows no clock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relaynode.timetable.local_time import day_and_minute, local_time
from relaynode.timetable.turns import Mark, Moment, Turns

if TYPE_CHECKING:
    from relaynode.config.schema import LinkSection

# Linux and OpenBSD have a clock that nobody sets and that goes on while the machine sleeps.
_BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)

COUNTS_SLEEP = _BOOT_CLOCK is not None
"""Does the steady clock of `now` go on while the machine sleeps?"""


def now() -> Moment:
    """By both clocks."""
    steady = time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)
    return Moment(time.time(), steady)


def local_offset(at: float) -> int:
    """The seconds by which local time is ahead of UTC at that moment (epoch seconds)."""
    return time.localtime(at).tm_gmtoff


def is_open(link: LinkSection, at: float) -> bool:
    """Does the link's window let it be used at that moment (epoch seconds)?"""
    if link.window is None:
        return True
    return link.window.is_open(*day_and_minute(local_time(at, local_offset)))


def turns_of(
    link: LinkSection, moment: Moment, mark: Mark | None, *, counts_sleep: bool = COUNTS_SLEEP
) -> Turns | None:
    """The link's turns, from what is remembered of the last one; None if it has no timetable."""
    if link.timetable is None:
        return None
    return Turns(
        link.timetable,
        local_offset,
        moment,
        mark,
        window=link.window,
        counts_sleep=counts_sleep,
    )
