"""A machine in virtual time: its clocks are set, it sleeps and is switched off, in zones by hand.

It plays what the daemon's timekeeper does: look, give what is due, remember, wait.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import datetime

from relaynode.config.timestring import TimeString
from relaynode.timetable import Moment, Timetable, Turns
from relaynode.timetable.local_time import local_time
from relaynode.timetable.turns import LOOK_SECONDS

HOUR = 3600.0
DAY = 24 * HOUR


def utc(text):
    """Epoch seconds of "2026-03-29 01:00"."""
    return float(calendar.timegm(datetime.strptime(text, "%Y-%m-%d %H:%M").timetuple()))


def zone(first, *changes):
    """`first`: hours ahead of UTC; `changes`: (when in UTC, hours from then on)."""
    known = [(utc(when), int(hours * HOUR)) for when, hours in changes]

    def offset(at):
        return next((one for when, one in reversed(known) if at >= when), int(first * HOUR))

    offset.changes = [when for when, _ in known]
    return offset


BERLIN = zone(1, ("2026-03-29 01:00", 2), ("2026-10-25 01:00", 1))
NEW_YORK = zone(-5, ("2026-03-08 07:00", -4), ("2026-11-01 06:00", -5))
LORD_HOWE = zone(11, ("2026-04-04 15:00", 10.5), ("2026-10-03 15:30", 11))
UTC = zone(0)


@dataclass
class Machine:
    """Runs over a link with a timetable. Times in seconds since it was switched on.

    `events`: (when, what, seconds): "step" sets the wall clock by so much, "sleep" and "off" take
    so long; the program is started anew after "off", and at once after "restart".
    """

    timetable: Timetable
    zone: object
    wall: float
    window: TimeString | None = None
    counts_sleep: bool = True
    events: list = field(default_factory=list)
    longest_look: float = 7200.0
    real: float = 0.0
    steady: float = 1000.0
    runs: list = field(default_factory=list)
    is_new: bool = True
    on_look: object = None

    def __post_init__(self):
        self.events = sorted(self.events, key=lambda event: event[0])
        self.turns = self.started(None)

    @property
    def now(self):
        return Moment(self.wall, self.steady)

    @property
    def local(self):
        return local_time(self.wall, self.zone)

    def started(self, mark):
        return Turns(
            self.timetable,
            self.zone,
            self.now,
            mark,
            window=self.window,
            counts_sleep=self.counts_sleep,
        )

    def play(self, seconds):
        """The runs, as (real seconds, local time of the clock on the wall, turn)."""
        is_foreseen = True
        while self.real < seconds:
            self.look(is_foreseen)
            wait = self.turns.until_next_seconds(self.now)
            until_event = self.events[0][0] - self.real if self.events else None
            if until_event is not None and until_event <= min(wait, self.longest_look):
                self.pass_(max(until_event, 0.0))
                self.happen(*self.events.pop(0)[1:])
                self.pass_(LOOK_SECONDS)  # nobody says that a clock was set
                is_foreseen = True
            else:
                self.pass_(min(wait, self.longest_look))
                is_foreseen = wait <= self.longest_look
        return self.runs

    def furthest(self, since):
        """The latest local time that the clock on the wall shows between then and now."""
        changes = (one - 1 for one in self.zone.changes if since < one <= self.wall)
        return max([self.local, *(local_time(one, self.zone) for one in changes)])

    def look(self, is_foreseen):
        turn = self.turns.due(self.now)
        if self.on_look is not None:
            self.on_look(self, turn, is_foreseen)
        if turn is not None:
            self.is_new = False
            self.runs.append((self.real, self.local, turn.local))
            self.turns.given(turn, self.now, self.now)

    def pass_(self, seconds):
        self.real += seconds
        self.wall += seconds
        self.steady += seconds

    def happen(self, what, seconds=0.0):
        if what == "step":
            self.wall += seconds
        elif what == "sleep":
            self.pass_(seconds)
            self.steady -= 0 if self.counts_sleep else seconds
        else:
            self.is_new = False
            mark = self.turns.mark(self.now)
            if what == "off":
                self.pass_(seconds)
                self.steady = 10.0
            self.turns = self.started(mark)
