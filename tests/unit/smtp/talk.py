"""What the SMTP tests share: a driver for the server without a network, and dialogues as text.

A dialogue is a text file of such lines:

    # a remark
    C: what the client sends, CRLF is added
    C: what it sends without an end of line\
    S: what the server must answer by then, all of it
    M: alice@example.org > bob@example.net carol@example.net : the content of an accepted message

Escapes are Python's: \\r, \\n, \\0, \\xc3.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from relaynode.mail.status import Status, ok
from relaynode.smtp.client import Client
from relaynode.smtp.client_events import Mode, Ready
from relaynode.smtp.events import (
    AuthCancelled,
    AuthResponse,
    AuthStart,
    Closed,
    ContentData,
    ContentEnd,
    ContentRefused,
    ContentStart,
    Hello,
    Mail,
    NeedData,
    Rcpt,
    SendNow,
    StartTls,
    TransactionReset,
    Verify,
)
from relaynode.smtp.phases import Phase
from relaynode.smtp.security import Security
from relaynode.smtp.server import Session
from relaynode.smtp.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from relaynode.smtp.events import Event

MAX_SIZE_BYTES = 1000
MAX_RECIPIENTS = 3
TERMS = Terms()

UNKNOWN = Status(550, "5.1.1", "No such user")
LATER = Status(450, "4.2.0", "Mailbox busy")
BLOCKED = Status(550, "5.7.1", "Not from you")
LOGGED_IN = Status(235, "2.7.0", "Authentication successful")
WRONG = Status(535, "5.7.8", "Authentication failed")
PROMPTS = {"LOGIN": (b"Username:", b"Password:")}
RIGHT = ([b"\0alice\0sesame"], [b"alice", b"sesame"])
NO_ROOM = Status(452, "4.3.1", "No room")


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data cut at these positions."""
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@dataclass(frozen=True)
class Message:
    """A message that was accepted."""

    reverse_path: str
    forward_paths: tuple[str, ...]
    content: bytes


class Desk:
    """Drives a Session: takes everything, but for the users nobody, later and blocked.

    `events`: all that the session told, but the pieces of content. `refuses_content`: with what.
    `security`: what is offered of TLS, which begins at once, and of logins, of which one is right.
    """

    def __init__(
        self,
        *,
        max_size_bytes: int = MAX_SIZE_BYTES,
        max_recipients: int = MAX_RECIPIENTS,
        security: Security | None = None,
        terms: Terms = TERMS,
    ) -> None:
        self.session = Session(
            "mx.example.net",
            max_size_bytes=max_size_bytes,
            terms=replace(terms, max_recipients=max_recipients),
            security=security,
        )
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self.refuses_content: Status | None = None
        self._mail: Mail | None = None
        self._paths: list[str] = []
        self._content = b""
        self._prompts: tuple[bytes, ...] = ()
        self._responses: list[bytes] = []

    def says(self, data: bytes = b"") -> bytes:
        """What the server says after these bytes."""
        self.session.receive(data)
        said = bytearray()
        while True:
            event = self.session.next_event()
            if isinstance(event, NeedData | Closed):
                if isinstance(event, Closed) and event not in self.events:
                    self.events.append(event)
                return bytes(said + self.session.data_to_send())
            self._take(event)
            said += self.session.data_to_send()

    def _take(self, event: Event) -> None:
        if isinstance(event, ContentData):
            assert event.data
            self._content += event.data
            return
        self.events.append(event)
        match event:
            case Verify() | SendNow():
                self.session.reply(ok("Done"))
            case Mail(path):
                self._mail, self._paths = event, []
                self.session.reply(BLOCKED if path.startswith("blocked") else ok("Sender ok"))
            case Rcpt(path):
                refusal = {"nobody": UNKNOWN, "later": LATER}.get(path.partition("@")[0])
                if refusal is None:
                    self._paths.append(path)
                self.session.reply(refusal or ok("Recipient ok", "2.1.5"))
            case ContentStart():
                self._content = b""
            case ContentEnd():
                self._end()
            case StartTls():
                self.session.tls_started()
            case AuthStart(mechanism, data):
                self._prompts, self._responses = PROMPTS.get(mechanism, (b"",)), []
                self._log_in(data)
            case AuthResponse(data):
                self._log_in(data)
            case AuthCancelled():
                pass
            case Hello() | TransactionReset() | ContentRefused():
                self._mail = None

    def _log_in(self, response: bytes | None) -> None:
        if response is not None:
            self._responses.append(response)
        if len(self._responses) < len(self._prompts):
            self.session.challenge(self._prompts[len(self._responses)])
        else:
            self.session.reply(LOGGED_IN if self._responses in RIGHT else WRONG)

    def _end(self) -> None:
        assert self._mail is not None
        if self.refuses_content is None:
            paths = tuple(self._paths)
            self.messages.append(Message(self._mail.reverse_path, paths, self._content))
        self.session.reply(self.refuses_content or ok("Accepted"))
        self._mail = None


def footprint(session: Session) -> int:
    """About how many bytes a session holds."""
    return len(pickle.dumps(session))


HELLO = b"EHLO pc.lan\r\n"
MAIL = b"MAIL FROM:<alice@example.org>\r\n"
RCPT = b"RCPT TO:<bob@example.net>\r\n"

# What brings a fresh session to each phase.
_WAY_TO = {
    Phase.START: (),
    Phase.READY: (HELLO,),
    Phase.MAIL: (HELLO, MAIL),
    Phase.RCPT: (HELLO, MAIL, RCPT),
    Phase.DATA: (HELLO, MAIL, RCPT, b"DATA\r\n"),
    Phase.CHUNK: (HELLO, MAIL, RCPT, b"BDAT 100\r\n"),
    Phase.BDAT: (HELLO, MAIL, RCPT, b"BDAT 2\r\nhi"),
    Phase.AUTH: (HELLO, b"AUTH PLAIN\r\n"),
    Phase.CLOSED: (b"QUIT\r\n",),
}
_WITH_LOGINS = Security(mechanisms=("PLAIN",), allows_plain=True)


def way_to(phase: Phase) -> tuple[bytes, ...]:
    """The commands that bring a fresh session to a phase."""
    return _WAY_TO[phase]


def desk_in(phase: Phase, *, max_size_bytes: int = MAX_SIZE_BYTES) -> Desk:
    """A desk whose session has come to this phase, everything said and heard."""
    security = _WITH_LOGINS if phase is Phase.AUTH else None
    desk = Desk(max_size_bytes=max_size_bytes, security=security)
    desk.says(b"".join(way_to(phase)))
    assert desk.session.phase is phase
    desk.events.clear()
    return desk


# --- dialogues as text


@dataclass
class Turn:
    """What the client sends, and what must be answered then."""

    sent: bytes
    said: bytes


@dataclass
class Dialogue:
    """A dialogue that was read from text. The first turn sends nothing: the greeting."""

    turns: list[Turn]
    messages: list[Message]

    @property
    def sent(self) -> bytes:
        return b"".join(turn.sent for turn in self.turns)

    @property
    def said(self) -> bytes:
        return b"".join(turn.said for turn in self.turns)


def read_dialogue(path: Path) -> Dialogue:
    """See the module's docstring."""
    dialogue = Dialogue([Turn(b"", b"")], [])
    for line in path.read_text(encoding="ascii").splitlines():
        kind, text = line[:2], line[3:]
        match kind:
            case "C:":
                if dialogue.turns[-1].said or not dialogue.turns[-1].sent:
                    dialogue.turns.append(Turn(b"", b""))
                dialogue.turns[-1].sent += wire_form(text)
            case "S:":
                dialogue.turns[-1].said += wire_form(text)
            case "O:":
                pass  # what the session offers is for the test to read
            case "M:":
                dialogue.messages.append(message_of(text))
            case _:
                assert line.startswith("#") or not line, f"{path.name}: {line}"
    return dialogue


def message_of(text: str) -> Message:
    """The message of an M line."""
    reverse_path, _, rest = text.partition(" > ")
    paths, _, content = rest.partition(" :")
    return Message(
        reverse_path.removeprefix("<>"),
        tuple(paths.split()),
        _unescaped(content.removeprefix(" ")),
    )


def wire_form(text: str) -> bytes:
    """The bytes of a C or S line."""
    if text.endswith("\\"):
        return _unescaped(text[:-1])
    return _unescaped(text) + b"\r\n"


def _unescaped(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


# --- the client's side

KEYWORDS = {
    Mode.CHUNKED: ("PIPELINING", "CHUNKING"),
    Mode.PIPELINED: ("PIPELINING",),
    Mode.LOCKSTEP: (),
}


def ehlo_reply(*keywords: str) -> bytes:
    """What a server answers to EHLO that offers these."""
    *texts, last = ["mx.example.net", *keywords]
    return "".join([*(f"250-{text}\r\n" for text in texts), f"250 {last}\r\n"]).encode()


def ready_client(*keywords: str) -> Client:
    """A client that has been greeted by a server which offers these."""
    client = Client("pc.lan")
    client.receive(b"220 mx.example.net\r\n")
    client.hello()
    assert client.receive(ehlo_reply(*keywords)) == [Ready()]
    client.data_to_send()
    return client
