"""Virtual time: what is to happen, in order; it never goes back."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """`now`: epoch seconds."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._count = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Have it done then; now, if that has been. Of one moment, what was said first is first."""
        self._count += 1
        heapq.heappush(self._heap, (max(moment, self.now), self._count, action))

    def run(self, until: float, goes_on: Callable[[], bool] | None = None) -> None:
        """Do all of it that comes until then; with `goes_on`, only for as long as that says so."""
        while self._heap and self._heap[0][0] <= until:
            if goes_on is not None and not goes_on():
                return
            self.now, _, action = heapq.heappop(self._heap)
            action()
        if goes_on is None:
            self.now = max(self.now, until)
