"""The client's side of an SMTP session, without I/O (RFC 5321), made to fill the pipe.

How transactions are sent follows from what the server announced:

    CHUNKED    CHUNKING and PIPELINING: MAIL, RCPT ... and BDAT n LAST of successive messages go
               out without waiting for anything (RFC 3030, RFC 2920)
    PIPELINED  PIPELINING alone: MAIL, RCPT ... DATA in one flight, then the content together
               with the next message's MAIL, RCPT ... DATA: one round trip a message
    LOCKSTEP   neither: every command waits for its reply

    state     entered by                 leaves with
    --------  -------------------------  ------------------------------------------
    GREETING  the connection             220 -> GREETED
    GREETED   220, `after_tls`           `hello` -> HELLO
    HELLO     EHLO (HELO) sent           250 -> READY
    READY     250                        `starttls`, `authenticate`, `ask`, `begin`, `turn`, `quit`
    STARTTLS  STARTTLS sent              220 -> GREETED, once TLS is up
    AUTH      AUTH sent                  235 -> READY
    CLOSED    QUIT, 421, a refusal,      nothing
              `turn`

The core keeps the list of replies that are owed, in order: that list is the whole of pipelining.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError
from relaynode.mail.lines import DotEncoder
from relaynode.mail.status import Status, permanent, temporary
from relaynode.smtp.client_events import (
    Answered,
    Bye,
    ContentWanted,
    Event,
    Finished,
    Greeted,
    Mispresumed,
    Mode,
    Ready,
    Refused,
    ServerClosing,
    State,
    TlsAccepted,
)
from relaynode.smtp.client_login import Login
from relaynode.smtp.offer import Offer
from relaynode.smtp.presumption import Watch
from relaynode.smtp.reply import Reply, ReplyParser

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from relaynode.sasl import Mechanism
    from relaynode.smtp.transaction import Transaction


class _Owed(Enum):
    """What the next reply answers."""

    GREETING = auto()
    EHLO = auto()
    HELO = auto()
    STARTTLS = auto()
    AUTH = auto()
    ASKED = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    CONTENT = auto()
    RSET = auto()
    QUIT = auto()


class _Expected(NamedTuple):
    """A reply that is owed, with the transaction and the place of the recipient it is about."""

    owed: _Owed
    transaction: Transaction | None = None
    recipient: int = 0


# What sendmail says. It gives the mail back; we keep it, since the mistake is ours to mend.
LOOP = Status(451, "4.3.5", "config error: mail loops back to me (MX problem?)")


class Client:
    """One connection to a server.

    `hostname`: our name for EHLO. `without`: extensions that are not used whatever the server says.
    `is_lmtp`: it speaks LMTP (RFC 2033): LHLO, and a reply for each recipient when the content has
    come.
    """

    def __init__(
        self, hostname: str, *, without: Collection[str] = (), is_lmtp: bool = False
    ) -> None:
        self.hostname = hostname
        self._without = without
        self._is_lmtp = is_lmtp
        self.state = State.GREETING
        self._offer = Offer({})
        self._parser = ReplyParser()
        self._outgoing = bytearray()
        self._owed: deque[_Expected] = deque([_Expected(_Owed.GREETING)])
        self._held: deque[tuple[bytes, _Expected]] = deque()
        self._awaits_tls = False
        self._unfinished: list[Transaction] = []
        self._sending: Transaction | None = None
        self._dots: DotEncoder | None = None
        self._content_left = 0
        self._must_reset = False
        self._is_presumed = False
        self._is_misled = False
        self._watch = Watch()
        self._login: Login | None = None
        self._violation: RemoteProtocolError | None = None

    # --- bytes

    def data_to_send(self) -> bytes:
        """The bytes to send now; they are given once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    @property
    def unsent_bytes(self) -> int:
        """How many `data_to_send` would give."""
        return len(self._outgoing)

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes the server sent.

        The events before a violation are given first, since they hold what the server has
        promised; `check` raises it afterwards, and so does the next call. Raises:
        RemoteProtocolError.
        """
        self.check()
        events: list[Event] = []
        try:
            for reply in self._parser.feed(data):
                events += self._reply(reply)
        except RemoteProtocolError as error:
            self._violation = error
            self.state = State.CLOSED
            if not events or self._awaits_tls:
                raise
        return events

    def check(self) -> None:
        """Raises: RemoteProtocolError if a rule was broken behind the events given last."""
        if self._violation is not None:
            raise self._violation

    def peer_closed(self) -> None:
        """The server hung up. Raises: LineLost unless QUIT was answered."""
        if self.state is not State.CLOSED or self._owed or self._unfinished:
            self.state = State.CLOSED
            raise LineLost("the server closed the connection in the middle of the session")

    # --- the session

    @property
    def extensions(self) -> dict[str, str]:
        """What the server offers, or is presumed to offer: see Offer."""
        return self._offer.extensions

    @property
    def mode(self) -> Mode:
        """How transactions are sent to this server."""
        return self._offer.mode

    @property
    def mechanisms(self) -> list[str]:
        """The SASL mechanisms the server offers."""
        return self._offer.mechanisms

    @property
    def max_recipients(self) -> int | None:
        """How many recipients a transaction may have (RFC 9422), if the server told."""
        return self._offer.max_recipients

    @property
    def max_size_bytes(self) -> int | None:
        """The largest message the server takes (RFC 1870), if it told."""
        return self._offer.max_size_bytes

    @property
    def unfinished(self) -> tuple[Transaction, ...]:
        """Transactions begun whose end is not known, in order."""
        return tuple(self._unfinished)

    def hello(self, presumed: Mapping[str, str] | None = None) -> None:
        """Say EHLO; a server that does not know it gets HELO.

        `presumed`: what it is taken to offer until it has answered, so that transactions may begin
        at once. If it does not offer what was used by then, Mispresumed comes.
        """
        self._want(State.GREETED)
        self.state = State.HELLO
        verb = "LHLO" if self._is_lmtp else "EHLO"
        self._command(f"{verb} {self.hostname}", _Owed.EHLO)
        if presumed is not None:
            self._is_presumed = True
            self._offer = Offer(presumed)
            self.state = State.READY

    @property
    def is_presuming(self) -> bool:
        """Is EHLO not answered yet, while transactions may begin already?"""
        return self._is_presumed

    def starttls(self) -> None:
        """Ask for TLS (RFC 3207)."""
        self._want(State.READY)
        self.state = State.STARTTLS
        self._command("STARTTLS", _Owed.STARTTLS)

    def after_tls(self) -> None:
        """TLS is up: all that was learned in the clear is forgotten. Say `hello` again.

        Raises: RemoteProtocolError if more than the answer to STARTTLS came in the clear.
        """
        if self._parser.pending_bytes:
            raise RemoteProtocolError("bytes before TLS was up: somebody injected them")
        self._want(State.GREETED)
        self._awaits_tls = False

    def authenticate(self, mechanism: Mechanism) -> None:
        """Log in (RFC 4954): Ready, or Refused for "AUTH"."""
        self._want(State.READY)
        self.state = State.AUTH
        self._login = Login(mechanism)
        self._command(self._login.command(), _Owed.AUTH)

    def ask(self, command: str) -> None:
        """Send a command that stands alone (ETRN, ATRN); its reply is given as Answered."""
        self._want(State.READY)
        self._command(command, _Owed.ASKED)

    def turn(self) -> None:
        """The server takes the client's part from now on (ATRN, RFC 2645): this core is done.

        Raises: RemoteProtocolError if it did not wait for our greeting.
        """
        self.check()
        has_closed, self.state = self.state is State.CLOSED, State.CLOSED
        if self._parser.pending_bytes or has_closed:
            raise RemoteProtocolError("bytes before our greeting, by who is the client now")

    def quit(self) -> None:
        """Say goodbye, behind all that is under way.

        Raises: LocalProtocolError while the content of a transaction was not given whole.
        """
        if self._sending is not None or not self._is_all_content_sent:
            raise LocalProtocolError("the server waits for content")
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._step("QUIT", _Expected(_Owed.QUIT))

    # --- transactions

    @property
    def can_begin(self) -> bool:
        """May the next transaction be begun now?"""
        if self.state is not State.READY or self._sending is not None:
            return False
        if self.mode is Mode.LOCKSTEP:
            return not self._unfinished
        return self.mode is Mode.CHUNKED or self._is_all_content_sent

    @property
    def _is_all_content_sent(self) -> bool:
        return all(transaction.is_content_sent for transaction in self._unfinished)

    def begin(self, transaction: Transaction) -> None:
        """Begin a transaction.

        In CHUNKED mode the content follows at once (`wants_content` is true); else it is asked for
        with ContentWanted. Raises: LocalProtocolError if `can_begin` is false or a path is no path.
        """
        if not self.can_begin:
            raise LocalProtocolError("no transaction may begin now")
        offer = self._offer
        mail = offer.mail(transaction, with_size=not self._is_presumed)
        rcpts = [offer.rcpt(recipient) for recipient in transaction.recipients]
        if not rcpts:
            raise LocalProtocolError("a transaction without recipients")
        transaction.statuses = [None] * len(rcpts)
        # RFC 3030 section 2: after a BDAT that failed only RSET makes the state sure again, and
        # whether the one before fails is not known yet.
        if self._must_reset or (self.mode is Mode.CHUNKED and self._unfinished):
            self._must_reset = False
            self._step("RSET", _Expected(_Owed.RSET, transaction))
        if self.mode is not Mode.LOCKSTEP:
            offer.uses("PIPELINING")
        if self.mode is Mode.CHUNKED:
            offer.uses("CHUNKING")
        self._unfinished.append(transaction)
        self._step(mail, _Expected(_Owed.MAIL, transaction))
        for index, rcpt in enumerate(rcpts):
            self._step(rcpt, _Expected(_Owed.RCPT, transaction, index))
        if self.mode is Mode.CHUNKED:
            bdat = f"BDAT {transaction.size_bytes} LAST"
            self._step(bdat, _Expected(_Owed.CONTENT, transaction))
            self._start_content(transaction)
        else:
            self._step("DATA", _Expected(_Owed.DATA, transaction))

    @property
    def wants_content(self) -> bool:
        """Is content to be given now?"""
        return self._sending is not None

    def may_send(self, piece: bytes) -> bool:
        """May the next piece of content go out now? While the server is only presumed to take it,
        what it could take for commands may not. Once asked for a piece, it must be the next."""
        if not self._is_presumed or self.mode is not Mode.CHUNKED:
            return True
        return self._watch.is_harmless(piece)

    def send_content(self, piece: bytes) -> None:
        """A piece of the content of the transaction under way, wire form, dots as they are."""
        if self._sending is None:
            raise LocalProtocolError("no content is wanted")
        self._content_left -= len(piece)
        if self._content_left < 0:
            raise LocalProtocolError("more content than was announced")
        self._outgoing += piece if self._dots is None else self._dots.feed(piece)

    def end_content(self) -> None:
        """All of the content was given."""
        if self._sending is None or self._content_left:
            raise LocalProtocolError("the content is not as long as was announced")
        transaction, self._sending = self._sending, None
        if self._dots is not None:
            self._outgoing += self._dots.finish()
        transaction.is_content_sent = True

    def _start_content(self, transaction: Transaction) -> None:
        self._sending = transaction
        self._content_left = transaction.size_bytes
        self._watch = Watch()
        self._dots = None if self.mode is Mode.CHUNKED else DotEncoder()

    # --- sending

    def _want(self, state: State) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"not in state {self.state.name}")

    def _command(self, text: str, owed: _Owed) -> None:
        self._outgoing += text.encode() + b"\r\n"
        self._owed.append(_Expected(owed))

    def _step(self, text: str, expected: _Expected) -> None:
        """Send a command of a transaction now, or in LOCKSTEP when it is its turn."""
        self._held.append((text.encode() + b"\r\n", expected))
        self._release()

    def _release(self) -> None:
        while self._held and (self.mode is not Mode.LOCKSTEP or not self._owed):
            line, expected = self._held.popleft()
            self._outgoing += line
            self._owed.append(expected)

    # --- replies

    def _reply(self, reply: Reply) -> list[Event]:
        if self._awaits_tls:
            # RFC 3207 4.2: what an attacker put behind the answer to STARTTLS is not believed.
            raise RemoteProtocolError("a reply before TLS was up: somebody injected it")
        if not self._owed:
            if reply.code == 421:
                self.state = State.CLOSED
                return [ServerClosing(reply.status)]
            raise RemoteProtocolError(f"a reply that nobody asked for: {reply.status}")
        expected = self._owed.popleft()
        is_challenge = expected.owed is _Owed.AUTH and reply.code == 334
        if expected.owed is _Owed.AUTH and not is_challenge and self._login is not None:
            reply = self._login.hidden(reply)
        if reply.code // 100 == 3 and expected.owed is not _Owed.DATA and not is_challenge:
            raise RemoteProtocolError(f"unexpected reply to {expected.owed.name}: {reply.status}")
        if reply.code == 221 and expected.owed is not _Owed.QUIT:
            # The answer to our QUIT, and the one before it was left out: what it would have said
            # must not be guessed from this one.
            raise RemoteProtocolError(f"goodbye instead of an answer to {expected.owed.name}")
        if expected.transaction is not None:
            events = self._transaction_reply(expected, expected.transaction, reply)
        else:
            events = self._session_reply(expected.owed, reply)
        if reply.code == 421:
            self.state = State.CLOSED
            events.append(ServerClosing(reply.status))
        else:
            self._release()
        return events

    def _session_reply(self, owed: _Owed, reply: Reply) -> list[Event]:
        is_good = reply.code < 300
        match owed:
            case _Owed.GREETING if is_good:
                self.state = State.GREETED
                return [Greeted()]
            case _Owed.EHLO | _Owed.HELO if is_good and self._is_us(reply):
                self.state = State.CLOSED
                return [Refused("EHLO", LOOP)]
            case _Owed.EHLO if self._is_presumed:
                return self._compare(Offer.told(reply, self._without) if is_good else None)
            case _Owed.EHLO if is_good:
                self._offer = Offer.told(reply, self._without)
                self.state = State.READY
                return [Ready()]
            case _Owed.EHLO if reply.code in (500, 501, 502, 504, 550) and not self._is_lmtp:
                self._command(f"HELO {self.hostname}", _Owed.HELO)
                return []
            case _Owed.HELO if is_good:
                self._offer = Offer({})
                self.state = State.READY
                return [Ready()]
            case _Owed.STARTTLS if is_good:
                self.state = State.GREETED
                self._offer = Offer({})
                self._awaits_tls = True
                return [TlsAccepted()]
            case _Owed.AUTH:
                return self._login_reply(reply)
            case _Owed.ASKED:
                return [Answered(reply)]
            case _Owed.STARTTLS:
                self.state = State.READY
                return [Refused(owed.name, reply.status)]
            case _Owed.QUIT:
                return [Bye()]
        self.state = State.CLOSED
        what = "greeting" if owed is _Owed.GREETING else "EHLO"
        return [Refused(what, reply.status)]

    def _compare(self, offered: Offer | None) -> list[Event]:
        """EHLO is answered: is it what was presumed, as far as that was used? None: refused."""
        self._is_presumed = False
        relied_on, self._offer = self._offer.relied_on, offered or Offer({})
        missing = frozenset(relied_on - self.extensions.keys())
        if offered is not None and not missing:
            return [Ready()]
        self.state = State.CLOSED
        self._is_misled = True
        if "CHUNKING" in missing or offered is None:
            for transaction in self._unfinished:
                transaction.is_void = True
        return [Mispresumed(missing, is_refused=offered is None)]

    def _is_us(self, reply: Reply) -> bool:
        """Does the server give our own name as its own (RFC 5321 4.1.1.1 says which word)?"""
        name = reply.lines[0].split(" ", 1)[0].lower().rstrip(".")
        is_ours = name == self.hostname.lower() and name != "localhost"
        return is_ours and not self._is_lmtp  # which delivers, perhaps on this very machine

    def _login_reply(self, reply: Reply) -> list[Event]:
        assert self._login is not None
        if reply.code == 334:
            self._command(self._login.answer(reply), _Owed.AUTH)
            return []
        self._login.insist()
        if reply.code >= 300:
            self.state = State.READY
            return [Refused("AUTH", reply.status)]
        self._login.succeeded()
        self.state = State.READY
        return [Ready()]

    def _transaction_reply(
        self, expected: _Expected, transaction: Transaction, reply: Reply
    ) -> list[Event]:
        if self._is_misled and self._is_void(expected.owed, transaction, reply):
            return []
        match expected.owed:
            case _Owed.MAIL:
                transaction.mail_reply = reply
                if reply.code >= 300:
                    transaction.settle(reply.status)
            case _Owed.RCPT:
                if reply.code < 300:
                    transaction.accepted += 1
                elif transaction.statuses[expected.recipient] is None:
                    transaction.statuses[expected.recipient] = self._believed(reply.status)
                    transaction.refused_rcpts.add(expected.recipient)
            case _Owed.DATA:
                return self._data_reply(transaction, reply)
            case _Owed.CONTENT:
                return self._content_reply(transaction, reply)
        return self._give_up_early(transaction)

    def _content_reply(self, transaction: Transaction, reply: Reply) -> list[Event]:
        """RFC 2033 section 4.2: in LMTP one for each recipient that was taken, in their order."""
        if not self._is_lmtp or None not in transaction.statuses:
            return self._finish(transaction, reply.status)
        transaction.statuses[transaction.statuses.index(None)] = reply.status
        if None not in transaction.statuses:
            return self._finish(transaction, reply.status)
        self._owed.appendleft(_Expected(_Owed.CONTENT, transaction))
        return []

    def _is_void(self, owed: _Owed, transaction: Transaction, reply: Reply) -> bool:
        """Does the server refuse what it should not have been asked for? Then that is no answer to
        the message, which will be sent as the server wants it."""
        if owed is not _Owed.RCPT and reply.code >= 400:
            transaction.is_void = True
        return transaction.is_void

    def _believed(self, refusal: Status) -> Status:
        """What a recipient's refusal counts for: only a parameter may have been refused, while the
        message is accepted for others, so it is asked again at another time."""
        if not (self._is_misled and refusal.is_permanent):
            return refusal
        return temporary(f"asked for what it no longer offers: {refusal}", "4.5.4")

    def _data_reply(self, transaction: Transaction, reply: Reply) -> list[Event]:
        if reply.code // 100 != 3:
            self._must_reset = True
            status = reply.status
            return self._finish(transaction, status if not status.is_success else _no_go(status))
        # Owed from now on: a server may refuse the content before all of it has come.
        self._owed.append(_Expected(_Owed.CONTENT, transaction))
        if None in transaction.statuses:
            self._start_content(transaction)
            return [ContentWanted(transaction)]
        # RFC 2920 3.1: no recipient was accepted, yet the server waits for content: give it none.
        transaction.is_content_sent = True
        self._outgoing += b".\r\n"
        return []

    def _give_up_early(self, transaction: Transaction) -> list[Event]:
        """In LOCKSTEP, do not go on with a transaction that no recipient is left of."""
        if None in transaction.statuses or not self._held:
            return []
        self._held = deque(step for step in self._held if step[1].transaction is not transaction)
        self._must_reset = True
        status = transaction.statuses[-1]
        assert status is not None
        return self._finish(transaction, status)

    def _finish(self, transaction: Transaction, status: Status) -> list[Event]:
        if status.code >= 300 and self.mode is Mode.CHUNKED:
            self._must_reset = True
        transaction.settle(status)
        transaction.is_finished = True
        self._unfinished.remove(transaction)
        return [Finished(transaction)]


def _no_go(status: Status) -> Status:
    return permanent(f"the server answered DATA with {status}", "5.5.0")
