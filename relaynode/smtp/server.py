"""The server's side of an SMTP session, without I/O (RFC 5321).

Extensions: PIPELINING (RFC 2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), CHUNKING (3030),
ENHANCEDSTATUSCODES (2034), DSN (3461), LIMITS (9422), our own XRELAYNODE-ONCE (`once.py`), and
where the terms say so ETRN (1985), ATRN (2645) and XCLIENT (`xclient.py`).

The driver feeds bytes, then takes events one at a time with `next_event`, h11's way. An event that
asks for a decision (Mail, Rcpt, ContentEnd ...) holds everything behind it until `reply` is called;
what a client pipelined waits in the buffer meanwhile.

The phases of a session are in `phases.py`, the content of a message in `server_transaction.py`.

A session survives RSET, a transaction does not: they are separate objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError
from relaynode.mail.status import Status
from relaynode.smtp import atrn, etrn, once, phases, security, xclient
from relaynode.smtp.events import (
    AuthCancelled,
    AuthResponse,
    AuthStart,
    Closed,
    ContentData,
    ContentEnd,
    ContentRefused,
    ContentStart,
    Event,
    Hello,
    Introduced,
    Mail,
    NeedData,
    Rcpt,
    SendNow,
    StartTls,
    TransactionReset,
    TurnWanted,
    Verify,
)
from relaynode.smtp.parameters import ParameterError, parse_mail, parse_rcpt, unknown_parameter
from relaynode.smtp.phases import ANY, CALM, Phase
from relaynode.smtp.reply import encode
from relaynode.smtp.security import Security
from relaynode.smtp.server_transaction import ServerTransaction, too_big
from relaynode.smtp.terms import USUAL, Terms

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_COMMAND_BYTES = 2048
"""With the line end. RFC 5321 4.5.3.1.4 asks for 512; RFC 3461 and 4954 add to it."""


@dataclass(frozen=True, slots=True)
class _Verb:
    """One row of the command table: where it may come, what it does, what is said elsewhere.

    Also whether it is offered at all, and whether nothing may be sent behind it before its answer.
    """

    phases: frozenset[Phase]
    run: Callable[[Session, str], Event | None]
    refusal: Callable[[Phase], Status]
    is_offered: Callable[[Terms], bool] = lambda terms: True
    is_last_of_group: bool = False


# RFC 5321 4.5.3.1.2: a domain has 255 octets at most.
_HELO_NAME = re.compile(r"[!-~\u00a0-\U0010ffff]{1,255}\Z")
_Question = (
    Mail | Rcpt | Verify | SendNow | TurnWanted | Introduced | ContentEnd | AuthStart | AuthResponse
)
"""Events that wait for an answer."""

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
        self.security = security or Security()
        self.hostname = hostname
        self.max_size_bytes = max_size_bytes
        self.terms = terms
        self.phase = Phase.START
        self.hello_name = ""
        self.is_extended = False
        self.has_quit = False
        self._transaction = ServerTransaction()
        self._buffer = bytearray()
        self._outgoing = bytearray()
        self._pending: _Question | None = None
        self._errors = 0
        self._refusals = 0
        self._idle_commands = 0
        self._messages = 0
        self.commands = 0
        self._denial = denial
        self._knows_again = knows_again
        self._is_skipping_line = False
        self._greet()

    @property
    def content_bytes(self) -> int | None:
        """How much of a message has come; None if a command is waited for."""
        is_content = self.phase in (Phase.DATA, Phase.CHUNK, Phase.BDAT)
        return self._transaction.size_bytes if is_content else None

    # --- the driver's side

    def receive(self, data: bytes) -> None:
        """Take bytes the client sent."""
        self._buffer += data

    def data_to_send(self) -> bytes:
        """The bytes to send now; they are given once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def next_event(self) -> Event:
        """The next thing that happened. Raises: LocalProtocolError if an answer is owed."""
        if self._pending is not None:
            raise LocalProtocolError(f"{type(self._pending).__name__} was not answered")
        while True:
            event = self._step()
            if event is not None:
                return event

    def reply(self, status: Status, more: tuple[str, ...] = ()) -> None:
        """Answer the event that was given last; `more`: further lines of text.

        Raises: LocalProtocolError if none waits.
        """
        pending = self._answered()
        self._say(status, more)
        if not status.is_success:
            self._count_refusal()
        if isinstance(pending, Rcpt):
            if status.is_success:
                self._transaction.recipients += 1
                self.phase = Phase.RCPT
        elif isinstance(pending, Mail):
            if status.is_success:
                self.phase = Phase.MAIL
        elif isinstance(pending, ContentEnd):
            self._end_transaction()
            self._idle_commands = 0
            self._messages += 1
        elif isinstance(pending, Verify | SendNow):
            self._count_idle()
        elif isinstance(pending, TurnWanted) and status.is_success:
            self.phase = Phase.CLOSED
        elif isinstance(pending, AuthStart | AuthResponse):
            self._end_login(status)

    def challenge(self, data: bytes) -> None:
        """Answer a login's event: it goes on. Raises: LocalProtocolError if none waits."""
        if not isinstance(self._pending, AuthStart | AuthResponse):
            raise LocalProtocolError("no login waits for an answer")
        self._pending = None
        self._say(security.challenge_line(data))
        self.phase = Phase.AUTH

    def tls_started(self) -> None:
        """TLS is up: what was said in the clear is forgotten (RFC 3207 section 4.2).

        Raises: LocalProtocolError unless StartTls came before.
        """
        if self.phase is not Phase.TLS:
            raise LocalProtocolError("TLS was not asked for")
        self.security = self.security.under_tls()
        self.hello_name, self.is_extended = "", False
        self._buffer.clear()
        self._end_transaction()

    def deny(self, status: Status) -> None:
        """From now on this is what commands are told that would serve the client; see `denial`."""
        self._denial = status
        if status.code == 421 and self.phase is not Phase.CLOSED:
            self._say(status)
            self.phase = Phase.CLOSED

    def introduce(self, denial: Status | None) -> None:
        """Answer Introduced: the session begins anew, for a client with this denial or none."""
        self._answered()
        self._denial = denial
        self.hello_name, self.is_extended = "", False
        self._end_transaction()
        self._greet()

    def hang_up(self) -> None:
        """The last reply was the last word; `next_event` then gives Closed."""
        self.phase = Phase.CLOSED

    def shut_down(self, text: str, enhanced: str = "4.3.2") -> None:
        """End the session from our side: 421 (RFC 5321 3.8). `next_event` then gives Closed."""
        if self.phase is not Phase.CLOSED:
            self._pending = None
            self._say(Status(421, enhanced, f"{self.hostname} {text}"))
            self.phase = Phase.CLOSED

    # --- the dialogue

    def _greet(self) -> None:
        if self._denial is not None and self._denial.code == 421:
            self._say(self._denial)
            self.phase = Phase.CLOSED
        else:
            self._say(Status(220, "", f"{self.hostname} ESMTP relaynode"))

    def _step(self) -> Event | None:
        if self.phase is Phase.CLOSED:
            return Closed()
        if self.phase is Phase.DATA:
            return self._data()
        if self.phase is Phase.CHUNK:
            return self._chunk()
        if self.phase is Phase.TLS:
            raise LocalProtocolError("TLS was asked for and has not begun")
        line = self._take_line()
        if line is None:
            return _NEED_DATA
        return self._response(line) if self.phase is Phase.AUTH else self._command(line)

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if self._is_too_much(len(self._buffer)):
                self._buffer.clear()
                self._is_skipping_line = True
            return None
        is_too_long = self._is_skipping_line or self._is_too_much(end)
        self._is_skipping_line = False
        self.commands += 1
        line = _TOO_LONG if is_too_long else bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def _is_too_much(self, line_bytes: int) -> bool:
        if line_bytes < MAX_COMMAND_BYTES:
            return False
        is_login = self.phase is Phase.AUTH or self._buffer[:5].upper() == b"AUTH "
        return not is_login or line_bytes >= security.MAX_AUTH_LINE_BYTES

    def _command(self, line: bytes) -> Event | None:
        if line == _TOO_LONG:
            self._refuse(Status(500, "5.5.2", "Line too long"))
            return None
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            self._refuse(Status(500, "5.5.2", "Command is neither ASCII nor UTF-8"))
            return None
        word, _, rest = text.strip(" \t").partition(" ")
        name = word.upper() if word.isascii() else ""  # there are other letters that become ours
        verb = _VERBS.get(name)
        if self._denial is not None and name in _DENIED:
            return self._deny(name, rest.strip(" \t"))
        if (demand := self.security.refusal_of(name)) is not None:
            self._refuse(demand)
            return None
        if verb is None or not self._knows(name) or not verb.is_offered(self.terms):
            kind = "not implemented" if name in _NOT_IMPLEMENTED else "unrecognized"
            code = 502 if kind == "not implemented" else 500
            self._refuse(Status(code, "5.5.1", f'Command {kind}: "{word[:40]}"'))
            return None
        if self.terms.is_strict and self._is_ahead(verb):
            self._say(Status(554, "5.5.0", "SMTP protocol synchronization: you did not wait"))
            self.phase = Phase.CLOSED
            return None
        if self.phase not in verb.phases:
            self._refuse(verb.refusal(self.phase))
            return None
        return verb.run(self, rest.strip(" \t"))

    def _is_ahead(self, verb: _Verb) -> bool:
        """Has the client sent more than it may before it has this command's answer?"""
        if verb.run is Session._ehlo and self._knows_again:
            return False  # our own kind begins its mail behind EHLO where it knows the server
        may_not = verb.is_last_of_group or not self.is_extended
        return bool(self._buffer) and may_not and verb.run is not Session._quit

    def _deny(self, word: str, rest: str) -> Event | None:
        assert self._denial is not None
        if word == "BDAT":  # the bytes that it announces are read all the same
            self._transaction.refusal = self._denial
            return self._start_chunk(rest)
        self._refuse(self._denial)
        return None

    def _hello(self, name: str, is_extended: bool) -> Event | None:
        word = "EHLO" if is_extended else "HELO"
        if not name:
            self._refuse(Status(501, "5.0.0", f"{word} requires domain address"))
            return None
        if not _HELO_NAME.match(name):
            self._refuse(Status(501, "5.0.0", "Invalid domain name"))
            return None
        self.hello_name, self.is_extended = name, is_extended
        self._end_transaction()
        greeting = Status(250, "", f"{self.hostname} Hello {name}, pleased to meet you")
        self._say(greeting, self._extensions() if is_extended else ())
        self._count_idle()
        return Hello(name, is_extended)

    def _extensions(self) -> tuple[str, ...]:
        if self._denial is not None:
            return ("ENHANCEDSTATUSCODES",)
        return (
            "ENHANCEDSTATUSCODES",
            "PIPELINING",
            "CHUNKING",
            "8BITMIME",
            "SMTPUTF8",
            f"SIZE {self.max_size_bytes}",
            "DSN",
            self.terms.limits,
            *(("ETRN",) if self.terms.takes_etrn else ()),
            *(("ATRN",) if self.terms.takes_atrn else ()),
            *((xclient.KEYWORD,) if self.terms.takes_xclient else ()),
            *self.security.keywords,
            *((once.KEYWORD,) if self._knows_again else ()),
        )

    def _helo(self, rest: str) -> Event | None:
        return self._hello(rest, is_extended=False)

    def _ehlo(self, rest: str) -> Event | None:
        return self._hello(rest, is_extended=True)

    def _mail(self, rest: str) -> Event | None:
        try:
            mail = parse_mail(rest)
        except ParameterError as error:
            self._refuse(error.status)
            return None
        if mail.once_id and not self._knows_again:
            # A client that took it for granted must not believe that it will be known again.
            self._refuse(unknown_parameter(once.PARAMETER).status)
            return None
        if mail.auth and not self.security.mechanisms:
            self._refuse(unknown_parameter("AUTH").status)
            return None
        if (mail.size_bytes or 0) > self.max_size_bytes:
            self._refuse(too_big(self.max_size_bytes))
            return None
        if 0 < self.terms.max_messages <= self._messages:
            self._say(Status(452, "4.5.3", "Too many messages in this session"))
            return None
        return self._ask(mail)

    def _rcpt(self, rest: str) -> Event | None:
        try:
            rcpt = parse_rcpt(rest)
        except ParameterError as error:
            self._refuse(error.status)
            return None
        if self._transaction.recipients >= self.terms.max_recipients:
            # RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in a next transaction.
            # That is no error of the client's: it would lose the recipients it has if it were.
            self._say(Status(452, "4.5.3", "Too many recipients"))
            return None
        return self._ask(rcpt)

    def _start_data(self, rest: str) -> Event | None:
        if rest:
            self._refuse(Status(501, "5.5.4", "DATA takes no parameters"))
            return None
        self._say(Status(354, "", "End data with <CR><LF>.<CR><LF>"))
        self.phase = Phase.DATA
        self._transaction.is_started = True
        return ContentStart()

    def _start_chunk(self, rest: str) -> Event | None:
        transaction = self._transaction
        if not transaction.announce(rest):
            # The size of what follows is unknown: whatever comes next cannot be told apart.
            self._say(Status(501, "5.5.4", "BDAT wants a size and perhaps LAST"))
            self.shut_down("closing: the chunk's size is not clear")
            return None
        if self.phase not in (Phase.RCPT, Phase.BDAT) and transaction.refusal is None:
            transaction.refusal = phases.no_recipients(self.phase)
        self.phase = Phase.CHUNK
        if transaction.is_started or transaction.refusal is not None:
            return None
        transaction.is_started = True
        return ContentStart()

    def _data(self) -> Event | None:
        if not self._buffer:
            return _NEED_DATA
        content = self._transaction.take_dotted(self._buffer)
        if self._transaction.has_come:
            self.phase = Phase.CHUNK
        return self._content(content)

    def _chunk(self) -> Event | None:
        transaction = self._transaction
        if transaction.chunk_left:
            return (
                self._content(transaction.take_chunk(self._buffer)) if self._buffer else _NEED_DATA
            )
        if transaction.is_last_chunk:
            return self._end_content()
        self.phase = Phase.BDAT
        if transaction.refusal is not None:
            self._refuse(transaction.refusal)
            return None
        self._say(Status(250, "2.0.0", "Chunk received"))
        return None

    def _content(self, content: bytes) -> Event | None:
        is_taken = self._transaction.judge(content, self.max_size_bytes)
        return ContentData(content) if is_taken else None

    def _end_content(self) -> Event | None:
        refusal, was_started = self._transaction.finish(), self._transaction.is_started
        if refusal is None:
            return self._ask(ContentEnd())
        self._end_transaction()
        self._refuse(refusal)
        return ContentRefused(refusal) if was_started else None

    def _rset(self, rest: str) -> Event | None:
        was_in_transaction = self.phase not in (Phase.START, Phase.READY)
        if was_in_transaction:
            self._end_transaction()
        self._say_idly(Status(250, "2.0.0", "Reset state"))
        return TransactionReset() if was_in_transaction else None

    def _noop(self, rest: str) -> Event | None:
        self._say_idly(Status(250, "2.0.0", "OK"))
        return None

    def _vrfy(self, rest: str) -> Event | None:
        if not rest:
            self._refuse(Status(501, "5.5.4", "VRFY wants a name"))
            return None
        if self.terms.verifies:
            return self._ask(Verify(rest, is_list=False))
        # RFC 5321 3.5.3: neither confirm nor deny.
        text = "Cannot VRFY user; try RCPT to attempt delivery"
        self._say_idly(Status(252, "2.5.2", text))
        return None

    def _expn(self, rest: str) -> Event | None:
        if not rest:
            self._refuse(Status(501, "5.5.4", "EXPN wants a name"))
            return None
        return self._ask(Verify(rest, is_list=True))

    def _etrn(self, rest: str) -> Event | None:
        node = etrn.parse_node(rest)
        if node is None:
            self._refuse(etrn.WRONG)
            return None
        return self._ask(SendNow(*node))

    def _atrn(self, rest: str) -> Event | None:
        if (demand := self.security.demand) is not None:
            self._refuse(demand)
            return None
        if self._buffer:
            # It would be taken for what the client says as a server.
            self._say(atrn.EARLY)
            self.phase = Phase.CLOSED
            return None
        domains = atrn.parse_domains(rest)
        if domains is None:
            self._refuse(atrn.WRONG)
            return None
        return self._ask(TurnWanted(domains))

    def _xclient(self, rest: str) -> Event | None:
        try:
            return self._ask(Introduced(xclient.parse_xclient(rest)))
        except ValueError as error:
            self._refuse(Status(501, "5.5.4", str(error)))
            return None

    def _help(self, rest: str) -> Event | None:
        offered = (
            word
            for word, verb in _VERBS.items()
            if self._knows(word) and verb.is_offered(self.terms)
        )
        self._say_idly(Status(214, "2.0.0", " ".join(offered)))
        return None

    def _quit(self, rest: str) -> Event | None:
        self._say(Status(221, "2.0.0", f"{self.hostname} closing connection"))
        self.has_quit = True
        self.phase = Phase.CLOSED
        return None

    # --- TLS and logins: see security.py

    def _knows(self, verb: str) -> bool:
        """Is there a STARTTLS, an AUTH at all?"""
        if verb == "STARTTLS":
            return self.security.offers_tls or self.security.is_private
        return verb != "AUTH" or bool(self.security.mechanisms)

    def _starttls(self, rest: str) -> Event | None:
        wrong = self.security.starttls(rest)
        if wrong is None and self._buffer:
            # What comes behind it was said by anybody, and would be taken as said under TLS.
            self._say(security.INJECTED)
            self.phase = Phase.CLOSED
            return None
        if wrong is not None:
            self._refuse(wrong)
            return None
        self._say(Status(220, "2.0.0", "Ready to start TLS"))
        self.phase = Phase.TLS
        return StartTls()

    def _auth(self, rest: str) -> Event | None:
        start = self.security.auth(rest)
        if isinstance(start, Status):
            self._refuse(start)
            return None
        return self._ask(start)

    def _response(self, line: bytes) -> Event:
        wrong = security.NO_BASE64
        if line == _TOO_LONG:
            wrong = security.TOO_LONG
        elif (found := security.response(line)) is not None:
            if isinstance(found, AuthResponse):
                return self._ask(found)
            wrong = security.CANCELLED
        self.phase = Phase.READY
        self._refuse(wrong)
        return AuthCancelled()

    def _end_login(self, status: Status) -> None:
        if status.is_success:
            self.security = self.security.logged_in()
        if self.phase is Phase.AUTH:
            self.phase = Phase.READY

    # --- helpers

    def _ask(self, event: _Question) -> Event:
        self._pending = event
        return event

    def _answered(self) -> _Question:
        pending, self._pending = self._pending, None
        if pending is None:
            raise LocalProtocolError("no event waits for an answer")
        return pending

    def _say_idly(self, status: Status) -> None:
        """Answer what leads to no message."""
        self._say(status)
        self._count_idle()

    def _count_idle(self) -> None:
        self._idle_commands += 1
        if self._idle_commands > self.terms.max_idle_commands:
            self._count_error()

    def _say(self, status: Status, more: tuple[str, ...] = ()) -> None:
        self._outgoing += encode(status, more)

    def _refuse(self, status: Status) -> None:
        """Say no to a command that is not an event."""
        self._say(status)
        self._count_error()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self.terms.max_errors:
            self.shut_down("too many errors", "4.7.0")

    def _count_refusal(self) -> None:
        self._refusals += 1
        if self._refusals >= self.terms.max_refusals:
            self.shut_down("too many errors", "4.7.0")

    def _end_transaction(self) -> None:
        self._transaction = ServerTransaction()
        if self.phase is not Phase.CLOSED:
            self.phase = Phase.READY if self.hello_name else Phase.START


def _takes_etrn(terms: Terms) -> bool:
    return terms.takes_etrn


def _takes_atrn(terms: Terms) -> bool:
    return terms.takes_atrn


def _takes_xclient(terms: Terms) -> bool:
    return terms.takes_xclient


_VERBS: dict[str, _Verb] = {
    "HELO": _Verb(ANY, Session._helo, phases.hello_first, is_last_of_group=True),
    "EHLO": _Verb(ANY, Session._ehlo, phases.hello_first, is_last_of_group=True),
    "MAIL": _Verb(frozenset({Phase.READY}), Session._mail, phases.hello_first),
    "RCPT": _Verb(frozenset({Phase.MAIL, Phase.RCPT}), Session._rcpt, phases.mail_first),
    "DATA": _Verb(
        frozenset({Phase.RCPT}), Session._start_data, phases.rcpt_first, is_last_of_group=True
    ),
    # BDAT announces bytes that must be read whatever is wrong (RFC 3030 section 2).
    "BDAT": _Verb(ANY, Session._start_chunk, phases.rcpt_first),
    "RSET": _Verb(ANY, Session._rset, phases.rcpt_first),
    "NOOP": _Verb(ANY, Session._noop, phases.rcpt_first),
    "VRFY": _Verb(ANY, Session._vrfy, phases.rcpt_first),
    "EXPN": _Verb(ANY, Session._expn, phases.rcpt_first, lambda terms: terms.expands),
    "ETRN": _Verb(frozenset({Phase.READY}), Session._etrn, phases.hello_first, _takes_etrn),
    "ATRN": _Verb(frozenset({Phase.READY}), Session._atrn, phases.hello_first, _takes_atrn, True),
    "XCLIENT": _Verb(CALM, Session._xclient, phases.in_transaction, _takes_xclient, True),
    "HELP": _Verb(ANY, Session._help, phases.rcpt_first),
    "QUIT": _Verb(ANY, Session._quit, phases.rcpt_first),
    "STARTTLS": _Verb(CALM, Session._starttls, phases.no_transaction),
    "AUTH": _Verb(
        frozenset({Phase.READY}), Session._auth, phases.no_transaction, is_last_of_group=True
    ),
}
_DENIED = frozenset(
    {"MAIL", "RCPT", "DATA", "BDAT", "VRFY", "EXPN", "ETRN", "ATRN", "HELP", "AUTH", "STARTTLS"}
)
"""What a client that is not welcome asks in vain; it may still say hello and goodbye."""
_NOT_IMPLEMENTED = frozenset(
    {"EXPN", "TURN", "SEND", "SOML", "SAML", "ETRN", "ATRN", "AUTH", "STARTTLS"}
)
