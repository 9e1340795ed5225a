"""What becomes of mail in a queue run: claims, and tries written down with the DSNs that they make
due. What an outcome means is decided in `verdict.py`, what is told in `notices.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.links.notices import Notices
from relaynode.links.run_parts import Leg, RunParts, RunResult, Wanted
from relaynode.links.verdict import NEVER_AN_ATTEMPT, Judge, Tried
from relaynode.mail.reason import Reason
from relaynode.mail.status import temporary
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.queue.model import Outcome, QueuedRecipient, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relaynode.queue.uucp.model import Settled
    from relaynode.wire.meter import ByteCount

OVER_BUDGET = Tried(
    temporary("it does not fit into what is left of the link's budget", "4.4.1"), Reason.BUDGET
)


class Ledger:
    """Of one run. `count`: what its link carries. `result`: what it adds to. `on_progress`: told
    when something was written down."""

    def __init__(
        self,
        parts: RunParts,
        count: ByteCount,
        result: RunResult,
        on_progress: Callable[[RunResult], None],
    ) -> None:
        self._parts = parts
        self._count = count
        self._on_progress = on_progress
        self._judge = Judge(parts.retry)
        self._notices = Notices(parts, self.problem)
        self.result = result

    def problem(self, text: str) -> None:
        """Something to be told of the run, once."""
        if text not in self.result.problems:
            self.result.problems.append(text)

    @property
    def has_poison(self) -> bool:
        """Was a message set aside?"""
        return self._notices.has_poison

    async def tell_poison(self) -> None:
        """Tell of messages that were set aside. Raises: StoreError."""
        await self._notices.tell_poison()

    # --- claims

    async def claim(self, wanted: Sequence[Wanted]) -> list[Consignment]:
        """Claim; what somebody else has meanwhile is left out."""
        addresses = {key: value for one in wanted for key, value in one.addresses.items()}
        deliveries = await self._parts.store.claim(
            [(one.message.queue_id, set(one.addresses)) for one in wanted]
        )
        return [
            Consignment(delivery, tuple(addresses[one.id] for one in delivery.recipients))
            for delivery in deliveries
        ]

    async def unclaim(self, recipient_ids: Iterable[int]) -> None:
        """Give back, untried."""
        await self._parts.store.unclaim(list(recipient_ids))

    async def doubt(self, recipient_ids: Iterable[int]) -> None:
        """Give back what was tried, and how it ended could not be recorded."""
        await self._parts.store.unclaim(list(recipient_ids), in_doubt=True)

    # --- tries

    async def record(
        self, attempts: Sequence[Attempt], leg: Leg, settled: Settled | None = None
    ) -> None:
        """Write down tries, with the DSNs that they make due, in one commit.

        `settled`: the UUCP jobs that end with them.
        """
        now = self._parts.clock()
        judged = [(one, self._outcome(one, leg.host, now)) for one in attempts]
        outcomes = [outcome for _, outcome in judged]
        due = self._notices.due(judged, now, is_final=leg.is_final)
        await self._parts.store.record(outcomes, now, due.new, settled, due.warnings)
        for attempt, outcome in judged:
            self._tally(outcome)
            self._notices.log(attempt, outcome, leg, now)
        self._notices.log_queued(due)
        self.result.notices += len(due.final) + len(due.warnings)
        self._on_progress(self.result)

    def _outcome(self, attempt: Attempt, host: str, now: float) -> Outcome:
        tried = Tried(
            attempt.status, attempt.reason, attempt.relay, attempt.in_doubt, host=attempt.host
        )
        self.result.is_heard |= tried.is_answered
        return self._judge.outcome(
            attempt.delivery.message.queue_id,
            attempt.recipient,
            tried,
            now,
            host=host,
            is_attempt=tried.reason not in NEVER_AN_ATTEMPT,
        )

    def _tally(self, outcome: Outcome) -> None:
        match outcome.result:
            case Result.DELIVERED:
                self.result.delivered += 1
                self.result.sent_messages.add(outcome.queue_id)
            case Result.DEFERRED:
                self.result.deferred += 1
            case Result.FAILED:
                self.result.failed += 1
        self.result.in_doubt += outcome.in_doubt

    def is_last(self, recipient: QueuedRecipient, now: float) -> bool:
        """Would one more try that fails be the last?"""
        return self._judge.is_last(recipient, now)

    async def over_budget(self, wanted: Sequence[Wanted], leg: Leg) -> None:
        """These do not fit into the budget, and go on waiting."""
        self._count.passed_over(len(wanted))
        await self.defer(wanted, OVER_BUDGET, leg, is_attempt=False)

    async def defer(
        self, wanted: Sequence[Wanted], tried: Tried, leg: Leg, *, is_attempt: bool = True
    ) -> None:
        """The next hop cannot be used: a try for all that was to go there.

        `is_attempt`: does it count?
        """
        now = self._parts.clock()
        marked: list[Wanted] = []
        outcomes = []
        for one in wanted:
            told = [r for r in one.recipients if is_attempt and self._is_to_be_told(one, r, now)]
            if told:
                marked.append(Wanted(one.message, told, {r.id: "" for r in told}))
            outcomes += [
                self._judge.outcome(
                    one.message.queue_id, r, tried, now, host=leg.host, is_attempt=is_attempt
                )
                for r in one.recipients
                if r not in told
            ]
        await self._record_claimed(marked, tried, leg)
        for outcome in outcomes:
            self._tally(outcome)
        await self._parts.store.record(outcomes, now)
        self._notices.log_deferred(wanted, outcomes, leg, now)
        self._on_progress(self.result)

    def _is_to_be_told(self, one: Wanted, recipient: QueuedRecipient, now: float) -> bool:
        """Would a DSN be due if one more attempt failed?"""
        is_late = self._parts.retry.is_late(self._judge.aged(recipient, now))
        return self._judge.is_last(recipient, now) or (is_late and not one.message.warned_at)

    async def _record_claimed(self, wanted: Sequence[Wanted], tried: Tried, leg: Leg) -> None:
        """DSNs want the content: claim what they are due for."""
        claimed = [one.delivery for one in await self.claim(wanted)] if wanted else []
        attempts = [
            Attempt(delivery, one, tried.status, tried.relay, reason=tried.reason)
            for delivery in claimed
            for one in delivery.recipients
        ]
        if attempts:
            await self.record(attempts, leg)
