"""`timetable`: what happens next: the turns of links, the hours of links and of UUCP neighbours."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from relaynode.cli.link import the_link
from relaynode.cli.opened import in_store
from relaynode.config.loader import find, load
from relaynode.errors import EX_OK
from relaynode.links import hours
from relaynode.neighbours import load_neighbours
from relaynode.timetable import opens_at
from relaynode.wire.unix import is_served

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from relaynode.config.loader import Config
    from relaynode.neighbours import Neighbour
    from relaynode.queue.store import Store
    from relaynode.timetable import Moment, Turn

MOST_TURNS = 1000
"""More of the future is asked for by mistake."""


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, UsageError, StoreError."""
    config = load(find(arguments.config))
    names = [the_link(config, arguments.link)] if arguments.link else list(config.links)
    count = max(0, min(arguments.count, MOST_TURNS))
    now = hours.now()
    shown = in_store(config, lambda store: _look(config, store, names, count, now))
    is_kept = is_served(config.control_socket)
    if arguments.json:
        print(json.dumps({"daemon": is_kept, "links": shown}, indent=2))
        return EX_OK
    print("\n\n".join("\n".join(_lines(one)) for one in shown) or "no link has times of its own")
    if not is_kept and any(one["timetable"] for one in shown):
        print("\nno daemon is running: turns are given by `relaynode serve`")
    return EX_OK


async def _look(
    config: Config, store: Store, names: Sequence[str], count: int, now: Moment
) -> list[dict[str, Any]]:
    up = await store.links_up()
    neighbours = list(load_neighbours(config))
    shown = []
    for name in names:
        link = config.links[name]
        called = [_called(one, now.wall) for one in neighbours if one.link == name and one.ways]
        if not (link.timetable or link.window or called) and len(names) > 1:
            continue
        turns = hours.turns_of(link, now, await store.turn_marks.recall(name))
        opens: float | None = now.wall
        if link.window is not None:
            opens = opens_at(link.window, now.wall, hours.local_offset)
        shown.append(
            {
                "link": name,
                "kind": link.kind,
                "is_up": link.kind == "always" or name in up,
                "timetable": list(link.timetable.texts) if link.timetable else [],
                "window": str(link.window) if link.window else None,
                "is_open": opens == now.wall,
                "opens_at": opens,
                "turns": [_turn(*one, now.wall) for one in turns.upcoming(now, count)]
                if turns
                else [],
                "neighbours": called,
            }
        )
    return shown


def _turn(at: float, turn: Turn, now: float) -> dict[str, Any]:
    """`turn`: its name by the clock, null for an interval."""
    name = None if turn.local is None else str(turn)
    return {"at": at, "local": _local(at), "turn": name, "is_due": at == now}


def _called(neighbour: Neighbour, now: float) -> dict[str, Any]:
    """From when on it may be called, by any way and for jobs of any grade."""
    opens = [
        opens_at(entry.times, now, hours.local_offset)
        for way in neighbour.ways
        for entry in way.times
    ]
    first = min((one for one in opens if one is not None), default=None)
    return {"neighbour": neighbour.name, "may_be_called": first == now, "opens_at": first}


def _lines(shown: dict[str, Any]) -> list[str]:
    state = "up" if shown["is_up"] else "down: a turn waits for its linkup"
    lines = [f"{shown['link']}  {shown['kind']}, {state}"]
    if shown["window"]:
        lines.append(
            f"  window {shown['window']}: {_opening(shown['opens_at'], shown['is_open'], 'open')}"
        )
    if shown["timetable"]:
        lines.append(f"  {'; '.join(shown['timetable'])}")
    for one in shown["turns"]:
        when = "now" if one["is_due"] else f"{one['local']} {_day(one['at'])}"
        lines.append(f"    {when}{_meaning(one)}")
    for one in shown["neighbours"]:
        opening = _opening(one["opens_at"], one["may_be_called"], "may be called")
        lines.append(f"  neighbour {one['neighbour']}: {opening}")
    return lines if lines[1:] else [*lines, "  it has no times of its own"]


def _opening(at: float | None, is_now: bool, what: str) -> str:
    if at is None:
        return f"never {what}"
    if is_now:
        return f"{what} now"
    return f"{what} from {_local(at)} {_day(at)} on"


def _meaning(turn: dict[str, Any]) -> str:
    """What is not clear from its time."""
    if turn["turn"] is None:
        return "  (interval)"
    return "" if turn["turn"] == turn["local"] else f"  (for {turn['turn']})"


def _local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _day(at: float) -> str:
    return time.strftime("%a", time.localtime(at))
