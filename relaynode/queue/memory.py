"""The store's memory twin: the same promises but durability, for tests of what uses a store."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from relaynode.errors import NotClaimed
from relaynode.queue import mailboxes
from relaynode.queue import once as marks
from relaynode.queue.content import ContentSpool, Draft
from relaynode.queue.dials import MemoryDials
from relaynode.queue.link_runs import MemoryLinkRuns
from relaynode.queue.mailboxes import Mailboxes
from relaynode.queue.model import (
    MAX_STRIKES,
    OPERATOR_MOVES,
    Delivery,
    Event,
    HostStatus,
    Mark,
    MessageState,
    NewMessage,
    OnceMark,
    Outcome,
    QueuedMessage,
    QueuedRecipient,
    Reaped,
    RecipientState,
    Result,
    Verb,
)
from relaynode.queue.schema import MAILBOXES, ONCE, UUCP
from relaynode.queue.servers import MemoryServers
from relaynode.queue.texts import IN_DOUBT_TEXT, OPERATOR_TEXT, POISON_TEXT
from relaynode.queue.turn_marks import MemoryTurnMarks
from relaynode.queue.uucp.jobs import delete, drop
from relaynode.queue.uucp.tables import SqlUucpStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from relaynode.queue.content import Content
    from relaynode.queue.uucp.model import ClaimedJob, MailJob, Settled

T = TypeVar("T")

_OWNER = "memory"
_NEW_STATE = {
    Result.DELIVERED: RecipientState.DELIVERED,
    Result.FAILED: RecipientState.FAILED,
    Result.DEFERRED: RecipientState.WAITING,
}


@dataclass(slots=True)
class _Entry:
    message: NewMessage
    recipients: dict[int, QueuedRecipient]
    state: MessageState = MessageState.QUEUED
    finished_at: float | None = None
    events: list[Event] = field(default_factory=list)
    jobs: dict[int, str] = field(default_factory=dict)
    held_for: str = ""
    strikes: int = 0
    warned_at: float = 0.0
    told_at: float = 0.0

    def seen_as(self, recipients: Sequence[QueuedRecipient]) -> QueuedMessage:
        message = self.message
        return QueuedMessage(
            message.queue_id,
            self.state,
            message.arrived_at,
            message.source,
            replace(message.envelope, recipients=tuple(r.forward_path for r in recipients)),
            message.content.size_bytes,
            tuple(recipients),
            message.lines,
            message.body_bytes,
            self.held_for,
            self.warned_at,
            message.grade,
            message.within_seconds,
        )

    def free(self, now: float, job_id: str | None = None) -> list[QueuedRecipient]:
        return [
            recipient
            for recipient in self.recipients.values()
            if self.state is MessageState.QUEUED
            and recipient.state is RecipientState.WAITING
            and recipient.claim is None
            and recipient.next_attempt_at <= now
            and self.jobs.get(recipient.id) == job_id
        ]


class MemoryStore:
    """A `Store` that forgets. `scratch` holds the content files of long messages."""

    def __init__(self, scratch: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._spool = ContentSpool(scratch, _OWNER)
        self._entries: dict[str, _Entry] = {}
        self._links: dict[str, bool] = {}
        self._hosts: dict[str, HostStatus] = {}
        self._next_id = 1
        self._tables = _TablesInMemory(self._spool)
        self.uucp = SqlUucpStore(self._tables, clock)
        self.servers = MemoryServers()
        self.link_runs = MemoryLinkRuns()
        self.dials = MemoryDials()
        self.mailboxes = Mailboxes(self._tables.read, self._tables.write)
        self.turn_marks = MemoryTurnMarks()
        self._clock = clock

    def draft(self, queue_id: str) -> Draft:
        """A place to write content that is still coming in."""
        return Draft(self._spool, queue_id)

    def twin(self, content: Content, queue_id: str) -> Content:
        """Content for one more message, shared with that which has it."""
        return self._spool.twin(content, queue_id)

    async def add(
        self,
        messages: Sequence[NewMessage],
        seen: Sequence[Mark] = (),
        settled: Settled | None = None,
        *,
        once: OnceMark | None = None,
    ) -> None:
        """Queue `messages`, put `seen` on the seen-lists, end UUCP work."""
        if once is not None:
            queue_id, now = messages[0].queue_id, messages[0].arrived_at
            await self._tables.write(lambda db: marks.remember(db, once, queue_id, now))
        if settled is not None:
            await self.uucp.settle(settled)
        for message in messages:
            recipients = {}
            for path in message.envelope.recipients:
                recipients[self._next_id] = QueuedRecipient(self._next_id, path)
                self._next_id += 1
            entry = self._entries[message.queue_id] = _Entry(message, recipients)
            entry.events.append(
                Event(message.queue_id, message.arrived_at, "queued", "", message.source)
            )
            entry.events += [
                Event(message.queue_id, message.arrived_at, "note", "", text)
                for text in message.notes
            ]
            if message.hold_reason:
                at, why = message.arrived_at, message.hold_reason
                self._move(Verb.HOLD, message.queue_id, at, why, "quarantined")
        if seen:
            now = messages[0].arrived_at if messages else self._clock()
            await self._tables.write(lambda db: mailboxes.insert(db, seen, now))

    async def taken(self, mark: OnceMark) -> dict[str, str]:
        """For which recipients this mail was queued before."""
        return await self._tables.read(lambda db: marks.known(db, mark))

    async def forget_taken(self, before: float) -> int:
        """Know mail no longer that was queued before then."""
        return await self._tables.write(lambda db: marks.forget(db, before))

    async def sent_bytes(self, reverse_path: str, since: float) -> int:
        """How much has been queued from a sender after that time."""
        return sum(
            entry.message.content.size_bytes
            for entry in self._entries.values()
            if entry.message.arrived_at > since
            and entry.message.envelope.reverse_path.lower() == reverse_path.lower()
        )

    async def link_bytes(self, link: str, since: float) -> int:
        """How much has been queued after that time that counts for a link."""
        return sum(
            entry.message.content.size_bytes
            for entry in self._entries.values()
            if entry.message.arrived_at > since and link in entry.message.links
        )

    async def waiting(
        self, now: float | None = None, queue_ids: Collection[str] | None = None
    ) -> list[QueuedMessage]:
        """Messages with recipients nobody is delivering, oldest first, those recipients only."""
        until = float("inf") if now is None else now
        found = [
            (entry, entry.free(until))
            for entry in self._by_age()
            if queue_ids is None or entry.message.queue_id in queue_ids
        ]
        return [entry.seen_as(free) for entry, free in found if free]

    async def claim(self, wanted: Sequence[tuple[str, Collection[int]]]) -> list[Delivery]:
        """Claim recipients (by queue id and recipient id) for this owner."""
        return self._claim(wanted)

    def _claim(
        self, wanted: Sequence[tuple[str, Collection[int]]], job_id: str | None = None
    ) -> list[Delivery]:
        deliveries = []
        for queue_id, recipient_ids in wanted:
            entry = self._entries.get(queue_id)
            free = entry.free(float("inf"), job_id) if entry is not None else []
            chosen = [recipient for recipient in free if recipient.id in recipient_ids]
            if entry is None or not chosen:
                continue
            for recipient in chosen:
                entry.recipients[recipient.id] = replace(recipient, claim=_OWNER)
            message = entry.message
            seen_as = entry.seen_as(chosen)
            deliveries.append(Delivery(seen_as, tuple(chosen), message.trace, message.content))
        return deliveries

    async def record(
        self,
        outcomes: Sequence[Outcome],
        now: float,
        new: Sequence[NewMessage] = (),
        settled: Settled | None = None,
        warnings: Sequence[tuple[str, NewMessage]] = (),
    ) -> None:
        """Write down how tries ended, queue `new` (their DSNs), end the jobs that carried them."""
        await self.add(new, settled=settled)
        for outcome in outcomes:
            self._record_one(outcome, now)
        for queue_id in {one.queue_id for one in outcomes if one.is_strike}:
            self._strike(queue_id, now)
        for queue_id, warning in warnings:
            entry = self._entries[queue_id]
            if not entry.warned_at:
                entry.warned_at = now
                entry.events.append(Event(queue_id, now, "warned"))
                await self.add([warning])
        self._release(() if settled is None else settled.ended_jobs)
        for outcome in outcomes:
            self._finish(outcome.queue_id, now)

    async def bind(self, mail: Sequence[MailJob]) -> list[ClaimedJob]:
        """Queue jobs that carry recipients which this owner has claimed, and claim the jobs."""
        for one in mail:
            for entry, recipient_id in self._recipients(one.recipient_ids):
                recipient = entry.recipients[recipient_id]
                is_waiting = recipient.state is RecipientState.WAITING
                if not is_waiting or recipient.claim is None or recipient_id in entry.jobs:
                    raise NotClaimed("a recipient was taken away before its job was queued")
        await self.uucp.jobs.add([one.job for one in mail])
        for one in mail:
            for entry, recipient_id in self._recipients(one.recipient_ids):
                entry.jobs[recipient_id] = one.job.job_id
        return await self.uucp.jobs.claim([one.job.job_id for one in mail])

    def _recipients(self, ids: Collection[int]) -> list[tuple[_Entry, int]]:
        return [
            (entry, identity)
            for entry in self._entries.values()
            for identity in entry.recipients
            if identity in ids
        ]

    async def carried(self, job_ids: Collection[str]) -> dict[str, list[Delivery]]:
        """What jobs carry that this owner has claimed."""
        found = {}
        for job_id in job_ids:
            wanted = [
                (queue_id, [one for one, job in entry.jobs.items() if job == job_id])
                for queue_id, entry in self._entries.items()
                if job_id in entry.jobs.values()
            ]
            found[job_id] = self._claim(wanted, job_id)
        return found

    async def unbind(self, job_ids: Collection[str]) -> None:
        """Undo jobs of this owner's that were not begun."""
        self._tables.remove(await self._tables.write(lambda db: delete(db, job_ids, _OWNER)))
        self._release(job_ids)

    def _release(self, job_ids: Collection[str]) -> None:
        for entry in self._entries.values():
            for identity, job_id in list(entry.jobs.items()):
                if job_id in job_ids:
                    del entry.jobs[identity]
                    entry.recipients[identity] = replace(entry.recipients[identity], claim=None)

    def _record_one(self, outcome: Outcome, now: float) -> None:
        entry = self._entries[outcome.queue_id]
        recipient = entry.recipients[outcome.recipient_id]
        if recipient.state is not RecipientState.WAITING:
            return
        entry.recipients[outcome.recipient_id] = replace(
            recipient,
            state=_NEW_STATE[outcome.result],
            claim=None,
            attempts=recipient.attempts + outcome.is_attempt,
            last_attempt_at=now if outcome.is_attempt else recipient.last_attempt_at,
            aged_seconds=outcome.aged_seconds,
            reason=outcome.reason,
            next_attempt_at=outcome.next_attempt_at,
            in_doubt=recipient.in_doubt or outcome.in_doubt,
            last_status=outcome.status,
            relay=outcome.relay,
        )
        address = recipient.forward_path.address
        text = f"{outcome.status} ({outcome.relay})" if outcome.relay else str(outcome.status)
        is_known = recipient.reason == outcome.reason and recipient.last_status is not None
        if outcome.is_attempt or not is_known:
            entry.events.append(Event(outcome.queue_id, now, outcome.result, address, text))
        if outcome.host:
            self._hosts[outcome.host] = HostStatus(outcome.host, now, outcome.status)
        if outcome.in_doubt:
            entry.events.append(Event(outcome.queue_id, now, "in_doubt", address, IN_DOUBT_TEXT))

    def _strike(self, queue_id: str, now: float) -> None:
        entry = self._entries[queue_id]
        entry.strikes += 1
        if entry.strikes >= MAX_STRIKES:
            self._move(Verb.HOLD, queue_id, now, POISON_TEXT, "poison")

    async def poisoned(self) -> list[QueuedMessage]:
        """Messages that were set aside, and nobody has been told."""
        return [
            entry.seen_as(list(entry.recipients.values()))
            for entry in self._by_age()
            if entry.held_for == "poison" and not entry.told_at
        ]

    async def tell_poison(
        self, queue_ids: Collection[str], new: Sequence[NewMessage], now: float
    ) -> None:
        """Queue `new`, the letters about them; unless they have been told of meanwhile."""
        untold = [one for one in queue_ids if not self._entries[one].told_at]
        for queue_id in untold:
            self._entries[queue_id].told_at = now
        if untold:
            await self.add(new)

    def _finish(self, queue_id: str, now: float) -> None:
        entry = self._entries[queue_id]
        states = {recipient.state for recipient in entry.recipients.values()}
        if RecipientState.WAITING in states or entry.finished_at is not None:
            return
        entry.finished_at = now
        if entry.state is not MessageState.REMOVED:
            entry.state = MessageState.DONE
        if entry.message.content.path is not None:
            self._spool.remove([entry.message.content.path.name])

    async def unclaim(self, recipient_ids: Collection[int], *, in_doubt: bool = False) -> None:
        """Give claims back without counting an attempt."""
        for entry in self._entries.values():
            for identity in entry.recipients.keys() & set(recipient_ids):
                found = entry.recipients[identity]
                entry.recipients[identity] = replace(
                    found, claim=None, in_doubt=found.in_doubt or in_doubt
                )

    async def reap(self, now: float) -> Reaped:
        """Nothing to take back: the only owner is alive."""
        return Reaped()

    async def messages(self, *, finished: bool = False) -> list[QueuedMessage]:
        """All queued and held messages, oldest first; with `finished`, the others too."""
        return [
            entry.seen_as(list(entry.recipients.values()))
            for entry in self._by_age()
            if finished or entry.finished_at is None
        ]

    async def message(self, queue_id: str) -> QueuedMessage | None:
        """One message, in whatever state; None if it is not known."""
        entry = self._entries.get(queue_id)
        return None if entry is None else entry.seen_as(list(entry.recipients.values()))

    async def look(self, queue_id: str) -> tuple[bytes, Content] | None:
        """Trace lines and content of a message, without a claim."""
        entry = self._entries.get(queue_id)
        return None if entry is None else (entry.message.trace, entry.message.content)

    async def operate(
        self, verb: Verb, queue_ids: Collection[str], now: float, reason: str = OPERATOR_TEXT
    ) -> list[str]:
        """Hold, release or remove. The ids for which that was legal (model.OPERATOR_MOVES)."""
        moved = [queue_id for queue_id in queue_ids if self._move(verb, queue_id, now, reason)]
        if verb is not Verb.RELEASE:
            await self._dissolve(moved, now)
        return moved

    async def _dissolve(self, queue_ids: Collection[str], now: float) -> None:
        carriers = {job for one in queue_ids for job in self._entries[one].jobs.values()}
        for job in await self.uucp.jobs.find():
            if job.job_id not in carriers or job.is_claimed:
                continue
            job_id = job.job_id
            self._tables.remove(await self._tables.write(partial(drop, job_id=job_id, at=now)))
            for entry in self._entries.values():
                for identity in [one for one, carrier in entry.jobs.items() if carrier == job_id]:
                    recipient = entry.recipients[identity]
                    doubt = recipient.in_doubt or job.tries > 0
                    entry.recipients[identity] = replace(recipient, in_doubt=doubt)
            self._release([job_id])

    def _move(
        self, verb: Verb, queue_id: str, now: float, reason: str, held_for: str = "held"
    ) -> bool:
        entry = self._entries.get(queue_id)
        target = None if entry is None else OPERATOR_MOVES.get((entry.state, verb))
        if entry is None or target is None:
            return False
        entry.state = target
        entry.held_for, entry.told_at = held_for if verb is Verb.HOLD else "", 0.0
        entry.strikes = 0 if verb is Verb.RELEASE else entry.strikes
        if verb is Verb.REMOVE:
            for identity, recipient in entry.recipients.items():
                if recipient.state is RecipientState.WAITING:
                    entry.recipients[identity] = replace(
                        recipient, state=RecipientState.REMOVED, claim=None
                    )
            self._finish(queue_id, now)
        entry.events.append(Event(queue_id, now, verb, "", reason))
        return True

    async def history(self, queue_id: str) -> list[Event]:
        """What happened to a message so far, in order."""
        entry = self._entries.get(queue_id)
        return [] if entry is None else list(entry.events)

    async def prune(self, finished_before: float) -> int:
        """Forget messages that ended before then. The number of messages forgotten."""
        old = [
            queue_id
            for queue_id, entry in self._entries.items()
            if entry.finished_at is not None and entry.finished_at < finished_before
        ]
        for queue_id in old:
            del self._entries[queue_id]
        return len(old)

    async def host_status(self) -> list[HostStatus]:
        """What each next hop last had to say, the latest first."""
        return sorted(self._hosts.values(), key=lambda one: (-one.at, one.host))

    async def forget_host_status(self, before: float) -> int:
        """Forget what hosts said before then. The number of hosts forgotten."""
        old = [one.host for one in self._hosts.values() if one.at < before]
        for host in old:
            del self._hosts[host]
        return len(old)

    async def set_link(self, name: str, is_up: bool, now: float) -> None:
        """Remember what a hook said of a link."""
        self._links[name] = is_up

    async def links_up(self) -> set[str]:
        """The names of the links that were last said to be up."""
        return {name for name, is_up in self._links.items() if is_up}

    async def close(self) -> None:
        """Nothing to end in order."""
        self._tables.close()

    def _by_age(self) -> list[_Entry]:
        return sorted(self._entries.values(), key=lambda entry: entry.message.arrived_at)


class _TablesInMemory:
    """A home for some tables: the same statements, on a database that is forgotten."""

    owner = _OWNER

    def __init__(self, spool: ContentSpool) -> None:
        self._spool = spool
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA foreign_keys = ON")
        for statement in (*UUCP, *ONCE, *MAILBOXES):
            self._db.execute(statement)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction."""
        with self._db:
            self._db.execute("BEGIN")
            return work(self._db)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`."""
        return work(self._db)

    async def take_back(self) -> None:
        """Nothing to take back: the only owner is alive."""

    def path_of(self, content_file: str) -> Path:
        """Where a content file lies."""
        return self._spool.path_of(content_file)

    def remove(self, content_files: Collection[str]) -> None:
        """Delete content files."""
        self._spool.remove(list(content_files))

    def close(self) -> None:
        """Forget it all."""
        self._db.close()
