"""How many messages may be under way over one SMTP connection.

As many as fill the pipe, since the line must never be idle; two at least, one being sent and one
being answered; and no more, since what is under way when the line drops may arrive twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.wire.meter import PipeMeter

MIN_IN_FLIGHT = 2
"""Messages under way whatever the meter says: one being sent, one being answered."""

MAX_UNMEASURED = 16
"""Messages under way at most while the pipe is not measured yet."""

LOW_BACKLOG_BYTES = 4096
"""With less than that waiting to go out, a line that is not measured yet is about to be idle."""

LOOK_AGAIN_SECONDS = 0.02
"""How often the backlog of such a line is looked at."""


@dataclass(slots=True)
class Window:
    """The window of one connection. `limit`: messages under way at most, as the user has it."""

    meter: PipeMeter
    limit: int
    in_flight: int = 0
    in_flight_bytes: int = 0

    def opened(self, size_bytes: int) -> None:
        """A message of that size is on its way."""
        self.in_flight += 1
        self.in_flight_bytes += size_bytes

    def closed(self, size_bytes: int) -> None:
        """What became of it is known."""
        self.in_flight -= 1
        self.in_flight_bytes -= size_bytes

    def has_room(self, backlog: Callable[[], int]) -> bool:
        """May one more be begun? `backlog`: tells how many bytes wait to go out."""
        if self.in_flight >= self.limit:
            return False
        if self.in_flight < MIN_IN_FLIGHT or self.in_flight_bytes < self.meter.window_bytes:
            return True
        if self.meter.is_settled or self.in_flight >= MAX_UNMEASURED:
            return False
        return backlog() < LOW_BACKLOG_BYTES

    @property
    def look_again_seconds(self) -> float | None:
        """When it may have room though nothing was answered meanwhile; None: it will not."""
        return None if self.meter.is_settled else LOOK_AGAIN_SECONDS
