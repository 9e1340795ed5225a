"""What one run may still use, while it goes on: asked before each message, and by each stream.

    open ──► closing: no new message fits, what is under way comes to its end
                 └──► cut: a limit is reached, the lines end at once

Runs of one link at a time share a till: what one uses the others cannot. Not here: where the limits
come from (`budgets.py`), and how they are reckoned (`policy/budget.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

from relaynode.errors import BudgetSpent
from relaynode.policy.budget import (
    END_BYTES,
    END_SECONDS,
    HARD_SECONDS,
    Pace,
    Room,
    fits,
    on_line,
)
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.wire.meter import MeteredLine

RATED_BYTES = 4000
RATED_SECONDS = 3.0
"""From less nobody can tell how fast a line is."""

USUAL_BYTES_PER_SECOND = 1200.0
"""Until it can be told: a modem of 9600 bit/s. What does not fit so is asked about again later."""


@dataclass(slots=True)
class Till:
    """All that goes over a link. `planned_bytes`: what `size_bytes` will be when all that is under
    way has ended."""

    size_bytes: int = 0
    planned_bytes: float = 0.0
    under_way: int = 0


@dataclass(slots=True, eq=False)
class Purse(ByteCount):
    """A `ByteCount` that says no in time. Until `begin` it has no limits.

    `now`: monotonic seconds. `bytes_per_second`: as known before the run, 0 if it is not.
    """

    till: Till = field(default_factory=Till)
    now: Callable[[], float] = lambda: 0.0
    bytes_per_second: float = 0.0
    room: Room = field(default_factory=Room)
    passed: int = 0
    """Messages that did not fit."""
    why_cut: str = ""
    _began: float = 0.0
    _bytes_before: int = 0
    _lines: WeakSet[MeteredLine] = field(default_factory=WeakSet)

    def begin(self, room: Room) -> None:
        """The run begins now, and this is what it may use."""
        self.room = room
        self._began = self.now()
        self._bytes_before = self.till.size_bytes

    # --- what was used

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self.now() - self._began

    @property
    def size_bytes(self) -> int:
        """Over the link since the beginning, by this run and those beside it."""
        return self.till.size_bytes - self._bytes_before + self.overhead_bytes

    def sent(self, size: int) -> None:
        """See ByteCount."""
        self.bytes_out += size
        self.till.size_bytes += size

    def received(self, size: int) -> None:
        """See ByteCount."""
        self.bytes_in += size
        self.till.size_bytes += size

    # --- what streams ask

    def opened(self, line: MeteredLine) -> None:
        """See ByteCount."""
        self._lines.add(line)

    def room_bytes(self, size: int) -> int:
        """See ByteCount."""
        if self.why_cut:
            return 0
        left = self.room.bytes_within(self.seconds) - self.size_bytes
        return size if left >= size else max(math.floor(left), 0)

    def check(self) -> None:
        """See ByteCount. Here the limit is noticed to be reached, too."""
        if not self.why_cut and self.size_bytes >= self.room.bytes_within(self.seconds):
            self.cut("its bytes are used up")
        if self.why_cut:
            raise BudgetSpent(self.why_cut)

    # --- what those ask who hand out messages

    @property
    def is_closing(self) -> bool:
        """See ByteCount."""
        if self.why_cut:
            return True
        return not self.room.allows(self.seconds + END_SECONDS, self.size_bytes + END_BYTES)

    def takes(self, size: int, opening_bytes: float = 0.0) -> bool:
        """See ByteCount."""
        if self.is_closing or not fits(self.room, self.pace, size, opening_bytes=opening_bytes):
            return False
        till = self.till
        before = max(till.planned_bytes, till.size_bytes)
        till.planned_bytes = before + on_line(size) + opening_bytes
        till.under_way += 1
        return True

    def ended(self, size: int) -> None:
        """See ByteCount."""
        till = self.till
        till.under_way -= 1
        if till.under_way <= 0:
            till.under_way, till.planned_bytes = 0, till.size_bytes

    def passed_over(self, messages: int) -> None:
        """See ByteCount."""
        self.passed += messages

    @property
    def pace(self) -> Pace:
        """How the run goes."""
        used = self.size_bytes
        waiting = max(self.till.planned_bytes - self.till.size_bytes, 0.0)
        crossed = max(used - sum(line.backlog() for line in list(self._lines)), 0)
        return Pace(self.seconds, crossed, used + waiting, self._rate(crossed))

    def _rate(self, crossed: int) -> float:
        if self.seconds >= RATED_SECONDS and crossed >= RATED_BYTES:
            return crossed / self.seconds
        return self.bytes_per_second or USUAL_BYTES_PER_SECOND

    # --- the end

    @property
    def seconds_left(self) -> float:
        """Until the lines must end, if no more bytes cross them."""
        return self.room.seconds_with(self.size_bytes) - HARD_SECONDS - self.seconds

    def look(self) -> None:
        """It may be time to end."""
        if self.why_cut:
            return
        if self.seconds_left <= 0:
            self.cut("its time is used up")
        elif self.size_bytes >= self.room.bytes_within(self.seconds):
            self.cut("its bytes are used up")

    def cut(self, why: str) -> None:
        """End all lines at once."""
        self.why_cut = f"the budget of the link is spent: {why}"
        for line in list(self._lines):
            line.abort()
