"""Our client against our server, over a line that cuts wherever it likes."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import LineLost
from relaynode.pop3.client import Client
from relaynode.pop3.events import (
    Bye,
    Capabilities,
    Commit,
    Deleted,
    Done,
    ListEnd,
    ListItem,
    LoggedIn,
    MessageData,
    MessageEnd,
    MessageStart,
    Refused,
    Stat,
    UidlEnd,
    UidlItem,
)
from relaynode.pop3.states import Command, State
from unit.pop3.dialogue import PASSWORD, Mailbox, converse

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.pop3.events import Event

HEADER = b"Subject: x\r\n\r\n"
MESSAGES = [
    HEADER + b"plain\r\n",
    HEADER + b".\r\n..\r\n...\r\n.x\r\n",
    HEADER + b"y" * 998 + b"\r\n",
    HEADER + b"z" * 10_000 + b"\r\n",
    HEADER + bytes(range(1, 256)) + b"\0\r\n",
    HEADER + b"bare\n.\nends\r.\r\n",
    HEADER,
    b"",
]
WITHOUT_LINE_END = [HEADER + b"no line end", HEADER + b"\r", HEADER + b".", b"."]


def session(
    mailbox: Mailbox, chunk_bytes: Callable[[], int], *, pipelined: bool, plain: bool
) -> list[Event]:
    """One whole poll: log in, list, fetch, delete and quit."""
    client = Client()
    events = converse(client, mailbox, chunk_bytes)
    if plain:
        client.login_plain("fred", PASSWORD)
        events += converse(client, mailbox, chunk_bytes)
    else:
        client.login_user("fred", PASSWORD, pipelined=pipelined)
    steps: list[Callable[[], None]] = [client.capa, client.stat, client.list, client.uidl]
    for number in mailbox.messages:
        steps += [
            partial(client.retr, number),
            partial(client.top, number, 1),
            partial(client.dele, number),
        ]
    steps += [client.noop, client.quit]
    for step in steps:
        if not pipelined:
            events += converse(client, mailbox, chunk_bytes)
        step()
    events += converse(client, mailbox, chunk_bytes)
    assert client.outstanding == 0
    client.peer_closed()
    return events[1:]


def on_the_wire(text: bytes) -> bytes:
    """Content as it arrives: a last line that is not ended gets its CRLF."""
    return text if text.endswith(b"\r\n") or not text else text + b"\r\n"


def expected_events(messages: list[bytes]) -> list[Event]:
    names = (
        "USER SASL UIDL TOP PIPELINING RESP-CODES AUTH-RESP-CODE EXPIRE LOGIN-DELAY IMPLEMENTATION"
    )
    numbered = list(enumerate(messages, start=1))
    events: list[Event] = [LoggedIn(), Capabilities(frozenset(names.split()))]
    events.append(Stat(len(messages), sum(map(len, messages))))
    events += [ListItem(number, len(text)) for number, text in numbered]
    events.append(ListEnd())
    events += [UidlItem(number, f"uid{number}") for number, _ in numbered]
    events.append(UidlEnd())
    for number, text in numbered:
        header, _, body = text.partition(b"\r\n\r\n")
        first, line_end, _ = body.partition(b"\r\n")
        top = HEADER + first + line_end if header != text else text
        for content in (on_the_wire(text), on_the_wire(top)):
            events.append(MessageStart(number))
            if content:
                events.append(MessageData(number, content))
            events.append(MessageEnd(number, len(content)))
        events.append(Deleted(number))
    return [*events, Done(Command.NOOP), Bye()]


@pytest.mark.parametrize("plain", [False, True], ids=["USER", "PLAIN"])
@pytest.mark.parametrize("pipelined", [False, True], ids=["one by one", "pipelined"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 64, 1460, 1 << 20])
def test_a_poll_brings_every_message_as_it_is(chunk: int, pipelined: bool, plain: bool) -> None:
    messages = MESSAGES + WITHOUT_LINE_END
    mailbox = Mailbox(messages, piece_bytes=max(1, chunk % 1000))
    events = session(mailbox, lambda: chunk, pipelined=pipelined, plain=plain)
    assert events == expected_events(messages)
    assert mailbox.messages == {}
    assert mailbox.is_closed


CONTENT = st.lists(
    st.sampled_from(
        [b"\r\n", b".", b"..", b"\r\n.\r\n", b"\r", b"\n", b"a", b"\xff\0", b"b" * 1000]
    ),
    max_size=20,
).map(lambda words: HEADER + b"".join(words))


@settings(deadline=None)
@given(
    st.lists(CONTENT, max_size=4),
    st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    st.booleans(),
    st.booleans(),
)
def test_a_poll_over_a_line_that_cuts_anywhere_brings_every_message_as_it_is(
    messages: list[bytes], sizes: list[int], pipelined: bool, plain: bool
) -> None:
    size = cycle(sizes)
    mailbox = Mailbox(messages, piece_bytes=sizes[0])
    events = session(mailbox, lambda: next(size), pipelined=pipelined, plain=plain)
    assert events == expected_events(messages)
    assert mailbox.messages == {}


@pytest.mark.parametrize("plain", [False, True], ids=["USER", "PLAIN"])
def test_a_wrong_password_is_refused_for_good(plain: bool) -> None:
    client, mailbox = Client(), Mailbox()
    converse(client, mailbox)
    if plain:
        client.login_plain("fred", "wrong")
    else:
        client.login_user("fred", "wrong", pipelined=True)
    (event,) = converse(client, mailbox)
    assert isinstance(event, Refused)
    assert event.status.is_permanent
    assert event.status.enhanced == "5.7.8"
    client.quit()
    assert converse(client, mailbox) == [Bye()]


def test_a_mailbox_in_use_is_refused_for_now() -> None:
    client, mailbox = Client(), Mailbox()
    mailbox.is_in_use = True
    converse(client, mailbox)
    client.login_user("fred", PASSWORD, pipelined=False)
    (event,) = converse(client, mailbox)
    assert isinstance(event, Refused)
    assert event.status.is_temporary


def test_an_unreadable_message_does_not_hold_up_those_behind_it() -> None:
    client, mailbox = Client(), Mailbox([b"one\r\n", b"two\r\n"])
    mailbox.unreadable.add(1)
    converse(client, mailbox)
    client.login_user("fred", PASSWORD, pipelined=True)
    client.retr(1)
    client.retr(2)
    _, refused, *message = converse(client, mailbox)
    assert isinstance(refused, Refused)
    assert refused.number == 1
    assert refused.status.is_temporary
    assert message == [MessageStart(2), MessageData(2, b"two\r\n"), MessageEnd(2, 5)]


def test_a_commit_that_failed_is_a_refused_quit_and_no_bye() -> None:
    client, mailbox = Client(), Mailbox([b"one\r\n"])
    mailbox.commit_fails = True
    converse(client, mailbox)
    client.login_user("fred", PASSWORD, pipelined=True)
    client.dele(1)
    client.quit()
    *_, event = converse(client, mailbox)
    assert isinstance(event, Refused)
    assert event.command is Command.QUIT
    assert event.status.is_temporary
    client.peer_closed()


def test_a_server_without_stls_says_so() -> None:
    client, mailbox = Client(), Mailbox()
    converse(client, mailbox)
    client.stls()
    (event,) = converse(client, mailbox)
    assert isinstance(event, Refused)
    assert event.command is Command.STLS
    assert client.state is State.AUTHORIZATION


@pytest.mark.parametrize("lost_after", range(0, 400, 7))
def test_a_line_lost_anywhere_removes_all_that_was_marked_or_nothing(lost_after: int) -> None:
    client, mailbox = Client(), Mailbox([HEADER + b"one\r\n", HEADER + b"two\r\n"])
    converse(client, mailbox)
    client.login_user("fred", PASSWORD, pipelined=True)
    for number in (1, 2):
        client.retr(number)
        client.dele(number)
    client.quit()
    commands = client.data_to_send()
    answers = mailbox.says(commands[:lost_after])
    mailbox.server.peer_closed()
    mailbox.says()
    client.receive(answers)
    if lost_after < len(commands):
        assert len(mailbox.messages) == 2
        assert not any(isinstance(event, Commit) for event in mailbox.events)
        with pytest.raises(LineLost):
            client.peer_closed()
    else:
        assert mailbox.messages == {}
        client.peer_closed()
