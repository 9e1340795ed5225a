"""What the IMAP client tells its driver. Values only; none holds a password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from relaynode.imap.states import Command
    from relaynode.mail.status import Status


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server is ready. `is_logged_in`: we are known to it already (PREAUTH)."""

    text: str
    is_logged_in: bool


@dataclass(frozen=True, slots=True)
class TlsReady:
    """STARTTLS was accepted: send nothing more, start TLS, then call Client.after_tls()."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command was granted. `tag`: as the method that queued it gave it."""

    command: Command
    tag: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A command was not. `code`: the response code in upper case, or "". `is_bad`: the server did
    not understand it."""

    command: Command
    tag: str
    status: Status
    code: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    """So many messages are in the mailbox now."""

    count: int


@dataclass(frozen=True, slots=True)
class Validity:
    """UIDVALIDITY of the mailbox that is being selected."""

    number: int


@dataclass(frozen=True, slots=True)
class Item:
    """What is known of a message, asked for or not. None: the server did not say."""

    uid: int
    size_bytes: int | None
    flags: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Found:
    """Part of what UID SEARCH has found: from `first` to `last`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MessageStart:
    """Content follows. `uid`: None if it will be told behind it. `section`: "" for all of the
    message. `origin`: where in it the content begins. `size_bytes`: so much follows."""

    uid: int | None
    section: str
    origin: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MessageData:
    """A piece of content, cut anywhere, never empty, as the server has it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The content that MessageStart told of is complete, and this is whose it is."""

    uid: int
    section: str
    origin: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NotThere:
    """A message that was asked for has no content (NIL)."""

    uid: int


@dataclass(frozen=True, slots=True)
class Idling:
    """IDLE has begun: Exists may come at any time; Client.done() ends it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What the server wants people to read (RFC 3501 section 7.1)."""

    text: str


@dataclass(frozen=True, slots=True)
class Bye:
    """The server ends the session. `was_asked`: we said LOGOUT."""

    status: Status
    was_asked: bool


Event: TypeAlias = (
    Greeting
    | TlsReady
    | Done
    | Refused
    | Exists
    | Validity
    | Item
    | Found
    | MessageStart
    | MessageData
    | MessageEnd
    | NotThere
    | Idling
    | Alert
    | Bye
)
Events: TypeAlias = list[Event]
