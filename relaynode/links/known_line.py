"""What is known of a link: its rate and round trip, by the record or by the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from relaynode.policy.line_model import Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.config.schema import LinkSection
    from relaynode.queue.link_runs import LinkRunRecord, LinkRuns

RUNS = 50
"""How far back the record is asked."""

RATES = 5
"""Runs whose middle rate counts, by bytes: a modem connects at another rate now and then, and a
short run tells less than a long one."""

ROUND_TRIPS = 20
"""Runs whose shortest round trip counts: what else was on the line made the others longer."""


@dataclass(frozen=True, slots=True)
class KnownLine:
    """None where nothing is known. `is_measured`: by a run, which began at `measured_at`, epoch
    seconds; else somebody has written it down."""

    bytes_per_second: float | None = None
    round_trip_seconds: float | None = None
    is_measured: bool = False
    measured_at: float = 0.0

    @property
    def line(self) -> Line | None:
        """For the model: the same rate both ways, and no round trip where that is not known."""
        if not self.bytes_per_second:
            return None
        trip = self.round_trip_seconds or 0.0
        return Line(self.bytes_per_second, self.bytes_per_second, trip)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        rate = self.bytes_per_second
        return {
            "bits_per_second": None if rate is None else round(rate * 8),
            "round_trip_seconds": self.round_trip_seconds,
            "is_measured": self.is_measured,
            "measured_at": self.measured_at or None,
        }


async def known_line(link: str, section: LinkSection, runs: LinkRuns) -> KnownLine:
    """What was measured counts before what is configured. Raises: StoreError."""
    recorded = await runs.last(RUNS, link)
    rated = [one for one in recorded if one.bytes_per_second]
    trip = _round_trip(recorded)
    if trip is None and section.round_trip_milliseconds:
        trip = section.round_trip_milliseconds / 1000
    if rated:
        return KnownLine(
            _rate(rated[-RATES:]), trip, is_measured=True, measured_at=rated[-1].began_at
        )
    return KnownLine(section.bits_per_second / 8 or None, trip)


def _rate(rated: Sequence[LinkRunRecord]) -> float:
    """That at which half of the bytes went slower and half of them faster."""
    by_rate = sorted((one.bytes_per_second or 0.0, one.bytes_out + 1) for one in rated)
    half = sum(size for _, size in by_rate) / 2
    so_far = accumulate(size for _, size in by_rate)
    return next(rate for (rate, _), size in zip(by_rate, so_far, strict=True) if size >= half)


def _round_trip(recorded: Sequence[LinkRunRecord]) -> float | None:
    seen = [one.round_trip_seconds for one in recorded if one.round_trip_seconds is not None]
    return min(seen[-ROUND_TRIPS:], default=None)
