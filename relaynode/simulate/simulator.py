"""Plays a trace against a plan in virtual time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from relaynode.simulate.clock import Clock
from relaynode.simulate.events import LineChange, MailIn, MailOut
from relaynode.simulate.link import SimulatedLink
from relaynode.simulate.mail import Incoming, Outgoing
from relaynode.simulate.outcome import Outcome

if TYPE_CHECKING:
    from relaynode.simulate.events import Event, Trace
    from relaynode.simulate.plan import Hop, Plan

LONGEST_REST_SECONDS = 30 * 86_400.0
"""A trace without an end: what is under way behind its last event may take so long."""


def simulate(plan: Plan, trace: Trace, *, has_end: bool = True) -> Outcome:
    """What would happen. Without `has_end`, what is under way at the end goes on to its own."""
    return Simulator(plan, trace).run(has_end=has_end)


class Simulator:
    """One simulation. It is the `World` of its links."""

    def __init__(self, plan: Plan, trace: Trace) -> None:
        self.plan = plan
        self.clock = Clock(trace.begins_at)
        self.outcome = Outcome()
        self.boxes: dict[str, list[Incoming]] = {name: [] for name in plan.accounts}
        self._trace = trace
        self._waiting: dict[Outgoing, None] = {}
        self._hops: dict[tuple[str, str, frozenset[str]], Hop] = {}
        self.links = {name: SimulatedLink(link, self) for name, link in plan.links.items()}

    def run(self, *, has_end: bool = True) -> Outcome:
        """Play all of it."""
        for event in self._trace.events:
            self.clock.at(event.at, partial(self._happen, event))
        self.clock.run(self._trace.ends_at)
        if not has_end:
            latest = self._trace.ends_at + LONGEST_REST_SECONDS
            self.clock.run(latest, lambda: any(one.is_busy for one in self.links.values()))
        for link in self.links.values():
            link.stop()
        return self.outcome

    def _happen(self, event: Event) -> None:
        match event:
            case LineChange():
                self.links[event.link].change(event)
            case MailOut():
                self._write(event)
            case MailIn():
                self._receive(event)

    def _write(self, event: MailOut) -> None:
        if self._hop(event, frozenset(self._up())).link is None:
            self.outcome.at_home += 1
            return
        order = self.plan.order
        sender, to = event.sender, [event.recipient]
        urgency = order.urgency(b"", sender, to, event.size_bytes, came_with=event.grade)
        mail = Outgoing(event, len(self.outcome.outgoing), urgency, event.at)
        self.outcome.outgoing.append(mail)
        self._waiting[mail] = None
        for link in self.links.values():
            link.wake()

    def _receive(self, event: MailIn) -> None:
        number = len(self.outcome.incoming)
        message = Incoming(number, event.account, event.size_bytes, event.at)
        self.outcome.incoming.append(message)
        self.boxes[event.account].append(message)

    # --- World

    def waiting(self, link: str) -> list[tuple[Hop, Outgoing]]:
        """See World."""
        now, order, up = self.clock.now, self.plan.order, frozenset((*self._up(), link))
        found = [
            (hop, one)
            for one in self._waiting
            if not one.is_under_way and (hop := self._hop(one.event, up)).link == link
        ]
        found.sort(
            key=lambda its: order.place(
                its[1].urgency, its[1].event.size_bytes, its[1].event.at, now
            )
        )
        return found

    def next_due(self, link: str) -> float | None:
        """See World."""
        up = frozenset((*self._up(), link))
        return min(
            (
                one.due_at
                for one in self._waiting
                if not one.is_under_way and self._hop(one.event, up).link == link
            ),
            default=None,
        )

    def delivered(self, mail: Outgoing, link: str) -> None:
        """See World."""
        del self._waiting[mail]
        mail.delivered_at = self.clock.now
        mail.link = link

    def _up(self) -> list[str]:
        return [name for name, link in self.links.items() if link.is_up]

    def _hop(self, event: MailOut, up: frozenset[str]) -> Hop:
        key = (event.sender, event.recipient, up)
        if key not in self._hops:
            self._hops[key] = self.plan.hop(event, up)
        return self._hops[key]
