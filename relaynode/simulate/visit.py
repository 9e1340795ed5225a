"""A visit to an account on a line, as the pollers make it: log in, list, fetch all behind one
another, delete.

The opening is `policy/line_model.py`'s. A message that was cut in the middle is fetched anew over
POP3, and from there on over IMAP, as `polls/` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relaynode.policy.line_model import (
    GREETING_BYTES,
    STARTTLS_BYTES,
    STARTTLS_REPLY_BYTES,
    TLS_DOWN_BYTES,
    TLS_UP_BYTES,
    Course,
    Do,
    Script,
)

if TYPE_CHECKING:
    from relaynode.policy.line_model import Security, Steps
    from relaynode.simulate.mail import Incoming

CAPABILITY_BYTES = 240
"""What a server answers when it is asked what it can do."""
LOGIN_UP_BYTES, LOGIN_DOWN_BYTES = 180, 130
"""Of each round trip of SCRAM-SHA-256 (RFC 7677), which is chosen where it is offered."""
LISTING_BYTES = 50
"""Of each message: its size and its unique-id."""
FETCH_UP_BYTES, FETCH_DOWN_BYTES = 16, 66
"""Around each message: RETR and DELE, and what is answered."""


class Mailbox(Protocol):
    """What a visit works on."""

    def listed(self) -> int:
        """How many messages there are."""
        ...

    def next(self) -> Incoming | None:
        """The next to fetch, if one may still be."""
        ...

    def fetched(self, message: Incoming, at: float) -> None:
        """All of it is here."""
        ...


@dataclass(slots=True, eq=False)
class VisitScript(Script):
    """One visit. `is_known`: the server needs not be asked what it can do before the login.
    `goes_on`: see AccountPlan. `under_way`: what is being fetched."""

    mailbox: Mailbox
    security: Security = "none"
    login_round_trips: int = 2
    is_known: bool = False
    goes_on: bool = False
    under_way: Incoming | None = None

    def steps(self, course: Course) -> Steps:
        """See Script."""
        trip = course.line.round_trip_seconds
        yield from self._opening(trip)
        yield from _ask(trip, 12, 20 + LISTING_BYTES * self.mailbox.listed())
        is_first = True
        while (message := self.mailbox.next()) is not None:
            if is_first:
                yield Do.WAIT, trip
            is_first = False
            self.under_way = message
            course.played.bytes_up += FETCH_UP_BYTES
            yield Do.DOWN, message.size_bytes - message.done_bytes + FETCH_DOWN_BYTES
            self.under_way = None
            self.mailbox.fetched(message, course.now)
        if not is_first:
            yield Do.WAIT, trip  # they are deleted
        yield from _ask(trip, 6, 20)

    def cut(self, left: float) -> None:
        """The line is gone; so many bytes of the step under way had not come."""
        message = self.under_way
        if message is not None and self.goes_on:
            message.done_bytes = max(message.size_bytes - left, message.done_bytes)

    def _opening(self, trip: float) -> Steps:
        yield Do.WAIT, 2 * trip
        if self.security == "tls":
            yield from _ask(trip, TLS_UP_BYTES, TLS_DOWN_BYTES)
        yield Do.DOWN, GREETING_BYTES
        if self.security == "starttls":
            yield from _ask(trip, STARTTLS_BYTES, STARTTLS_REPLY_BYTES)
            yield from _ask(trip, TLS_UP_BYTES, TLS_DOWN_BYTES)
        if not self.is_known:
            yield Do.WAIT, trip
        yield Do.UP, 6
        yield Do.DOWN, CAPABILITY_BYTES
        for _ in range(self.login_round_trips):
            yield from _ask(trip, LOGIN_UP_BYTES, LOGIN_DOWN_BYTES)


def _ask(trip: float, up: float, down: float) -> Steps:
    yield Do.UP, up
    yield Do.WAIT, trip
    yield Do.DOWN, down
