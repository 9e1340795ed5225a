"""The phases of an SMTP session as its server: how each is reached and what may come in it.

And what is said to a command that comes out of turn (RFC 5321 section 4.1.4), in sendmail's words.

    phase    reached by            allows
    -------  --------------------  --------------------------------------------------
    START    the greeting          HELO EHLO
    READY    HELO, EHLO, RSET,     HELO EHLO MAIL
             end of content
    MAIL     MAIL accepted         HELO EHLO RCPT
    RCPT     RCPT accepted         HELO EHLO RCPT DATA BDAT
    DATA     354 sent              (content until the lone dot)
    CHUNK    BDAT n                (n bytes of content)
    BDAT     end of a chunk that   HELO EHLO BDAT
             was not the last
    AUTH     AUTH                  (responses until the login has ended)
    TLS      STARTTLS              (nothing until the driver has TLS)
    CLOSED   QUIT, 421, ATRN       nothing
    READY and START                STARTTLS; READY also AUTH (`security.py`)
    any that takes commands        NOOP RSET QUIT VRFY HELP

A BDAT that may not come is refused like any other command, but the bytes it announces are read
first, and so are those of the chunks that follow it. RSET without HELO or EHLO leads to START.
Where they are offered, EXPN may come where VRFY may, ETRN and ATRN in READY, XCLIENT in START
and READY.
"""

from __future__ import annotations

from enum import Enum, auto

from relaynode.mail.status import Status


class Phase(Enum):
    START = auto()
    READY = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    CHUNK = auto()
    BDAT = auto()
    AUTH = auto()
    TLS = auto()
    CLOSED = auto()


ANY = frozenset({Phase.START, Phase.READY, Phase.MAIL, Phase.RCPT, Phase.BDAT})
"""In which commands are taken at all."""

CALM = frozenset({Phase.START, Phase.READY})
"""Outside of a mail transaction."""


def no_recipients(phase: Phase) -> Status:
    """Content without anybody to get it."""
    if phase is Phase.MAIL:
        return Status(554, "5.5.1", "No valid recipients")
    return Status(503, "5.0.0", "Need MAIL command")


def hello_first(phase: Phase) -> Status:
    """To what needs a HELO, or MAIL in the middle of a transaction."""
    if phase is Phase.START:
        return Status(503, "5.0.0", "Polite people say HELO first")
    if phase is Phase.BDAT:
        return Status(503, "5.5.1", "A BDAT ... LAST is owed")
    return Status(503, "5.5.0", "Sender already specified")


def mail_first(phase: Phase) -> Status:
    """To RCPT."""
    if phase is Phase.BDAT:
        return Status(503, "5.5.1", "A BDAT ... LAST is owed")
    return Status(503, "5.0.0", "Need MAIL before RCPT")


def no_transaction(phase: Phase) -> Status:
    """To STARTTLS and AUTH."""
    if phase is Phase.START:
        return Status(503, "5.0.0", "Polite people say EHLO first")
    return Status(503, "5.5.0", "Not permitted during a mail transaction")


def rcpt_first(phase: Phase) -> Status:
    """To content."""
    if phase is Phase.MAIL:
        return Status(503, "5.0.0", "Need RCPT (recipient)")
    if phase is Phase.BDAT:
        return Status(503, "5.5.1", "DATA after BDAT (RFC 3030)")
    return Status(503, "5.0.0", "Need MAIL command")


def in_transaction(phase: Phase) -> Status:
    """To XCLIENT."""
    return Status(503, "5.5.1", "Mail transaction in progress")
