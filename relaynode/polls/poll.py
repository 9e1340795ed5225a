"""One visit to an account: how it is going, and at its end how it went."""

from __future__ import annotations

from dataclasses import dataclass, field

from relaynode.polls.choice import Left

_NEW = (Left.OVERSIZED, Left.UNFIT, Left.LATER, Left.OFFERED)
"""Why a message stays that nobody has seen."""


@dataclass(slots=True)
class Poll:
    """Sizes are the server's until fetched. What a server does not tell beforehand counts as
    waiting when it comes. `reason`: the code of the error that ended it (mail/reason.py).

    `known_again`: fetched, and seen to be here already. `offered`: only the header came. `left`:
    what stays there, by the reason (choice.py, `Left`). `in_mailbox`: all that there was.
    `mailbox_bytes`: the size of all of it; 0 if that is not known.
    """

    account: str
    waiting: int = 0
    waiting_bytes: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    deleted: int = 0
    known_again: int = 0
    offered: int = 0
    left: dict[str, int] = field(default_factory=dict)
    in_mailbox: int = 0
    mailbox_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    reason: str = ""

    @property
    def new(self) -> int:
        """How many were never fetched before, nor read by anybody."""
        left = sum(self.left.get(str(why), 0) for why in _NEW)
        return self.waiting + self.offered + left

    def take(self, size_bytes: int) -> None:
        """A message came that nothing had announced."""
        self.waiting += 1
        self.waiting_bytes += size_bytes
        self.fetched += 1
        self.fetched_bytes += size_bytes

    def __str__(self) -> str:
        """One line for the log."""
        text = (
            f"{self.account}: {self.fetched} of {self.waiting} messages fetched"
            f" ({self.fetched_bytes} octets), {self.deleted} deleted"
        )
        for what, number in (("offered", self.offered), ("known again", self.known_again)):
            text += f", {number} {what}" if number else ""
        return text + "".join(f", {number} left: {why}" for why, number in self.left.items())
