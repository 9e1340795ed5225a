"""When a link has its turn: what people write, the turns that follow, and a guard that gives each
exactly once, whatever happens to the clocks. Pure: both clocks and the zone are injected.
"""

from relaynode.timetable.forms import FORMS
from relaynode.timetable.timetable import Timetable, opens_at
from relaynode.timetable.turns import Mark, Moment, Turn, Turns

__all__ = ["FORMS", "Mark", "Moment", "Timetable", "Turn", "Turns", "opens_at"]
