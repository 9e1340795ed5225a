"""The store: what every home of the queue promises.

Each method is one transaction: when it returns, all of it is durable, and when it raises, none of
it happened. Raises throughout: StoreFull, StoreError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relaynode.queue.texts import OPERATOR_TEXT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from relaynode.queue.content import Content, Draft
    from relaynode.queue.dials import Dials
    from relaynode.queue.link_runs import LinkRuns
    from relaynode.queue.mailboxes import Mailboxes
    from relaynode.queue.model import (
        Delivery,
        Event,
        HostStatus,
        Mark,
        NewMessage,
        OnceMark,
        Outcome,
        QueuedMessage,
        Reaped,
        Verb,
    )
    from relaynode.queue.servers import Servers
    from relaynode.queue.turn_marks import TurnMarks
    from relaynode.queue.uucp.model import ClaimedJob, MailJob, Settled
    from relaynode.queue.uucp.store import UucpStore


class Store(Protocol):
    """A durable queue. Safe to use by several processes at once; `now` is epoch seconds."""

    @property
    def uucp(self) -> UucpStore:
        """The UUCP work that is not mail."""
        ...

    @property
    def servers(self) -> Servers:
        """What is known of the servers that mail goes to."""
        ...

    @property
    def link_runs(self) -> LinkRuns:
        """What runs over links cost and carried."""
        ...

    @property
    def dials(self) -> Dials:
        """When lines were dialled, and which may still be up."""
        ...

    @property
    def mailboxes(self) -> Mailboxes:
        """What is remembered of mailboxes elsewhere."""
        ...

    @property
    def turn_marks(self) -> TurnMarks:
        """The last turn by its timetable that each link was given."""
        ...

    # --- intake

    def draft(self, queue_id: str) -> Draft:
        """A place to write content that is still coming in."""
        ...

    def twin(self, content: Content, queue_id: str) -> Content:
        """Content for one more message, shared with that which has it. Call it off the event loop
        for content in a file."""
        ...

    async def add(
        self,
        messages: Sequence[NewMessage],
        seen: Sequence[Mark] = (),
        settled: Settled | None = None,
        *,
        once: OnceMark | None = None,
    ) -> None:
        """Queue `messages`, put `seen` on the seen-lists, end the UUCP work that brought them
        (`UucpStore.settle`), and know the mail again (`taken`): all or nothing.

        Raises: TakenBefore if one of the recipients of `once` is known.
        """
        ...

    async def taken(self, mark: OnceMark) -> dict[str, str]:
        """For which recipients this mail was queued before: their queue ids by forward-path."""
        ...

    async def forget_taken(self, before: float) -> int:
        """Know mail no longer that was queued before then. The number of marks forgotten."""
        ...

    async def sent_bytes(self, reverse_path: str, since: float) -> int:
        """How much has been queued from a sender after that time, as far as it is remembered;
        upper and lower case are the same."""
        ...

    async def link_bytes(self, link: str, since: float) -> int:
        """How much has been queued after that time that counts for a link."""
        ...

    # --- delivery

    async def waiting(
        self, now: float | None = None, queue_ids: Collection[str] | None = None
    ) -> list[QueuedMessage]:
        """Messages with recipients nobody is delivering and no job carries, oldest first, those
        recipients only.

        With `now`, only recipients whose next attempt is due; with `queue_ids`, only of these
        messages. Without them, claims of dead owners are taken back first.
        """
        ...

    async def claim(self, wanted: Sequence[tuple[str, Collection[int]]]) -> list[Delivery]:
        """Claim recipients (by queue id and recipient id) for this owner.

        Only what is still waiting, unclaimed and not held is given back, in the order asked for.
        """
        ...

    async def record(
        self,
        outcomes: Sequence[Outcome],
        now: float,
        new: Sequence[NewMessage] = (),
        settled: Settled | None = None,
        warnings: Sequence[tuple[str, NewMessage]] = (),
    ) -> None:
        """Write down how tries ended, drop their claims, queue `new` (their DSNs), and end the UUCP
        jobs that carried them (`UucpStore.settle`).

        `warnings`: DSNs that a message still waits, by its queue id; of a message that has been
        warned of before they are dropped. A message that broke us MAX_STRIKES times is set aside:
        held, as poison.
        An outcome for a recipient that somebody else has claimed, or that no longer waits, is
        left out. Raises: NotClaimed when a job is not this owner's.
        """
        ...

    async def bind(self, mail: Sequence[MailJob]) -> list[ClaimedJob]:
        """Queue jobs for neighbours that carry recipients which this owner has claimed, and claim
        the jobs.

        Until such a job has ended its recipients are neither waiting nor to be claimed. Raises:
        NotClaimed when a recipient is not this owner's any more: then nothing is queued.
        """
        ...

    async def carried(self, job_ids: Collection[str]) -> dict[str, list[Delivery]]:
        """What jobs carry that this owner has claimed: by job, with the claim on its recipients."""
        ...

    async def unbind(self, job_ids: Collection[str]) -> None:
        """Undo jobs of this owner's that were not begun: their recipients are as before."""
        ...

    async def unclaim(self, recipient_ids: Collection[int], *, in_doubt: bool = False) -> None:
        """Give claims back without counting an attempt.

        `in_doubt`: there was one that may have done it, and how it ended could not be recorded.
        Should this fail, too, it is remembered and written down when the store is closed.
        """
        ...

    async def reap(self, now: float) -> Reaped:
        """Take back what dead owners had claimed, and delete what they left half written."""
        ...

    # --- poison

    async def poisoned(self) -> list[QueuedMessage]:
        """Messages that were set aside, and nobody has been told."""
        ...

    async def tell_poison(
        self, queue_ids: Collection[str], new: Sequence[NewMessage], now: float
    ) -> None:
        """Queue `new`, the letters about them; unless they have been told of meanwhile."""
        ...

    # --- the operator

    async def messages(self, *, finished: bool = False) -> list[QueuedMessage]:
        """All queued and held messages, oldest first; with `finished`, the others too."""
        ...

    async def message(self, queue_id: str) -> QueuedMessage | None:
        """One message, in whatever state; None if it is not known."""
        ...

    async def look(self, queue_id: str) -> tuple[bytes, Content] | None:
        """Our trace lines and the content of a message, without a claim: to look at, since whoever
        delivers it may end it meanwhile. None if it is not known."""
        ...

    async def operate(
        self, verb: Verb, queue_ids: Collection[str], now: float, reason: str = OPERATOR_TEXT
    ) -> list[str]:
        """Hold, release or remove. The ids for which that was legal (model.OPERATOR_MOVES).

        `reason` is what the history says.
        """
        ...

    async def history(self, queue_id: str) -> list[Event]:
        """What happened to a message so far, in order."""
        ...

    async def prune(self, finished_before: float) -> int:
        """Forget messages that ended before then. The number of messages forgotten."""
        ...

    # --- host status

    async def host_status(self) -> list[HostStatus]:
        """What each next hop last had to say, the latest first."""
        ...

    async def forget_host_status(self, before: float) -> int:
        """Forget what hosts said before then. The number of hosts forgotten."""
        ...

    # --- the links

    async def set_link(self, name: str, is_up: bool, now: float) -> None:
        """Remember what a hook said of a link."""
        ...

    async def links_up(self) -> set[str]:
        """The names of the links that were last said to be up."""
        ...

    async def close(self) -> None:
        """End in order. Claims still held become free."""
        ...
