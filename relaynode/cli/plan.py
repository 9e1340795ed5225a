"""`relaynode plan [LINK]`: what a link-up now would move, in which order, and what it would take.

isp  33,600 bit/s, round trip 0.20 s (measured 2026-11-21 16:32)
      gone at        bytes  grade  message          for
       0:01.5        2,310  A      6ALGWY9N005467   <bob@x.example>
       0:09.8       34,022  C      6ALGWY9N005471   <ann@y.example> and 2 more
  2 mails in 36,332 bytes
  account home (pop3): what waits there is not known before it is asked
  in all: 0:10.1, 36,420 bytes out, 560 in
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from relaynode.cli.link import the_link
from relaynode.cli.opened import in_node
from relaynode.config.loader import find, load
from relaynode.errors import EX_OK
from relaynode.links.plan import Planner
from relaynode.mail.logline import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from relaynode.links.known_line import KnownLine
    from relaynode.links.plan import Plan, PlannedMail, PlannedVisit
    from relaynode.node import Node


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, UsageError, StoreError."""
    config = load(find(arguments.config))
    link = the_link(config, arguments.link)

    async def look(node: Node) -> Plan:
        return await Planner(config, node.parts).plan(link)

    plan = in_node(config, look)
    if arguments.json:
        print(json.dumps(plan.as_json(), indent=2))
    else:
        print("\n".join(map(clean, _lines(plan))))
    return EX_OK


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{plan.link}  {_line(plan.line)}"
    if plan.mails:
        yield f"  {'gone at':>11} {'bytes':>12}  grade  {'message':<16} for"
    yield from map(_mail, plan.mails)
    size = sum(one.bytes_out for one in plan.mails)
    yield (
        f"  {_many(len(plan.mails), 'mail')} in {size:,} bytes" if plan.mails else "  no mail waits"
    )
    for name, jobs in plan.calls.items():
        yield f"  neighbour {name}: a call" + (
            f", {_many(jobs, 'job')} besides mail" if jobs else ""
        )
    yield from map(_visit, plan.visits)
    if plan.visits and plan.lately_in is not None:
        yield f"  of late a run has brought in {plan.lately_in:,} bytes"
    for name in plan.asked:
        yield f"  {name}: asked to send what it has for us"
    for name in plan.strangers:
        yield f"  {name}: not met before, taken to be like most"
    if left := [one for one in plan.mails if not one.fits]:
        yield f"  {_many(len(left), 'mail')} would stay: the budget has no room"
    if plan.refusal:
        yield f"  no run may begin now: {plan.refusal}"
    money = "" if plan.money is None else f", cost {plan.money:,.2f}"
    yield (
        f"  in all: {_seconds(plan.seconds)}, {plan.bytes_out:,} bytes out, {plan.bytes_in:,} in"
        f"{money}"
    )


def _line(line: KnownLine) -> str:
    if line.bytes_per_second is None:
        return "its rate is not known yet: after the first mail it will be, or set bits_per_second"
    trip = line.round_trip_seconds
    told = "round trip not known" if trip is None else f"round trip {trip:.2f} s"
    source = f"measured {_when(line.measured_at)}" if line.is_measured else "as configured"
    return f"{line.bytes_per_second * 8:,.0f} bit/s, {told} ({source})"


def _mail(mail: PlannedMail) -> str:
    ends = "" if mail.moment is None else _seconds(mail.moment.ends)
    if not mail.fits:
        ends = "stays"
    first, *others = mail.recipients
    more = f" and {len(others)} more" if others else ""
    return (
        f"  {ends:>11} {mail.bytes_out:>12,}  {mail.grade:<5}  {mail.queue_id:<16} <{first}>{more}"
    )


def _visit(visit: PlannedVisit) -> str:
    known = "what waits there is not known before it is asked"
    if visit.wanted:
        known = (
            f"{_many(visit.wanted, 'mail')} to be got in {visit.wanted_bytes:,} bytes; else {known}"
        )
    return f"  account {visit.account} ({visit.protocol}): {known}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _seconds(seconds: float | None) -> str:
    """As 1:02:03.4; tenths are no use beyond an hour, but do no harm."""
    if seconds is None:
        return "how long is not known"
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")
