"""The jobs that go out in a session: taken from the queue as the line has room, and ended there.

Jobs are claimed a few at a time. A job for a file that was not copied when it was queued gets its
copy now, read with its user's rights: each try then sends the same bytes, so that a broken transfer
can go on where it stopped. Mail becomes jobs now too (`mail_feed.py`).
"""

from __future__ import annotations

import asyncio
import os
import pwd
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.mailers.safe_open import Reader
from relaynode.queue.content import PIECE_BYTES, Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import Job, JobKind, Settled, WorkOutcome, WorkState
from relaynode.queue.uucp.names import remote_name
from relaynode.queue.uucp.store import WORST_GRADE
from relaynode.uucico.contents import FileSource, MemorySource, source_of
from relaynode.uucico.folders import is_allowed
from relaynode.uucico.post import Letter
from relaynode.uucico.tree import open_as, open_public
from relaynode.uucp import work
from relaynode.uucp.commands import Code, Execute, Fetch, RemoteCopy, Request, Send
from relaynode.uucp.work import THINKING, Ending, Outcome, Thinking

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from relaynode.queue.store import Store
    from relaynode.queue.uucp.model import ClaimedJob
    from relaynode.uucico.mail_feed import MailFeed
    from relaynode.uucico.post import Post
    from relaynode.uucico.tasks import Tasks
    from relaynode.uucico.terms import SessionTerms

BATCH_JOBS = 16
"""Claimed at once: enough that the line never waits for the disk."""

LOW_JOBS = 8
"""With so few ready, more are looked for."""

LOOK_AGAIN_SECONDS = 5.0
"""How old the news may be that there is no more work: another process may have queued some."""


_NOBODY_UID = 65534


class CannotBegin(Exception):
    """A job that can never be done; str(): why."""


class Outgoing:
    """One neighbour's jobs in one session.

    `sink_of`: a place for a file that is fetched for a job. `monotonic`: seconds.
    """

    def __init__(
        self,
        session: SessionTerms,
        store: Store,
        tasks: Tasks,
        post: Post,
        sink_of: Callable[[Job], work.Sink],
        mail: MailFeed,
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self._session = session
        self._store = store
        self._tasks = tasks
        self._post = post
        self._sink_of = sink_of
        self._mail = mail
        self._monotonic = monotonic
        self._ready: deque[work.Job] = deque()
        self._held: set[str] = set()
        self._left: set[str] = set()
        self._is_looking = False
        self._is_news = False
        self._undecided = 0
        """Refused jobs of mail that may become others."""
        self._found_none_at: float | None = None
        self._none_of_grade = WORST_GRADE

    def wake(self) -> None:
        """There may be new work, and it may be more urgent than what is ready."""
        self._found_none_at = None
        self._is_news = True
        self._mail.wake()

    def next_job(self, worst_grade: str | None) -> work.Job | Thinking | None:
        """See Work. Raises: StoreError."""
        self._tasks.check()
        grade = worst_grade or WORST_GRADE
        found = None
        if self._ready and self._ready[0].grade <= grade:
            found = self._ready.popleft()
        self._look_ahead(grade)
        if found is None and (self._is_looking or self._undecided):
            return THINKING
        return found

    def _look_ahead(self, grade: str) -> None:
        is_wanted = (len(self._ready) < LOW_JOBS or self._is_news) and not self._is_looking
        if is_wanted and self._session.serves_our_jobs and not self._knows_of_none(grade):
            self._is_looking, self._is_news = True, False
            self._tasks.start(self._look(grade))

    def _knows_of_none(self, grade: str) -> bool:
        if self._found_none_at is None or grade > self._none_of_grade:
            return False
        return self._monotonic() - self._found_none_at < LOOK_AGAIN_SECONDS

    def ended(self, job: work.Job, outcome: Outcome) -> None:
        """See Work."""
        _close(job)
        assert isinstance(job.key, Job)
        self._held.discard(job.key.job_id)
        if outcome.ending is Ending.LATER:
            self._left.add(job.key.job_id)
        self._tasks.start(self._end(job.key, outcome))

    async def close(self) -> None:
        """Give back what was not begun. Raises: StoreError."""
        for job in self._ready:
            _close(job)
        self._ready.clear()
        await self._mail.close()
        if self._held:
            await self._store.uucp.jobs.unclaim(self._held)

    # --- taking jobs

    async def _look(self, grade: str) -> None:
        try:
            jobs = self._store.uucp.jobs
            due = await jobs.due(
                self._session.neighbour,
                self._session.clock(),
                worst_grade=grade,
                limit=BATCH_JOBS + len(self._left),
            )
            wanted = [job.job_id for job in due if job.job_id not in self._left]
            claimed = await jobs.claim(wanted) if wanted else []
            self._held.update(one.job.job_id for one in claimed)
            mail = [one for one in claimed if one.job.kind is JobKind.MAIL]
            work = [one for one in claimed if one.job.kind is not JobKind.MAIL]
            if mail:
                mail = await self._mail.take_over(mail)
            fresh = await self._mail.more(grade, self._session.max_bytes(by_us=True))
            self._held.update(one.job.job_id for one in fresh)
            for one in (*mail, *fresh, *work):
                await self._prepare(one)
            self._ready = deque(sorted(self._ready, key=lambda job: job.grade))
            if not wanted and not fresh:
                self._found_none_at, self._none_of_grade = self._monotonic(), grade
        finally:
            self._is_looking = False

    async def _prepare(self, claimed: ClaimedJob) -> None:
        job = claimed.job
        try:
            if job.kind is JobKind.CALL:
                await self._settle(job, WorkState.DONE, "called")
                self._held.discard(job.job_id)
                return
            prepared = await self._prepared(claimed)
        except CannotBegin as reason:
            await self._fail(job, str(reason))
            self._held.discard(job.job_id)
            return
        self._ready.append(prepared)

    async def _prepared(self, claimed: ClaimedJob) -> work.Job:
        """The job as the session takes it. Raises: CannotBegin, StoreError."""
        job = claimed.job
        was_begun = job.tries > 0
        if job.kind is JobKind.FETCH:
            limit = self._session.max_bytes(by_us=True)
            return work.Job(
                Fetch(job.source, job.target, job.user, job.options, limit),
                job.grade,
                sink=self._sink_of(job),
                key=job,
                was_begun=was_begun,
            )
        if job.kind is JobKind.REQUEST:
            return work.Job(
                RemoteCopy(job.source, job.target, job.user, job.options), job.grade, key=job
            )
        content = claimed.content
        if content is None and job.kind is JobKind.SEND:
            content = await self._copied(job)
        if job.kind is not JobKind.MAIL:  # what is too large was not made a job
            self._check_size(content)
        source = source_of(content if content is not None else Content.of(b""))
        request = self._request(job, source.size_bytes)
        return work.Job(
            request,
            job.grade,
            source=source,
            key=job,
            was_begun=was_begun,
            has_another_form=job.is_batch,
        )

    def _check_size(self, content: Content | None) -> None:
        most = self._session.max_bytes(by_us=True)
        if most is not None and content is not None and content.size_bytes > most:
            raise CannotBegin(f"{content.size_bytes} bytes; files may have {most}")

    def _request(self, job: Job, size_bytes: int) -> Request:
        options = "C" + "".join(letter for letter in job.options if letter not in "Cc")
        common = (options, job.temp, job.mode, job.notify, size_bytes)
        if job.kind is JobKind.SEND:
            return Send(job.source or job.temp, job.target, job.user, *common)
        our_name = self._session.terms.our_name
        name = remote_name("D", our_name, job.grade, job.number)
        return Execute(job.temp, name, job.user, *common, job.command)

    async def _copied(self, job: Job) -> Content:
        """A copy of the file that a job is for. Raises: CannotBegin, StoreError."""
        content = await asyncio.to_thread(self._copy, job)
        await self._store.uucp.jobs.attach(job.job_id, content)
        return content

    def _copy(self, job: Job) -> Content:
        try:
            descriptor = self._opened(job)
        except OSError as error:
            raise CannotBegin(f"{job.source}: {error.strerror or error}") from error
        draft = self._store.draft(new_queue_id())
        with open(descriptor, "rb", buffering=0) as file:
            while piece := file.read(PIECE_BYTES):
                draft.write(piece)
        return draft.finish()

    def _opened(self, job: Job) -> int:
        """A descriptor of the file. Raises: CannotBegin, OSError."""
        terms, path = self._session.terms, Path(job.source)
        # What the neighbour itself asked for (copy_wanted) lies where it may fetch from.
        is_theirs = "!" in job.user
        folders = terms.remote_send if is_theirs else terms.local_send
        if not is_allowed(path, folders, terms.public):
            raise CannotBegin(f"{path}: files of this folder may not be sent")
        if is_theirs:
            if not path.is_relative_to(terms.public):
                raise CannotBegin(f"{path}: not in the public folder")
            return open_public(terms.public, path.relative_to(terms.public).parts)[0]
        return open_as(path, reader_of(job.user))[0]

    # --- ending jobs

    def _end(self, job: Job, outcome: Outcome) -> Coroutine[Any, Any, None]:
        if job.kind is JobKind.MAIL:
            self._undecided += _may_become_others(outcome)
            return self._end_mail(job, outcome)
        if outcome.ending is Ending.DONE:
            return self._succeed(job, outcome)
        if outcome.ending is Ending.REFUSED:
            return self._fail(job, outcome.reason)
        if outcome.code is None and not outcome.sent_bytes and not outcome.is_doubtful:
            return self._store.uucp.jobs.unclaim([job.job_id])
        return self._settle(job, WorkState.WAITING, outcome.reason)

    async def _end_mail(self, job: Job, outcome: Outcome) -> None:
        try:
            await self._mail.ended(job, outcome)
        finally:
            if _may_become_others(outcome):
                self._undecided -= 1
                self.wake()

    async def _succeed(self, job: Job, outcome: Outcome) -> None:
        if "m" not in job.options:
            await self._settle(job, WorkState.DONE, outcome.reason)
            return
        text = f"This was done at {self._session.neighbour}:\n\n{described(job)}"
        letter = Letter(job.user, f"Done at {self._session.neighbour}", text)
        await self._post.send(letter, self._settled(job, WorkState.DONE, outcome.reason))

    async def _fail(self, job: Job, reason: str) -> None:
        text = (
            f"This cannot be done at {self._session.neighbour}:\n\n{described(job)}\n"
            f"The reason: {reason}\n"
        )
        letter = Letter(job.user, f"Failed at {self._session.neighbour}", text)
        await self._post.send(letter, self._settled(job, WorkState.FAILED, reason))

    async def _settle(self, job: Job, state: WorkState, text: str) -> None:
        await self._store.uucp.settle(self._settled(job, state, text))

    def _settled(self, job: Job, state: WorkState, text: str) -> Settled:
        now = self._session.clock()
        return Settled(now, jobs=(WorkOutcome(job.job_id, state, text, now),))


def _may_become_others(outcome: Outcome) -> bool:
    """Was a job of mail refused so that its feed may make others of it?"""
    return outcome.ending is Ending.REFUSED or outcome.code is Code.TOO_LARGE_NOW


def _close(job: work.Job) -> None:
    if isinstance(job.source, FileSource | MemorySource):
        job.source.close()


def described(job: Job) -> str:
    """A job, for the one who asked for it."""
    if job.kind is JobKind.EXECUTE:
        return f"    {job.command}\n"
    return f"    {job.kind} {job.source} to {job.target}\n"


def reader_of(user: str) -> Reader:
    """Whose rights a job's file is read with: its user's; those of a stranger for a name without
    an account here, who reads what all the world may read."""
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):
        return Reader(uid=_NOBODY_UID)
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Reader(entry.pw_uid, frozenset(groups))
