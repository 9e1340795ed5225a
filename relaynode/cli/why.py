"""`relaynode why ID|ADDRESS`: what became of mail so far, and what happens next.

    6ALGWY9N005467  from <user@bsd.home>, 3600 bytes, since 2026-11-21 16:32:38 (local user)
      <bob@x.example>  waiting: link-down
        last      2 attempts, the latest 2026-11-21 16:40:02: connect-refused
                  451 4.4.1 mx.x.example:25: Connection refused
        route     mailertable x.example: esmtp:mx.x.example   [/etc/mail/mailertable:3]
                  = esmtp mx.x.example bob@x.example
        link      isp (event), down
        next      when link isp comes up
                  would leave 12.3 s into the next link-up of isp
      history
        ...

The codes behind the state are explained in docs/why.md.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from relaynode.cli.opened import in_node
from relaynode.config.loader import find, load
from relaynode.errors import EX_DATAERR, EX_OK
from relaynode.links.budgets import spent_links
from relaynode.links.why import Why
from relaynode.mail.logline import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from relaynode.node import Node


def run(arguments: argparse.Namespace) -> int:
    """65 if one of the names is not known. Raises: ConfigError, StoreError."""
    config = load(find(arguments.config))
    unknown: list[str] = []

    async def explain(node: Node) -> list[dict[str, Any]]:
        await node.store.reap(node.clock())  # a dead process delivers nothing
        spent = await spent_links(config.links, node.store.link_runs, node.clock())
        why = Why(config, node.parts, await node.store.links_up(), spent)
        found: dict[str, dict[str, Any]] = {}
        for what in arguments.what:
            messages = await why.find(what)
            if not messages:
                unknown.append(what)
            for message in messages:
                found[message.queue_id] = await why.explain(message)
        return list(found.values())

    explained = in_node(config, explain)
    if arguments.json:
        print(json.dumps(explained, indent=2))
    else:
        for one in explained:
            print("\n".join(map(_safe, _lines(one))))
    for what in unknown:
        print(f"relaynode: {_safe(what)}: no message is known by that", file=sys.stderr)
    return EX_DATAERR if unknown else EX_OK


def _safe(line: str) -> str:
    """Fit for a terminal: strangers have said some of it."""
    return clean(line)


def _lines(one: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{one['id']}  from <{one['sender']}>, {one['size_bytes']} bytes,"
        f" since {_when(one['arrived_at'])} ({one['source']})"
    )
    if one["hold"]:
        yield f"  held: {one['hold']}"
    for recipient in one["recipients"]:
        yield from _recipient(recipient)
    yield "  history"
    for event in one["history"]:
        whom = f" <{event['recipient']}>" if event["recipient"] else ""
        yield f"    {_when(event['at'])}  {event['kind']}{whom}  {event['text']}".rstrip()


def _recipient(one: dict[str, Any]) -> Iterator[str]:
    source = f" (from {one['expanded_from']})" if one["expanded_from"] else ""
    yield f"  <{one['address']}>{source}  {one['state']}: {one['reason']}"
    yield from _rows("last", _last(one))
    if one["state"] != "waiting":
        return
    if one["route"] is not None:
        route = one["route"]
        ends = [f"= {route['route']}", f"by {route['way']}"]
        yield from _rows("route", [*map(_step, route["trail"]), *ends])
    if one["link"] is not None:
        link = one["link"]
        yield from _rows("link", [f"{link['name']} ({link['kind']}), {_up(link)}"])
    leaves = one.get("would_leave")
    foreseen = [] if leaves is None else [f"would leave {_into(leaves)} of {leaves['link']}"]
    yield from _rows("next", [_next(one["next"]), *foreseen])


def _rows(name: str, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"    {'' if number else name:<9} {line}"


def _last(one: dict[str, Any]) -> list[str]:
    if not one["status"]:
        return []
    attempts = one["attempts"]
    told = f"{attempts} attempt" + ("" if attempts == 1 else "s")
    if attempts:
        told += f", the latest {_when(one['last_attempt_at'])}"
    relay = f" ({one['relay']})" if one["relay"] else ""
    doubt = ["may have been accepted: it may arrive twice"] if one["in_doubt"] else []
    return [f"{told}: {one['last_reason']}", f"{one['status']}{relay}", *doubt]


def _up(link: dict[str, Any]) -> str:
    return "up" if link["is_up"] else "down"


def _next(one: dict[str, Any]) -> str:
    at, event = one["at"], one["event"]
    if at is None:
        return f"when {event}"
    told = f"from {_when(at)} on"
    return f"{told}, or when {event}" if event else told


def _into(leaves: dict[str, Any]) -> str:
    return f"{leaves['ends_seconds']:.1f} s into the next link-up"


def _step(step: dict[str, str]) -> str:
    place = f"   [{step['place']}]" if step["place"] else ""
    return f"{step['question']}: {step['answer']}{place}"


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
