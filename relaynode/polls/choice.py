"""What of a mailbox is fetched, in which order, what is deleted, and what is left and why.

Pure and the same for all protocols: it knows sizes, our marks and the account's wishes, and nothing
of a server. Small mail comes first. A mark means that the message is queued here; so without
`keep`, a marked message is one whose deletion the server has not confirmed, and is deleted without
being fetched again, whatever else is wished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from relaynode.queue.model import Decision as Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

K = TypeVar("K")

DAY_SECONDS = 86400

ALIKE_BYTES = 16 * 1024
"""Messages up to this size are equally small, and come in the order that the mailbox has."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an account's owner wants. 0 is no limit.

    `keep`: leave at the server what was fetched. `fetch_all`: with `keep`, fetch again what was
    fetched before; and fetch what somebody else has read. `flush`: with `keep`, delete what earlier
    visits fetched. `limit_bytes`: leave larger messages; `flush_oversized`: delete them, unread.
    `fetch_limit`: messages a visit.
    `delete_after_days`: with `keep`, how long what was fetched may stay. `header_first_bytes`: of
    larger messages only the header comes, until it is decided. `max_message_bytes`: what our queue
    takes.
    """

    keep: bool = False
    fetch_all: bool = False
    flush: bool = False
    limit_bytes: int = 0
    flush_oversized: bool = False
    fetch_limit: int = 0
    delete_after_days: int = 0
    header_first_bytes: int = 0
    max_message_bytes: int = 50 * 1024 * 1024


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True)
class Waiting(Generic[K]):
    """A message in the mailbox. `key`: what the protocol calls it.

    `taken_at`: when it was queued here, epoch seconds; None if it never was. `is_read`: somebody
    else has read it, says the server. `decision`: if its header has come before.
    """

    key: K
    size_bytes: int = 0
    taken_at: float | None = None
    is_read: bool = False
    decision: Decision | None = None


class Left(StrEnum):
    """Why a message stays where it is."""

    TAKEN = "fetched before"
    READ = "read by somebody else"
    OVERSIZED = "larger than limit_bytes"
    UNFIT = "larger than our queue takes"
    LATER = "more than fetch_limit"
    BUDGET = "more than the link's budget allows"
    OFFERED = "its header has come, and nobody has decided"


@dataclass(slots=True)
class Choice(Generic[K]):
    """What to do now. `delete` comes first, then `headers`, then `fetch`, each in this order."""

    delete: list[Waiting[K]] = field(default_factory=list)
    headers: list[Waiting[K]] = field(default_factory=list)
    fetch: list[Waiting[K]] = field(default_factory=list)
    left: list[tuple[Waiting[K], Left]] = field(default_factory=list)

    @property
    def fetch_bytes(self) -> int:
        """What is to be fetched, as the server counts it."""
        return sum(one.size_bytes for one in self.fetch)

    def left_for(self, why: Left) -> list[Waiting[K]]:
        """The messages that are left for one reason."""
        return [one for one, reason in self.left if reason is why]


def choose(waiting: Iterable[Waiting[K]], wishes: Wishes, now: float) -> Choice[K]:
    """Sort what waits. `waiting`: in the mailbox's order, oldest first. `now`: epoch seconds."""
    choice: Choice[K] = Choice()
    for one in waiting:
        _place(one, wishes, now, choice)
    _cut(choice, wishes.fetch_limit)
    choice.fetch = small_first(choice.fetch)
    return choice


def small_first(messages: Sequence[Waiting[K]]) -> list[Waiting[K]]:
    """Each class of sizes is twice as large as that before it; within one, the order is kept."""
    return sorted(messages, key=lambda one: (one.size_bytes // ALIKE_BYTES).bit_length())


def _place(one: Waiting[K], wishes: Wishes, now: float, choice: Choice[K]) -> None:
    if one.decision is Decision.DELETE or _may_go(one, wishes, now):
        choice.delete.append(one)
    elif (why := _why_left(one, wishes)) is not None:
        if why is Left.OVERSIZED and wishes.flush_oversized:
            choice.delete.append(one)
        else:
            choice.left.append((one, why))
    elif _is_offered_first(one, wishes):
        choice.headers.append(one)
    else:
        choice.fetch.append(one)


def _may_go(one: Waiting[K], wishes: Wishes, now: float) -> bool:
    if one.taken_at is None:
        return False
    if not wishes.keep or wishes.flush:
        return True
    days = wishes.delete_after_days
    return days > 0 and now - one.taken_at >= days * DAY_SECONDS


def _why_left(one: Waiting[K], wishes: Wishes) -> Left | None:
    if one.taken_at is not None and not wishes.fetch_all:
        return Left.TAKEN
    if one.is_read and not wishes.fetch_all:
        return Left.READ
    if 0 < wishes.max_message_bytes < one.size_bytes:
        return Left.UNFIT
    if one.decision is Decision.GET:
        return None
    if 0 < wishes.limit_bytes < one.size_bytes:
        return Left.OVERSIZED
    if one.decision is Decision.OFFERED and _is_large(one, wishes):
        return Left.OFFERED
    return None


def _is_large(one: Waiting[K], wishes: Wishes) -> bool:
    return 0 < wishes.header_first_bytes < one.size_bytes


def _is_offered_first(one: Waiting[K], wishes: Wishes) -> bool:
    return one.decision is None and _is_large(one, wishes)


def _cut(choice: Choice[K], fetch_limit: int) -> None:
    """Leave what is too much for one visit. The oldest come first, or large ones never would."""
    if fetch_limit:
        choice.left += [(one, Left.LATER) for one in choice.fetch[fetch_limit:]]
        del choice.fetch[fetch_limit:]
