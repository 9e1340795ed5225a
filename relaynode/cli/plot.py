"""`relaynode links --plot [FILE]`: the use of links by the day, in the terminal or as SVG."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli.opened import in_store
from relaynode.errors import EX_CANTCREAT, EX_OK, RelaynodeError, UsageError
from relaynode.links.use_chart import Day, by_day, lines, svg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from relaynode.config.loader import Config
    from relaynode.queue.store import Store

MOST_DAYS = 400
"""Longer than anything is remembered."""


class _NotWritten(RelaynodeError):
    """The picture could not be written."""

    exit_code = EX_CANTCREAT


def plot(config: Config, names: Sequence[str], file: str, count: int, today: date) -> int:
    """Draw; `file`: "-" for the terminal. Raises: UsageError, StoreError."""
    if not 1 <= count <= MOST_DAYS:
        raise UsageError(f"--days {count}: 1 to {MOST_DAYS}")
    charts = in_store(config, lambda store: _charts(store, names, count, today))
    used = [one for one in charts if any(day.minutes or day.size_bytes for day in one[1])]
    charts = used or charts[:1]
    if file == "-":
        print("\n\n".join("\n".join(lines(link, days)) for link, days in charts))
        return EX_OK
    try:
        Path(file).write_text(svg(charts), encoding="utf-8")
    except OSError as error:
        raise _NotWritten(f"{file}: {error.strerror}") from error
    return EX_OK


async def _charts(
    store: Store, names: Sequence[str], count: int, today: date
) -> list[tuple[str, list[Day]]]:
    first = datetime.combine(today - timedelta(days=count - 1), time.min)
    return [
        (name, by_day(await store.link_runs.since(first.timestamp(), name), today, count))
        for name in names
    ]
