"""Who may talk to us: the answers of the handshake's `Gate`, out of configuration and queue.

The queue is asked, so this waits: the handshake is fed in a thread (`from_thread.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import JobKind, NewJob
from relaynode.queue.uucp.store import BEST_GRADE
from relaynode.uucp.handshake import names_match
from relaynode.uucp.protocols import known

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.neighbours import Answer, Neighbour, Neighbours
    from relaynode.queue.uucp.store import UucpStore
    from relaynode.uucico.from_thread import FromThread

CALL_BACK_USER = "uucp"


class StoreGate:
    """A `Gate` for one call, under the login that the caller has used.

    `from_thread`: the way to the loop on which the store is used. `shows`: whether the caller's
    certificate is a neighbour's; None where the line knows no certificates.

    After the handshake `neighbour` and `answer` tell who it was and what holds; `is_locked`, that
    the session was taken and must be given back (`Neighbours.end_session`).
    """

    def __init__(
        self,
        neighbours: Neighbours,
        login: str,
        store: UucpStore,
        *,
        clock: Callable[[], float],
        from_thread: FromThread,
        shows: Callable[[Neighbour], bool] | None = None,
    ) -> None:
        self._neighbours = neighbours
        self._login = login
        self._store = store
        self._clock = clock
        self._from_thread = from_thread
        self._shows = shows
        self.neighbour: Neighbour | None = None
        self.answer: Answer | None = None
        self.is_locked = False

    def known_as(self, stated: str) -> str | None:
        """See Gate."""
        neighbours = self._neighbours
        found = neighbours.find(stated) or self._cut(stated) or neighbours.find_caller(stated)
        self.neighbour = found
        return None if found is None else found.name

    def _cut(self, stated: str) -> Neighbour | None:
        """The one neighbour that an old system means with a name that it had to cut."""
        found = [
            neighbour
            for neighbour in self._neighbours
            if any(names_match(stated, name) for name in neighbour.names)
        ]
        return found[0] if len(found) == 1 else None

    def login_fits(self, name: str) -> bool:
        """See Gate."""
        assert self.neighbour is not None
        is_shown = self._shows is not None and self._shows(self.neighbour)
        if self._shows is not None and not is_shown:
            return False
        is_proven = is_shown and self.neighbour.tls.is_demanded
        self.answer = self._neighbours.answer(self.neighbour, self._login, is_proven=is_proven)
        return self.answer is not None

    def calls_back(self, name: str) -> bool:
        """See Gate. An empty job of the best grade makes the call."""
        assert self.answer is not None
        if not self.answer.is_called_back:
            return False
        self._from_thread.wait(self._note_call(name))
        return True

    async def _note_call(self, name: str) -> None:
        waiting = await self._store.jobs.find(name)
        if not any(job.kind is JobKind.CALL for job in waiting):
            now = self._clock()
            job = NewJob(new_queue_id(), name, JobKind.CALL, CALL_BACK_USER, now, grade=BEST_GRADE)
            await self._store.jobs.add([job])

    def lock(self, name: str) -> bool:
        """See Gate."""
        self.is_locked = self._from_thread.wait(self._store.neighbours.begin_session(name))
        return self.is_locked

    def expected_sequence(self, name: str) -> int | None:
        """See Gate."""
        assert self.answer is not None
        if not self.answer.terms.has_sequence:
            return None
        known = self._from_thread.wait(self._store.neighbours.statuses()).get(name)
        return 1 + (known.sequence if known is not None else 0)

    def count_sequence(self, name: str) -> None:
        """See Gate."""
        self._from_thread.wait(self._store.neighbours.next_sequence(name))

    def protocols(self, name: str) -> str:
        """See Gate."""
        assert self.answer is not None
        return known(self.answer.protocols)
