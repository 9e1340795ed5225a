"""The client's side of POP3: commands in, events out, and it never waits.

The client keeps a first-in first-out list of the replies it is owed. A command may be queued
whenever the commands before it, if granted, lead to a state that allows it; so a caller who knows
that the server has PIPELINING (RFC 2449 section 6.6) sends a window full, and any other caller
waits until `outstanding` is 0. Who pipelines, how far, and when a message may be deleted is the
caller's business; nothing here collects a message or a listing.

RFC 1939; RFC 2449 (CAPA, PIPELINING, RESP-CODES); RFC 2595 (STLS); RFC 5034 (AUTH).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError
from relaynode.pop3.events import (
    Bye,
    Capabilities,
    Deleted,
    Done,
    Greeting,
    LoggedIn,
    MessageStart,
    Refused,
    Stat,
    TlsReady,
)
from relaynode.pop3.limits import MAX_AUTH_COMMAND_BYTES, MAX_OUTSTANDING
from relaynode.pop3.replies import (
    CapabilityBody,
    ListBody,
    MessageBody,
    UidlBody,
    clean_text,
    is_continuation,
    parse_item,
    parse_stat,
    parse_status_line,
    status_of,
    take_line,
)
from relaynode.pop3.states import Command, State, granted, may, refused
from relaynode.sasl import Plain

if TYPE_CHECKING:
    from relaynode.pop3.events import Event, Events
    from relaynode.pop3.replies import Body, Reply
    from relaynode.sasl import Mechanism

# What no argument may hold: it would end the line, or cannot be written in UTF-8.
_UNSENDABLE = re.compile("[\x00\r\n\ud800-\udfff]")
# RFC 1939 7, APOP: a timestamp has the form of a msg-id.
_TIMESTAMP = re.compile(rb"<[!-;=?-~]+@[!-;=?-~]+>")
# Whose answer can change the state, and with it what may be said next.
_MOVING = frozenset(
    (
        Command.GREETING,
        Command.STLS,
        Command.USER,
        Command.PASS,
        Command.APOP,
        Command.AUTH,
        Command.QUIT,
    )
)
_QUOTED_BYTES = 80


@dataclass(frozen=True, slots=True)
class _Expected:
    """A reply we are owed. `is_void`: it cannot matter any more, swallow it."""

    command: Command
    number: int | None = None
    is_void: bool = False


class Client:
    """One POP3 session as its client. Feed bytes, take events, take bytes to send.

    The methods named after commands raise LocalProtocolError, and queue nothing, if the state
    forbids the command, if an argument holds CR, LF or NUL, or if MAX_OUTSTANDING replies are owed.
    """

    def __init__(self) -> None:
        self._state = State.GREETING
        self._ahead = State.GREETING  # where we shall be if all that is queued is granted
        self._expected: deque[_Expected] = deque([_Expected(Command.GREETING)])
        self._body: Body | None = None  # the multi-line answer being read
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._events: Events = []
        self._failure = ""

        self._capabilities: frozenset[str] = frozenset()
        self._sasl_mechanisms: frozenset[str] = frozenset()
        self._is_tls_active = False

        self._password: bytes | None = None  # PASS, held until USER is granted
        self._mechanism: Mechanism | None = None
        self._login_failure: RemoteProtocolError | None = None
        self._secrets: frozenset[bytes] = frozenset()

    def __repr__(self) -> str:
        return f"<pop3.Client {self._state.value}, replies owed: {self.outstanding}>"

    # --- what is known ----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state that the replies so far have led to."""
        return self._state

    @property
    def outstanding(self) -> int:
        """Replies owed. The greeting counts, so it is 1 at the start."""
        return len(self._expected)

    @property
    def capabilities(self) -> frozenset[str]:
        """First words of the last answer to CAPA, in upper case; empty before it."""
        return self._capabilities

    @property
    def sasl_mechanisms(self) -> frozenset[str]:
        """What the capability SASL listed, in upper case."""
        return self._sasl_mechanisms

    @property
    def can_pipeline(self) -> bool:
        """Has the server said that it takes commands before the earlier ones are answered?"""
        return "PIPELINING" in self._capabilities

    # --- bytes ------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """What is to be written now. It is given once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def receive(self, data: bytes) -> Events:
        """Take bytes from the server, give the events found in them.

        Bytes behind the answer to QUIT, or behind a refusal at the greeting, are ignored.

        Raises: RemoteProtocolError if the server broke the protocol; then the session is over, and
            every later call raises the same. The events that were understood before the fault are
            not lost: drain_events() gives them.
        """
        if self._state is State.FAILED:
            raise RemoteProtocolError(self._failure)
        self._incoming += data
        try:
            self._understand()
        except RemoteProtocolError as error:
            self._failure = str(error)
            self._state = self._ahead = State.FAILED
            self._incoming.clear()
            self._outgoing.clear()
            raise
        return self.drain_events()

    def drain_events(self) -> Events:
        """The events that receive() found before it raised. Each is given once."""
        events, self._events = self._events, []
        return events

    def peer_closed(self) -> None:
        """The server has closed the line.

        Raises: LineLost if it still owes replies, or if the session has not said QUIT.
        """
        if self._expected:
            raise LineLost(
                f"the server closed the line before {_called(self._expected[0])}, "
                f"replies owed: {self.outstanding}"
            )
        if self._state is not State.CLOSED:
            raise LineLost("the server closed the line before QUIT")

    # --- commands, before login -------------------------------------------------------------

    def capa(self) -> None:
        """Ask what the server can do: Capabilities."""
        self._queue(Command.CAPA)

    def stls(self) -> None:
        """Ask for TLS: TlsReady or Refused. Nothing may be queued behind it."""
        # RFC 2595 4: a client must not start TLS inside of TLS.
        if self._is_tls_active:
            raise LocalProtocolError("STLS may not be sent, TLS is already up")
        self._queue(Command.STLS)

    def after_tls(self) -> None:
        """TLS is up: go on. What the server said in the clear is forgotten, ask again.

        Raises: LocalProtocolError unless TlsReady came before.
        """
        if not may(self._state, Command.TLS_STARTED):
            raise LocalProtocolError("TLS was started without the server's consent to STLS")
        # RFC 2595 4: whoever sat on the line may have written the capabilities.
        self._capabilities = self._sasl_mechanisms = frozenset()
        self._is_tls_active = True
        self._state = self._ahead = granted(self._state, Command.TLS_STARTED)

    def login_user(self, user: str, password: str, *, pipelined: bool) -> None:
        """Log in with USER and PASS: LoggedIn, or one Refused for USER or PASS.

        `pipelined` sends both in one write, and commands may be queued behind them at once.
        Without it, PASS goes out when USER was granted, and until then only quit() is allowed.
        Commands queued behind a login that is refused are each answered by their own Refused.
        """
        name, secret = _argument("user name", user), _argument("password", password)
        self._queue(Command.USER, name, room_for=2)
        self._remember_secret(secret)
        if pipelined:
            self._queue(Command.PASS, secret)
        else:
            self._password = secret

    def login_apop(self, user: str, password: str, timestamp: str) -> None:
        """Log in with APOP (RFC 1939 section 7), which does not show the password: LoggedIn, or
        Refused for APOP. `timestamp`: of the greeting. Commands may be queued behind it."""
        name, secret = _argument("user name", user), _argument("password", password)
        # The protocol has no other digest.
        digest = hashlib.md5(timestamp.encode() + secret, usedforsecurity=False).hexdigest()
        self._remember_secret(secret, digest.encode())
        self._queue(Command.APOP, name, digest.encode())

    def login_plain(self, user: str, password: str) -> None:
        """Log in with AUTH PLAIN: LoggedIn, or Refused for AUTH. Nothing may be queued behind it.

        The response goes along with the command if that fits a command line (RFC 5034 section 4);
        otherwise, or if the server asks nonetheless, it follows the server's `+`.
        """
        name, secret = _argument("user name", user), _argument("password", password)
        self._remember_secret(secret, base64.b64encode(b"\0".join((b"", name, secret))))
        self.login_sasl(Plain(user, password))

    def login_sasl(self, mechanism: Mechanism) -> None:
        """Log in with AUTH (RFC 5034): LoggedIn, or Refused for AUTH. Nothing may be queued behind.

        The initial response goes along with the command if that fits a command line; otherwise, or
        if the server asks nonetheless, it follows the server's `+`. A mechanism that cannot go on
        is called off, and what it raised is raised when the server has seen that. Once the
        mechanism `has_said_all`, commands may be queued as behind PASS.
        """
        words = [mechanism.name.encode()]
        initial = mechanism.initial()
        if initial is not None:
            response = base64.b64encode(initial)
            self._remember_response(initial)
            # RFC 5034 section 4: "=" is an empty one.
            with_initial = [*words, response or b"="]
            if len(b" ".join((b"AUTH", *with_initial))) + 2 <= MAX_AUTH_COMMAND_BYTES:
                words = with_initial
        self._queue(Command.AUTH, *words)
        self._mechanism = mechanism
        self._login_failure = None

    # --- commands, after login --------------------------------------------------------------

    def stat(self) -> None:
        """Ask for number and size of the messages: Stat."""
        self._queue(Command.STAT)

    def list(self, number: int | None = None) -> None:
        """Ask for the sizes: ListItem for each message, then ListEnd. Of one: its ListItem."""
        self._queue_about(Command.LIST, number)

    def uidl(self, number: int | None = None) -> None:
        """Ask for the unique-ids: UidlItem for each message, then UidlEnd. Of one: its UidlItem."""
        self._queue_about(Command.UIDL, number)

    def retr(self, number: int) -> None:
        """Ask for a message: MessageStart, MessageData and so on, MessageEnd."""
        self._queue(Command.RETR, _number(number), number=number)

    def top(self, number: int, lines: int) -> None:
        """Ask for the header and the first lines of the body: the events of retr()."""
        count = _number(lines, "number of lines", least=0)
        self._queue(Command.TOP, _number(number), count, number=number)

    def dele(self, number: int) -> None:
        """Mark a message to be removed at QUIT: Deleted."""
        self._queue(Command.DELE, _number(number), number=number)

    def noop(self) -> None:
        """Keep the session alive: Done."""
        self._queue(Command.NOOP)

    def rset(self) -> None:
        """Take all marks back: Done."""
        self._queue(Command.RSET)

    def quit(self) -> None:
        """End the session: Bye once all that was marked is removed, or Refused if not all is."""
        self._queue(Command.QUIT)
        self._password = None  # a USER still under way needs no PASS any more

    # --- writing ----------------------------------------------------------------------------

    def _queue_about(self, command: Command, number: int | None) -> None:
        self._queue(command, *([] if number is None else [_number(number)]), number=number)

    def _queue(
        self,
        command: Command,
        *arguments: bytes,
        number: int | None = None,
        room_for: int = 1,
    ) -> None:
        if not may(self._ahead, command):
            raise LocalProtocolError(f"{command} may not be sent in state {self._ahead.value}")
        if self.outstanding + room_for > MAX_OUTSTANDING:
            raise LocalProtocolError(f"{command} may not be sent, too many replies are owed")
        self._write(command.encode("ascii"), *arguments)
        self._expected.append(_Expected(command, number))
        self._ahead = granted(self._ahead, command)

    def _write(self, *words: bytes) -> None:
        self._outgoing += b" ".join(words) + b"\r\n"

    def _remember_secret(self, *secrets: bytes) -> None:
        # Servers quote the command they did not like, and an echo service quotes all of them.
        self._secrets |= {secret for secret in secrets if secret}

    # --- reading ----------------------------------------------------------------------------

    def _understand(self) -> None:
        while self._incoming:
            if self._state is State.CLOSED:
                self._incoming.clear()
            elif self._body is not None:
                if not self._body.read(self._incoming, self._events):
                    return
                self._body_is_complete(self._body)
            elif not self._read_status_line():
                return

    def _read_status_line(self) -> bool:
        """Read one status line and act on it. False if it has not come completely."""
        if not self._expected:
            raise self._unasked()
        line = take_line(self._incoming)
        if line is None:
            return False
        expected = self._expected[0]
        if expected.command is Command.AUTH and is_continuation(line):
            self._answer_challenge(line)
            return True
        reply = parse_status_line(line)
        if reply is None:
            raise RemoteProtocolError(
                f'{_called(expected)} is neither +OK nor -ERR: "{self._quote(line)}"'
            )
        self._act_on(expected, reply)
        return True

    def _unasked(self) -> RemoteProtocolError:
        if self._state is State.TLS:
            # Whoever sits on the line would have these bytes read as if TLS had brought them.
            return RemoteProtocolError(
                "bytes came behind the reply to STLS and before TLS: a reply was injected"
            )
        line, line_end, _ = bytes(self._incoming).partition(b"\n")
        # A line cut short is not quoted: what is to be hidden in it could be cut short as well.
        quoted = f': "{self._quote(line)}"' if line_end else ""
        return RemoteProtocolError(f"the server sent a reply that nobody asked for{quoted}")

    def _act_on(self, expected: _Expected, reply: Reply) -> None:
        if expected.is_void:
            self._swallow(reply)
        elif reply.is_ok:
            self._was_granted(expected, reply)
        else:
            self._was_refused(expected, reply)

    def _replied(self) -> None:
        """The reply at the front is complete."""
        command = self._expected.popleft().command
        if command in _MOVING:
            self._ahead = self._state
            for expected in self._expected:
                self._ahead = granted(self._ahead, expected.command)

    def _swallow(self, reply: Reply) -> None:
        if reply.is_ok:
            raise RemoteProtocolError("the server granted PASS although it had refused USER")
        self._replied()

    # --- refusals ---------------------------------------------------------------------------

    def _was_refused(self, expected: _Expected, reply: Reply) -> None:
        command = expected.command
        if command is Command.AUTH:
            self._end_login()
        self._state = State.CLOSED if command is Command.QUIT else self._state_if_refused(command)
        if command is Command.CAPA:
            # RFC 2449 5: a server that does not know CAPA says -ERR, and has no capabilities.
            self._capabilities = self._sasl_mechanisms = frozenset()
            self._events.append(Capabilities(frozenset()))
        else:
            status = status_of(command, reply.text, clean_text(self._hide(reply.text)))
            self._events.append(Refused(command, expected.number, status))
        if command is Command.USER:
            self._forget_pass()
        self._replied()

    def _state_if_refused(self, command: Command) -> State:
        return refused(self._state) if command in _MOVING else self._state

    def _forget_pass(self) -> None:
        """USER was refused: do not send PASS, or expect nothing from the one already sent."""
        self._password = None
        behind = self._expected[1] if len(self._expected) > 1 else None
        if behind is not None and behind.command is Command.PASS:
            self._expected[1] = _Expected(Command.PASS, is_void=True)

    # --- grants -----------------------------------------------------------------------------

    def _was_granted(self, expected: _Expected, reply: Reply) -> None:
        match expected.command:
            case Command.GREETING:
                self._events.append(_greeting(reply))
                self._single_line_granted(expected)
            case Command.STLS:
                self._single_line_granted(expected)
                if self._incoming:
                    raise self._unasked()
                self._events.append(TlsReady())
            case Command.USER:
                self._single_line_granted(expected)
                self._send_pass()
            case Command.AUTH:
                self._end_login()
                assert self._mechanism is not None
                self._mechanism.succeeded()
                self._state = granted(State.SASL, Command.RESPONSE)
                self._events.append(LoggedIn())
                self._replied()
            case Command.QUIT:
                self._state = State.CLOSED
                self._events.append(Bye())
                self._replied()
            case Command.LIST | Command.UIDL if expected.number is not None:
                self._events.append(parse_item(expected.command, expected.number, reply.text))
                self._single_line_granted(expected)
            case Command.CAPA | Command.LIST | Command.UIDL | Command.RETR | Command.TOP:
                self._begin_body(expected)
            case _:
                self._events.append(_single_line_event(expected, reply))
                self._single_line_granted(expected)

    def _single_line_granted(self, expected: _Expected) -> None:
        self._state = granted(self._state, expected.command)
        self._replied()

    def _send_pass(self) -> None:
        if self._password is not None:
            secret, self._password = self._password, None
            self._queue(Command.PASS, secret)

    def _answer_challenge(self, line: bytes) -> None:
        """Go on with the login, or call it off (RFC 5034 section 4)."""
        if self._login_failure is not None:
            raise self._login_failure
        try:
            answer = self._answer_to(line)
        except RemoteProtocolError as error:
            self._login_failure = error
            answer = b"*"
        self._state = granted(self._state, Command.AUTH)
        self._write(answer)
        mechanism = self._mechanism
        if mechanism is not None and mechanism.has_said_all and not mechanism.told:
            self._ahead = granted(State.SASL, Command.RESPONSE)

    def _answer_to(self, line: bytes) -> bytes:
        assert self._mechanism is not None
        try:
            challenge = base64.b64decode(line[1:].strip(), validate=True)
        except ValueError:  # binascii.Error is one
            raise RemoteProtocolError("AUTH: the challenge is not base64") from None
        answer = self._mechanism.respond(challenge)
        self._remember_response(answer)
        return base64.b64encode(answer)

    def _remember_response(self, response: bytes) -> None:
        words = [word for word in re.split(rb"[\0\1 ]", response) if len(word) > 3]
        self._remember_secret(base64.b64encode(response), *words)

    def _end_login(self) -> None:
        """The server has answered AUTH. Raises: RemoteProtocolError if we had called it off."""
        if self._login_failure is not None:
            raise self._login_failure

    def _begin_body(self, expected: _Expected) -> None:
        match expected.command:
            case Command.CAPA:
                self._body = CapabilityBody()
            case Command.LIST:
                self._body = ListBody()
            case Command.UIDL:
                self._body = UidlBody()
            case _:
                number = expected.number or 0
                self._events.append(MessageStart(number))
                self._body = MessageBody(number)

    def _body_is_complete(self, body: Body) -> None:
        if isinstance(body, CapabilityBody):
            self._capabilities, self._sasl_mechanisms = body.names, body.sasl_mechanisms
        self._body = None
        self._replied()

    # --- secrets ----------------------------------------------------------------------------

    def _hide(self, text: bytes) -> bytes:
        # The longest first, so that a short one does not break it up and leave the rest.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = re.sub(re.escape(secret), b"***", text, flags=re.IGNORECASE)
        return text

    def _quote(self, line: bytes) -> str:
        # Hidden first, cut afterwards: half a password is still a part of it.
        return clean_text(self._hide(line)[:_QUOTED_BYTES])


def _called(expected: _Expected) -> str:
    if expected.command is Command.GREETING:
        return "the server's greeting"
    return f"the server's reply to {expected.command}"


def _greeting(reply: Reply) -> Event:
    timestamp = _TIMESTAMP.search(reply.text)
    return Greeting(clean_text(reply.text), timestamp[0].decode("ascii") if timestamp else None)


def _single_line_event(expected: _Expected, reply: Reply) -> Event:
    match expected.command:
        case Command.PASS | Command.APOP:
            return LoggedIn()
        case Command.STAT:
            return Stat(*parse_stat(reply.text))
        case Command.DELE:
            return Deleted(expected.number or 0)
        case command:
            return Done(command)


def _argument(name: str, value: str) -> bytes:
    """The argument as it is written. An error names the argument and never shows it."""
    if _UNSENDABLE.search(value):
        raise LocalProtocolError(f"the {name} holds a character that POP3 cannot send")
    # RFC 6856 2.2: where it is not ASCII it is UTF-8.
    return value.encode("utf-8")


def _number(value: int, name: str = "message number", *, least: int = 1) -> bytes:
    if value < least:
        raise LocalProtocolError(f"{value} is no {name}")
    return b"%d" % value
