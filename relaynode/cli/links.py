"""`links`: which links there are, whether they are up, and what the last runs over them cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any

from relaynode.cli.link import the_link
from relaynode.cli.opened import in_store
from relaynode.cli.plot import plot
from relaynode.config.loader import find, load
from relaynode.errors import EX_OK
from relaynode.links.budgets import NO_BUDGET, budget_of, left_of, uses_of
from relaynode.policy.budget import MEGABYTE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from relaynode.config.loader import Config
    from relaynode.policy.budget import Budget, Left
    from relaynode.queue.link_runs import LinkRunRecord
    from relaynode.queue.store import Store

_TITLE = f"  {'began':<16} {'seconds':>9} {'out':>11} {'in':>11} {'sent':>5} {'fetched':>7}  ended"


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, UsageError, StoreError."""
    config = load(find(arguments.config))
    names = [the_link(config, arguments.link)] if arguments.link else list(config.links)
    now = datetime.now().astimezone()
    if arguments.plot is not None:
        return plot(config, names, arguments.plot, arguments.days, now.date())
    shown = in_store(config, lambda store: _look(config, store, names, arguments.last, now))
    if arguments.json:
        print(json.dumps(shown, indent=2))
    else:
        print("\n\n".join("\n".join(_lines(one)) for one in shown))
    return EX_OK


async def _look(
    config: Config, store: Store, names: Sequence[str], count: int, now: datetime
) -> list[dict[str, Any]]:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    up = await store.links_up()
    shown = []
    for name in names:
        kind = config.links[name].kind
        budget = budget_of(config.links[name])
        left = await left_of(budget, name, store.link_runs, now.timestamp())
        month = await store.link_runs.since(day.replace(day=1).timestamp(), name)
        runs = await store.link_runs.last(count, name)
        if not runs and name not in config.file.link and len(names) > 1:
            continue  # the one that is always there, and that nothing uses
        shown.append(
            {
                "link": name,
                "kind": kind,
                "is_up": kind == "always" or name in up,
                "runs": [{**asdict(one), "money": _money(budget, [one])} for one in runs],
                "budget": [_limit(one) for one in left],
                "today": totals([one for one in month if one.began_at >= day.timestamp()], budget),
                "month": totals(month, budget),
            }
        )
    return shown


def _money(budget: Budget, runs: Sequence[LinkRunRecord]) -> float:
    return round(budget.spent(uses_of(runs)).money, 4)


def _limit(left: Left) -> dict[str, Any]:
    """What is left of a limit, beside the limit; None where there is none."""
    found: dict[str, Any] = {"period": str(left.period), "until": left.until}
    for name in ("seconds", "size_bytes", "money"):
        limit = getattr(left.limit, name)
        found[name] = None if limit == inf else limit
        found[f"{name}_left"] = None if limit == inf else round(getattr(left, name), 4)
    return found


def totals(runs: Sequence[LinkRunRecord], budget: Budget = NO_BUDGET) -> dict[str, Any]:
    """What runs cost and carried together."""
    return {
        "runs": len(runs),
        "seconds": round(sum(one.seconds for one in runs), 3),
        "bytes_out": sum(one.bytes_out for one in runs),
        "bytes_in": sum(one.bytes_in for one in runs),
        "overhead_bytes": sum(one.overhead_bytes for one in runs),
        "money": _money(budget, runs),
        "sent": sum(one.sent for one in runs),
        "received": sum(one.received for one in runs),
    }


def _lines(shown: dict[str, Any]) -> list[str]:
    state = "up" if shown["is_up"] else "down"
    lines = [f"{shown['link']}  {shown['kind']}, {state}"]
    if not shown["runs"]:
        lines.append("  nothing has gone over it lately")
        return lines + [_budget_line(one) for one in shown["budget"]]
    lines.append(_TITLE)
    for one in shown["runs"]:
        began = datetime.fromtimestamp(one["began_at"]).strftime("%Y-%m-%d %H:%M")
        lines.append(
            f"  {began} {one['seconds']:>9.1f} {one['bytes_out']:>11,} {one['bytes_in']:>11,}"
            f" {one['sent']:>5} {one['received']:>7}  {_end(one)}"
        )
    for name, when in (("today", "today"), ("month", "this month")):
        sums = shown[name]
        lines.append(
            f"  {when}: {sums['runs']} runs, {sums['seconds'] / 60:,.1f} min,"
            f" {sums['bytes_out']:,} bytes out, {sums['bytes_in']:,} in,"
            f" {sums['sent']} sent, {sums['received']} fetched"
            + (f", cost {sums['money']:,.2f}" if sums["money"] else "")
        )
    return lines + [_budget_line(one) for one in shown["budget"]]


def _budget_line(one: dict[str, Any]) -> str:
    parts = []
    for name, unit, size in (
        ("seconds", " min", 60),
        ("size_bytes", " MB", MEGABYTE),
        ("money", " of money", 1),
    ):
        if one[name] is not None:
            parts.append(f"{one[f'{name}_left'] / size:,.2f} of {one[name] / size:,.2f}{unit}")
    until = ""
    if one["until"] is not None:
        until = f", until {datetime.fromtimestamp(one['until']).strftime('%Y-%m-%d %H:%M')}"
    return f"  left for a {one['period']}: {', '.join(parts)}{until}"


def _end(one: dict[str, Any]) -> str:
    ended: str = one["ended"] or "no end is known"
    if one["money"]:
        ended = f"cost {one['money']:,.2f}; {ended}"
    return f"{ended}; {one['problems'][0]}" if one["problems"] else ended
