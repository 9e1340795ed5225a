"""Mail as a session sees it: jobs that somebody above this room makes of the queue's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.queue.uucp.model import ClaimedJob, Job
    from relaynode.uucp.work import Outcome


class MailFeed(Protocol):
    """The mail for one neighbour in one session. Raises throughout: StoreError, NotClaimed."""

    def wake(self) -> None:
        """There may be new mail: look at the whole queue next time."""
        ...

    async def more(self, worst_grade: str, max_bytes: int | None) -> list[ClaimedJob]:
        """Some jobs of `worst_grade` or better, the most urgent first; none: there is no more now.

        `max_bytes`: the largest file that the neighbour takes from us; None: any.
        """
        ...

    async def take_over(self, claimed: Sequence[ClaimedJob]) -> list[ClaimedJob]:
        """Jobs of an earlier session, claimed again; those that are still wanted."""
        ...

    async def ended(self, job: Job, outcome: Outcome) -> None:
        """Write down what became of a job, and of the mail in it."""
        ...

    async def close(self) -> None:
        """The session is over: give back what was not begun."""
        ...


class NoMail:
    """A `MailFeed` where there is none."""

    def wake(self) -> None:
        """See MailFeed."""

    async def more(self, worst_grade: str, max_bytes: int | None) -> list[ClaimedJob]:
        """See MailFeed."""
        return []

    async def take_over(self, claimed: Sequence[ClaimedJob]) -> list[ClaimedJob]:
        """See MailFeed."""
        return []

    async def ended(self, job: Job, outcome: Outcome) -> None:
        """See MailFeed."""

    async def close(self) -> None:
        """See MailFeed."""
