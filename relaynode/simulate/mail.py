"""Mail in the simulation, out and in: what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.policy.line_model import Letter

if TYPE_CHECKING:
    from relaynode.policy.order import Urgency
    from relaynode.simulate.events import MailOut

GROWTH_BYTES = 148
"""What a message grows by when it goes out: Received, and longer addresses in its header."""


@dataclass(slots=True, eq=False)
class Outgoing:
    """A mail that goes out. `due_at`: not to be tried before that without a link-up. `tries`: how
    often it was begun. `in_doubt`: how often all of it had gone and no reply had come."""

    event: MailOut
    number: int
    urgency: Urgency
    due_at: float
    attempts: int = 0
    tries: int = 0
    in_doubt: int = 0
    is_under_way: bool = False
    delivered_at: float | None = None
    link: str = ""

    @property
    def is_free(self) -> bool:
        """Does it wait for somebody to take it?"""
        return self.delivered_at is None and not self.is_under_way

    @property
    def letter(self) -> Letter:
        """For the line's model."""
        return Letter(self, self.event.size_bytes + GROWTH_BYTES)


@dataclass(slots=True, eq=False)
class Incoming:
    """A mail in an account. `done_bytes`: of a message that was cut, over a protocol that goes
    on."""

    number: int
    account: str
    size_bytes: int
    since: float
    done_bytes: float = 0.0
    fetched_at: float | None = None
    link: str = ""
