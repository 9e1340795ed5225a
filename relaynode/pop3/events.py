"""What the POP3 cores tell their drivers: `Event` comes from a client, `ServerEvent` from a server.

Values only. No event of a client holds a password; a server's LoginAttempt must, and hides it from
repr().
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from relaynode.sasl.events import AuthResponse as AuthResponse
from relaynode.sasl.events import AuthStart as AuthStart

if TYPE_CHECKING:
    from relaynode.mail.status import Status
    from relaynode.pop3.states import Command

# --- the client's ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server is ready. `apop_timestamp` is there if it offers APOP (RFC 1939 section 7)."""

    text: str
    apop_timestamp: str | None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The answer to CAPA: first words in upper case; none if the server does not know CAPA."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class TlsReady:
    """STLS was accepted: send nothing more, start TLS, then call Client.after_tls()."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The maildrop is ours."""


@dataclass(frozen=True, slots=True)
class Stat:
    """The answer to STAT, a hint: number of messages and their size in bytes."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class ListItem:
    """One line of LIST. `size` is in bytes and a hint: servers count differently or lie."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class ListEnd:
    """LIST is complete."""


@dataclass(frozen=True, slots=True)
class UidlItem:
    """One line of UIDL. Bytes above 0x7F appear as Latin-1, so different ids stay different."""

    number: int
    uid: str


@dataclass(frozen=True, slots=True)
class UidlEnd:
    """UIDL is complete."""


@dataclass(frozen=True, slots=True)
class MessageStart:
    """RETR or TOP was granted and content follows."""

    number: int


@dataclass(frozen=True, slots=True)
class MessageData:
    """A piece of content in wire form (CRLF), dots unstuffed, cut anywhere, never empty."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The content is complete. `size_bytes` is what was handed over in MessageData."""

    number: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """The message is marked; it goes when the answer to QUIT has come."""

    number: int


@dataclass(frozen=True, slots=True)
class Done:
    """NOOP or RSET was granted."""

    command: Command


@dataclass(frozen=True, slots=True)
class Bye:
    """QUIT was granted: what was marked is gone."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server said -ERR. `command` compares equal to its text, as in `command == "RETR"`.

    `number` is the message's for RETR, TOP and DELE. A refusal at the greeting has the command
    "greeting"; a refused login has USER, PASS or AUTH, and only one of them.
    """

    command: Command
    number: int | None
    status: Status


Event: TypeAlias = (
    Greeting
    | Capabilities
    | TlsReady
    | LoggedIn
    | Stat
    | ListItem
    | ListEnd
    | UidlItem
    | UidlEnd
    | MessageStart
    | MessageData
    | MessageEnd
    | Deleted
    | Done
    | Bye
    | Refused
)
Events: TypeAlias = list[Event]

# --- the server's ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NeedData:
    """Nothing to do until more bytes come."""


@dataclass(frozen=True, slots=True)
class NeedDrain:
    """Replies have piled up: write data_to_send() out, then ask next_event() again."""


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """Answer with Server.accept_login() or Server.refuse_login()."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartTls:
    """The client wants TLS: send what is to be sent, shake hands, call Server.tls_started()."""


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Answer with Server.send_content()* and end_content(), or with fail_content().

    `lines` is None for RETR. For TOP it is the number of body lines wanted; the core does the
    cutting.
    """

    number: int
    lines: int | None


@dataclass(frozen=True, slots=True)
class Commit:
    """QUIT came: remove these messages, then answer with committed() or commit_failed().

    It comes with an empty tuple too, so that a lock on the maildrop can be given back.
    """

    deleted: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over: send what is left and close the line.

    Unless a Commit came before, nothing may be removed (RFC 1939 section 6).
    """


ServerEvent: TypeAlias = (
    LoginAttempt | AuthStart | AuthResponse | StartTls | Retrieve | Commit | Closed
)
