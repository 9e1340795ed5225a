"""Link use by the day: bars for a terminal, and the same as SVG.

Days are the calendar's of this place; a run belongs to the day on which it began. The SVG is a text
of a few elements: nothing draws it but who looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relaynode.queue.link_runs import LinkRunRecord

BAR_WIDTH = 30
"""Characters of a terminal's longest bar."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"

DAY_WIDTH, CHART_HEIGHT, MARGIN, GAP = 18, 120, 60, 46
_STYLE = (
    "text{font:11px sans-serif;fill:#333}.out{fill:#2b6ca3}.in{fill:#8fbbdc}.min{fill:#c07a2c}"
    "line{stroke:#999}"
)


@dataclass(frozen=True, slots=True)
class Day:
    """What a link was used on one day."""

    date: date
    minutes: float = 0.0
    bytes_out: int = 0
    bytes_in: int = 0

    @property
    def size_bytes(self) -> int:
        """Both ways."""
        return self.bytes_out + self.bytes_in


def by_day(runs: Sequence[LinkRunRecord], last: date, count: int) -> list[Day]:
    """The `count` days up to `last`, those without use too."""
    first = last - timedelta(days=count - 1)
    days = {(found := first + timedelta(days=place)): Day(found) for place in range(count)}
    for run in runs:
        when = datetime.fromtimestamp(run.began_at).date()
        if when in days:
            day = days[when]
            days[when] = Day(
                when,
                day.minutes + run.seconds / 60,
                day.bytes_out + run.bytes_out,
                day.bytes_in + run.bytes_in,
            )
    return list(days.values())


# --- in a terminal


def lines(link: str, days: Sequence[Day]) -> Iterator[str]:
    """A line for each day: minutes and bytes, each with its bar."""
    most_minutes = max((day.minutes for day in days), default=0.0)
    most_bytes = max((day.size_bytes for day in days), default=0)
    yield f"{link}  {'minutes':>{BAR_WIDTH + 15}} {'bytes':>{BAR_WIDTH + 14}}"
    for day in days:
        minutes = _bar(day.minutes, most_minutes)
        size = _bar(day.size_bytes, most_bytes)
        yield f"  {day.date}  {day.minutes:>9,.1f} {minutes} {day.size_bytes:>13,} {size}".rstrip()


def _bar(value: float, most: float) -> str:
    eighths = round(value / most * BAR_WIDTH * 8) if most else 0
    if value and not eighths:
        eighths = 1
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(BAR_WIDTH)


# --- as SVG


def svg(charts: Sequence[tuple[str, Sequence[Day]]]) -> str:
    """A picture: for each link its minutes and its bytes by the day, one above the other."""
    count = max((len(days) for _, days in charts), default=0)
    width = 2 * MARGIN + DAY_WIDTH * count
    height = len(charts) * 2 * (CHART_HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    base = 0
    for link, days in charts:
        base += CHART_HEIGHT + GAP
        minutes = [((("min", day.minutes),), day) for day in days]
        parts += _chart(f"{link}: minutes", minutes, base)
        base += CHART_HEIGHT + GAP
        sizes = [((("out", day.bytes_out), ("in", day.bytes_in)), day) for day in days]
        parts += _chart(f"{link}: bytes, out and in", sizes, base)
    return "\n".join([*parts, "</svg>", ""])


def _chart(
    title: str, bars: Sequence[tuple[Sequence[tuple[str, float]], Day]], base: int
) -> Iterator[str]:
    """Bars on the line at `base`; each has parts, one upon the other."""
    most = max((sum(value for _, value in parts) for parts, _ in bars), default=0.0)
    right = MARGIN + DAY_WIDTH * len(bars)
    yield f'<text x="{MARGIN}" y="{base - CHART_HEIGHT - 8}">{escape(title)}</text>'
    yield f'<line x1="{MARGIN}" y1="{base}" x2="{right}" y2="{base}"/>'
    top = base - CHART_HEIGHT + 10
    yield f'<text x="{MARGIN - 4}" y="{top}" text-anchor="end">{_amount(most)}</text>'
    for place, (parts, day) in enumerate(bars):
        yield from _day(parts, day, most, MARGIN + DAY_WIDTH * place, base)


def _day(
    parts: Sequence[tuple[str, float]], day: Day, most: float, left: int, base: int
) -> Iterator[str]:
    told = ", ".join(f"{kind} {_amount(value)}" for kind, value in parts)
    yield f"<g><title>{day.date}: {told}</title>"
    bottom = float(base)
    for kind, value in parts:
        height = value / most * CHART_HEIGHT if most else 0.0
        bottom -= height
        if height:
            yield (
                f'<rect class="{kind}" x="{left + 2}" y="{bottom:.1f}"'
                f' width="{DAY_WIDTH - 4}" height="{height:.1f}"/>'
            )
    yield "</g>"
    if day.date.day == 1 or day.date.weekday() == 0:  # not each: there is no room
        yield f'<text x="{left}" y="{base + 14}">{day.date:%m-%d}</text>'


def _amount(value: float) -> str:
    """Short, as an axis has room for it."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.1f}" if value % 1 else f"{value:.0f}"
