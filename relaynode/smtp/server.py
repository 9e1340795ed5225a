"""The server's side of an SMTP session, without I/O (RFC 5321).

Extensions: PIPELINING (RFC 2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), CHUNKING (3030),
ENHANCEDSTATUSCODES (2034), DSN (3461), LIMITS (9422), our own XRELAYNODE-ONCE (`once.py`), and
where the terms say so ETRN (1985), ATRN (2645) and XCLIENT (`xclient.py`).

The driver feeds bytes, then takes events one at a time with `next_event`, h11's way. An event that
asks for a decision (Mail, Rcpt, ContentEnd ...) holds everything behind it until `reply` is called;
what a client pipelined waits in the buffer meanwhile.

The phases of a session are in `phases.py`, its commands in `server_commands.py`, the content of a
message in `server_transaction.py`.
"""

from __future__ import annotations

from relaynode.errors import LocalProtocolError
from relaynode.mail.status import Status
from relaynode.smtp import security, server_commands
from relaynode.smtp.events import (
    AuthCancelled,
    AuthResponse,
    AuthStart,
    Closed,
    ContentData,
    ContentEnd,
    ContentRefused,
    Event,
    Mail,
    NeedData,
    Rcpt,
    SendNow,
    TurnWanted,
    Verify,
)
from relaynode.smtp.phases import Phase
from relaynode.smtp.security import Security
from relaynode.smtp.server_state import ServerState
from relaynode.smtp.terms import USUAL, Terms

MAX_COMMAND_BYTES = 2048
"""With the line end. RFC 5321 4.5.3.1.4 asks for 512; RFC 3461 and 4954 add to it."""

_NEED_DATA = NeedData()
_TOO_LONG = b"\n"  # stands for a line that was not kept: no line holds its own end


class Session:
    """One connection of a client.

    `hostname`: our name. `max_size_bytes`: the largest content accepted (RFC 1870). `terms`: what
    else is offered, and borne. `denial`: what a client that is not welcome is
    told for each command that would serve it; with 421 it is told at once and the session is over.
    `knows_again`: offer XRELAYNODE-ONCE; without, its parameter is one that nobody knows.
    `security`: what is offered of TLS and logins.
    `commands`: how many whole lines have come.
    """

    def __init__(
        self,
        hostname: str,
        *,
        max_size_bytes: int,
        terms: Terms = USUAL,
        denial: Status | None = None,
        knows_again: bool = False,
        security: Security | None = None,
    ) -> None:
        self._state = ServerState(
            hostname,
            max_size_bytes=max_size_bytes,
            terms=terms,
            denial=denial,
            knows_again=knows_again,
            security=security or Security(),
        )
        self.commands = 0
        self._is_skipping_line = False
        self._greet()

    # --- what the driver may know

    @property
    def phase(self) -> Phase:
        """How far it is."""
        return self._state.phase

    @property
    def hello_name(self) -> str:
        """What the client calls itself; "" before it has said so."""
        return self._state.hello_name

    @property
    def is_extended(self) -> bool:
        """Did it say EHLO?"""
        return self._state.is_extended

    @property
    def has_quit(self) -> bool:
        """Did it say QUIT?"""
        return self._state.has_quit

    @property
    def security(self) -> Security:
        """What is offered of TLS and logins; the driver may change it."""
        return self._state.security

    @security.setter
    def security(self, offered: Security) -> None:
        self._state.security = offered

    @property
    def content_bytes(self) -> int | None:
        """How much of a message has come; None if a command is waited for."""
        is_content = self._state.phase in (Phase.DATA, Phase.CHUNK, Phase.BDAT)
        return self._state.transaction.size_bytes if is_content else None

    # --- the driver's side

    def receive(self, data: bytes) -> None:
        """Take bytes the client sent."""
        self._state.buffer += data

    def data_to_send(self) -> bytes:
        """The bytes to send now; they are given once."""
        data = bytes(self._state.outgoing)
        self._state.outgoing.clear()
        return data

    def next_event(self) -> Event:
        """The next thing that happened. Raises: LocalProtocolError if an answer is owed."""
        if self._state.pending is not None:
            raise LocalProtocolError(f"{type(self._state.pending).__name__} was not answered")
        while True:
            event = self._step()
            if event is not None:
                return event

    def reply(self, status: Status, more: tuple[str, ...] = ()) -> None:
        """Answer the event that was given last; `more`: further lines of text.

        Raises: LocalProtocolError if none waits.
        """
        state = self._state
        pending = state.answered()
        state.say(status, more)
        if not status.is_success:
            state.count_refusal()
        if isinstance(pending, Rcpt):
            if status.is_success:
                state.transaction.recipients += 1
                state.phase = Phase.RCPT
        elif isinstance(pending, Mail):
            if status.is_success:
                state.phase = Phase.MAIL
        elif isinstance(pending, ContentEnd):
            state.end_transaction()
            state.count_message()
        elif isinstance(pending, Verify | SendNow):
            state.count_idle()
        elif isinstance(pending, TurnWanted) and status.is_success:
            state.phase = Phase.CLOSED
        elif isinstance(pending, AuthStart | AuthResponse):
            self._end_login(status)

    def challenge(self, data: bytes) -> None:
        """Answer a login's event: it goes on. Raises: LocalProtocolError if none waits."""
        if not isinstance(self._state.pending, AuthStart | AuthResponse):
            raise LocalProtocolError("no login waits for an answer")
        self._state.pending = None
        self._state.say(security.challenge_line(data))
        self._state.phase = Phase.AUTH

    def tls_started(self) -> None:
        """TLS is up: what was said in the clear is forgotten (RFC 3207 section 4.2).

        Raises: LocalProtocolError unless StartTls came before.
        """
        if self._state.phase is not Phase.TLS:
            raise LocalProtocolError("TLS was not asked for")
        self._state.security = self._state.security.under_tls()
        self._state.buffer.clear()
        self._state.begin_anew()

    def deny(self, status: Status) -> None:
        """From now on this is what commands are told that would serve the client; see `denial`."""
        self._state.denial = status
        if status.code == 421 and self._state.phase is not Phase.CLOSED:
            self._state.say_and_close(status)

    def introduce(self, denial: Status | None) -> None:
        """Answer Introduced: the session begins anew, for a client with this denial or none."""
        self._state.answered()
        self._state.denial = denial
        self._state.begin_anew()
        self._greet()

    def hang_up(self) -> None:
        """The last reply was the last word; `next_event` then gives Closed."""
        self._state.phase = Phase.CLOSED

    def shut_down(self, text: str, enhanced: str = "4.3.2") -> None:
        """End the session from our side: 421 (RFC 5321 3.8). `next_event` then gives Closed."""
        self._state.shut_down(text, enhanced)

    # --- the dialogue

    def _greet(self) -> None:
        state = self._state
        if state.denial is not None and state.denial.code == 421:
            state.say_and_close(state.denial)
        else:
            state.say(Status(220, "", f"{state.hostname} ESMTP relaynode"))

    def _step(self) -> Event | None:
        phase = self._state.phase
        if phase is Phase.CLOSED:
            return Closed()
        if phase is Phase.DATA:
            return self._data()
        if phase is Phase.CHUNK:
            return self._chunk()
        if phase is Phase.TLS:
            raise LocalProtocolError("TLS was asked for and has not begun")
        line = self._take_line()
        if line is None:
            return _NEED_DATA
        if phase is Phase.AUTH:
            return self._response(line)
        if line == _TOO_LONG:
            self._state.refuse(Status(500, "5.5.2", "Line too long"))
            return None
        return server_commands.run(self._state, line)

    def _take_line(self) -> bytes | None:
        buffer = self._state.buffer
        end = buffer.find(b"\n")
        if end < 0:
            if self._is_too_much(len(buffer)):
                buffer.clear()
                self._is_skipping_line = True
            return None
        is_too_long = self._is_skipping_line or self._is_too_much(end)
        self._is_skipping_line = False
        self.commands += 1
        line = _TOO_LONG if is_too_long else bytes(buffer[:end]).removesuffix(b"\r")
        del buffer[: end + 1]
        return line

    def _is_too_much(self, line_bytes: int) -> bool:
        if line_bytes < MAX_COMMAND_BYTES:
            return False
        state = self._state
        is_login = state.phase is Phase.AUTH or state.buffer[:5].upper() == b"AUTH "
        return not is_login or line_bytes >= security.MAX_AUTH_LINE_BYTES

    # --- content

    def _data(self) -> Event | None:
        state = self._state
        if not state.buffer:
            return _NEED_DATA
        content = state.transaction.take_dotted(state.buffer)
        if state.transaction.has_come:
            state.phase = Phase.CHUNK
        return self._content(content)

    def _chunk(self) -> Event | None:
        state, transaction = self._state, self._state.transaction
        if transaction.chunk_left:
            if not state.buffer:
                return _NEED_DATA
            return self._content(transaction.take_chunk(state.buffer))
        if transaction.is_last_chunk:
            return self._end_content()
        state.phase = Phase.BDAT
        if transaction.refusal is not None:
            state.refuse(transaction.refusal)
            return None
        state.say(Status(250, "2.0.0", "Chunk received"))
        return None

    def _content(self, content: bytes) -> Event | None:
        is_taken = self._state.transaction.judge(content, self._state.max_size_bytes)
        return ContentData(content) if is_taken else None

    def _end_content(self) -> Event | None:
        state, transaction = self._state, self._state.transaction
        refusal = transaction.finish()
        if refusal is None:
            return state.ask(ContentEnd())
        state.end_transaction()
        state.refuse(refusal)
        return ContentRefused(refusal) if transaction.is_started else None

    # --- logins: see security.py

    def _response(self, line: bytes) -> Event:
        wrong = security.NO_BASE64
        if line == _TOO_LONG:
            wrong = security.TOO_LONG
        elif (found := security.response(line)) is not None:
            if isinstance(found, AuthResponse):
                return self._state.ask(found)
            wrong = security.CANCELLED
        self._state.phase = Phase.READY
        self._state.refuse(wrong)
        return AuthCancelled()

    def _end_login(self, status: Status) -> None:
        state = self._state
        if status.is_success:
            state.security = state.security.logged_in()
        if state.phase is Phase.AUTH:
            state.phase = Phase.READY
