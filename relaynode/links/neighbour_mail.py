"""The mail for one UUCP neighbour in one session: out of the queue by grade, then size, then age.

A `MailFeed` (uucico/mail_feed.py) on top of a queue run: what is chosen, claimed and recorded is
chosen, claimed and recorded as for every other next hop. Between claim and record stands the job
that carries the mail; see queue/uucp/model.py for what that means.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import NotClaimed
from relaynode.links.run_parts import Leg
from relaynode.links.verdict import Tried
from relaynode.mail.packing import can_pack
from relaynode.mail.reason import Reason
from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.mailers.mailer import Attempt
from relaynode.mailers.neighbour_jobs import OWN_COMMAND, JobMaker
from relaynode.mailers.uucp_form import UucpForm
from relaynode.policy.order import USUAL_GRADE
from relaynode.queue.uucp.model import Settled, WorkOutcome, WorkState
from relaynode.uucp.commands import Code
from relaynode.uucp.record import Status as CallStatus
from relaynode.uucp.work import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relaynode.links.queuerun import QueueRun
    from relaynode.links.run_parts import RunParts, Wanted
    from relaynode.links.ways import Way
    from relaynode.mailers.neighbour_jobs import Load
    from relaynode.neighbours import Neighbour
    from relaynode.queue.model import Delivery, QueuedMessage, QueuedRecipient
    from relaynode.queue.uucp.model import ClaimedJob, Job
    from relaynode.uucp.record import Record
    from relaynode.uucp.work import Outcome

GROUP_MESSAGES = 8
"""Claimed in one commit, when each is a job of its own."""

GROUP_BATCHES = 2
"""Made at once: one that goes, one that is ready."""

USUAL_BATCH_BYTES = 64 * 1024
LEAST_BATCH_BYTES = 16 * 1024
MOST_BATCH_BYTES = 1024 * 1024
BATCH_SECONDS = 30.0
"""How long a batch should be on the line: so much of it is what its mail waits for each other."""

PACKED_TO = 0.4
"""What is left of mail when it is packed, more or less."""

NOT_AS_A_BATCH = frozenset(
    (Code.NOT_PERMITTED, Code.TOO_LARGE, Code.TOO_LARGE_NOW, Code.TOO_LARGE_SVR4)
)
"""Refusals of a batch that its mail need not meet singly: the command, or the size of all of it."""

RATE_SESSIONS = 5
LEAST_RATED_BYTES = 20_000
"""A session with less says nothing about the line."""


@dataclass(frozen=True, slots=True)
class _Carried:
    """What a job carries. `wanted`: to take it up again; None for a job of an earlier session."""

    parts: tuple[tuple[Delivery, tuple[QueuedRecipient, ...]], ...]
    way: Way | None = None


@dataclass(frozen=True, slots=True)
class _Next:
    """A message that waits, with what its place in the order depends on."""

    way: Way
    wanted: Wanted
    grade: str


def grade_of(neighbour: Neighbour, message: QueuedMessage) -> str:
    """The grade of the job for a message: its own, or, if it is like most, what the neighbour's
    configuration says of its size."""
    if message.grade != USUAL_GRADE:
        return message.grade
    return neighbour.mail.grade_of(message.size_bytes)


class NeighbourMail:
    """A `MailFeed`. `run`: a queue run over the ways to this neighbour, for this session alone.
    `hello`: our name in a batch. `max_bytes`: the largest message, where the neighbour has no
    limit of its own."""

    def __init__(
        self,
        neighbour: Neighbour,
        run: QueueRun,
        parts: RunParts,
        *,
        hello: str,
        max_bytes: int,
    ) -> None:
        self._neighbour = neighbour
        self._run = run
        self._parts = parts
        self._hello = hello
        self._max_bytes = neighbour.mail.max_bytes or max_bytes
        command = neighbour.mail.batch
        self._command = command if command and can_pack(command) else ""  # `check` tells of it
        self._batch_bytes = neighbour.mail.batch_bytes
        self._waiting: list[_Next] = []
        self._is_news = True
        """Whether there may be mail that was not looked at."""
        self._carried: dict[str, _Carried] = {}
        self._leg = Leg(neighbour.name, "uucp")

    # --- MailFeed

    def wake(self) -> None:
        """See MailFeed."""
        self._is_news = True

    async def more(self, worst_grade: str, max_bytes: int | None) -> list[ClaimedJob]:
        """See MailFeed."""
        if self._is_news or not self._waiting:
            await self._look()
        chosen = await self._choose(worst_grade)
        while chosen:
            loads = await self._loads(chosen, max_bytes)
            if loads:
                return await self._bind(loads)
            chosen = await self._choose(worst_grade)  # all of that was refused, or is taken
        return []

    async def take_over(self, claimed: Sequence[ClaimedJob]) -> list[ClaimedJob]:
        """See MailFeed."""
        carried = await self._parts.store.carried([one.job.job_id for one in claimed])
        wanted = []
        for one in claimed:
            deliveries = carried[one.job.job_id]
            if not deliveries:  # all of it was removed while it was on the line
                await self._settle(one.job, WorkState.FAILED, "its mail was removed")
                continue
            parts = tuple((delivery, delivery.recipients) for delivery in deliveries)
            self._carried[one.job.job_id] = _Carried(parts)
            wanted.append(one)
        return wanted

    async def ended(self, job: Job, outcome: Outcome) -> None:
        """See MailFeed."""
        carried = self._carried.pop(job.job_id)
        self._ended(carried)
        if outcome.ending is Ending.DONE:
            told = ok("accepted by UUCP", "2.0.0")
            await self._record(job, carried, told, WorkState.DONE, outcome.reason, Reason.DELIVERED)
        elif outcome.code in NOT_AS_A_BATCH and job.is_batch:
            await self._send_singly(job, carried, outcome)
        elif outcome.ending is Ending.REFUSED:
            await self._refused(job, carried, outcome)
        elif outcome.code is None and not outcome.sent_bytes and not outcome.is_doubtful:
            await self._give_back(job.job_id, carried)
        else:
            await self._later(job, carried, outcome.reason)

    async def close(self) -> None:
        """See MailFeed."""
        for job_id, carried in self._carried.items():
            self._ended(carried)
            await self._give_back(job_id, carried)
        self._carried.clear()

    # --- choosing

    async def _look(self) -> None:
        """Add what has come since the last look, in its place."""
        self._is_news = False
        for way, found in (await self._run.choose()).items():
            self._waiting += [
                _Next(way, one, grade_of(self._neighbour, one.message)) for one in found
            ]
        now = self._parts.clock()
        self._waiting.sort(key=lambda one: (one.grade, self._run.place(one.wanted.message, now)))

    async def _choose(self, worst_grade: str) -> list[_Next]:
        """The next ones, of one way and grade, enough for a few jobs."""
        if not self._waiting or self._waiting[0].grade > worst_grade:
            return []
        first = self._waiting[0]
        most_bytes = await self._most_bytes() * GROUP_BATCHES
        chosen: list[_Next] = []
        size_bytes = 0
        looked_at, passed = 0, []
        for one in self._waiting:
            if (one.way, one.grade) != (first.way, first.grade):
                break
            message_bytes = one.wanted.message.size_bytes
            is_full = len(chosen) == GROUP_MESSAGES
            if self._command:
                is_full = size_bytes + message_bytes > most_bytes
            if chosen and is_full:
                break
            looked_at += 1
            if not self._run.count.takes(message_bytes):
                passed.append(one.wanted)
                continue
            size_bytes += message_bytes
            chosen.append(one)
        del self._waiting[:looked_at]
        if passed:
            await self._run.ledger.over_budget(passed, self._leg)
            if not chosen:
                return await self._choose(worst_grade)
        return chosen

    def _ended(self, carried: _Carried) -> None:
        if carried.way is not None:  # else another session took it
            for _ in carried.parts:
                self._run.count.ended()

    async def _most_bytes(self) -> int:
        """Of a batch."""
        if self._batch_bytes is None:
            known = self._parts.store.uucp.neighbours
            sessions = await known.sessions(self._neighbour.name, RATE_SESSIONS)
            self._batch_bytes = suitable_batch_bytes(
                [(one.bytes_sent + one.bytes_received, one.seconds) for one in sessions]
            )
        return self._batch_bytes

    # --- making jobs

    async def _loads(self, chosen: Sequence[_Next], max_bytes: int | None) -> list[Load]:
        consignments = await self._run.ledger.claim([one.wanted for one in chosen])
        if not consignments:
            return []
        way, grade = chosen[0].way, chosen[0].grade
        limit = self._max_bytes if max_bytes is None else min(self._max_bytes, max_bytes)
        maker = JobMaker(
            form=UucpForm(self._neighbour.name, way.mailer, self._parts.rules.masquerade, limit),
            grade=grade,
            hello=self._hello,
            draft=self._parts.store.draft,
            clock=self._parts.clock,
            command=self._command,
            batch_bytes=min(await self._most_bytes(), limit),
        )
        try:
            loads, refused = await asyncio.to_thread(maker.make, consignments)
        except BaseException:
            await self._run.ledger.unclaim(
                recipient.id for one in consignments for recipient in one.delivery.recipients
            )
            raise
        if refused:
            await self._run.ledger.record(refused, self._leg)
        for load in loads:
            self._carried[load.job.job_id] = _Carried(load.parts, way)
        return loads

    async def _bind(self, loads: Sequence[Load]) -> list[ClaimedJob]:
        try:
            return await self._parts.store.bind([load.mail_job for load in loads])
        except BaseException as error:
            for load in loads:
                if load.job.content is not None:
                    load.job.content.discard()
                await self._run.ledger.unclaim(load.mail_job.recipient_ids)
                self._carried.pop(load.job.job_id, None)
            if isinstance(error, NotClaimed):
                return []  # the operator was quicker: another look finds the others
            raise

    # --- how it ended

    async def _send_singly(self, job: Job, carried: _Carried, outcome: Outcome) -> None:
        """The neighbour takes no batches, or none so large: for this session there are no more."""
        self._command = ""
        await self._settle(job, WorkState.FAILED, outcome.reason)
        self._run.forget(
            recipient.id for _, recipients in carried.parts for recipient in recipients
        )

    async def _refused(self, job: Job, carried: _Carried, outcome: Outcome) -> None:
        """The neighbour will not take this job."""
        told = permanent(f"{self._neighbour.name}: {outcome.reason}", "5.7.1", 554)
        code = Reason.REFUSED
        if outcome.code is Code.TOO_LARGE:
            told = permanent(f"Message is too large for {self._neighbour.name}", "5.3.4", 552)
            code = Reason.TOO_LARGE
        await self._record(job, carried, told, WorkState.FAILED, outcome.reason, code)

    async def _later(self, job: Job, carried: _Carried, reason: str) -> None:
        """It goes on in another session, unless some of its mail is too old for that."""
        now = self._parts.clock()
        is_old = any(
            self._run.ledger.is_last(recipient, now)
            for _, recipients in carried.parts
            for recipient in recipients
        )
        state = WorkState.FAILED if is_old else WorkState.WAITING
        told = temporary(f"{self._neighbour.name}: {reason}", "4.4.2")
        code = Reason.BUDGET if self._run.count.is_closing else Reason.LINE_LOST
        await self._record(job, carried, told, state, reason, code, in_doubt=is_old)

    async def _record(
        self,
        job: Job,
        carried: _Carried,
        told: Status,
        state: WorkState,
        text: str,
        reason: Reason,
        *,
        in_doubt: bool = False,
    ) -> None:
        """`text`: what is remembered of the job."""
        name = self._neighbour.name
        attempts = [
            Attempt(
                delivery,
                recipient,
                told,
                name,
                in_doubt,
                reason=reason,
                passes_dsn=job.command == OWN_COMMAND,
            )
            for delivery, recipients in carried.parts
            for recipient in recipients
        ]
        await self._run.ledger.record(attempts, self._leg, self._settled(job, state, text))

    async def _settle(self, job: Job, state: WorkState, reason: str) -> None:
        await self._parts.store.record(
            (), self._parts.clock(), (), self._settled(job, state, reason)
        )

    def _settled(self, job: Job, state: WorkState, reason: str) -> Settled:
        now = self._parts.clock()
        return Settled(now, jobs=(WorkOutcome(job.job_id, state, reason, now),))

    async def _give_back(self, job_id: str, carried: _Carried) -> None:
        """Not begun in this session."""
        if carried.way is not None:
            await self._parts.store.unbind([job_id])
            return
        await self._parts.store.uucp.jobs.unclaim([job_id])
        await self._run.ledger.unclaim(
            recipient.id for _, recipients in carried.parts for recipient in recipients
        )


_BY_STATUS = {
    CallStatus.PORT_UNAVAILABLE: Reason.CALL_FAILED,
    CallStatus.WRONG_TIME: Reason.CALL_FAILED,
    CallStatus.DIAL_FAILED: Reason.CALL_FAILED,
    CallStatus.LOGIN_FAILED: Reason.AUTH_REFUSED,
    CallStatus.HANDSHAKE_FAILED: Reason.REFUSED,
}


def tried_to_call(neighbour: str, record: Record, problem: str) -> Tried:
    """What it means for mail that a call came to nothing."""
    reason = record.reason or _BY_STATUS.get(record.status, Reason.LINE_LOST)
    return Tried(temporary(f"{neighbour}: {problem}", "4.4.1"), reason)


async def defer_all(run: QueueRun, neighbour: str, tried: Tried, *, is_attempt: bool) -> None:
    """A call came to nothing: a try for all mail that was to go. Raises: StoreError."""
    wanted: list[Wanted] = []
    for found in (await run.choose()).values():
        wanted += found
    await run.ledger.defer(wanted, tried, Leg(neighbour, "uucp"), is_attempt=is_attempt)


def suitable_batch_bytes(sessions: Iterable[tuple[int, float]]) -> int:
    """How much mail to put into a batch, before it is packed.

    `sessions`: bytes both ways and seconds of the last ones, the latest first. The fastest tells
    what the line can do: others waited for work.
    """
    rates = [
        total / seconds for total, seconds in sessions if seconds > 0 and total >= LEAST_RATED_BYTES
    ]
    if not rates:
        return USUAL_BATCH_BYTES
    wanted = int(max(rates) * BATCH_SECONDS / PACKED_TO)
    return max(LEAST_BATCH_BYTES, min(MOST_BATCH_BYTES, wanted))
