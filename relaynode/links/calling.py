"""Calls to UUCP neighbours over a link: which there is work for, and what came of the calls.

Calls to different neighbours run side by side, as many as the link allows; who shares a serial line
waits for it. Not here: what is said in a call (`uucico`).
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.errors import BudgetSpent, BusyError, ConnectFailed
from relaynode.links.neighbour_mail import NeighbourMail, defer_all, grade_of, tried_to_call
from relaynode.links.queuerun import QueueRun
from relaynode.links.run_parts import RunResult
from relaynode.links.verdict import counts
from relaynode.queue.uucp.model import WorkState
from relaynode.uucp.record import Record, Status
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from relaynode.config.loader import Config
    from relaynode.links.run_parts import RunParts
    from relaynode.links.verdict import Tried
    from relaynode.links.ways import Way
    from relaynode.neighbours import Neighbour, Neighbours
    from relaynode.queue.model import QueuedMessage, QueuedRecipient
    from relaynode.uucico.calls import Calls
    from relaynode.uucico.executor import Executor

    Takes = Callable[[QueuedMessage, QueuedRecipient], bool]


WATCH_SECONDS = 0.5
"""How often it is told how far a call has got."""


@dataclass(slots=True)
class Called:
    """A call, while it goes on and when it is over. `record`: its figures so far. `problem`: "" if
    all went well."""

    neighbour: str
    record: Record = field(default_factory=Record)
    problem: str = ""

    def follow(self, record: Record) -> None:
        """The neighbour has been reached; `record` is kept up to date."""
        self.record = record

    def ended(self, record: Record) -> None:
        """How it was."""
        self.record = record
        if record.status is not Status.COMPLETE:
            self.problem = record.error or record.status.text

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        record = self.record
        return {
            "neighbour": self.neighbour,
            "protocol": record.protocol,
            "seconds": round(record.seconds, 3),
            "sent_files": record.sent_files,
            "received_files": record.received_files,
            "bytes_out": record.sent_bytes,
            "bytes_in": record.received_bytes,
        }


@dataclass(slots=True)
class CallRun:
    """What calls over a link add to. `flush`: mail, in recipients. `count`: all bytes."""

    flush: RunResult
    calls: list[Called] = field(default_factory=list)
    on_progress: Callable[[RunResult], None] = lambda _: None
    count: ByteCount = field(default_factory=ByteCount)


def _all(message: QueuedMessage, recipient: QueuedRecipient) -> bool:
    return True


class Calling:
    """Calls neighbours."""

    def __init__(
        self,
        config: Config,
        parts: RunParts,
        neighbours: Neighbours,
        calls: Calls,
        executor: Executor,
    ) -> None:
        self._config = config
        self._parts = parts
        self._neighbours = neighbours
        self._calls = calls
        self._executor = executor
        self._limits: dict[str, asyncio.Semaphore] = {}

    def over(
        self,
        flush: RunResult,
        calls: list[Called],
        count: ByteCount,
        on_progress: Callable[[RunResult], None] = lambda _: None,
    ) -> CallRun:
        """What the calls of one run add to."""
        return CallRun(flush, calls, on_progress, count)

    def find(self, name: str) -> Neighbour | None:
        """The neighbour of a name."""
        return self._neighbours.find(name)

    async def wanted(
        self, link: str, *, due_only: bool = False, takes: Takes | None = None
    ) -> list[Neighbour]:
        """The neighbours over a link that should be called now.

        `due_only`: leave alone whom it is too early to call again, and mail whose time has not
        come. `takes`: only for mail that it accepts, and for nothing else. Raises: StoreError.
        """
        over_link = [one for one in self._neighbours if one.link == link and one.ways]
        if not over_link:
            return []
        grades = await self._grades_of_mail(link, takes or _all, due_only=due_only)
        statuses = await self._parts.store.uucp.neighbours.statuses()
        now = self._parts.clock()
        if takes is None:
            for job in await self._parts.store.uucp.jobs.find():
                if job.state is WorkState.WAITING and job.next_attempt_at <= now:
                    grades[job.neighbour] = min(job.grade, grades.get(job.neighbour, job.grade))
        found = []
        for neighbour in over_link:
            status = statuses.get(neighbour.name)
            called_at = status.at if status is not None else None
            wait = status.wait_seconds if status is not None else 0.0
            is_early = due_only and called_at is not None and now < called_at + wait
            grade = grades.get(neighbour.name)
            if grade is None and takes is None and _is_poll_time(neighbour, called_at, now):
                grade = "0"
            if grade is not None and not is_early and self._calls.may_call(neighbour, grade):
                found.append(neighbour)
        return found

    async def _grades_of_mail(self, link: str, takes: Takes, *, due_only: bool) -> dict[str, str]:
        """Neighbours with mail waiting: its best grade."""
        run = QueueRun(
            self._parts,
            count=ByteCount(),
            takes_way=lambda way: self._leads_over(way, link),
            takes=takes,
            due_only=due_only,
        )
        grades: dict[str, str] = {}
        for way, messages in (await run.ways()).items():
            neighbour = self._neighbours.find(way.name)
            assert neighbour is not None
            grade = min(grade_of(neighbour, message) for message in messages)
            grades[way.name] = min(grade, grades.get(way.name, grade))
        return grades

    def _leads_over(self, way: Way, link: str) -> bool:
        return way.kind == "neighbour" and self._parts.ways.link_of(way) == link

    async def call(self, neighbour: Neighbour, over: CallRun, takes: Takes = _all) -> None:
        """Call, and run what came. What goes wrong is noted. Raises: StoreError."""
        called = Called(neighbour.name)
        over.calls.append(called)
        run = self._run(neighbour, over, takes)
        async with self._room(neighbour.link), _watched(over):
            try:
                mail = self.mail_for(neighbour, run)
                over.count.check()
                record = await self._calls.place(
                    neighbour.name, mail=mail, on_begun=called.follow, count=over.count
                )
            except (BusyError, ConnectFailed, BudgetSpent) as error:
                called.problem = str(error)
                return
        called.ended(record)
        if not record.protocol:
            tried = tried_to_call(neighbour.name, record, called.problem)
            await defer_all(run, neighbour.name, tried, is_attempt=self._counts(neighbour, tried))
        over.on_progress(over.flush)
        await self._executor.run_due()

    def _counts(self, neighbour: Neighbour, tried: Tried) -> bool:
        """Was a call a chance for the mail?"""
        section = self._config.links.get(neighbour.link)
        is_always_up = section is not None and section.kind == "always"
        return counts(tried, is_always_up=is_always_up, is_line_heard=False)

    def mail_for(self, neighbour: Neighbour, run: QueueRun | None = None) -> NeighbourMail:
        """The mail for one session."""
        return NeighbourMail(
            neighbour,
            run or self._run(neighbour, CallRun(RunResult())),
            self._parts,
            hello=self._config.hostname,
            max_bytes=self._config.file.routing.uucp_max_size_bytes,
        )

    def _run(self, neighbour: Neighbour, over: CallRun, takes: Takes = _all) -> QueueRun:
        return QueueRun(
            self._parts,
            over.count,
            takes_way=lambda way: way.kind == "neighbour" and way.name == neighbour.name,
            takes=takes,
            result=over.flush,
        )

    def _room(self, link: str) -> AbstractAsyncContextManager[object]:
        section = self._config.links.get(link)
        if section is None or section.max_calls is None:
            return contextlib.nullcontext()
        return self._limits.setdefault(link, asyncio.Semaphore(section.max_calls))


@contextlib.asynccontextmanager
async def _watched(over: CallRun) -> AsyncIterator[None]:
    """While this goes on, tell how far it has got."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            over.on_progress(over.flush)

    telling = asyncio.ensure_future(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


def _is_poll_time(neighbour: Neighbour, called_at: float | None, now: float) -> bool:
    if neighbour.poll_minutes is None:
        return False
    return called_at is None or now >= called_at + 60 * neighbour.poll_minutes
