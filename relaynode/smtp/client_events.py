"""What a client's session can be in, and what happens in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relaynode.mail.status import Status
    from relaynode.smtp.reply import Reply
    from relaynode.smtp.transaction import Transaction


class State(Enum):
    GREETING = auto()
    GREETED = auto()
    HELLO = auto()
    READY = auto()
    STARTTLS = auto()
    AUTH = auto()
    CLOSED = auto()


class Mode(Enum):
    CHUNKED = auto()
    PIPELINED = auto()
    LOCKSTEP = auto()


@dataclass(frozen=True, slots=True)
class Greeted:
    """The server's greeting has come: say `hello`."""


@dataclass(frozen=True, slots=True)
class Ready:
    """EHLO or AUTH was accepted: transactions may begin."""


@dataclass(frozen=True, slots=True)
class Mispresumed:
    """The server does not offer what it was presumed to and what was used already: the connection
    is of no use any more. `is_refused`: it did not even take EHLO, with what came behind it."""

    missing: frozenset[str]
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class TlsAccepted:
    """The server waits for a TLS handshake; call `after_tls` when it is done."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server does not want `what` ("greeting", "EHLO", "STARTTLS" or "AUTH")."""

    what: str
    status: Status


@dataclass(frozen=True, slots=True)
class Answered:
    """The reply to a command that stands alone (`Client.ask`)."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class ContentWanted:
    """354: give the content with `send_content` and `end_content`."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Finished:
    """A transaction is over; every recipient has its status."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class ServerClosing:
    """421: the server is about to hang up. Nothing more may be begun."""

    status: Status


@dataclass(frozen=True, slots=True)
class Bye:
    """QUIT was answered."""


Event = (
    Greeted
    | Ready
    | Mispresumed
    | TlsAccepted
    | Refused
    | Answered
    | ContentWanted
    | Finished
    | ServerClosing
    | Bye
)
