"""One neighbour's work in one session: what `uucp.work.Work` asks for, out of its parts.

work = await SessionWork.open(...)      before the session
...                                     the session asks, the driver ticks it on `on_change`
await work.close()                      after it, whatever came of it
"""

from __future__ import annotations

import fnmatch
import os
import pwd
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import JobKind, NewJob
from relaynode.uucico import landing
from relaynode.uucico.folders import is_allowed
from relaynode.uucico.incoming import Incoming
from relaynode.uucico.mail_feed import NoMail
from relaynode.uucico.outgoing import CannotBegin, Outgoing
from relaynode.uucico.tasks import Tasks
from relaynode.uucico.tree import Placing, folder_at
from relaynode.uucp.commands import Code, printable
from relaynode.uucp.names import Forbidden, is_spool_like, public_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.queue.store import Store
    from relaynode.queue.uucp.model import Job
    from relaynode.uucico.mail_feed import MailFeed
    from relaynode.uucico.post import Post
    from relaynode.uucico.terms import SessionTerms
    from relaynode.uucp import work
    from relaynode.uucp.commands import Fetch, RemoteCopy
    from relaynode.uucp.names import PublicPath, Target
    from relaynode.uucp.work import Offered, OpenedFile, Outcome, Thinking

MAX_MATCHES = 1000
"""Files that one request of a neighbour may make us send."""


class SessionWork:
    """A `Work`. `may_run`: whether the neighbour may have a command run. `on_change`: the session
    is to be ticked, something that was not known is known now."""

    def __init__(
        self,
        session: SessionTerms,
        store: Store,
        tasks: Tasks,
        post: Post,
        incoming: Incoming,
        mail: MailFeed,
        monotonic: Callable[[], float],
    ) -> None:
        self._session = session
        self._store = store
        self._tasks = tasks
        self._incoming = incoming
        self._outgoing = Outgoing(
            session, store, tasks, post, self._fetched_into, mail, monotonic=monotonic
        )

    @classmethod
    async def open(
        cls,
        session: SessionTerms,
        store: Store,
        post: Post,
        *,
        may_run: Callable[[Sequence[str]], bool],
        mail: MailFeed | None = None,
        on_change: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> SessionWork:
        """Read what is known of earlier sessions. Raises: StoreError."""
        tasks = Tasks(on_change)
        received = store.uucp.received
        incoming = await Incoming.open(session, received, tasks, post, may_run)
        return cls(session, store, tasks, post, incoming, mail or NoMail(), monotonic)

    async def close(self, *, is_in_order: bool = True) -> None:
        """Finish what goes on beside the session, and give back what was not begun.

        `is_in_order`: both sides have taken leave. Raises: StoreError.
        """
        try:
            await self._tasks.finish()
        finally:
            await self._outgoing.close()
            await self._incoming.close(is_in_order=is_in_order)

    def wake(self) -> None:
        """There may be new work for this neighbour."""
        self._outgoing.wake()
        self._tasks.ring()

    # --- Work

    def next_job(self, worst_grade: str | None) -> work.Job | Thinking | None:
        """See Work. Raises: StoreError."""
        return self._outgoing.next_job(self._session.grade or worst_grade)

    def ended(self, job: work.Job, outcome: Outcome) -> None:
        """See Work."""
        self._outgoing.ended(job, outcome)

    def offered(self, request: Offered, target: Target) -> work.Sink | work.Duplicate | Code:
        """See Work. Raises: StoreError."""
        self._tasks.check()
        return self._incoming.offered(request, target)

    def wanted(self, request: Fetch, path: PublicPath) -> OpenedFile | Code:
        """See Work."""
        return self._incoming.wanted(request, path)

    def fetched(self, request: Fetch, is_confirmed: bool) -> None:
        """See Work."""
        self._incoming.fetched(request, is_confirmed)

    def copy_wanted(self, request: RemoteCopy) -> bool:
        """See Work. Files go back to the neighbour that asks, and to nobody else."""
        found = self._matches(request)
        system, bang, target = request.target.partition("!")
        is_ours = bang == "!" and system == self._session.neighbour and landing.is_text(target)
        if found is None or not is_ours or "!" in target or is_spool_like(target):
            return False
        now = self._session.clock()
        jobs = [
            NewJob(
                new_queue_id(),
                self._session.neighbour,
                JobKind.SEND,
                f"{self._session.neighbour}!{printable(request.user)}",
                now,
                source=str(path),
                target=target,
                options="".join(letter for letter in request.options if letter in "df"),
            )
            for path in found
        ]
        self._tasks.start(self._queue(jobs))
        return True

    async def _queue(self, jobs: Sequence[NewJob]) -> None:
        await self._store.uucp.jobs.add(jobs)
        self._outgoing.wake()

    def _matches(self, request: RemoteCopy) -> list[Path] | None:
        """The public files that a request means; None if it may not ask."""
        terms = self._session.terms
        path = public_path(request.source, request.source, str(terms.public))
        if not terms.may_fetch or isinstance(path, Forbidden) or not path.components:
            return None
        *folders, pattern = path.components
        if not all(map(landing.is_text, path.components)):
            return None
        try:
            with folder_at(terms.public, folders) as folder:
                names = [
                    name
                    for name in sorted(os.listdir(folder))  # noqa: PTH208 - an open folder
                    if not name.startswith(".") and fnmatch.fnmatchcase(name, pattern)
                ]
        except OSError:
            return None
        allowed = [
            terms.public.joinpath(*folders, name)
            for name in names
            if self._session.reaches((*folders, name), terms.remote_send)
        ]
        return allowed[:MAX_MATCHES]

    # --- what we fetch

    def _fetched_into(self, job: Job) -> work.Sink:
        """A place for a file that a job of ours asks for. Raises: CannotBegin."""
        arrival = landing.Arrival(
            self._session.neighbour, self._store.uucp.received, self._session.clock
        )
        root, placing = self._place_for(job)
        return self._incoming.sink(None, landing.IntoFolder(arrival, root, placing))

    def _place_for(self, job: Job) -> tuple[Path, Placing]:
        terms = self._session.terms
        below = public_path(job.target, job.source, str(terms.public))
        if not isinstance(below, Forbidden):
            if not self._session.reaches(below.components, terms.local_receive):
                raise CannotBegin(f"{job.target}: files may not be put into this folder")
            return terms.public, Placing(below.components, below.base_name, below.is_folder)
        path = Path(job.target)
        if not is_allowed(path, terms.local_receive, terms.public) or not _is_us(job.user):
            raise CannotBegin(f"{job.target}: {below.reason}")
        root, *components = path.parts
        base_name = job.source.rstrip("/").rpartition("/")[2]
        return Path(root), Placing(
            tuple(components), base_name, job.target.endswith("/"), makes_folders=False
        )


def _is_us(user: str) -> bool:
    """Does this program run as that user, who then may write what it may? Never true for root."""
    try:
        return pwd.getpwnam(user).pw_uid == os.geteuid() != 0
    except (KeyError, ValueError):
        return False
