"""When to try again, and when to give up. Pure arithmetic on given times."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_WAITS = (5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, 1 * HOUR, 2 * HOUR, 4 * HOUR)
"""Waits after the first, second, ... try; the last one repeats."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Give up only when a message is too old *and* has had its chances.

    A line that was down is no chance: attempts count real tries, so that mail does not bounce
    because the phone was dead for a week.
    """

    give_up_after_seconds: float = 5 * DAY
    give_up_min_attempts: int = 5

    def next_attempt_at(self, attempts: int, now: float) -> float:
        """When to try again after `attempts` failed tries (at least 1), without a link-up."""
        return now + _WAITS[min(attempts, len(_WAITS)) - 1]

    def is_too_old(self, arrived_at: float, attempts: int, now: float) -> bool:
        """Should a recipient that just failed for the `attempts`th time be returned?"""
        waited = now - arrived_at
        return waited >= self.give_up_after_seconds and attempts >= self.give_up_min_attempts
