"""What a server session offers to its client, and how much it bears from it."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ERRORS = 20
"""Wrong commands in a session before it is ended: a client gone mad."""

MAX_REFUSALS = 200
"""Commands that the driver said no to before the session is ended: a guesser. A list with many
members who are gone is none."""

MAX_IDLE_COMMANDS = 100
"""Commands since the last message that lead to none; each further one is an error."""

MAX_RECIPIENTS = 1000
"""Of one message; RFC 5321 4.5.3.1.8 asks for 100 at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of one session.

    `max_recipients`: accepted recipients of one transaction; the next is told to come again
    (RFC 5321 4.5.3.1.10). `max_messages`: of the session, 0 for any number; both are announced
    (RFC 9422). `max_errors`, `max_refusals`, `max_idle_commands`: see above.
    `verifies`, `expands`: VRFY and EXPN are answered. `takes_etrn`: ETRN (RFC 1985) is offered.
    `takes_atrn`: so is ATRN (RFC 2645), to those who have logged in.
    `takes_xclient`: the client may say whom it speaks for (`xclient.py`). `is_strict`: a client
    that does not wait for an answer where it must (RFC 2920 3.1) is sent away.
    """

    max_recipients: int = MAX_RECIPIENTS
    max_messages: int = 0
    max_errors: int = MAX_ERRORS
    max_refusals: int = MAX_REFUSALS
    max_idle_commands: int = MAX_IDLE_COMMANDS
    verifies: bool = False
    expands: bool = False
    takes_etrn: bool = False
    takes_atrn: bool = False
    takes_xclient: bool = False
    is_strict: bool = False

    @property
    def limits(self) -> str:
        """The EHLO line of LIMITS (RFC 9422 section 3)."""
        messages = f" MAILMAX={self.max_messages}" if self.max_messages else ""
        return f"LIMITS{messages} RCPTMAX={self.max_recipients}"


USUAL = Terms()
