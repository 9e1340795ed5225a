"""What a server session tells its driver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.sasl.events import AuthResponse as AuthResponse
from relaynode.sasl.events import AuthStart as AuthStart

if TYPE_CHECKING:
    from relaynode.mail.status import Status
    from relaynode.smtp.xclient import Identity


@dataclass(frozen=True, slots=True)
class NeedData:
    """Nothing to do until more bytes come. What is to be sent should go now."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The client said who it is; a transaction it had begun is off. No answer is needed."""

    name: str
    is_extended: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """A transaction is asked for. Answer with `reply`. `given`: the path as it was typed.

    `once_id`: what the client calls this message in all its tries, as xtext, or "" (`once.py`).
    `auth`: who submitted it, as RFC 4954 section 5 has it: xtext, or "".
    `ret`, `envid`: what it wants of DSNs (mail/envelope.py).
    """

    reverse_path: str
    size_bytes: int | None
    body: str
    smtputf8: bool
    given: str = field(default="", compare=False)
    once_id: str = ""
    auth: str = ""
    ret: str = ""
    envid: str = ""


@dataclass(frozen=True, slots=True)
class Rcpt:
    """A recipient is asked for. Answer with `reply`. `given`: the path as it was typed.

    `notify`, `orcpt`: what the client wants of DSNs (mail/envelope.py).
    """

    forward_path: str
    given: str = field(default="", compare=False)
    notify: str = ""
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Verify:
    """VRFY, or EXPN (`is_list`): whom a word stands for is asked. Answer with `reply`."""

    word: str
    is_list: bool


@dataclass(frozen=True, slots=True)
class SendNow:
    """ETRN: the mail for a domain, or with all below it, shall be sent now. Answer with `reply`."""

    domain: str
    with_subdomains: bool


@dataclass(frozen=True, slots=True)
class TurnWanted:
    """ATRN: the client wants to be the server, and be brought the mail for these domains, or for
    all that are kept for its login if none is named. Answer with `reply`: a 2xx ends the session,
    and on the same connection the other begins."""

    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Introduced:
    """XCLIENT: a proxy says which client it speaks for. Answer with `introduce`."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class StartTls:
    """The client wants TLS and was told to begin: send that, shake hands, call `tls_started`."""


@dataclass(frozen=True, slots=True)
class AuthCancelled:
    """The client has given a login up, or broke its rules; it was told. No answer is needed."""


@dataclass(frozen=True, slots=True)
class ContentStart:
    """Content will follow for the recipients accepted. No answer is needed."""


@dataclass(frozen=True, slots=True)
class ContentData:
    """A piece of content, dots removed, CRLF line ends. No answer is needed."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ContentEnd:
    """All content has come. Answer with `reply`: a 2xx is the promise to deliver."""


@dataclass(frozen=True, slots=True)
class ContentRefused:
    """The content was refused by the rules of the protocol, the client was told: forget it."""

    status: Status


@dataclass(frozen=True, slots=True)
class TransactionReset:
    """RSET: the transaction is off. No answer is needed."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over: send what is left and close."""


Event = (
    NeedData
    | Hello
    | Mail
    | Rcpt
    | StartTls
    | AuthStart
    | AuthResponse
    | AuthCancelled
    | Verify
    | SendNow
    | TurnWanted
    | Introduced
    | ContentStart
    | ContentData
    | ContentEnd
    | ContentRefused
    | TransactionReset
    | Closed
)
