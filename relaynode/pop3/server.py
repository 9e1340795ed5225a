"""The server's side of POP3: bytes in, one event at a time out, answers through methods.

The driver's loop:

    bytes ──► receive() ──► next_event() ──► NeedData      read more
                                         ├─► NeedDrain     write, ask again
                                         ├─► StartTls      tls_started
                                         ├─► LoginAttempt  accept_login, or refuse_login
                                         ├─► AuthStart     challenge, or as LoginAttempt
                                         ├─► AuthResponse  challenge, or as LoginAttempt
                                         ├─► Retrieve      send_content* end_content, fail_content
                                         ├─► Commit        committed, or commit_failed
                                         └─► Closed        the session is over
    data_to_send() ──► bytes, to be written after every step

Pipelined commands wait in the buffer until the one before them is answered, so replies are in
order whatever the driver does meanwhile. Whatever a client says wrong gets an -ERR. This core knows
no password, no message and no clock; the driver closes a session that was idle for ten minutes
(RFC 1939 section 3) and removes nothing then.

RFC 1939 (USER, PASS, STAT, LIST, RETR, DELE, NOOP, RSET, QUIT, TOP, UIDL); RFC 2449 (CAPA,
PIPELINING, RESP-CODES); RFC 2595 (STLS); RFC 3206 (AUTH-RESP-CODE); RFC 5034 (AUTH), of which RFC
4616 (PLAIN) is read here and all other mechanisms by the driver.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError, RemoteProtocolError
from relaynode.mail.lines import DotEncoder
from relaynode.pop3.command_lines import CommandLines, command_of, no_argument, numbers
from relaynode.pop3.events import (
    AuthResponse,
    AuthStart,
    Closed,
    Commit,
    LoginAttempt,
    NeedData,
    NeedDrain,
    Retrieve,
    StartTls,
)
from relaynode.pop3.limits import (
    MAX_COMMAND_BYTES,
    MAX_ERRORS,
    MAX_FAILED_LOGINS,
    MAX_PENDING_BYTES,
    MAX_REPLIES_BYTES,
    MAX_REPLY_BYTES,
    MAX_SASL_LINE_BYTES,
)
from relaynode.pop3.maildrop import Entry, Maildrop
from relaynode.pop3.responses import plain_login, unpacked
from relaynode.pop3.states import Command, State, granted, may, refused
from relaynode.pop3.top import TopCutter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from relaynode.pop3.events import ServerEvent

_RESPONSE_CODE = re.compile(r"[A-Z0-9/-]*")
_LINES_AT_ONCE = 128
_LOGIN_COMMANDS = frozenset((Command.USER, Command.PASS, Command.AUTH))


@dataclass(slots=True)
class _Content:
    """The answer to one Retrieve, as far as it has been given."""

    encoder: DotEncoder
    cutter: TopCutter | None
    size_bytes: int
    has_begun: bool = False


class Server:
    """One POP3 session as its server. `hostname` is our name in the greeting.

    Without `allow_login` every login is refused and none is offered until TLS is up: for a line on
    which passwords must not be said. `offers_tls`: there is a certificate for STLS. `mechanisms`:
    what AUTH offers.

    Methods that answer an event raise LocalProtocolError when that event is not the pending one.
    Texts are made fit for one line of the reply.
    """

    def __init__(
        self,
        hostname: str,
        *,
        allow_login: bool = True,
        offers_tls: bool = False,
        mechanisms: Sequence[str] = ("PLAIN",),
    ) -> None:
        if not re.fullmatch(r"[!-~]{1,255}", hostname):
            raise LocalProtocolError(f"{hostname!r} cannot stand in a greeting")
        self._allow_login = allow_login
        self._offers_tls = offers_tls
        self._mechanisms = tuple(mechanisms)
        self._mechanism = ""
        self._state = State.GREETING
        self._lines = CommandLines()
        self._outgoing = bytearray()
        self._pending: ServerEvent | None = None  # the driver owes us an answer to this
        self._has_peer_closed = False
        self._errors = 0
        self._failed_logins = 0

        self._user_name = ""
        self._maildrop = Maildrop(())
        self._content: _Content | None = None
        self._listing: Iterator[str] = iter(())  # the lines of a listing that are not written yet

        self._ok(f"{hostname} POP3 server ready")
        self._granted(Command.GREETING)

    def __repr__(self) -> str:
        return f"<pop3.Server {self._state.value}>"

    @property
    def state(self) -> State:
        """The state that the commands so far have led to."""
        return self._state

    # --- bytes ------------------------------------------------------------------------------

    @property
    def wants_data(self) -> bool:
        """False while so many commands wait that the driver should stop reading."""
        return len(self._lines) < MAX_PENDING_BYTES and not self._has_peer_closed

    def receive(self, data: bytes) -> None:
        """Take bytes from the client. Ask next_event() what they say.

        Raises: LocalProtocolError if `wants_data` was False, which never holds behind a NeedData.
        """
        if self._state is State.CLOSED:
            return
        if not self.wants_data:
            raise LocalProtocolError("more bytes were fed than wanted: ask next_event() first")
        self._lines.feed(data)

    def peer_closed(self) -> None:
        """The client has closed its side. What it said completely before is still carried out."""
        self._has_peer_closed = True

    def data_to_send(self) -> bytes:
        """What is to be written now. It is given once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    # --- events -----------------------------------------------------------------------------

    def next_event(self) -> ServerEvent | NeedData | NeedDrain:
        """Carry out commands until one needs the driver, the bytes run out or the session ends.

        Raises: LocalProtocolError if the event given before has not been answered.
        """
        if self._pending is not None:
            raise LocalProtocolError(f"{type(self._pending).__name__} has not been answered")
        while self._state is not State.CLOSED:
            if not self._continue_listing():
                return NeedDrain()
            try:
                line = self._next_line()
                if line is None:
                    return self._out_of_bytes()
                self._pending = self._carry_out(line)
            except RemoteProtocolError as error:
                self._mistake(str(error))
            if self._pending is not None:
                return self._pending
        return Closed()

    def _continue_listing(self) -> bool:
        """Write what is left of a listing. False if that, or what waits anyway, is too much now."""
        while len(self._outgoing) < MAX_REPLIES_BYTES:
            lines = list(islice(self._listing, _LINES_AT_ONCE))
            if not lines:
                return True
            self._outgoing += "\r\n".join([*lines, ""]).encode("ascii")
        return False

    def _next_line(self) -> bytes | None:
        is_response = self._state is State.SASL
        return self._lines.next_line(MAX_SASL_LINE_BYTES if is_response else MAX_COMMAND_BYTES)

    def _out_of_bytes(self) -> NeedData | Closed:
        if not self._has_peer_closed:
            return NeedData()
        self._close()
        return Closed()

    # --- answers to LoginAttempt ------------------------------------------------------------

    def accept_login(self, messages: Sequence[Entry]) -> None:
        """Name and password are right, the maildrop is locked and holds these messages.

        Raises: LocalProtocolError for entries that a Maildrop refuses; the attempt stays pending.
        """
        self._require(LoginAttempt, AuthStart, AuthResponse)
        self._maildrop = Maildrop(messages)
        self._pending = None
        self._granted(Command.RESPONSE if self._state is State.SASL else Command.PASS)
        self._ok(f"maildrop has {self._maildrop.count} messages")

    def refuse_login(self, code: str, text: str) -> None:
        """They are wrong, or the maildrop cannot be opened. `code` is a response code.

        "AUTH" (RFC 3206), "IN-USE", "LOGIN-DELAY" (RFC 2449), "SYS/TEMP", "SYS/PERM" (RFC 3206), or
        "" for none.
        """
        self._require(LoginAttempt, AuthStart, AuthResponse)
        if not _RESPONSE_CODE.fullmatch(code):
            raise LocalProtocolError(f"{code!r} is no response code")
        self._pending = None
        self._state = refused(self._state)
        self._failed_logins += 1
        self._err(text, code)
        if self._failed_logins >= MAX_FAILED_LOGINS:
            self._close()

    def challenge(self, data: bytes) -> None:
        """The login goes on: say this to the client. Raises: LocalProtocolError."""
        self._require(AuthStart, AuthResponse)
        self._pending = None
        self._outgoing += b"+ " + base64.b64encode(data) + b"\r\n"

    def tls_started(self) -> None:
        """TLS is up. What was said in the clear is forgotten (RFC 2595 section 4)."""
        self._require(StartTls)
        self._pending = None
        self._lines.forget()
        self._granted(Command.TLS_STARTED)
        self._user_name = ""
        self._allow_login, self._offers_tls = True, False

    # --- answers to Retrieve ----------------------------------------------------------------

    @property
    def wants_content(self) -> bool:
        """False once the rest of the message would be thrown away, as behind the lines of TOP."""
        content = self._content
        return content is not None and (content.cutter is None or not content.cutter.is_complete)

    def send_content(self, data: bytes) -> None:
        """The next piece of the message in wire form (CRLF), cut anywhere.

        Dots are doubled here, and the answer to TOP ends where it should. Write data_to_send() out
        after every piece: nothing but the driver bounds what waits there.
        """
        content = self._content_of_pending()
        if not data:
            return
        self._begin_content(content)
        if content.cutter is not None:
            data = content.cutter.feed(data)
        self._outgoing += content.encoder.feed(data)

    def end_content(self) -> None:
        """The message is complete."""
        content = self._content_of_pending()
        self._begin_content(content)
        self._outgoing += content.encoder.finish()
        self._pending = self._content = None

    def fail_content(self, text: str) -> None:
        """The message cannot be read.

        Raises: LocalProtocolError if a piece was sent before. There is no way then to tell the
            client but to close the line in the middle of the message.
        """
        if self._content_of_pending().has_begun:
            raise LocalProtocolError("a message that has begun cannot be refused any more")
        self._pending = self._content = None
        self._err(text, "SYS/TEMP")

    def _content_of_pending(self) -> _Content:
        if self._content is None:
            raise LocalProtocolError("no Retrieve is waiting for an answer")
        return self._content

    def _begin_content(self, content: _Content) -> None:
        if not content.has_begun:
            content.has_begun = True
            self._ok(f"{content.size_bytes} octets" if content.cutter is None else "top follows")

    # --- answers to Commit ------------------------------------------------------------------

    def committed(self) -> None:
        """The marked messages are removed, durably."""
        self._require(Commit)
        self._pending = None
        self._granted(Command.COMMIT)
        self._ok("bye")

    def commit_failed(self, text: str) -> None:
        """Some or all of the marked messages are still there (RFC 1939 section 6)."""
        self._require(Commit)
        self._pending = None
        self._err(text, "SYS/TEMP")
        self._close()

    def _require(self, *kinds: type[ServerEvent]) -> None:
        if not isinstance(self._pending, kinds):
            raise LocalProtocolError(f"no {kinds[0].__name__} is waiting for an answer")

    # --- commands: may it come now, and does it make sense ----------------------------------

    def _carry_out(self, line: bytes) -> ServerEvent | None:
        """Do what a line asks. The event is one that the driver has to answer.

        Raises: RemoteProtocolError with the text of the -ERR, for a line that makes no sense here.
        """
        if self._state is State.SASL:
            return self._response(line)
        command, argument = command_of(line)
        if self._is_login_forbidden(command):
            return None
        if not may(self._state, command):
            raise RemoteProtocolError(f"{command} is not possible now")
        return _VERBS[command](self, argument)

    def _is_login_forbidden(self, command: Command) -> bool:
        if self._allow_login or command not in _LOGIN_COMMANDS:
            return False
        self._mistake("login is not allowed on this line", "SYS/PERM")
        return True

    def _mistake(self, text: str, code: str = "") -> None:
        """Answer a line that is wrong, and count it."""
        # RFC 1939 7: PASS only "immediately after" USER, so a mistake in between forgets the name.
        self._state = refused(self._state)
        self._errors += 1
        if self._errors < MAX_ERRORS:
            self._err(text, code)
        else:
            self._err("too many bad commands")
            self._close()

    # --- commands: do it --------------------------------------------------------------------

    def _capa(self, argument: str) -> None:
        no_argument(argument)
        logins = ("USER", f"SASL {' '.join(self._mechanisms)}") if self._allow_login else ()
        tls = ("STLS",) if self._offers_tls and self._state is State.AUTHORIZATION else ()
        self._ok("capabilities follow")
        self._write_listing(
            (
                *tls,
                *logins,
                "UIDL",
                "TOP",
                "PIPELINING",
                "RESP-CODES",
                "AUTH-RESP-CODE",
                "EXPIRE NEVER",  # RFC 2449 6.7: we remove nothing by ourselves
                "LOGIN-DELAY 0",
                "IMPLEMENTATION relaynode",
            )
        )

    def _user(self, argument: str) -> None:
        if not argument:
            raise RemoteProtocolError("USER needs a name")
        self._user_name = argument
        self._granted(Command.USER)
        # RFC 1939 7 leaves it to us whether unknown names are refused; guessing shall not pay.
        self._ok("send the password")

    def _pass(self, argument: str) -> ServerEvent:
        # RFC 1939 7: PASS has exactly one argument, so blanks in it belong to the password.
        if not argument:
            raise RemoteProtocolError("PASS needs a password")
        return LoginAttempt(self._user_name, argument)

    def _stls(self, argument: str) -> ServerEvent | None:
        no_argument(argument)
        if not self._offers_tls:
            raise RemoteProtocolError("TLS is not possible here")
        if len(self._lines):
            # What comes behind it was said by anybody, and would be taken as said under TLS.
            self._err("bytes in the clear behind STLS: they could be anybody's")
            self._close()
            return None
        self._granted(Command.STLS)
        self._ok("begin TLS")
        return StartTls()

    def _auth(self, argument: str) -> ServerEvent | None:
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() not in self._mechanisms:
            raise RemoteProtocolError(f"AUTH is possible with {' '.join(self._mechanisms)}")
        self._mechanism = mechanism.upper()
        self._granted(Command.AUTH)
        if self._mechanism != "PLAIN":
            # RFC 5034 section 4: a lone equals sign is a response that is there and empty.
            data = b"" if initial == "=" else unpacked(initial.encode())
            return AuthStart(self._mechanism, data if initial else None)
        if initial:
            return self._response(initial.encode("utf-8"))
        self._outgoing += b"+ \r\n"
        return None

    def _response(self, line: bytes) -> ServerEvent:
        if line == b"*":
            raise RemoteProtocolError("AUTH was cancelled")  # RFC 5034 4
        if self._mechanism != "PLAIN":
            return AuthResponse(unpacked(line))
        return plain_login(line)

    def _stat(self, argument: str) -> None:
        no_argument(argument)
        self._ok(f"{self._maildrop.count} {self._maildrop.size}")

    def _list(self, argument: str) -> None:
        if argument:
            self._list_one(argument, lambda entry: str(entry.size))
        else:
            self._list_all(self._maildrop.sizes())

    def _uidl(self, argument: str) -> None:
        if argument:
            self._list_one(argument, lambda entry: entry.uid)
        else:
            self._list_all(self._maildrop.uids())

    def _list_one(self, argument: str, shown: Callable[[Entry], str]) -> None:
        found = self._find(numbers(argument, 1)[0])
        if found is not None:
            number, entry = found
            self._ok(f"{number} {shown(entry)}")

    def _list_all(self, values: Iterable[tuple[int, object]]) -> None:
        self._ok(f"{self._maildrop.count} messages")
        self._write_listing(f"{number} {value}" for number, value in values)

    def _retr(self, argument: str) -> ServerEvent | None:
        (number,) = numbers(argument, 1)
        return self._retrieve(number, None)

    def _top(self, argument: str) -> ServerEvent | None:
        number, lines = numbers(argument, 2)
        return self._retrieve(number, lines)

    def _retrieve(self, number: int, lines: int | None) -> ServerEvent | None:
        found = self._find(number)
        if found is None:
            return None
        cutter = None if lines is None else TopCutter(lines)
        self._content = _Content(DotEncoder(), cutter, found[1].size)
        return Retrieve(number, lines)

    def _dele(self, argument: str) -> None:
        found = self._find(numbers(argument, 1)[0])
        if found is not None:
            self._maildrop.delete(found[0])
            self._ok(f"message {found[0]} is marked")

    def _noop(self, argument: str) -> None:
        no_argument(argument)
        self._ok("nothing done")

    def _rset(self, argument: str) -> None:
        no_argument(argument)
        self._maildrop.reset()
        self._ok("all marks are taken back")

    def _quit(self, argument: str) -> ServerEvent | None:
        no_argument(argument)
        self._granted(Command.QUIT)
        if self._state is State.UPDATE:
            return Commit(self._maildrop.deleted)
        self._ok("bye")
        return None

    def _find(self, number: int) -> tuple[int, Entry] | None:
        """The message, or None when the client has been told that there is none."""
        entry = self._maildrop.get(number)
        if entry is None:
            self._err(f"there is no message {number}")
            return None
        return number, entry

    # --- writing ----------------------------------------------------------------------------

    def _granted(self, command: Command) -> None:
        self._state = granted(self._state, command)

    def _close(self) -> None:
        self._state = State.CLOSED

    def _ok(self, text: str) -> None:
        self._write_status(f"+OK {text}")

    def _err(self, text: str, code: str = "") -> None:
        self._write_status(f"-ERR [{code}] {text}" if code else f"-ERR {text}")

    def _write_status(self, text: str) -> None:
        line = "".join(char if " " <= char <= "~" else "?" for char in text).encode("ascii")
        self._outgoing += line[: MAX_REPLY_BYTES - 2] + b"\r\n"

    def _write_listing(self, lines: Iterable[str]) -> None:
        # Every line begins with a digit or a letter, so no dot needs doubling.
        self._listing = chain(lines, (".",))


_VERBS: Mapping[Command, Callable[[Server, str], ServerEvent | None]] = {
    Command.CAPA: Server._capa,
    Command.STLS: Server._stls,
    Command.USER: Server._user,
    Command.PASS: Server._pass,
    Command.AUTH: Server._auth,
    Command.STAT: Server._stat,
    Command.LIST: Server._list,
    Command.UIDL: Server._uidl,
    Command.RETR: Server._retr,
    Command.TOP: Server._top,
    Command.DELE: Server._dele,
    Command.NOOP: Server._noop,
    Command.RSET: Server._rset,
    Command.QUIT: Server._quit,
}
