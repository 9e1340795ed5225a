"""Letters to users about their jobs. Who can make a message of one stands above this room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from relaynode.queue.uucp.model import Settled


@dataclass(frozen=True, slots=True)
class Letter:
    """`to`: a local user, a bang path or an address. `text`: its lines, LF between them."""

    to: str
    subject: str
    text: str


class Post(Protocol):
    """Makes messages of letters."""

    async def send(self, letter: Letter, settled: Settled | None = None) -> None:
        """Queue a letter and end the work it tells about, in one transaction.

        If nobody can have the letter, the work ends all the same. Raises: StoreError, NotClaimed.
        """
        ...


class LetterRate:
    """No more than so many letters an hour on behalf of one neighbour.

    Who has commands run here chooses who is told when they fail: without a bound that would be a
    way to send mail to anybody.
    """

    def __init__(self, most_an_hour: int = 20) -> None:
        self._most = most_an_hour
        self._sent: dict[str, list[float]] = {}

    def allows(self, neighbour: str, now: float) -> bool:
        """May one more letter go? If so it is counted. `now`: epoch seconds."""
        recent = [at for at in self._sent.get(neighbour, ()) if now - 3600 < at <= now]
        allowed = len(recent) < self._most
        self._sent[neighbour] = [*recent, now] if allowed else recent
        return allowed
