"""Conducts one run over a link: its sessions and visits, and what comes of each message.

It takes along what a queue run takes (`links/queuerun.py`): what waits, in its order, each message
once, and what comes meanwhile.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from relaynode.policy.budget import OPENING_BYTES
from relaynode.policy.line_model import Call, SmtpConnection
from relaynode.simulate.mail import Outgoing
from relaynode.simulate.supply import Box, Supply
from relaynode.simulate.visit import VisitScript

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.line_model import Letter, Script, Server
    from relaynode.simulate.mail import Incoming
    from relaynode.simulate.plan import AccountPlan, Hop
    from relaynode.simulate.run import Run, Strand
    from relaynode.simulate.world import World

BUDGET_SPENT = "its budget is spent"


class Conductor:
    """`known`: servers that were seen before, added to. `on_end` is called once, when it is
    over."""

    def __init__(
        self,
        link: str,
        world: World,
        run: Run,
        known: set[str],
        on_end: Callable[[Run], None],
    ) -> None:
        self.run = run
        self._link = link
        self._world = world
        self._clock = world.clock
        self._known = known
        self._on_end = on_end
        self._in_hand: dict[Outgoing, bool] = {}
        """What is under way; has all of it gone?"""

    def begin(self) -> None:
        """Start what there is to do."""
        self._send()
        if self.run.is_ordered:
            for account in self._world.plan.accounts.values():
                if account.link == self._link:
                    self._poll(account)
        if not self.run.strands:
            self._done()
        elif self.run.room.left:
            self._watch()

    def cut(self, why: str) -> None:
        """The line is gone in the middle, or no longer to be used."""
        if not self.run.is_over:
            self.run.cut(self._clock.now, why)
            self._end()

    def _done(self) -> None:
        if not self.run.is_over and not self.run.strands:
            self.run.end(self._clock.now, "done")
            self._end()

    def _end(self) -> None:
        for mail, has_gone in self._in_hand.items():
            mail.is_under_way = False
            mail.in_doubt += has_gone
        self._in_hand.clear()
        self._on_end(self.run)

    # --- mail out

    def _send(self) -> None:
        """A session for each hop that something waits for."""
        busy = {strand.hop for strand in self.run.strands}
        for hop in dict.fromkeys(hop for hop, _ in self._untried()):
            supply = self._supply(hop)
            if hop.name in busy or not supply:
                continue
            scripts: list[Script] = [Call(supply)]
            if not hop.is_call:
                server = self._server(hop)
                places = range(server.connections or 1)
                scripts = [SmtpConnection(server, supply, place) for place in places]
            for script in scripts:
                self._add(script, hop.name)

    def _server(self, hop: Hop) -> Server:
        is_known = hop.server.is_known or hop.name in self._known
        self._known.add(hop.name)
        return replace(hop.server, is_known=is_known)

    def _untried(self) -> list[tuple[Hop, Outgoing]]:
        run, now = self.run, self._clock.now
        return [
            (hop, one)
            for hop, one in self._world.waiting(self._link)
            if one.number not in run.tried and (run.is_ordered or one.due_at <= now)
        ]

    def _supply(self, hop: Hop) -> Supply:
        def more() -> list[Outgoing]:
            found = [one for its, one in self._untried() if its.name == hop.name]
            self.run.tried.update(one.number for one in found)
            return found

        def fits(mail: Outgoing) -> bool:
            opening = 0 if self.run.sent or self._in_hand else OPENING_BYTES
            return self.run.takes(mail.event.size_bytes, self._clock.now, opening)

        def begins(mail: Outgoing) -> None:
            mail.is_under_way = True
            mail.tries += 1
            self._in_hand[mail] = False

        return Supply(more, fits, begins)

    def _marked(self, letter: Letter, ends: float) -> None:
        """All of it has gone, and the reply is on its way."""
        mail = letter.key
        assert isinstance(mail, Outgoing)
        self._in_hand[mail] = True
        self.run.answered_at = max(self.run.answered_at, ends)
        self._clock.at(ends, lambda: self._answered(mail))

    def _answered(self, mail: Outgoing) -> None:
        if self.run.is_over:
            return
        del self._in_hand[mail]
        mail.is_under_way = False
        self.run.sent += 1
        self._world.delivered(mail, self._link)

    # --- mail in

    def _poll(self, account: AccountPlan) -> None:
        box = Box(
            self._world.boxes[account.name],
            lambda one: self.run.takes(one.size_bytes - one.done_bytes, self._clock.now),
            self._fetched,
        )
        name = f"account {account.name}"
        visit = VisitScript(
            box,
            account.security,
            account.login_round_trips,
            is_known=name in self._known,
            goes_on=account.goes_on,
        )
        self._known.add(name)
        self._add(visit, name)

    def _fetched(self, message: Incoming, at: float) -> None:
        message.fetched_at = at
        message.link = self._link
        self.run.received += 1

    # --- the line

    def _add(self, script: Script, hop: str) -> None:
        if not self.run.is_over:
            self._advance(self.run.add(script, hop, self._clock.now, self._marked))

    def _advance(self, strand: Strand) -> None:
        """Go on with a script, and come back when it can go on again."""
        run = self.run
        if run.is_over:
            return
        goes_on = run.advance(strand)
        if run.room.left and run.must_end_at(self._clock.now) <= self._clock.now:
            self.cut(BUDGET_SPENT)
        elif goes_on:
            self._clock.at(strand.ready, lambda: self._advance(strand))
        else:
            self._send()  # what has come meanwhile
            if not run.strands:
                self._clock.at(run.answered_at, self._done)

    def _watch(self) -> None:
        """End it when the time of its budget does."""
        if self.run.is_over:
            return
        ends = self.run.must_end_at(self._clock.now)
        if ends <= self._clock.now:
            self.cut(BUDGET_SPENT)
        elif ends < math.inf:
            self._clock.at(ends, self._watch)
