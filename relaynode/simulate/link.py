"""One link in virtual time: when runs over it begin, what they take along, how they end.

What the daemon does (`links/linkrun.py`, `daemon/worker.py`, `daemon/timekeeper.py`,
`links/dialling.py`), without its hands: mail goes at once over a line that is there, a link-up and
a turn take all that waits and poll, a line that goes down cuts what is under way.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from relaynode.policy.budget import OPENING_BYTES, Left, Room, Use, day_of
from relaynode.policy.line_model import Call, SmtpConnection
from relaynode.simulate.line import Wire
from relaynode.simulate.mail import Outgoing
from relaynode.simulate.outcome import RunRecord
from relaynode.simulate.run import Run
from relaynode.simulate.supply import Box, Supply
from relaynode.simulate.visit import VisitScript
from relaynode.timetable import Moment, Turns, opens_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relaynode.policy.line_model import Letter, Script, Server
    from relaynode.simulate.clock import Clock
    from relaynode.simulate.events import LineChange
    from relaynode.simulate.mail import Incoming
    from relaynode.simulate.outcome import Outcome
    from relaynode.simulate.plan import Hop, LinkPlan, Plan
    from relaynode.simulate.run import Strand
    from relaynode.timetable import Turn

BUSY_SECONDS = 30.0
"""A turn waits so long for a run that is under way, and looks again (daemon/timekeeper.py)."""


class World(Protocol):
    """What a link knows of all else."""

    plan: Plan
    clock: Clock
    outcome: Outcome
    boxes: dict[str, list[Incoming]]

    def waiting(self, link: str) -> list[tuple[Hop, Outgoing]]:
        """What waits for this link and is not under way, those first that go first."""
        ...

    def next_due(self, link: str) -> float | None:
        """When something that waits for it is to be tried, without a link-up."""
        ...

    def delivered(self, mail: Outgoing, link: str) -> None:
        """It has arrived."""
        ...


class SimulatedLink:
    """See the module."""

    def __init__(self, plan: LinkPlan, world: World) -> None:
        self.plan = plan
        self.is_up = plan.kind == "always"
        self._is_reachable = True
        """Of a line that we dial: would it come up?"""
        self._world = world
        self._clock = world.clock
        self._state = plan.line
        self._run: Run | None = None
        self._in_hand: dict[Outgoing, bool] = {}
        """What is under way; has all of it gone?"""
        self._wakes_at = math.inf
        self._held_until: float | None = None
        self._known: set[str] = set()
        self._uses: list[Use] = []
        self._dials: list[float] = []
        self._is_dialling = False
        self._idle_since: float | None = None
        self._after: list[Callable[[], None]] = []
        self._turns = self._make_turns()

    # --- the line

    def change(self, change: LineChange) -> None:
        """What the trace says of it."""
        self._state = self._state.changed(change)
        if self._run is not None:
            self._run.change(self._state)
        if change.is_up is not None and self.plan.kind == "dial":
            self._is_reachable = change.is_up
            if change.is_up:
                self.wake()
            else:
                self._lose()
        elif change.is_up:
            self._come_up()
        elif change.is_up is False:
            self._lose()

    def _come_up(self) -> None:
        was_up, self.is_up = self.is_up, True
        if self.plan.kind == "event":
            self._begin(is_ordered=True)
        elif not was_up:
            self.wake()

    def _lose(self) -> None:
        self.is_up = False
        if self._run is not None:
            self._cut(self._run, "the line went down")

    @property
    def is_busy(self) -> bool:
        """Is anything under way?"""
        return self._run is not None or self._is_dialling

    def stop(self) -> None:
        """The trace has ended."""
        if self._run is not None:
            self._cut(self._run, "the trace ended")

    # --- what begins a run

    def wake(self) -> None:
        """There may be something to do."""
        if self._run is not None or not (self.is_up or self._is_tried_when_down):
            return
        now, due = self._clock.now, self._world.next_due(self.plan.name)
        opens = self._opens_at()
        if due is None or opens is None:
            return
        if max(due, opens) > now:
            self._wake_at(max(due, opens))
        elif self.is_up:
            self._begin(is_ordered=False)
        elif self.plan.kind == "always":
            self._put_off(one for _, one in self._due())
        elif self.plan.kind == "dial" and self._is_urgent():
            self._dial(self.plan.redial_attempts)

    @property
    def _is_tried_when_down(self) -> bool:
        return self.plan.kind == "always" or bool(self.plan.kind == "dial" and self.plan.dial_grade)

    def _wake_at(self, moment: float) -> None:
        """Once, however often this is asked for."""
        if self._clock.now < self._wakes_at <= moment:
            return
        self._wakes_at = moment
        self._clock.at(moment, self.wake)

    def _opens_at(self) -> float | None:
        window, now = self.plan.window, self._clock.now
        return now if window is None else opens_at(window, now, self._world.plan.zone)

    def _due(self) -> list[tuple[Hop, Outgoing]]:
        waiting = self._world.waiting(self.plan.name)
        return [(hop, one) for hop, one in waiting if one.due_at <= self._clock.now]

    def _put_off(self, mails: Iterable[Outgoing]) -> None:
        """Nobody answers."""
        for one in mails:
            one.attempts += 1
            one.due_at = self._world.plan.next_attempt_at(one.attempts, self._clock.now)
        self.wake()

    def _is_urgent(self) -> bool:
        grade = self.plan.dial_grade
        return bool(grade) and any(one.urgency.grade <= grade for _, one in self._due())

    # --- turns

    def _make_turns(self) -> Turns | None:
        if self.plan.timetable is None:
            return None
        turns = Turns(
            self.plan.timetable, self._world.plan.zone, self._moment, window=self.plan.window
        )
        self._clock.at(self._clock.now + turns.until_next_seconds(self._moment), self._turn)
        return turns

    @property
    def _moment(self) -> Moment:
        return Moment(self._clock.now, self._clock.now)

    def _turn(self) -> None:
        assert self._turns is not None
        began = self._moment
        turn = self._turns.due(began)
        if turn is None:
            self._next_turn()
        elif self._run is not None or self._is_dialling:
            self._clock.at(began.wall + BUSY_SECONDS, self._turn)
        else:
            self._after.append(lambda: self._given(turn, began))
            if self.is_up:
                self._begin(is_ordered=True)
            elif self.plan.kind == "dial":
                self._dial(self.plan.redial_attempts)
            else:
                self._over()

    def _given(self, turn: Turn, began: Moment) -> None:
        assert self._turns is not None
        self._turns.given(turn, began, self._moment)
        self._next_turn()

    def _next_turn(self) -> None:
        assert self._turns is not None
        seconds = self._turns.until_next_seconds(self._moment)
        if seconds < float("inf"):
            self._clock.at(self._clock.now + seconds, self._turn)

    # --- lines that are dialled

    def _dial(self, attempts_left: int, wait_seconds: float = 0.0) -> None:
        """Until it is up, or is given up."""
        if self._is_dialling and not wait_seconds:
            return
        now = self._clock.now
        begins, _ = day_of(now, self._world.plan.zone)
        today = [one for one in self._dials if one >= begins]
        is_spent = 0 < self.plan.dials_per_day <= len(today)
        if is_spent or self._room().is_too_small:
            self._refuse()
            return
        self._is_dialling = True
        self._dials.append(now)
        _count(self._world.outcome.dials, self.plan.name)
        wait = wait_seconds or self.plan.redial_seconds
        self._clock.at(now + self.plan.dial_seconds, lambda: self._dialled(attempts_left, wait))

    def _dialled(self, attempts_left: int, wait_seconds: float) -> None:
        if self._is_reachable:
            self._is_dialling = False
            self.is_up = True
            self._begin(is_ordered=True)
            return
        _count(self._world.outcome.failed_dials, self.plan.name)
        if attempts_left:
            self._clock.at(
                self._clock.now + wait_seconds,
                lambda: self._dial(attempts_left - 1, 2 * wait_seconds),
            )
        else:
            self._is_dialling = False
            self._over()

    def _rest(self) -> None:
        """Nothing is left to do: hang up, at once or later."""
        if self.plan.kind != "dial" or not self.is_up:
            return
        since = self._idle_since = self._clock.now
        if self.plan.idle_seconds:
            self._clock.at(since + self.plan.idle_seconds, lambda: self._hang_up(since))
        else:
            self._hang_up(since)

    def _hang_up(self, since: float) -> None:
        if self._run is None and self._idle_since == since:
            self.is_up = False

    # --- a run

    def _room(self) -> Room:
        budget = self.plan.budget
        return budget.room(budget.left(self._uses, self._clock.now, self._world.plan.zone))

    def _refuse(self, bound: Left | None = None) -> None:
        """No run may begin; one may when the day or month is over."""
        self._is_dialling = False
        bound = bound or self._room().binding()
        until = None if bound is None else bound.until
        if until is None or until != self._held_until:
            _count(self._world.outcome.refused, self.plan.name)
        if until is not None and until != self._held_until:
            self._held_until = until
            self._clock.at(until, self.wake)
        self._over()

    def _over(self) -> None:
        """Whoever waited for a run need not any more."""
        after, self._after = self._after, []
        for one in after:
            one()

    def _begin(self, *, is_ordered: bool) -> None:
        if self._run is not None:
            return
        room = self._room()
        if room.is_too_small:
            self._refuse()
            return
        self._idle_since = None
        run = self._run = Run(self._clock.now, Wire(self._state), room, is_ordered)
        self._send()
        if is_ordered:
            self._poll()
        if not run.strands:
            self._done(run)
        elif room.left:
            self._watch(run)

    def _send(self) -> None:
        """A session for each hop that something waits for."""
        for hop in dict.fromkeys(hop for hop, _ in self._untried()):
            supply = self._supply(hop)
            if not supply:
                continue
            scripts: list[Script] = [Call(supply)]
            if not hop.is_call:
                server = self._server(hop)
                scripts = [
                    SmtpConnection(server, supply, place)
                    for place in range(server.connections or 1)
                ]
            for script in scripts:
                self._add(script)

    def _server(self, hop: Hop) -> Server:
        is_known = hop.server.is_known or hop.name in self._known
        self._known.add(hop.name)
        return replace(hop.server, is_known=is_known)

    def _untried(self) -> list[tuple[Hop, Outgoing]]:
        assert self._run is not None
        waiting = self._world.waiting(self.plan.name) if self._run.is_ordered else self._due()
        return [(hop, one) for hop, one in waiting if one.number not in self._run.tried]

    def _supply(self, hop: Hop) -> Supply:
        run = self._run
        assert run is not None

        def more() -> list[Outgoing]:
            found = [one for its, one in self._untried() if its.name == hop.name]
            run.tried.update(one.number for one in found)
            return found

        def fits(mail: Outgoing) -> bool:
            opening = 0 if run.sent or self._in_hand else OPENING_BYTES
            return run.takes(mail.event.size_bytes, self._clock.now, opening)

        def begins(mail: Outgoing) -> None:
            mail.is_under_way = True
            mail.tries += 1
            self._in_hand[mail] = False

        return Supply(more, fits, begins)

    def _poll(self) -> None:
        run = self._run
        assert run is not None
        for account in self._world.plan.accounts.values():
            if account.link != self.plan.name:
                continue
            box = Box(
                self._world.boxes[account.name],
                lambda one: run.takes(one.size_bytes - one.done_bytes, self._clock.now),
                self._fetched,
            )
            name = f"account {account.name}"
            self._add(
                VisitScript(
                    box,
                    account.security,
                    account.login_round_trips,
                    is_known=name in self._known,
                    goes_on=account.goes_on,
                )
            )
            self._known.add(name)

    def _add(self, script: Script) -> None:
        assert self._run is not None
        strand = self._run.add(script, self._clock.now, self._marked)
        self._advance(self._run, strand)

    def _advance(self, run: Run, strand: Strand) -> None:
        """Go on with a script, and come back when it can go on again."""
        if run.is_over:
            return
        goes_on = run.advance(strand)
        if run.room.left and run.must_end_at(self._clock.now) <= self._clock.now:
            self._cut(run, "its budget is spent")
        elif goes_on:
            self._clock.at(strand.ready, lambda: self._advance(run, strand))
        else:
            self._send()  # what has come meanwhile
            if not run.strands:
                self._clock.at(run.answered_at, lambda: self._done(run))

    def _watch(self, run: Run) -> None:
        """End it when the time of its budget does."""
        if run.is_over:
            return
        ends = run.must_end_at(self._clock.now)
        if ends <= self._clock.now:
            self._cut(run, "its budget is spent")
        elif ends < math.inf:
            self._clock.at(ends, lambda: self._watch(run))

    # --- what it did

    def _marked(self, letter: Letter, ends: float) -> None:
        mail, run = letter.key, self._run
        assert isinstance(mail, Outgoing) and run is not None
        self._in_hand[mail] = True
        run.answered_at = max(run.answered_at, ends)
        self._clock.at(ends, lambda: self._answered(run, mail))

    def _answered(self, run: Run, mail: Outgoing) -> None:
        if run.is_over:
            return
        del self._in_hand[mail]
        mail.is_under_way = False
        run.sent += 1
        self._world.delivered(mail, self.plan.name)

    def _fetched(self, message: Incoming, at: float) -> None:
        assert self._run is not None
        message.fetched_at = at
        message.link = self.plan.name
        self._run.received += 1

    def _done(self, run: Run) -> None:
        if not run.is_over and not run.strands:
            run.end(self._clock.now, "done")
            self._end(run)

    def _cut(self, run: Run, why: str) -> None:
        run.cut(self._clock.now, why)
        self._end(run)

    def _end(self, run: Run) -> None:
        """The run is over: what it did not deliver waits again."""
        self._run = None
        for mail, has_gone in self._in_hand.items():
            mail.is_under_way = False
            mail.in_doubt += has_gone
        self._in_hand.clear()
        self._record(run)
        self._later(run)
        self._rest()
        self._over()
        self.wake()

    def _record(self, run: Run) -> None:
        seconds, wire = self._clock.now - run.began_at, run.wire
        if not seconds:
            return
        carried = round(wire.bytes_carried)
        self._uses.append(Use(run.began_at, seconds, carried))
        self._world.outcome.runs.append(
            RunRecord(
                self.plan.name,
                run.began_at,
                seconds,
                wire.bytes_up,
                wire.bytes_down,
                run.sent,
                run.received,
                run.is_ordered,
                run.ended,
                self.plan.budget.tariff.cost(seconds, carried),
            )
        )

    def _later(self, run: Run) -> None:
        """What was to go in it, and did not, is tried again as the daemon does without a link-up;
        a line that went down under a hook, or under a call, has its next link-up."""
        now = self._clock.now
        for _, mail in self._world.waiting(self.plan.name):
            if mail.number in run.tried:
                mail.attempts += run.ended != "done" and self.plan.kind == "always"
                mail.due_at = self._world.plan.next_attempt_at(max(mail.attempts, 1), now)


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
