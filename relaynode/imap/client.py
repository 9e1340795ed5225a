"""The client's side of IMAP: commands in, events out, and it never waits.

What can be said, and when, is in commands.py; here is how answers are read. Who pipelines, how far,
and when a message may be deleted is the caller's business; nothing here collects a message or a
listing.

Once COMPRESS was granted, what comes is unpacked here, a bounded piece at a time: while `has_more`
is true, receive(b"") gives further events.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.imap import responses
from relaynode.imap.codes import clean_text, split_code, status_of
from relaynode.imap.commands import Commands
from relaynode.imap.compression import Deflate
from relaynode.imap.events import (
    Alert,
    Bye,
    Done,
    Greeting,
    Idling,
    MessageData,
    MessageStart,
    Refused,
    TlsReady,
    Validity,
)
from relaynode.imap.limits import (
    MAX_LISTING_ITEMS,
    MAX_UNASKED,
    MAX_UNTAGGED,
)
from relaynode.imap.reader import ContentPiece, ContentStart, Data, Numbers, Plain, Reader
from relaynode.imap.states import Command, State, granted, refused
from relaynode.imap.values import parse

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from relaynode.imap.commands import Sent
    from relaynode.imap.events import Events, Found
    from relaynode.imap.reader import Read
    from relaynode.imap.values import Literal, Streamed

_COMPLETION = re.compile(
    rb"(?:\*|([A-Za-z0-9]{1,20})) (OK|NO|BAD|BYE|PREAUTH)(?: (.*))?", re.I | re.S
)
_MOVING = frozenset(
    (Command.STARTTLS, Command.LOGIN, Command.AUTHENTICATE, Command.SELECT, Command.EXAMINE)
)
_LATE = frozenset(("COMPRESS=DEFLATE", "ESEARCH", "IDLE", "MOVE", "UIDPLUS"))
_LISTING = frozenset((Command.FETCH, Command.SEARCH, Command.STORE))
_QUOTED_BYTES = 80


class Client(Commands):
    """One IMAP session as its client. Feed bytes, take events, take bytes to send."""

    def __init__(self, presumed: Collection[str] = ()) -> None:
        super().__init__(presumed)
        self._reader = Reader()
        self._events: Events = []
        self._failure = ""
        self._streamed: list[ContentStart] = []
        self._untagged = 0

    # --- bytes ------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """What is to be written now. It is given once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return self._deflate.pack(data) if self._deflate and data else data

    def receive(self, data: bytes) -> Events:
        """Take bytes from the server, give the events found in them.

        Raises: RemoteProtocolError if the server broke the protocol; then the session is over, and
            every later call raises the same. The events that were understood before the fault are
            not lost: drain_events() gives them.
        """
        if self._state is State.FAILED:
            raise RemoteProtocolError(self._failure)
        try:
            self._feed(data)
            self._understand()
        except RemoteProtocolError as error:
            self._failure = str(error)
            self._state = self._ahead = State.FAILED
            self._reader.take_rest()
            self._outgoing.clear()
            raise
        return self.drain_events()

    @property
    def has_more(self) -> bool:
        """Is there more to be unpacked by receive(b"")?"""
        return (
            self._deflate is not None
            and self._deflate.has_more
            and self._state not in (State.CLOSED, State.FAILED)
        )

    def drain_events(self) -> Events:
        """The events that receive() found before it raised. Each is given once."""
        events, self._events = self._events, []
        return events

    def peer_closed(self) -> None:
        """The server has closed the line. Raises: LineLost if it still owes replies, or if the
        session has not said LOGOUT."""
        if self.outstanding or self._state is not State.CLOSED:
            raise LineLost(f"the server closed the line, replies owed: {self.outstanding}")

    def _feed(self, data: bytes) -> None:
        if self._deflate is None:
            self._reader.feed(data)
            return
        self._deflate.feed(data)
        if self._deflate.has_more:
            self._reader.feed(self._deflate.unpack())

    # --- reading ----------------------------------------------------------------------------

    def _understand(self) -> None:
        for read in self._reader.read():
            if self._state is State.CLOSED:
                return
            if self._state is State.TLS and not self._sent:
                raise _injected()
            self._act_on(read)

    def _act_on(self, read: Read) -> None:
        match read:
            case ContentPiece(data):
                self._events.append(MessageData(data))
            case ContentStart():
                self._content_begins(read)
            case Numbers(text):
                self._has_found(responses.found(text))
            case Data(parts):
                self._count_untagged()
                self._told(parts)
            case Plain(line):
                self._status_line(line)

    def _count_untagged(self) -> None:
        self._untagged += 1
        asked = any(sent.command in _LISTING for sent in self._sent.values())
        if self._untagged > (MAX_UNTAGGED if asked else MAX_UNASKED):
            raise RemoteProtocolError("the server sends responses without end")

    def _content_begins(self, start: ContentStart) -> None:
        if not any(sent.command is Command.FETCH for sent in self._sent.values()):
            raise RemoteProtocolError("the server sent a message that nobody asked for")
        if self._streamed:
            raise RemoteProtocolError("the server sent two contents where one was asked for")
        self._streamed.append(start)
        section = start.section.decode("ascii", "replace")
        self._events.append(MessageStart(start.uid, section, start.origin, start.size_bytes))

    def _has_found(self, found: list[Found]) -> None:
        for run in found:
            self._found += run.last - run.first + 1
        if self._found > MAX_LISTING_ITEMS:
            text = f"the server has found more than {MAX_LISTING_ITEMS} messages"
            raise RemoteProtocolError(text)
        self._events += found

    def _told(self, parts: Sequence[bytes | Literal | Streamed]) -> None:
        """An untagged response with values."""
        if self._state is State.GREETING:
            raise RemoteProtocolError("the server's greeting is none")
        values = parse(parts)
        kind = responses.word(values, 0)
        if kind == b"CAPABILITY":
            words = [one for one in values[1:] if isinstance(one, bytes)]
            self._can_do(words)
        elif kind == b"ESEARCH":
            self._has_found(responses.extended(values))
        elif responses.word(values, 1) == b"EXISTS":
            self._events.append(responses.exists(values))
        elif responses.word(values, 1) == b"FETCH":
            streamed, self._streamed = self._streamed, []
            self._events += responses.fetch(values, streamed)

    # --- status responses -------------------------------------------------------------------

    def _status_line(self, line: bytes) -> None:
        if line == b"+" or line.startswith(b"+ "):
            self._go_on(line[1:].strip())
            return
        match = _COMPLETION.fullmatch(line)
        if match is None:
            raise RemoteProtocolError(f'the server sent a line that is none: "{self._quote(line)}"')
        word, text = match[2].upper(), match[3] or b""
        code, inner, shown = split_code(text)
        self._note_code(code, inner, shown)
        if self._state is State.GREETING:
            self._greeted(match[1], word, code, shown)
        elif match[1] is None:
            self._untagged_status(word, code, shown)
        else:
            self._completed(match[1].decode(), word, code, shown)

    def _note_code(self, code: str, inner: bytes, text: bytes) -> None:
        if code == "CAPABILITY":
            self._can_do(inner.split())
        elif code == "UIDVALIDITY" and inner.isdigit() and len(inner) <= 10:
            self._events.append(Validity(int(inner)))
        elif code == "ALERT":
            self._events.append(Alert(clean_text(self._hide(text))))

    def _can_do(self, words: Sequence[bytes]) -> None:
        self._capabilities = responses.capabilities(words)
        if self._state in (State.AUTHENTICATED, State.SELECTED):
            self._presumed = frozenset()

    def _greeted(self, tag: bytes | None, word: bytes, code: str, text: bytes) -> None:
        if tag is not None or word in (b"NO", b"BAD"):
            raise RemoteProtocolError("the server's greeting is none")
        if word == b"BYE":
            self._state = self._ahead = State.CLOSED
            self._events.append(self._refusal("", Command.GREETING, code, text, is_bad=False))
            return
        is_logged_in = word == b"PREAUTH"
        self._state = self._ahead = State.AUTHENTICATED if is_logged_in else State.PLAIN
        self._events.append(Greeting(clean_text(text), is_logged_in))

    def _untagged_status(self, word: bytes, code: str, text: bytes) -> None:
        self._count_untagged()
        if word == b"PREAUTH":
            raise RemoteProtocolError("the server greets in the midst of the session")
        if word == b"BYE":
            was_asked = any(sent.command is Command.LOGOUT for sent in self._sent.values())
            refusal = self._refusal("", Command.GREETING, code, text, is_bad=False)
            self._events.append(Bye(refusal.status, was_asked))

    def _refusal(
        self, tag: str, command: Command, code: str, text: bytes, *, is_bad: bool
    ) -> Refused:
        shown = clean_text(self._hide(text))
        status = status_of(command, code, text, shown, is_bad=is_bad)
        return Refused(command, tag, status, code, is_bad)

    def _completed(self, tag: str, word: bytes, code: str, text: bytes) -> None:
        sent = self._sent.pop(tag, None)
        if sent is None or sent in self._waiting or word in (b"BYE", b"PREAUTH"):
            raise RemoteProtocolError("the server answered a command that it was not sent")
        self._untagged = 0
        if sent.command is Command.AUTHENTICATE and self._login_failure is not None:
            raise self._login_failure
        if word == b"OK":
            self._was_granted(sent)
        else:
            self._state = refused(self._state, sent.command)
            is_bad = word == b"BAD"
            self._events.append(self._refusal(tag, sent.command, code, text, is_bad=is_bad))
            self._is_idling = self._is_idling and sent.command is not Command.IDLE
        self._look_ahead(sent)
        if self._holder is sent:
            self._holder = None
        self._write_waiting()

    def _was_granted(self, sent: Sent) -> None:
        if sent.command is Command.AUTHENTICATE:
            assert self._mechanism is not None
            self._mechanism.succeeded()
        if sent.segments:
            raise RemoteProtocolError("the server granted a command before it had it whole")
        self._state = granted(self._state, sent.command)
        match sent.command:
            case Command.STARTTLS:
                if not self._reader.is_empty or self._sent:
                    raise _injected()
                self._events.append(TlsReady())
                return
            case Command.COMPRESS:
                self._deflate = Deflate()
                rest = self._reader.take_rest()
                self._feed(rest)
            case Command.LOGOUT:
                self._state = State.CLOSED
            case Command.IDLE:
                self._is_idling = False
        self._events.append(Done(sent.command, sent.tag))

    def _look_ahead(self, sent: Sent) -> None:
        if sent.command in _MOVING or self._state is State.CLOSED:
            self._ahead = self._state
            for one in self._sent.values():
                self._ahead = granted(self._ahead, one.command)

    # --- continuations ----------------------------------------------------------------------

    def _go_on(self, text: bytes) -> None:
        holder = self._holder
        if holder is not None and holder.segments:
            self._outgoing += holder.segments.popleft()
            if not holder.segments and not holder.holds:
                self._holder = None
                self._write_waiting()
        elif holder is not None and holder.command is Command.AUTHENTICATE:
            self._outgoing += self._answer(text) + b"\r\n"
            self._responded()
        elif holder is not None and holder.command is Command.IDLE and not self._is_idling:
            self._is_idling = True
            self._events.append(Idling())
        elif any(sent.command is Command.AUTHENTICATE for sent in self._sent.values()):
            # It has taken the line behind for an answer. A mechanism may learn why it says no.
            self._answer(text)
        else:
            raise RemoteProtocolError("the server asks to go on where nothing follows")

    def _responded(self) -> None:
        """What waits behind a login goes out with the last that its mechanism has to say."""
        assert self._mechanism is not None
        if self._mechanism.has_said_all and self._login_failure is None:
            self._holder = None
            self._write_waiting()

    def _answer(self, text: bytes) -> bytes:
        """Go on with the login, or call it off (RFC 3501 section 6.2.2)."""
        if self._login_failure is not None:
            raise self._login_failure
        assert self._mechanism is not None
        try:
            try:
                challenge = base64.b64decode(text, validate=True)
            except ValueError:
                message = "AUTHENTICATE: the challenge is not base64"
                raise RemoteProtocolError(message) from None
            answer = self._mechanism.respond(challenge)
        except RemoteProtocolError as error:
            self._login_failure = error
            return b"*"
        self._remember_response(answer)
        return base64.b64encode(answer)

    # --- secrets ----------------------------------------------------------------------------

    def _hide(self, text: bytes) -> bytes:
        # The longest first, so that a short one does not break it up and leave the rest.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = re.sub(re.escape(secret), b"***", text, flags=re.IGNORECASE)
        return text

    def _quote(self, line: bytes) -> str:
        return clean_text(self._hide(line)[:_QUOTED_BYTES])


def _injected() -> RemoteProtocolError:
    # Whoever sits on the line would have these bytes read as if TLS had brought them.
    return RemoteProtocolError(
        "bytes came behind the reply to STARTTLS and before TLS: a reply was injected"
    )
