"""What an IMAP client can say, when it may, and what waits behind what.

A command may be queued whenever the commands before it, if granted, lead to a state that allows
it; so a whole visit can be written at once. What must not be followed by anything before it is
answered (COMPRESS, IDLE, a literal that is asked for) holds back what is queued behind it. How the
answers are read: client.py.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError
from relaynode.imap import names, writing
from relaynode.imap.limits import MAX_OUTSTANDING, MAX_SMALL_LITERAL_BYTES
from relaynode.imap.states import Command, State, granted, may

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from relaynode.errors import RemoteProtocolError
    from relaynode.imap.compression import Deflate
    from relaynode.sasl import Mechanism

_LATE = frozenset(("COMPRESS=DEFLATE", "ESEARCH", "IDLE", "MOVE", "UIDPLUS"))


@dataclass(slots=True)
class Sent:
    """A command that is not answered yet. `segments`: what is sent on each "+". `holds`: nothing
    may be written behind it."""

    tag: str
    command: Command
    segments: deque[bytes] = field(repr=False)
    holds: bool = False


class Commands:
    """The side of a `Client` that speaks.

    The methods named after commands give the tag that Done or Refused will have. They raise
    LocalProtocolError, and queue nothing, if the state forbids the command, if an argument holds
    CR, LF or NUL, or if MAX_OUTSTANDING commands are not answered.

    `presumed`: what the server could do at the last visit. Of what many tell only behind the login
    (COMPRESS, say) it counts until they do.
    """

    def __init__(self, presumed: Collection[str] = ()) -> None:
        self._presumed = _LATE & frozenset(presumed)
        self._state = self._ahead = State.GREETING
        self._sent: dict[str, Sent] = {}  # by tag, in order
        self._waiting: deque[Sent] = deque()  # behind one that holds
        self._holder: Sent | None = None
        self._tags = 0
        self._asked: set[Command] = set()
        self._outgoing = bytearray()
        self._deflate: Deflate | None = None
        self._found = 0
        self._capabilities: frozenset[str] | None = None
        self._is_tls_active = False
        self._is_idling = False
        self._mechanism: Mechanism | None = None
        self._login_failure: RemoteProtocolError | None = None
        self._secrets: frozenset[bytes] = frozenset()

    def __repr__(self) -> str:
        return f"<imap.Client {self._state.value}, replies owed: {self.outstanding}>"

    # --- what is known ----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state that the replies so far have led to."""
        return self._state

    @property
    def outstanding(self) -> int:
        """Commands that are not answered; before the greeting it is 1 more."""
        return len(self._sent) + (self._state is State.GREETING)

    @property
    def capabilities(self) -> frozenset[str] | None:
        """What the server last said it can do, in upper case; None if it has not said."""
        return self._capabilities

    @property
    def sasl_mechanisms(self) -> frozenset[str]:
        """The mechanisms among the capabilities."""
        told = self._capabilities or ()
        return frozenset(one.removeprefix("AUTH=") for one in told if one.startswith("AUTH="))

    def can(self, capability: str) -> bool:
        """Has the server said so, or may it be presumed?"""
        return capability in (self._capabilities or ()) or capability in self._presumed

    def has_asked(self, command: Command) -> bool:
        """Was this command sent, or is it about to be?"""
        return command in self._asked

    # --- commands, before login -------------------------------------------------------------

    def capability(self) -> str:
        """Ask what the server can do; then `capabilities` has it."""
        return self._queue(Command.CAPABILITY)

    def starttls(self) -> str:
        """Ask for TLS: TlsReady or Refused. Nothing may be queued behind it."""
        if self._is_tls_active:
            raise LocalProtocolError("STARTTLS may not be sent, TLS is already up")
        return self._queue(Command.STARTTLS)

    def after_tls(self) -> None:
        """TLS is up: go on. What the server said in the clear is forgotten, ask again.

        Raises: LocalProtocolError unless TlsReady came before.
        """
        if self._state is not State.TLS or self._sent:
            raise LocalProtocolError("TLS was started without the server's consent to STARTTLS")
        # RFC 3501 6.2.1: whoever sat on the line may have written the capabilities.
        self._capabilities = None
        self._is_tls_active = True
        self._state = self._ahead = State.PLAIN

    def login(self, user: str, password: str) -> str:
        """Log in with LOGIN. More may be queued behind it."""
        name, secret = (
            writing.argument("user name", user),
            writing.argument("password", password),
        )
        segments = self._strings(Command.LOGIN.encode() + b" ", (user, name), (password, secret))
        self._secrets |= {secret} if secret else set()
        return self._queue(Command.LOGIN, segments=segments)

    def login_sasl(self, mechanism: Mechanism) -> str:
        """Log in with AUTHENTICATE; its initial response goes along where SASL-IR allows it.

        A mechanism that cannot go on is called off, and what it raised is raised when the server
        has seen that. Commands queued behind it go out when it `has_said_all`, or has ended.
        """
        line = b"AUTHENTICATE " + mechanism.name.encode()
        initial = mechanism.initial() if self.can("SASL-IR") else None
        if initial is not None:
            self._remember_response(initial)
            line += b" " + (base64.b64encode(initial) or b"=")  # RFC 4959 section 3
        holds = not mechanism.has_said_all
        tag = self._queue(Command.AUTHENTICATE, segments=[line], holds=holds)
        self._mechanism = mechanism
        self._login_failure = None
        return tag

    # --- commands, after login --------------------------------------------------------------

    def compress(self) -> str:
        """Compress the line, both ways, as soon as that is granted."""
        if self._deflate is not None:
            raise LocalProtocolError("COMPRESS may not be sent twice")
        return self._queue(Command.COMPRESS, b"DEFLATE", holds=True)

    def select(self, mailbox: str, *, is_readonly: bool = False) -> str:
        """Open a mailbox: Exists, Validity, then Done."""
        command = Command.EXAMINE if is_readonly else Command.SELECT
        return self._queue(command, _mailbox(mailbox))

    def search(self, criteria: bytes = b"ALL") -> str:
        """Ask for the UIDs of messages: Found for each run of them."""
        how = b"RETURN (ALL) " if self.can("ESEARCH") else b""
        self._found = 0
        return self._queue(Command.SEARCH, how + criteria)

    def fetch_items(self, uids: bytes) -> str:
        """Ask for sizes and flags: an Item for each message of a set, as b"1:*"."""
        return self._queue(Command.FETCH, uids, b"(UID RFC822.SIZE FLAGS)")

    def fetch(self, uids: Iterable[int]) -> str:
        """Ask for messages whole, not marking them as read. They must fit one set."""
        return self._queue(Command.FETCH, _one_set(uids), b"(UID BODY.PEEK[])")

    def fetch_part(self, uid: int, origin: int, size_bytes: int) -> str:
        """Ask for a part of a message; the end of it may come before."""
        what = b"(UID BODY.PEEK[]<%d.%d>)" % (origin, size_bytes)
        return self._queue(Command.FETCH, b"%d" % uid, what)

    def fetch_header(self, uids: Iterable[int]) -> str:
        """Ask for the headers of messages: their content has the section "HEADER"."""
        return self._queue(Command.FETCH, _one_set(uids), b"(UID BODY.PEEK[HEADER])")

    def add_flag(self, uids: Iterable[int], flag: bytes) -> str:
        r"""Put a flag, as b"\\Deleted", on messages."""
        return self._queue(Command.STORE, _one_set(uids), b"+FLAGS.SILENT", b"(" + flag + b")")

    def copy(self, uids: Iterable[int], mailbox: str) -> str:
        """Copy messages into another mailbox."""
        return self._queue(Command.COPY, _one_set(uids), _mailbox(mailbox))

    def move(self, uids: Iterable[int], mailbox: str) -> str:
        """Move messages into another mailbox (RFC 6851)."""
        return self._queue(Command.MOVE, _one_set(uids), _mailbox(mailbox))

    def expunge(self, uids: Iterable[int] | None = None) -> str:
        r"""Remove those of the messages that are \Deleted (RFC 4315); all that are, if None."""
        if uids is None:
            return self._queue(Command.EXPUNGE)
        return self._queue(Command.UID_EXPUNGE, _one_set(uids))

    def noop(self) -> str:
        """Keep the session alive."""
        return self._queue(Command.NOOP)

    def idle(self) -> str:
        """Be told what happens (RFC 2177): Idling, then Exists now and then, until done()."""
        return self._queue(Command.IDLE, holds=True)

    def done(self) -> None:
        """End IDLE. Raises: LocalProtocolError if it has not begun."""
        if not self._is_idling:
            raise LocalProtocolError("DONE may only be sent in IDLE")
        self._is_idling = False
        self._outgoing += b"DONE\r\n"

    def logout(self) -> str:
        """End the session: Bye."""
        return self._queue(Command.LOGOUT)

    # --- writing ----------------------------------------------------------------------------

    def _queue(
        self,
        command: Command,
        *words: bytes,
        segments: Iterable[bytes] = (),
        holds: bool = False,
    ) -> str:
        if not may(self._ahead, command):
            raise LocalProtocolError(f"{command} may not be sent in state {self._ahead.value}")
        if len(self._sent) >= MAX_OUTSTANDING:
            raise LocalProtocolError(f"{command} may not be sent, too many replies are owed")
        self._tags += 1
        tag = f"a{self._tags}"
        lines = deque(segments or [b" ".join((command.encode(), *words))])
        lines[0] = tag.encode() + b" " + lines[0]
        lines[-1] += b"\r\n"
        sent = Sent(tag, command, lines, holds)
        self._sent[tag] = sent
        self._asked.add(command)
        self._waiting.append(sent)
        self._ahead = granted(self._ahead, command)
        self._write_waiting()
        return tag

    def _write_waiting(self) -> None:
        while self._waiting and self._holder is None:
            sent = self._waiting.popleft()
            self._outgoing += sent.segments.popleft()
            if sent.segments or sent.holds:
                self._holder = sent

    def _strings(self, start: bytes, *strings: tuple[str, bytes]) -> list[bytes]:
        """A command with strings; parted where a "+" must come before it goes on."""
        segments = [bytearray(start)]
        for place, (text, data) in enumerate(strings):
            segments[-1] += b" " if place else b""
            if writing.is_quotable(text):
                segments[-1] += writing.quoted(data)
                continue
            is_small = len(data) <= MAX_SMALL_LITERAL_BYTES
            if self.can("LITERAL+") or (is_small and self.can("LITERAL-")):
                segments[-1] += b"{%d+}\r\n%b" % (len(data), data)
            else:
                segments[-1] += b"{%d}\r\n" % len(data)
                segments.append(bytearray(data))
        return [bytes(segment) for segment in segments]

    # --- secrets ----------------------------------------------------------------------------

    def _remember_response(self, response: bytes) -> None:
        words = [word for word in re.split(rb"[\0\1 ]", response) if len(word) > 3]
        self._secrets |= {one for one in (base64.b64encode(response), *words) if one}


def _mailbox(name: str) -> bytes:
    return writing.quoted(names.encode(name))


def _one_set(uids: Iterable[int]) -> bytes:
    found = list(writing.sets(uids))
    if len(found) != 1:
        raise LocalProtocolError("so many messages cannot be asked for at once")
    return found[0]
