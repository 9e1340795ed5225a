"""Adds a simulation up: delays, bytes and seconds of each link, cost, what is left."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relaynode.simulate.outcome import Outcome, RunRecord

SIZE_CLASSES = (("up to 10 KiB", 10 * 1024), ("up to 100 KiB", 100 * 1024), ("larger", None))


@dataclass(frozen=True, slots=True)
class _Way:
    """One mail on its way. `delay_seconds`: None while it waits."""

    grade: str
    size_bytes: int
    delay_seconds: float | None


def report(outcome: Outcome) -> dict[str, Any]:
    """Plain values. Times in seconds, sizes in bytes."""
    out = [
        _Way(one.urgency.grade, one.event.size_bytes, _since(one.event.at, one.delivered_at))
        for one in outcome.outgoing
    ]
    inward = [
        _Way("", one.size_bytes, _since(one.since, one.fetched_at)) for one in outcome.incoming
    ]
    names = dict.fromkeys(one.link for one in outcome.runs)
    names.update(dict.fromkeys((*outcome.refused, *outcome.dials)))
    return {
        "out": {
            **_delays(out),
            "by_grade": {
                grade: _delays(one for one in out if one.grade == grade)
                for grade in sorted({one.grade for one in out})
            },
            "by_size": _by_size(out),
            "tries": sum(one.tries for one in outcome.outgoing),
            "in_doubt": sum(one.in_doubt for one in outcome.outgoing),
        },
        "in": {**_delays(inward), "by_size": _by_size(inward)},
        "at_home": outcome.at_home,
        "links": {name: _link(outcome, name) for name in names},
    }


def _since(begin: float, end: float | None) -> float | None:
    return None if end is None else end - begin


def _delays(ways: Iterable[_Way]) -> dict[str, Any]:
    """`left`: what waits at the end."""
    ways = list(ways)
    delays = sorted(one.delay_seconds for one in ways if one.delay_seconds is not None)
    waiting = [one for one in ways if one.delay_seconds is None]
    found: dict[str, Any] = {"mails": len(ways), "arrived": len(delays)}
    if delays:
        found |= {
            "mean_seconds": round(mean(delays), 1),
            "median_seconds": round(median(delays), 1),
            "p95_seconds": round(_percentile(delays, 95), 1),
            "max_seconds": round(delays[-1], 1),
        }
    return found | {"left": len(waiting), "left_bytes": sum(one.size_bytes for one in waiting)}


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """The least that so many of them are not above."""
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _by_size(ways: Sequence[_Way]) -> dict[str, Any]:
    found, above = {}, 0
    for name, most in SIZE_CLASSES:
        some = [
            one for one in ways if one.size_bytes > above and (not most or one.size_bytes <= most)
        ]
        if some:
            found[name] = _delays(some)
        above = most or 0
    return found


def _link(outcome: Outcome, name: str) -> dict[str, Any]:
    runs = [one for one in outcome.runs if one.link == name]
    return {
        "runs": len(runs),
        "cut": sum(one.ended != "done" for one in runs),
        "refused": outcome.refused.get(name, 0),
        "dials": outcome.dials.get(name, 0),
        "failed_dials": outcome.failed_dials.get(name, 0),
        "seconds": round(sum(one.seconds for one in runs), 1),
        "bytes_out": round(sum(one.bytes_out for one in runs)),
        "bytes_in": round(sum(one.bytes_in for one in runs)),
        "sent": sum(one.sent for one in runs),
        "received": sum(one.received for one in runs),
        "cost": round(sum(one.cost for one in runs), 4),
    }


def run_values(run: RunRecord) -> dict[str, Any]:
    """One run, as plain values."""
    return {
        "link": run.link,
        "began_at": run.began_at,
        "seconds": round(run.seconds, 2),
        "bytes_out": round(run.bytes_out),
        "bytes_in": round(run.bytes_in),
        "sent": run.sent,
        "received": run.received,
        "is_ordered": run.is_ordered,
        "ended": run.ended,
        "cost": round(run.cost, 4),
    }
