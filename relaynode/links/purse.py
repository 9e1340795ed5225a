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
class Flow:
    """One direction. `planned_bytes`: what `size_bytes` will be when all that is under way has
    ended."""

    size_bytes: int = 0
    planned_bytes: float = 0.0
    under_way: int = 0

    @property
    def waiting_bytes(self) -> float:
        """What is still to come of what is under way."""
        return max(self.planned_bytes - self.size_bytes, 0.0)

    def begin(self, size_bytes: float) -> None:
        """So much more is under way."""
        self.planned_bytes = max(self.planned_bytes, self.size_bytes) + size_bytes
        self.under_way += 1

    def end(self) -> None:
        """A message is under way no more."""
        self.under_way -= 1
        if self.under_way <= 0:
            self.under_way, self.planned_bytes = 0, self.size_bytes


@dataclass(slots=True)
class Till:
    """All that goes over a link."""

    out: Flow = field(default_factory=Flow)
    inward: Flow = field(default_factory=Flow)

    @property
    def size_bytes(self) -> int:
        """Both ways."""
        return self.out.size_bytes + self.inward.size_bytes

    def flow(self, *, is_inward: bool) -> Flow:
        """The direction of a message."""
        return self.inward if is_inward else self.out


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
        self.till.out.size_bytes += size

    def received(self, size: int) -> None:
        """See ByteCount."""
        self.bytes_in += size
        self.till.inward.size_bytes += size

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

    def fits(self, size: int, opening_bytes: float = 0.0, *, is_inward: bool = False) -> bool:
        """See ByteCount."""
        pace = self.pace(is_inward=is_inward)
        return not self.is_closing and fits(self.room, pace, size, opening_bytes=opening_bytes)

    def takes(self, size: int, opening_bytes: float = 0.0, *, is_inward: bool = False) -> bool:
        """See ByteCount."""
        if not self.fits(size, opening_bytes, is_inward=is_inward):
            return False
        self.till.flow(is_inward=is_inward).begin(on_line(size) + opening_bytes)
        return True

    def ended(self, *, is_inward: bool = False) -> None:
        """See ByteCount."""
        self.till.flow(is_inward=is_inward).end()

    def passed_over(self, messages: int) -> None:
        """See ByteCount."""
        self.passed += messages

    def pace(self, *, is_inward: bool) -> Pace:
        """How the run goes, for a message of that direction."""
        till, used = self.till, self.size_bytes
        planned = used + till.out.waiting_bytes + till.inward.waiting_bytes
        backlog = sum(line.backlog() for line in list(self._lines))
        out = till.out.waiting_bytes + backlog, self._rate(max(self.bytes_out - backlog, 0))
        inward = till.inward.waiting_bytes, self._rate(self.bytes_in)
        own, (other, other_rate) = (inward, out) if is_inward else (out, inward)
        return Pace(self.seconds, used, planned, own[1], own[0], other / other_rate)

    def _rate(self, crossed: int) -> float:
        """Of a direction that has carried so much."""
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
