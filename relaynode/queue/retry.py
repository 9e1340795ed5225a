"""When to try again, and when to give up. Pure arithmetic on given times.

Mail ages by the chances that it had, not by the calendar. A chance is an attempt that somebody
answered: the next hop, another server over the same link, or the DNS (`links/verdict.py` decides
that). Each attempt adds the time since the one before it, but no more than MOST_AGEING_SECONDS; the
first adds nothing. So over a line that is always there mail ages as the clock goes, over one that
comes up once a day it does too, and a line that was dead for a month adds one day. A recipient is
returned when it has aged so long *and* was attempted so often.
"""

from __future__ import annotations

from dataclasses import dataclass

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MOST_AGEING_SECONDS = DAY
"""What one attempt adds at most: a line that is dialled once a day is in good order."""

_WAITS = (5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, 1 * HOUR, 2 * HOUR, 4 * HOUR)
"""Waits after the first, second, ... try; the last one repeats."""


def aged_seconds(before: float, last_attempt_at: float, now: float) -> float:
    """How much somebody has aged who is attempted now.

    `before`: aged so far. `last_attempt_at`: epoch seconds, 0 for never.
    """
    if not last_attempt_at:
        return before
    return before + min(max(now - last_attempt_at, 0.0), MOST_AGEING_SECONDS)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`warn_after_seconds`: when the sender is warned that mail still waits; 0 for never."""

    give_up_after_seconds: float = 5 * DAY
    give_up_min_attempts: int = 5
    warn_after_seconds: float = 4 * HOUR

    def next_attempt_at(self, attempts: int, now: float) -> float:
        """When to try again after `attempts` failed attempts, without a link-up."""
        return now + _WAITS[min(max(attempts, 1), len(_WAITS)) - 1]

    def is_over(self, aged: float, attempts: int) -> bool:
        """Should a recipient be returned that has aged so many seconds in so many attempts?"""
        return aged >= self.give_up_after_seconds and attempts >= self.give_up_min_attempts

    def is_late(self, aged: float) -> bool:
        """Should the sender be warned of a recipient that has aged so many seconds?"""
        return 0 < self.warn_after_seconds <= aged
