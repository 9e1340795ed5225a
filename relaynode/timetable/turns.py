"""The guard: whose turn it is, exactly once, whatever the clocks do. One object a link.

A turn by the clock is known by its local time, as "2026-03-29 02:30", and the last one that was
given is remembered, durably. So what happens to a clock is told by comparing local times:

    the clock                       the turn
    says 02:30 for the second time  was given: nothing
    is set back, up to a day        was given: nothing, until the clock is past it
    is set back by more             the mark is of no use: what comes from now on is given
    jumps over 02:30, is set        several may have been missed: the last of them is given, and
    forward, slept, was off         stands for all

An interval is measured by the steady clock, which nobody sets, and by the wall clock only while
the program did not run, or while a machine slept whose steady clock stops then.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from relaynode.timetable.local_time import day_and_minute, local_time, moment_of
from relaynode.timetable.timetable import opens_at

if TYPE_CHECKING:
    from datetime import datetime

    from relaynode.timetable.local_time import Zone
    from relaynode.timetable.timetable import Timetable, Window

SET_BACK_AT_MOST = timedelta(days=1)
"""A last turn further in the future was given under a clock that was wrong. A turn is not given
twice when a clock is set back by hours; nor is every turn lost for years when a battery was empty,
and the clock is set right."""

JUMP_SECONDS = 60.0
"""Clocks that differ by more between two looks were set, or slept; less is their being adjusted."""

SHORTEST_SECONDS = 0.001

LOOK_SECONDS = 30.0
"""A clock may be set at any time, and nobody says so: it is looked at so often at least."""


class Moment(NamedTuple):
    """Now, by both clocks. `wall`: epoch seconds. `steady`: seconds of a clock that nobody sets."""

    wall: float
    steady: float


@dataclass(frozen=True, slots=True)
class Mark:
    """The last turn that was given. `local`: of the last one by the clock. `at`: when one of
    whichever kind was, in epoch seconds."""

    local: datetime
    at: float


class Turn(NamedTuple):
    """`local`: its name, if it is one by the clock; None: the interval is over."""

    local: datetime | None

    def __str__(self) -> str:
        return "interval" if self.local is None else f"{self.local:%Y-%m-%d %H:%M}"


class Turns:
    """When it is a link's turn."""

    def __init__(
        self,
        timetable: Timetable,
        zone: Zone,
        now: Moment,
        mark: Mark | None = None,
        *,
        window: Window | None = None,
        counts_sleep: bool = False,
    ) -> None:
        """`mark`: what is remembered; without, nothing was missed so far. `counts_sleep`: the
        steady clock goes on while the machine sleeps."""
        self._timetable = timetable
        self._zone = zone
        self._window = window
        self._counts_sleep = counts_sleep
        self._seen = now
        self._is_new = mark is None
        self._local = self._passed(now.wall) if mark is None else mark.local
        past = 0.0 if mark is None else max(now.wall - mark.at, 0.0)
        self._since = now.steady - past
        """When the last turn was, by the steady clock."""

    def mark(self, now: Moment) -> Mark:
        """What to remember, in terms of the wall clock as it is now."""
        return Mark(self._local, now.wall - (now.steady - self._since))

    def due(self, now: Moment) -> Turn | None:
        """The turn that is to be given now. It stays due until it is `given`."""
        self._look_at_clocks(now)
        if not self._is_open(now.wall):
            return None
        latest = self._timetable.latest(now.wall, self._zone, self._window)
        if latest is not None and latest > self._local:
            return Turn(latest)
        every = self._timetable.every_seconds
        if every is not None and now.steady - self._since >= every:
            return Turn(None)
        return None

    def given(self, turn: Turn, began: Moment, ended: Moment) -> None:
        """A turn was given. Intervals that went by meanwhile went by in it."""
        self._is_new = False
        if turn.local is not None:
            self._local = turn.local
        self._since = began.steady
        every = self._timetable.every_seconds
        if every is not None:
            self._since += (ended.steady - began.steady) // every * every

    def wait_seconds(self, now: Moment) -> float:
        """When to look again at the latest, if nothing is due now."""
        return min(LOOK_SECONDS, self.until_next_seconds(now))

    def upcoming(self, now: Moment, count: int) -> list[tuple[float, Turn]]:
        """The next turns and when they come (epoch seconds), if no clock is set meanwhile."""
        found: list[tuple[float, Turn]] = []
        if not self._timetable.has_turn_in(self._window):
            return found
        ahead = copy(self)
        while len(found) < count:
            turn = ahead.due(now)
            if turn is None:
                seconds = ahead.until_next_seconds(now)
                now = Moment(now.wall + seconds, now.steady + seconds)
            else:
                found.append((now.wall, turn))
                ahead.given(turn, now, now)
        return found

    def until_next_seconds(self, now: Moment) -> float:
        """How long nothing becomes due, if no clock is set meanwhile; endless if nothing will."""
        ahead = []
        following = self._timetable.following(self._passed(now.wall), self._window)
        if following is not None:
            ahead.append(moment_of(following, self._zone) - now.wall)
        if self._timetable.every_seconds is not None:
            ahead.append(self._since + self._timetable.every_seconds - now.steady)
        opens = None if self._window is None else opens_at(self._window, now.wall, self._zone)
        if opens is not None:
            ahead.append(opens - now.wall)
        # A wait that a float of today's seconds does not show would be none.
        return max(min((one for one in ahead if one > 0), default=math.inf), SHORTEST_SECONDS)

    # --- clocks

    def _look_at_clocks(self, now: Moment) -> None:
        slept = (now.wall - self._seen.wall) - (now.steady - self._seen.steady)
        if slept > JUMP_SECONDS and not self._counts_sleep:
            self._since -= slept  # or was set, which looks the same: better a turn too many
        self._seen = now
        is_beyond = self._local - local_time(now.wall, self._zone) > SET_BACK_AT_MOST
        # What was before us was never given: with a clock that is set right, it comes.
        if is_beyond or (self._is_new and slept < -JUMP_SECONDS):
            self._local = self._passed(now.wall)

    def _passed(self, now: float) -> datetime:
        """All turns up to this local time have been, given or not."""
        latest = self._timetable.latest(now, self._zone, self._window)
        local = local_time(now, self._zone)
        return local if latest is None else max(latest, local)

    def _is_open(self, now: float) -> bool:
        local = local_time(now, self._zone)
        return self._window is None or self._window.is_open(*day_and_minute(local))
