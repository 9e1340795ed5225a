"""One link in virtual time: when runs over it begin, what they take along, how they end.

What the daemon does (`links/linkrun.py`, `daemon/worker.py`, `daemon/timekeeper.py`,
`links/dialling.py`), without its hands: mail goes at once over a line that is there, a link-up and
a turn take all that waits and poll, a line that goes down cuts what is under way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from relaynode.policy.budget import Room, Use, day_of
from relaynode.simulate.conductor import Conductor
from relaynode.simulate.line import Wire
from relaynode.simulate.outcome import RunRecord
from relaynode.simulate.run import Run
from relaynode.timetable import Moment, Turns, opens_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relaynode.simulate.events import LineChange
    from relaynode.simulate.mail import Outgoing
    from relaynode.simulate.plan import Hop, LinkPlan
    from relaynode.simulate.world import World
    from relaynode.timetable import Turn

BUSY_SECONDS = 30.0
"""A turn waits so long for a run that is under way, and looks again (daemon/timekeeper.py)."""

URGENT_PAUSE_SECONDS = 900.0
"""Urgent mail has nothing dialled so soon after a dial that came to nothing."""


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
        self._conductor: Conductor | None = None
        self._wakes_at = math.inf
        self._held_until: float | None = None
        self._known: set[str] = set()
        self._uses: list[Use] = []
        self._dials: list[float] = []
        self._is_dialling = False
        self._rested_at = 0.0
        self._idle_since: float | None = None
        self._after: list[Callable[[], None]] = []
        self._turns = self._make_turns()

    # --- the line

    def change(self, change: LineChange) -> None:
        """What the trace says of it."""
        self._state = self._state.changed(change)
        if self._conductor is not None:
            self._conductor.run.change(self._state)
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
        if self._conductor is not None:
            self._conductor.cut("the line went down")

    @property
    def is_busy(self) -> bool:
        """Is anything under way?"""
        return self._conductor is not None or self._is_dialling

    def stop(self) -> None:
        """The trace has ended."""
        if self._conductor is not None:
            self._conductor.cut("the trace ended")

    # --- what begins a run

    def wake(self) -> None:
        """There may be something to do."""
        if self._conductor is not None or not (self.is_up or self._is_tried_when_down):
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
        elif self._rested_at > now:
            self._wake_at(self._rested_at)
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
        elif self._conductor is not None or self._is_dialling:
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
        begins, ends = day_of(now, self._world.plan.zone)
        today = [one for one in self._dials if one >= begins]
        is_spent = 0 < self.plan.dials_per_day <= len(today)
        if is_spent or self._room().is_too_small:
            self._refuse(ends if is_spent else None)
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
            self._rested_at = self._clock.now + URGENT_PAUSE_SECONDS
            self._over()
            self.wake()

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
        if self._conductor is None and self._idle_since == since:
            self.is_up = False

    # --- a run

    def _room(self) -> Room:
        budget = self.plan.budget
        return budget.room(budget.left(self._uses, self._clock.now, self._world.plan.zone))

    def _refuse(self, until: float | None = None) -> None:
        """No run may begin; one may when the day or month is over, or `until` is."""
        self._is_dialling = False
        bound = self._room().binding()
        until = until or (None if bound is None else bound.until)
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
        if self._conductor is not None:
            return
        room = self._room()
        if room.is_too_small:
            self._refuse()
            return
        self._idle_since = None
        run = Run(self._clock.now, Wire(self._state), room, is_ordered)
        name = self.plan.name
        self._conductor = Conductor(name, self._world, run, self._known, self._ended)
        self._conductor.begin()

    def _ended(self, run: Run) -> None:
        """What it did not deliver waits again."""
        self._conductor = None
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
