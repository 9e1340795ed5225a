"""How long a client is waited for: for each command as a whole, and for content by its size.

A client that sends a byte now and then would otherwise hold its place for ever. RFC 5321 4.5.3.2.7
wants five minutes for a command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND_SECONDS = 300.0
"""RFC 5321 4.5.3.2.7: how long a client may think."""


@dataclass(slots=True)
class Patience:
    """For one session. `clock`: monotonic seconds. `slowest_bytes_per_second`: 0 for any."""

    command_seconds: float
    slowest_bytes_per_second: int
    clock: Callable[[], float]
    _waits_for: int | None = None
    _began: float = 0.0

    def seconds(self, commands: int, content_bytes: int | None) -> float:
        """How long to wait for the next bytes; 0 if it has been long enough.

        `commands`: how many have come. `content_bytes`: how much of a message has come, None if a
        command is waited for; then bytes without an end of line are nothing.
        """
        now = self.clock()
        waits_for = commands if content_bytes is None else -1
        if waits_for != self._waits_for:
            self._waits_for, self._began = waits_for, now
        allowed = self.command_seconds
        if content_bytes is not None:
            if not self.slowest_bytes_per_second:
                return self.command_seconds
            allowed += content_bytes / self.slowest_bytes_per_second
        return max(0.0, min(self._began + allowed - now, self.command_seconds))
