"""What every home of the queue promises for UUCP work: four cohesive pieces of a `Store`.

As in `queue/store.py` each method is one transaction. When it returns, all of it is durable; when
it raises, none of it happened. `now` and other times are epoch seconds. Raises throughout:
StoreFull, StoreError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relaynode.queue.texts import OPERATOR_TEXT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from relaynode.queue.content import Content
    from relaynode.queue.model import Verb
    from relaynode.queue.uucp.model import (
        ClaimedExecution,
        ClaimedJob,
        Completed,
        Execution,
        Job,
        Mark,
        NeighbourStatus,
        NewJob,
        Part,
        SessionRecord,
        Settled,
        SpoolFile,
        WorkEvent,
    )

BEST_GRADE = "0"
WORST_GRADE = "z"


class Jobs(Protocol):
    """What users asked of neighbours."""

    async def add(self, jobs: Sequence[NewJob]) -> list[Job]:
        """Queue jobs, all or none. Each gets its number."""
        ...

    async def due(
        self,
        neighbour: str,
        now: float | None = None,
        *,
        worst_grade: str = WORST_GRADE,
        limit: int | None = None,
    ) -> list[Job]:
        """A neighbour's jobs that nobody is doing, best grade first, then the oldest.

        With `now` only those whose next attempt is due; with `limit` no more than so many. Claims
        of dead owners are taken back.
        """
        ...

    async def claim(self, job_ids: Sequence[str]) -> list[ClaimedJob]:
        """Claim jobs for this owner; those that still could be, in the order asked for."""
        ...

    async def note_part(self, job_id: str, parts_done: int) -> None:
        """The neighbour has so many of the transfers of a job of ours."""
        ...

    async def attach(self, job_id: str, content: Content) -> None:
        """Give a job of ours the copy of its file, taken now, so that each try sends the same.

        Raises: NotClaimed.
        """
        ...

    async def unclaim(self, job_ids: Collection[str]) -> None:
        """Give claims back without counting a try."""
        ...

    async def find(self, neighbour: str | None = None, *, finished: bool = False) -> list[Job]:
        """All jobs that wait or are held, in the order of `due`; with `finished`, the others
        too."""
        ...

    async def job(self, job_id: str) -> Job | None:
        """One job, in whatever state; None if it is not known."""
        ...

    async def operate(
        self, verb: Verb, job_ids: Collection[str], now: float, reason: str = OPERATOR_TEXT
    ) -> list[str]:
        """Hold, release or remove. The ids for which that was legal (model.WORK_MOVES)."""
        ...


class Received(Protocol):
    """What came from neighbours, whole or in part."""

    def new_path(self) -> Path:
        """Where a file may be written that a row will name. Without one it goes with its owner."""
        ...

    def path_of(self, content_file: str) -> Path:
        """Where the file lies that a row calls so."""
        ...

    async def begin_part(self, part: Part) -> None:
        """Remember a part; one that was there under the same name is deleted."""
        ...

    async def hold_part(self, part: Part) -> None:
        """So much of it is on the disk for good."""
        ...

    async def drop_part(self, neighbour: str, temp: str) -> None:
        """Forget a part and delete its file."""
        ...

    async def parts(self, neighbour: str) -> list[Part]:
        """All parts of a neighbour's files, the oldest first."""
        ...

    async def marks(self, neighbour: str) -> list[Mark]:
        """What was received of a neighbour and may be offered again."""
        ...

    async def forget_marks(self, marks: Sequence[Mark]) -> None:
        """The neighbour has seen our acknowledgements: it will not offer these files again."""
        ...

    async def complete(self, completed: Completed) -> None:
        """A file has arrived and is synced: make of it what it is. Then CY may be sent."""
        ...

    async def files(self, neighbour: str) -> list[SpoolFile]:
        """Files in the spool that no execution has asked for, the oldest first."""
        ...


class Executions(Protocol):
    """The commands that neighbours want to be run here."""

    async def due(self, now: float | None = None) -> list[Execution]:
        """Executions that nobody runs and whose files are there, best grade first, then the
        oldest. With `now` only those whose next attempt is due. Claims of dead owners are taken
        back."""
        ...

    async def claim(
        self, execution_id: str, *, even_if_missing: bool = False
    ) -> ClaimedExecution | None:
        """Claim one for this owner; None if it cannot be, or another of the same neighbour's is
        running. `even_if_missing`: although its files are not here, to end it."""
        ...

    async def claim_together(self, execution_ids: Sequence[str]) -> list[ClaimedExecution]:
        """Claim several of one neighbour, to run at the same time: those of them that can be, in
        one commit; none if another of that neighbour's is running."""
        ...

    async def unclaim(self, execution_id: str) -> None:
        """Give a claim back without counting a try."""
        ...

    async def find(
        self, neighbour: str | None = None, *, finished: bool = False
    ) -> list[Execution]:
        """All executions that wait or are held, in the order of `due`; with `finished`, the others
        too."""
        ...

    async def operate(
        self, verb: Verb, execution_ids: Collection[str], now: float, reason: str = OPERATOR_TEXT
    ) -> list[str]:
        """Hold, release or remove. The ids for which that was legal (model.WORK_MOVES)."""
        ...


class Neighbours(Protocol):
    """What is known of each neighbour."""

    async def begin_session(self, neighbour: str) -> bool:
        """Take the one session that there may be with a neighbour; False if it is taken.

        It ends with `end_session`, or with the life of its owner.
        """
        ...

    async def end_session(self, neighbour: str, record: SessionRecord | None = None) -> None:
        """Give it back, and write down how it was."""
        ...

    async def take_number(self, neighbour: str, now: float) -> int:
        """A number for the names of a file to this neighbour, given to nobody else ever."""
        ...

    async def next_sequence(self, neighbour: str) -> int:
        """The sequence number of a conversation that begins now: one more than the last."""
        ...

    async def set_sequence(self, neighbour: str, sequence: int) -> None:
        """Set the number of the last conversation: the operator's remedy for a lost count."""
        ...

    async def set_status(self, status: NeighbourStatus) -> None:
        """Remember how a call ended (`sequence` and `is_in_session` stay as they are)."""
        ...

    async def statuses(self) -> Mapping[str, NeighbourStatus]:
        """What is known of all neighbours that we ever had to do with."""
        ...

    async def sessions(self, neighbour: str | None = None, limit: int = 100) -> list[SessionRecord]:
        """The last sessions, the latest first."""
        ...


class UucpStore(Protocol):
    """The UUCP piece of a `Store`."""

    @property
    def jobs(self) -> Jobs:
        """What users asked of neighbours."""
        ...

    @property
    def received(self) -> Received:
        """What came from neighbours."""
        ...

    @property
    def executions(self) -> Executions:
        """What neighbours want to be run."""
        ...

    @property
    def neighbours(self) -> Neighbours:
        """What is known of them."""
        ...

    async def settle(self, settled: Settled) -> None:
        """Write down how jobs and executions ended, drop their claims, queue what comes of them.

        For what also makes a message, `Store.add` does both at once. Raises: NotClaimed when one
        of them is not (or no longer) claimed by this owner: then nothing is written.
        """
        ...

    async def history(self, work_id: str) -> list[WorkEvent]:
        """What happened to a job or an execution so far, in order."""
        ...

    async def prune(self, before: float) -> int:
        """Forget what ended before then, and parts, marks, files and session records that are
        older. The number of rows forgotten."""
        ...
