from __future__ import annotations

import pytest

from relaynode.errors import LocalProtocolError
from relaynode.pop3.client import Client
from relaynode.pop3.states import MOVES, Command, State, granted, may, refused
from unit.pop3.dialogue import LOG_IN, PASSWORD, Mailbox, client_in

TRANSACTION_COMMANDS = {"STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "NOOP", "RSET"}

# Said again from RFC 1939, so that the table is compared with something that is not the table.
LEGAL_FOR_CLIENT = {
    State.GREETING: set(),
    State.AUTHORIZATION: {"CAPA", "STLS", "USER", "USER|", "AUTH", "QUIT"},
    State.PASSWORD: {"QUIT"},  # PASS goes out by itself
    State.SASL: set(),
    State.TLS: {"after TLS"},
    State.TRANSACTION: {"CAPA", "QUIT"} | TRANSACTION_COMMANDS,
    State.UPDATE: set(),
    State.CLOSED: set(),
    State.FAILED: set(),
}

CALLS = {
    "CAPA": Client.capa,
    "STLS": Client.stls,
    "after TLS": Client.after_tls,
    "USER": lambda client: client.login_user("fred", PASSWORD, pipelined=False),
    "USER|": lambda client: client.login_user("fred", PASSWORD, pipelined=True),
    "AUTH": lambda client: client.login_plain("fred", PASSWORD),
    "STAT": Client.stat,
    "LIST": Client.list,
    "UIDL": Client.uidl,
    "RETR": lambda client: client.retr(1),
    "TOP": lambda client: client.top(1, 0),
    "DELE": lambda client: client.dele(1),
    "NOOP": Client.noop,
    "RSET": Client.rset,
    "QUIT": Client.quit,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", State)
def test_a_client_sends_a_command_only_in_a_state_that_allows_it(state: State, call: str) -> None:
    client = client_in(state)
    owed = client.outstanding
    if call in LEGAL_FOR_CLIENT[state]:
        CALLS[call](client)
        assert (client.data_to_send() != b"") == (call != "after TLS")
        return
    with pytest.raises(LocalProtocolError):
        CALLS[call](client)
    assert client.data_to_send() == b""
    assert client.outstanding == owed


LEGAL_FOR_SERVER = {
    State.AUTHORIZATION: {"CAPA", "USER", "AUTH", "QUIT"},
    State.PASSWORD: {"PASS", "QUIT"},
    State.TRANSACTION: {"CAPA", "QUIT"} | TRANSACTION_COMMANDS,
}
LINES = {
    "CAPA": b"CAPA",
    "USER": b"USER fred",
    "PASS": b"PASS hunter2",
    "AUTH": b"AUTH PLAIN",
    "STAT": b"STAT",
    "LIST": b"LIST",
    "UIDL": b"UIDL",
    "RETR": b"RETR 1",
    "TOP": b"TOP 1 0",
    "DELE": b"DELE 1",
    "NOOP": b"NOOP",
    "RSET": b"RSET",
    "QUIT": b"QUIT",
    "STLS": b"STLS",
    "greeting": b"greeting",
    "response": b"response",
    "commit": b"commit",
    "tls-started": b"tls-started",
}


def mailbox_in(state: State) -> Mailbox:
    mailbox = Mailbox([b"Subject: one\r\n\r\ntext\r\n"])
    mailbox.says()
    if state is State.PASSWORD:
        mailbox.says(b"USER fred\r\n")
    if state is State.TRANSACTION:
        mailbox.says(LOG_IN)
    if state is State.CLOSED:
        mailbox.says(b"QUIT\r\n")
    assert mailbox.server.state is state
    return mailbox


@pytest.mark.parametrize("command", LINES)
@pytest.mark.parametrize("state", LEGAL_FOR_SERVER)
def test_a_server_grants_a_command_only_in_a_state_that_allows_it(
    state: State, command: str
) -> None:
    mailbox = mailbox_in(state)
    said = mailbox.says(LINES[command] + b"\r\n")
    if command in LEGAL_FOR_SERVER[state]:
        assert said.startswith((b"+OK", b"+ "))
    else:
        assert said.startswith(b"-ERR ")
        assert said.count(b"\r\n") == 1


@pytest.mark.parametrize("command", LINES)
def test_a_server_says_nothing_once_it_is_closed(command: str) -> None:
    mailbox = mailbox_in(State.CLOSED)
    assert mailbox.says(LINES[command] + b"\r\n") == b""
    assert mailbox.is_closed


def test_every_state_has_a_row() -> None:
    assert set(MOVES) == set(State)


def test_every_state_but_the_last_ones_can_be_left_and_reached() -> None:
    reached = {target for row in MOVES.values() for target in row.values()}
    assert reached | {State.GREETING, State.FAILED} == set(State)
    assert {state for state, row in MOVES.items() if not row} == {State.CLOSED, State.FAILED}


def test_a_command_that_is_not_legal_moves_nothing() -> None:
    for state in State:
        for command in Command:
            if not may(state, command):
                assert granted(state, command) is state


def test_a_refused_login_leads_back_to_authorization() -> None:
    assert refused(State.PASSWORD) is State.AUTHORIZATION
    assert refused(State.SASL) is State.AUTHORIZATION


def test_a_refused_command_leaves_the_transaction_open() -> None:
    assert refused(State.TRANSACTION) is State.TRANSACTION
