"""What the POP3 tests share: sessions brought to a state, and drivers without a network."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.pop3.client import Client
from relaynode.pop3.events import (
    Closed,
    Commit,
    LoginAttempt,
    MessageData,
    NeedData,
    NeedDrain,
    Retrieve,
)
from relaynode.pop3.maildrop import Entry
from relaynode.pop3.server import Server
from relaynode.pop3.states import State
from relaynode.sasl import Login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relaynode.pop3.events import Event, ServerEvent

PASSWORD = "hunter2"
GREETING = b"+OK ready\r\n"


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with neighbouring pieces of a message made one: where it was cut is no matter."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, MessageData) and isinstance(last, MessageData):
            assert event.number == last.number
            result[-1] = MessageData(event.number, last.data + event.data)
        else:
            result.append(event)
    return result


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data cut at these positions."""
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def heard(client: Client, data: bytes, cuts: Iterable[int] = ()) -> list[Event]:
    """The events of a client that gets these bytes in these pieces."""
    return joined(event for piece in pieces(data, cuts) for event in client.receive(piece))


def client_in(state: State) -> Client:
    """A client that has come to this state, with nothing left to send or to hear."""
    client = Client()
    if state is not State.GREETING:
        client.receive(GREETING)
    if state is State.PASSWORD:  # USER is under way, PASS waits for it
        client.login_user("fred", PASSWORD, pipelined=False)
    if state is State.SASL:
        client.login_sasl(Login("fred", PASSWORD))  # it has more to say
        client.receive(b"+ \r\n")
    if state is State.TLS:
        client.stls()
        client.receive(b"+OK go\r\n")
    if state in (State.TRANSACTION, State.UPDATE):
        client.login_user("fred", PASSWORD, pipelined=True)
        client.receive(b"+OK\r\n+OK\r\n")
    if state in (State.UPDATE, State.CLOSED):  # UPDATE: QUIT is under way
        client.quit()
    if state is State.CLOSED:
        client.receive(b"+OK\r\n")
    if state is State.FAILED:
        with suppress(RemoteProtocolError):
            client.receive(b"?\r\n")
    client.data_to_send()
    return client


class Mailbox:
    """A driver for a Server, without a network: messages in memory, one settable failure per step.

    `events` is what the core asked for; logins are granted to fred with PASSWORD.
    """

    def __init__(
        self, messages: Sequence[bytes] = (), *, piece_bytes: int = 100, allow_login: bool = True
    ) -> None:
        self.server = Server("pop.example.net", allow_login=allow_login)
        self.messages = dict(enumerate(messages, start=1))
        self.piece_bytes = piece_bytes
        self.events: list[ServerEvent] = []
        self.is_in_use = False
        self.unreadable: set[int] = set()
        self.commit_fails = False

    @property
    def is_closed(self) -> bool:
        return self.server.state is State.CLOSED

    def says(self, data: bytes = b"") -> bytes:
        """What the server answers to these bytes, all of it."""
        if data and not self.is_closed:
            self.server.receive(data)
        said = bytearray(self.server.data_to_send())
        while True:
            event = self.server.next_event()
            said += self.server.data_to_send()
            match event:
                case NeedData():
                    return bytes(said)
                case Closed():
                    if event not in self.events:
                        self.events.append(event)
                    return bytes(said)
                case NeedDrain():
                    continue
            self.events.append(event)
            self._answer(event)
            said += self.server.data_to_send()

    def _answer(self, event: ServerEvent) -> None:
        match event:
            case LoginAttempt(user, password):
                self._log_in(user, password)
            case Retrieve(number, _):
                self._send(number)
            case Commit(deleted):
                self._commit(deleted)

    def _log_in(self, user: str, password: str) -> None:
        if (user, password) != ("fred", PASSWORD):
            self.server.refuse_login("AUTH", "no")
        elif self.is_in_use:
            self.server.refuse_login("IN-USE", "somebody else reads it")
        else:
            self.server.accept_login(
                [Entry(len(text), f"uid{number}") for number, text in self.messages.items()]
            )

    def _send(self, number: int) -> None:
        if number in self.unreadable:
            self.server.fail_content("disk is on fire")
            return
        text = self.messages[number]
        for start in range(0, len(text), self.piece_bytes):
            if self.server.wants_content:
                self.server.send_content(text[start : start + self.piece_bytes])
        self.server.end_content()

    def _commit(self, deleted: tuple[int, ...]) -> None:
        if self.commit_fails:
            self.server.commit_failed("disk is on fire")
            return
        for number in deleted:
            del self.messages[number]
        self.server.committed()


LOG_IN = b"USER fred\r\nPASS " + PASSWORD.encode() + b"\r\n"


def logged_in(messages: Sequence[bytes] = (), *, piece_bytes: int = 100) -> Mailbox:
    """A mailbox after greeting and login."""
    mailbox = Mailbox(messages, piece_bytes=piece_bytes)
    mailbox.says(LOG_IN)
    assert mailbox.server.state is State.TRANSACTION
    mailbox.events.clear()
    return mailbox


def converse(
    client: Client,
    mailbox: Mailbox,
    chunk_bytes: Callable[[], int] = lambda: 1 << 20,
) -> list[Event]:
    """Carry bytes between the two, in chunks of these sizes, until both are silent."""
    events: list[Event] = []
    to_client = mailbox.says()
    to_server = client.data_to_send()
    while to_client or to_server:
        if to_server:
            size = chunk_bytes()
            to_client += mailbox.says(to_server[:size])
            to_server = to_server[size:]
        if to_client:
            size = chunk_bytes()
            events += client.receive(to_client[:size])
            to_client = to_client[size:]
        to_server += client.data_to_send()
    return joined(events)
