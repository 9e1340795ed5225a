"""What a session pulls: the next message that waits for its hop and fits into the run's budget."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.policy.line_model import Letter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relaynode.simulate.mail import Incoming, Outgoing


class Supply(deque[Letter]):
    """Letters as `policy/line_model.py` takes them. `more`: what has come since, in order.

    `fits` is asked before each; `begins` is told of each that is taken.
    """

    def __init__(
        self,
        more: Callable[[], list[Outgoing]],
        fits: Callable[[Outgoing], bool],
        begins: Callable[[Outgoing], None],
    ) -> None:
        super().__init__()
        self._more = more
        self._fits = fits
        self._begins = begins
        self._chosen: deque[Outgoing] = deque()
        self._next: Outgoing | None = None

    def __len__(self) -> int:
        if self._next is None or not self._next.is_free:
            self._next = self._find()
        return self._next is not None

    def __iter__(self) -> Iterator[Letter]:
        while self:
            yield self.popleft()

    def popleft(self) -> Letter:
        """See deque."""
        if not self:
            raise IndexError("nothing waits")
        mail, self._next = self._next, None
        assert mail is not None
        self._begins(mail)
        return mail.letter

    def _find(self) -> Outgoing | None:
        """What does not fit is passed over: something smaller may. What another link has taken
        meanwhile is not ours, as with claims."""
        while True:
            if not self._chosen:
                self._chosen.extend(self._more())
            if not self._chosen:
                return None
            mail = self._chosen.popleft()
            if mail.is_free and self._fits(mail):
                return mail


ALIKE_BYTES = 16 * 1024


def _size_class(size_bytes: int) -> int:
    """As polls/choice.py has them: up to this size all are alike, and then twice as large each."""
    return (size_bytes // ALIKE_BYTES).bit_length()


@dataclass(slots=True)
class Box:
    """An account as a visit finds it. `fits`, `fetched_one`: see Supply; a mail is here."""

    waiting: list[Incoming]
    fits: Callable[[Incoming], bool]
    fetched_one: Callable[[Incoming, float], None]
    _chosen: deque[Incoming] | None = field(default=None)

    def listed(self) -> int:
        """See Mailbox."""
        small_first = sorted(self.waiting, key=lambda one: _size_class(one.size_bytes))
        self._chosen = deque(small_first)
        return len(self._chosen)

    def next(self) -> Incoming | None:
        """See Mailbox."""
        while self._chosen:
            message = self._chosen.popleft()
            if self.fits(message):
                return message
        return None

    def fetched(self, message: Incoming, at: float) -> None:
        """See Mailbox."""
        self.waiting.remove(message)
        self.fetched_one(message, at)
