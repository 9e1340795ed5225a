"""A client against servers that lie, stall, echo or inject."""

from __future__ import annotations

import itertools
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError
from relaynode.pop3 import replies
from relaynode.pop3.client import Client
from relaynode.pop3.events import Deleted, ListItem, MessageData, Refused, TlsReady, UidlItem
from relaynode.pop3.limits import MAX_CAPABILITIES, MAX_LINE_BYTES
from relaynode.pop3.states import State
from unit.pop3.dialogue import client_in, heard

if TYPE_CHECKING:
    from collections.abc import Callable

STATES_WITH_A_DIALOGUE = [State.GREETING, State.PASSWORD, State.SASL, State.UPDATE]


def asked(call: Callable[[Client], None]) -> Client:
    client = client_in(State.TRANSACTION)
    call(client)
    return client


# --- status lines ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"OK",
        b"+",
        b"+ ",
        b"+ go on",
        b"+OKAY",
        b"+OK1",
        b"-ERROR",
        b"-",
        b"+ok",
        b"*OK",
        b" +OK",
        b"220 smtp.example.net ESMTP",
        b"HTTP/1.1 400 Bad Request",
        b"\xff\xfe",
    ],
)
def test_a_status_line_without_an_indicator_is_a_fault(line: bytes) -> None:
    client = asked(Client.stat)
    with pytest.raises(RemoteProtocolError, match="STAT is neither"):
        client.receive(line + b"\r\n")


def test_a_greeting_that_is_none_is_a_fault() -> None:
    with pytest.raises(RemoteProtocolError, match="greeting is neither"):
        Client().receive(b"220 smtp.example.net ESMTP\r\n")


@pytest.mark.parametrize("state", STATES_WITH_A_DIALOGUE)
def test_a_line_without_end_is_stopped_at_the_bound(state: State) -> None:
    client = client_in(state)
    client.receive(b"+OK " + b"x" * (MAX_LINE_BYTES - 5))
    with pytest.raises(RemoteProtocolError, match="longer"):
        client.receive(b"x")


def test_the_longest_line_allowed_is_taken() -> None:
    client = Client()
    text = b"+OK " + b"x" * (MAX_LINE_BYTES - 6) + b"\r\n"
    assert len(text) == MAX_LINE_BYTES
    assert len(client.receive(text)) == 1
    with pytest.raises(RemoteProtocolError, match="longer"):
        Client().receive(b"+OK x" + text[4:])


@pytest.mark.parametrize(
    "call", [Client.list, Client.uidl, Client.capa], ids=["LIST", "UIDL", "CAPA"]
)
def test_a_line_without_end_inside_a_listing_is_stopped_at_the_bound(
    call: Callable[[Client], None],
) -> None:
    client = asked(call)
    client.receive(b"+OK\r\n")
    with pytest.raises(RemoteProtocolError, match="longer"):
        client.receive(b"1 " + b"x" * MAX_LINE_BYTES)


@pytest.mark.parametrize("state", STATES_WITH_A_DIALOGUE)
def test_a_nul_in_a_status_line_is_a_fault(state: State) -> None:
    client = client_in(state)
    with pytest.raises(RemoteProtocolError, match="NUL"):
        client.receive(b"+OK a\0b\r\n")


# --- replies that nobody asked for ----------------------------------------------------------


@pytest.mark.parametrize("state", [State.AUTHORIZATION, State.TRANSACTION])
@pytest.mark.parametrize("data", [b"+OK\r\n", b"-ERR timeout\r\n", b"\r\n", b"+"])
def test_a_reply_that_nobody_asked_for_is_a_fault(state: State, data: bytes) -> None:
    client = client_in(state)
    with pytest.raises(RemoteProtocolError, match="nobody asked"):
        client.receive(data)


def test_an_unasked_reply_is_shown_to_the_operator() -> None:
    client = client_in(State.TRANSACTION)
    with pytest.raises(RemoteProtocolError, match="-ERR idle for too long"):
        client.receive(b"-ERR idle for too long\r\n")


def test_a_reply_sent_in_advance_does_not_answer_the_next_command() -> None:
    client = asked(Client.noop)
    with pytest.raises(RemoteProtocolError, match="nobody asked"):
        client.receive(b"+OK\r\n+OK\r\n")
    with pytest.raises(LocalProtocolError):
        client.dele(1)


def test_events_before_a_fault_are_not_lost() -> None:
    client = client_in(State.TRANSACTION)
    client.dele(1)
    client.dele(2)
    with pytest.raises(RemoteProtocolError):
        client.receive(b"+OK\r\n-ERR no\r\nbad\r\n")
    first, second = client.drain_events()
    assert first == Deleted(1)
    assert isinstance(second, Refused)
    assert client.drain_events() == []


def test_after_a_fault_nothing_is_heard_or_said_any_more() -> None:
    client = client_in(State.TRANSACTION)
    client.dele(1)
    with pytest.raises(RemoteProtocolError) as first:
        client.receive(b"bad\r\n")
    assert client.data_to_send() == b""
    with pytest.raises(RemoteProtocolError) as second:
        client.receive(b"+OK\r\n")
    assert str(first.value) == str(second.value)
    with pytest.raises(LineLost):
        client.peer_closed()


# --- STLS -----------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", [b"+", b"+OK\r\n", b"+OK\r\nSASL PLAIN\r\n.\r\n", b"\x16\x03"])
def test_bytes_behind_the_reply_to_stls_are_an_injection(behind: bytes) -> None:
    reply = b"+OK begin\r\n" + behind
    for cut in range(len(reply)):
        client = client_in(State.AUTHORIZATION)
        client.stls()
        with pytest.raises(RemoteProtocolError, match="injected"):
            heard(client, reply, [cut])
        with pytest.raises(LocalProtocolError):
            client.after_tls()


def test_no_tls_begins_over_an_injection_in_the_same_read() -> None:
    client = client_in(State.AUTHORIZATION)
    client.stls()
    with pytest.raises(RemoteProtocolError):
        client.receive(b"+OK\r\n+OK\r\n")
    assert TlsReady() not in client.drain_events()


# --- lying listings -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"1",
        b"1 ",
        b"x 1",
        b"-1 1",
        b"0 1",
        b"1 x",
        b"1 -1",
        b"1 1x",
        b"99999999999 1",
        b"1 9999999999999999999",
        b"+OK",
        b"\xc2\xb2 1",
    ],
)
def test_a_list_line_that_makes_no_sense_is_a_fault(line: bytes) -> None:
    client = asked(Client.list)
    with pytest.raises(RemoteProtocolError, match="LIST"):
        client.receive(b"+OK\r\n" + line + b"\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"1",
        b"1 ",
        b"x a",
        b"0 a",
        b"1 a b",
        b"1 a\x1bb",
        b"1 a\x7f",
        b"1 " + b"u" * 256,
        b"99999999999 a",
        b"-1 a",
    ],
)
def test_a_uidl_line_that_makes_no_sense_is_a_fault(line: bytes) -> None:
    client = asked(Client.uidl)
    with pytest.raises(RemoteProtocolError, match="UIDL"):
        client.receive(b"+OK\r\n" + line + b"\r\n")


@pytest.mark.parametrize("numbers", [(1, 1), (2, 1), (1, 2, 3, 2)])
@pytest.mark.parametrize("call", [Client.list, Client.uidl], ids=["LIST", "UIDL"])
def test_message_numbers_of_a_listing_must_increase(
    call: Callable[[Client], None], numbers: tuple[int, ...]
) -> None:
    client = asked(call)
    with pytest.raises(RemoteProtocolError, match="must increase"):
        client.receive(b"+OK\r\n" + b"".join(b"%d 7\r\n" % number for number in numbers))
    items = client.drain_events()
    assert all(isinstance(item, ListItem | UidlItem) for item in items)
    assert len(items) == len(numbers) - 1


@pytest.mark.parametrize("call", [Client.list, Client.uidl], ids=["LIST", "UIDL"])
def test_a_listing_without_end_is_stopped_at_the_bound(
    call: Callable[[Client], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "MAX_LISTING_ITEMS", 1000)
    client = asked(call)
    client.receive(b"+OK\r\n" + b"".join(b"%d 7\r\n" % number for number in range(1, 1001)))
    with pytest.raises(RemoteProtocolError, match="more than 1000"):
        client.receive(b"1001 7\r\n")


def test_capabilities_without_end_are_stopped_at_the_bound() -> None:
    client = asked(Client.capa)
    client.receive(b"+OK\r\n" + b"X\r\n" * MAX_CAPABILITIES)
    with pytest.raises(RemoteProtocolError, match="capabilities"):
        client.receive(b"X\r\n")


@pytest.mark.parametrize("text", [b"", b"x", b"1", b"1 x", b"-1 1", b"1 1x", b"1,2", b"many 1 1"])
def test_a_stat_without_count_and_size_is_a_fault(text: bytes) -> None:
    client = asked(Client.stat)
    with pytest.raises(RemoteProtocolError, match="STAT"):
        client.receive(b"+OK " + text + b"\r\n")


def test_a_message_longer_than_announced_is_taken_as_it_is() -> None:
    client = asked(lambda client: client.retr(1))
    events = client.receive(b"+OK 1 octets\r\n" + b"x" * 5000 + b"\r\n.\r\n")
    assert sum(len(event.data) for event in events if isinstance(event, MessageData)) == 5002


# --- secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["hunter2", "AS", "pass[word"])
@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_an_echo_does_not_bring_the_password_into_an_error(password: str, cut: int) -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_user("fred", password, pipelined=True)
    echo = b"+OK\r\n" + client.data_to_send().removeprefix(b"USER fred\r\n")
    with pytest.raises(RemoteProtocolError) as caught:
        heard(client, echo, [cut])
    shown = "".join(traceback.format_exception(caught.value))
    assert f"PASS {password}" not in shown
    assert "***" in str(caught.value)


def test_an_echo_does_not_bring_the_response_of_plain_into_an_error() -> None:
    for password in ("hunter2", "A", "AG", "unteri"):
        client = client_in(State.AUTHORIZATION)
        client.login_plain("fred", password)
        sent = client.data_to_send()
        with pytest.raises(RemoteProtocolError) as caught:
            client.receive(sent)
        assert sent.split()[-1][-8:].decode() not in str(caught.value)


def test_a_refusal_that_quotes_the_password_is_shown_without_it() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_user("fred", "hunter2", pipelined=True)
    (event,) = client.receive(b"+OK\r\n-ERR [AUTH] bad command: PASS HUNTER2\r\n")
    assert "hunter2" not in repr(event).lower()
    assert "bad command: PASS ***" in repr(event)


def test_an_echo_cut_short_is_not_quoted() -> None:
    client = client_in(State.TRANSACTION)
    with pytest.raises(RemoteProtocolError) as caught:
        client.receive(b"PASS hunte")
    assert "hunte" not in str(caught.value)


def test_repr_shows_no_password() -> None:
    client = client_in(State.PASSWORD)
    assert repr(client) == "<pop3.Client authorization, replies owed: 1>"


# --- anything at all ------------------------------------------------------------------------

CALLS: list[Callable[[Client], None]] = [
    Client.capa,
    Client.stls,
    Client.after_tls,
    lambda client: client.login_user("fred", "hunter2", pipelined=True),
    lambda client: client.login_user("fred", "hunter2", pipelined=False),
    lambda client: client.login_plain("fred", "hunter2"),
    Client.stat,
    Client.list,
    Client.uidl,
    lambda client: client.retr(1),
    lambda client: client.top(1, 1),
    lambda client: client.dele(1),
    Client.noop,
    Client.quit,
]
WORDS = st.sampled_from(
    [
        b"+OK\r\n",
        b"-ERR\r\n",
        b"-ERR [AUTH] x\r\n",
        b"+ \r\n",
        b"+OK 1 2\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"1 1\r\n",
        b"2 a\r\n",
        b"..\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"+OK",
    ]
)
NOISE = st.one_of(WORDS, st.binary(max_size=40))


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, len(CALLS) - 1), NOISE), max_size=40), st.booleans())
def test_whatever_a_server_says_the_client_answers_with_events_or_a_protocol_error(
    steps: list[int | bytes], is_greeted: bool
) -> None:
    client = client_in(State.AUTHORIZATION if is_greeted else State.GREETING)
    for step in steps:
        try:
            if isinstance(step, int):
                CALLS[step](client)
            else:
                client.receive(step)
        except LocalProtocolError:
            assert isinstance(step, int)
        except RemoteProtocolError:
            assert isinstance(step, bytes)
            assert client.state is State.FAILED
    assert b"hunter2" not in repr(client).encode()
    if client.outstanding or client.state is not State.CLOSED:
        with pytest.raises(LineLost):
            client.peer_closed()


@settings(deadline=None)
@given(st.lists(WORDS, max_size=30), st.lists(st.integers(0, 200), max_size=8))
def test_where_the_bytes_are_cut_changes_nothing(words: list[bytes], cuts: list[int]) -> None:
    def outcome(cuts: list[int]) -> tuple[object, ...]:
        client = client_in(State.AUTHORIZATION)
        client.login_user("fred", "hunter2", pipelined=True)
        client.list()
        client.retr(1)
        client.dele(1)
        client.uidl()
        client.quit()
        events, has_failed = [], False
        data = b"".join(words)
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        for start, end in itertools.pairwise(edges):
            try:
                events += client.receive(data[start:end])
            except RemoteProtocolError:
                events += client.drain_events()
                has_failed = True
        content = b"".join(event.data for event in events if isinstance(event, MessageData))
        others = [event for event in events if not isinstance(event, MessageData)]
        # Content is held back by up to a few bytes, so a fault in it cannot be compared finely.
        return content if client.state is State.CLOSED else b"", others, has_failed, client.state

    assert outcome(cuts) == outcome([])
