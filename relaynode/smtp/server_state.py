"""What an SMTP server session knows, and how it answers: what `server.py` and the commands in
`server_commands.py` share.

A session survives RSET, a transaction does not: they are separate objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError
from relaynode.mail.status import Status
from relaynode.smtp.events import (
    AuthResponse,
    AuthStart,
    ContentEnd,
    Event,
    Introduced,
    Mail,
    Rcpt,
    SendNow,
    TurnWanted,
    Verify,
)
from relaynode.smtp.phases import Phase
from relaynode.smtp.reply import encode
from relaynode.smtp.server_transaction import ServerTransaction

if TYPE_CHECKING:
    from relaynode.smtp.security import Security
    from relaynode.smtp.terms import Terms

Question = (
    Mail | Rcpt | Verify | SendNow | TurnWanted | Introduced | ContentEnd | AuthStart | AuthResponse
)
"""Events that wait for an answer."""


class ServerState:
    """Settings as `server.Session` has them. `buffer`: what has come and was not read yet.
    `outgoing`: what is to be sent. `messages`: how many have been answered."""

    def __init__(
        self,
        hostname: str,
        *,
        max_size_bytes: int,
        terms: Terms,
        denial: Status | None,
        knows_again: bool,
        security: Security,
    ) -> None:
        self.hostname = hostname
        self.max_size_bytes = max_size_bytes
        self.terms = terms
        self.denial = denial
        self.knows_again = knows_again
        self.security = security
        self.phase = Phase.START
        self.hello_name = ""
        self.is_extended = False
        self.has_quit = False
        self.transaction = ServerTransaction()
        self.buffer = bytearray()
        self.outgoing = bytearray()
        self.pending: Question | None = None
        self.messages = 0
        self._errors = 0
        self._refusals = 0
        self._idle_commands = 0

    # --- the driver

    def ask(self, event: Question) -> Event:
        """Nothing goes on until the driver has answered this event."""
        self.pending = event
        return event

    def answered(self) -> Question:
        """The event that is answered now. Raises: LocalProtocolError if none waits."""
        pending, self.pending = self.pending, None
        if pending is None:
            raise LocalProtocolError("no event waits for an answer")
        return pending

    # --- the client

    def say(self, status: Status, more: tuple[str, ...] = ()) -> None:
        """Reply; `more`: further lines of text."""
        self.outgoing += encode(status, more)

    def say_idly(self, status: Status) -> None:
        """Reply to what leads to no message."""
        self.say(status)
        self.count_idle()

    def refuse(self, status: Status) -> None:
        """Say no to a command that is not an event."""
        self.say(status)
        self._count_error()

    def say_and_close(self, status: Status) -> None:
        """Reply, and it is over."""
        self.say(status)
        self.phase = Phase.CLOSED

    def shut_down(self, text: str, enhanced: str = "4.3.2") -> None:
        """End the session from our side: 421 (RFC 5321 3.8)."""
        if self.phase is not Phase.CLOSED:
            self.pending = None
            self.say_and_close(Status(421, enhanced, f"{self.hostname} {text}"))

    # --- what is borne

    def count_idle(self) -> None:
        """A command has led to no message."""
        self._idle_commands += 1
        if self._idle_commands > self.terms.max_idle_commands:
            self._count_error()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self.terms.max_errors:
            self.shut_down("too many errors", "4.7.0")

    def count_message(self) -> None:
        """Content has been answered."""
        self._idle_commands = 0
        self.messages += 1

    def count_refusal(self) -> None:
        """The driver has said no."""
        self._refusals += 1
        if self._refusals >= self.terms.max_refusals:
            self.shut_down("too many errors", "4.7.0")

    # --- how far it is

    def end_transaction(self) -> None:
        """Forget it, and wait for the next."""
        self.transaction = ServerTransaction()
        if self.phase is not Phase.CLOSED:
            self.phase = Phase.READY if self.hello_name else Phase.START

    def begin_anew(self) -> None:
        """What the client has said is forgotten."""
        self.hello_name, self.is_extended = "", False
        self.end_transaction()
