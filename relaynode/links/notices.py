"""What is told of tries: DSNs to the sender, a letter to the postmaster, lines in the log.

Which DSN is due follows from the outcomes; they are queued in the commit that records them, so that
a crash neither loses one nor makes two. Their text is made in `sources/dsn.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import StoreError
from relaynode.links.verdict import Judge
from relaynode.mail import logline
from relaynode.mail.reason import Reason
from relaynode.queue.listing import priority
from relaynode.queue.model import Delivery, NewMessage, Outcome, QueuedMessage, Result
from relaynode.sources.dsn import DOUBLE_BOUNCE, Told, is_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relaynode.links.run_parts import Leg, RunParts, Wanted
    from relaynode.mail.dsn import Action
    from relaynode.mailers.mailer import Attempt

log = logging.getLogger("relaynode.mail")


@dataclass(slots=True)
class Due:
    """DSNs to be queued, by the queue id of what they are about. `warnings`: of a message that
    still waits."""

    final: list[tuple[str, NewMessage]] = field(default_factory=list)
    warnings: list[tuple[str, NewMessage]] = field(default_factory=list)

    @property
    def new(self) -> list[NewMessage]:
        """Those that are queued whatever was told before."""
        return [one for _, one in self.final]


class Notices:
    """Of one queue run. `on_problem` is told what keeps a DSN from being made. `has_poison`: a
    message broke us in this run."""

    def __init__(self, parts: RunParts, on_problem: Callable[[str], None]) -> None:
        self._parts = parts
        self._judge = Judge(parts.retry)
        self._on_problem = on_problem
        self.has_poison = False

    def due(self, judged: Iterable[tuple[Attempt, Outcome]], now: float, *, is_final: bool) -> Due:
        """The DSNs that outcomes make due. `is_final`: what was taken has arrived."""
        groups: dict[tuple[str, Action], tuple[Delivery, list[Told]]] = {}
        oldest: dict[str, float] = {}
        for attempt, outcome in judged:
            self.has_poison |= outcome.is_strike
            action = self._action(attempt, outcome, is_final=is_final)
            if action is None:
                continue
            _, told = groups.setdefault((outcome.queue_id, action), (attempt.delivery, []))
            told.append(Told(attempt.recipient, attempt.status, attempt.relay, attempt.dialogue))
            left = self._parts.retry.give_up_after_seconds - outcome.aged_seconds
            oldest[outcome.queue_id] = min(left, oldest.get(outcome.queue_id, left))
        due = Due()
        for (queue_id, action), (delivery, told) in groups.items():
            notice = self._notice(delivery, told, now, action, now + oldest[queue_id])
            if notice is not None and action == "delayed":
                due.warnings.append((queue_id, notice))
            elif notice is not None:
                due.final.append((queue_id, notice))
        return due

    def _action(self, attempt: Attempt, outcome: Outcome, *, is_final: bool) -> Action | None:
        """What there is to tell of an outcome; None: nothing, or not to anybody."""
        message = attempt.delivery.message
        action: Action | None = None
        if outcome.result is Result.FAILED:
            return "failed"  # who has no reverse-path may have a postmaster
        if outcome.result is Result.DELIVERED:
            if not attempt.passes_dsn and outcome.reason != Reason.DISCARDED:
                action = "delivered" if is_final else "relayed"
        elif self._judge.is_late(outcome) and not message.warned_at:
            action = "delayed"
        if action is None or not message.envelope.reverse_path:
            return None
        return action if is_wanted(attempt.recipient, action) else None

    def _notice(
        self,
        delivery: Delivery,
        told: Sequence[Told],
        now: float,
        action: Action,
        retry_until: float,
    ) -> NewMessage | None:
        until = retry_until if action == "delayed" else None
        try:
            return self._parts.dsns.notice(delivery, told, now, action, until)
        except StoreError as error:  # the content is gone: the outcome still stands
            self._on_problem(str(error))
            return None

    async def tell_poison(self) -> None:
        """Write to the postmaster about messages that were set aside, once. Raises: StoreError."""
        store, now = self._parts.store, self._parts.clock()
        for message in await store.poisoned():
            log.error("%s: set aside: it broke us three times", message.queue_id)
            # A letter that is poison itself is left at that, or there would be no end of letters.
            is_letter = message.source == DOUBLE_BOUNCE
            letters = [] if is_letter else [self._parts.dsns.poison(message, now)]
            await store.tell_poison([message.queue_id], letters, now)

    # --- the log

    def log_queued(self, due: Due) -> None:
        """One line for each DSN, that leads from the message to it, and one for its arrival."""
        for queue_id, notice in [*due.final, *due.warnings]:
            log.info("%s: %s: DSN", queue_id, notice.queue_id)
            line = logline.arrival(
                notice.queue_id,
                sender="",
                size_bytes=notice.content.size_bytes,
                recipients=len(notice.envelope.recipients),
                message_id="",
                relay="localhost",
                body=notice.envelope.body,
            )
            log.info("%s", line)

    def log(self, attempt: Attempt, outcome: Outcome, leg: Leg, now: float) -> None:
        """One line for one recipient."""
        message = attempt.delivery.message
        began = leg.began.get(message.queue_id, now)
        self._log(message, attempt.recipient.forward_path.address, outcome, leg, now, now - began)

    def log_deferred(
        self, wanted: Iterable[Wanted], outcomes: Iterable[Outcome], leg: Leg, now: float
    ) -> None:
        """The same for recipients whose next hop could not be used."""
        found = {r.id: (one.message, r) for one in wanted for r in one.recipients}
        for outcome in outcomes:
            message, recipient = found[outcome.recipient_id]
            if outcome.is_attempt or outcome.reason != recipient.reason:
                self._log(message, recipient.forward_path.address, outcome, leg, now, 0.0)

    def _log(
        self,
        message: QueuedMessage,
        address: str,
        outcome: Outcome,
        leg: Leg,
        now: float,
        xdelay: float,
    ) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        line = logline.attempt(
            message.queue_id,
            to=address,
            delay=now - message.arrived_at,
            xdelay=xdelay,
            mailer=leg.mailer,
            priority=priority(message),
            relay=outcome.relay or leg.host,
            status=outcome.status,
            is_waiting=outcome.result is Result.DEFERRED,
        )
        log.info("%s", line)
