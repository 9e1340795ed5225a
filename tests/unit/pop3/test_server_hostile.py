"""A server against clients that shout, stall, guess or flood."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import LocalProtocolError
from relaynode.pop3.events import Closed, Commit, LoginAttempt, NeedData, NeedDrain, Retrieve
from relaynode.pop3.limits import (
    MAX_COMMAND_BYTES,
    MAX_ERRORS,
    MAX_PENDING_BYTES,
    MAX_REPLIES_BYTES,
    MAX_SASL_LINE_BYTES,
)
from relaynode.pop3.maildrop import Entry
from relaynode.pop3.server import Server
from relaynode.pop3.states import State
from unit.pop3.dialogue import LOG_IN, Mailbox, logged_in

TOO_LONG = b"-ERR line too long\r\n"


def test_a_line_without_end_is_answered_once_and_never_kept() -> None:
    mailbox = logged_in()
    said = b"".join(mailbox.says(b"x" * 1000) for _ in range(1000))
    assert said == TOO_LONG
    assert mailbox.says(b"\r\nNOOP\r\n") == b"+OK nothing done\r\n"


@pytest.mark.parametrize("cut", range(MAX_COMMAND_BYTES - 2, MAX_COMMAND_BYTES + 20))
def test_the_rest_of_a_line_that_is_too_long_is_no_command(cut: int) -> None:
    mailbox = logged_in()
    line = b"NOOP " + b"x" * MAX_COMMAND_BYTES + b"QUIT\r\nSTAT\r\n"
    said = mailbox.says(line[:cut]) + mailbox.says(line[cut:]) + mailbox.says(b"STAT\r\n")
    assert said == TOO_LONG + b"+OK 0 0\r\n" * 2


def test_the_longest_line_allowed_is_taken() -> None:
    mailbox = Mailbox()
    mailbox.says()
    line = b"USER " + b"u" * (MAX_COMMAND_BYTES - 7) + b"\r\n"
    assert mailbox.says(line) == b"+OK send the password\r\n"
    mailbox = Mailbox()
    mailbox.says()
    assert mailbox.says(b"USER x" + line[5:]) == TOO_LONG


def test_a_sasl_response_that_is_too_long_ends_the_exchange() -> None:
    mailbox = Mailbox()
    mailbox.says()
    mailbox.says(b"AUTH PLAIN\r\n")
    assert mailbox.says(b"A" * (MAX_SASL_LINE_BYTES + 5)) == TOO_LONG
    assert mailbox.server.state is State.AUTHORIZATION
    assert mailbox.says(b"\r\nQUIT\r\n") == b"+OK bye\r\n"


@pytest.mark.parametrize("line", [b"NO\0OP", b"NOOP\0", b"STAT\r", b"\x1b[2J", b"QUIT\x7f"])
def test_control_characters_are_no_command(line: bytes) -> None:
    said = logged_in().says(line + b"\r\n")
    assert said == b"-ERR control characters are not possible in a command\r\n"


def test_an_argument_that_is_not_utf8_is_refused() -> None:
    mailbox = Mailbox()
    mailbox.says()
    assert mailbox.says(b"USER \xff\r\n") == b"-ERR the argument is not UTF-8\r\n"
    mailbox.says(b"USER fred\r\n")
    assert mailbox.says(b"PASS \xff\r\n").startswith(b"-ERR ")


def test_no_answer_repeats_what_the_client_said() -> None:
    mailbox = Mailbox()
    for line in (b"PASS hunter2", b"PASSS hunter2", b"AUTH hunter2", b"STAT hunter2", b"hunter2"):
        assert b"hunter2" not in mailbox.says(line + b"\r\n")


def test_too_many_bad_commands_close_the_line() -> None:
    mailbox = logged_in([b"x"])
    said = mailbox.says(b"DELE 1\r\n" + b"bad\r\n" * (MAX_ERRORS + 5) + b"QUIT\r\n")
    assert said.count(b"-ERR unknown command\r\n") == MAX_ERRORS - 1
    assert said.endswith(b"-ERR too many bad commands\r\n")
    assert mailbox.events == [Closed()]
    assert list(mailbox.messages) == [1]


def test_asking_for_messages_that_are_not_there_is_no_bad_command() -> None:
    mailbox = logged_in()
    said = mailbox.says(b"RETR 1\r\n" * (MAX_ERRORS * 2))
    assert said == b"-ERR there is no message 1\r\n" * (MAX_ERRORS * 2)
    assert not mailbox.is_closed


def test_a_flood_of_commands_behind_a_pending_one_is_stopped() -> None:
    server = logged_in([b"x"]).server
    server.receive(b"RETR 1\r\n")
    assert server.next_event() == Retrieve(1, None)
    while server.wants_data:
        server.receive(b"NOOP\r\n" * 100)
    with pytest.raises(LocalProtocolError):
        server.receive(b"NOOP\r\n")
    server.end_content()
    while server.next_event() == NeedDrain():
        server.data_to_send()
    assert server.wants_data


def test_a_read_of_any_size_is_taken_when_data_is_needed() -> None:
    server = logged_in().server
    assert server.next_event() == NeedData()
    server.receive(b"NOOP\r\n" * MAX_PENDING_BYTES)
    assert server.next_event() == NeedDrain()


def test_listings_that_nobody_reads_do_not_pile_up() -> None:
    server = Server("pop.example.net")
    server.receive(LOG_IN + b"UIDL\r\n" * 50 + b"NOOP\r\n")
    server.next_event()
    server.accept_login([Entry(1, f"{number:070}") for number in range(5000)])
    server.data_to_send()
    said, drains = b"", 0
    while server.next_event() == NeedDrain():
        piece = server.data_to_send()
        assert len(piece) < MAX_REPLIES_BYTES + 128 * 80
        said += piece
        drains += 1
    said += server.data_to_send()
    assert drains > 50
    assert said.count(b"\r\n.\r\n") == 50
    assert said.count(b"\r\n") == 50 * 5002 + 1
    assert said.endswith(b".\r\n+OK nothing done\r\n")


def test_no_drain_is_asked_for_when_nothing_waits() -> None:
    server = logged_in().server
    assert server.next_event() == NeedData()


WORDS = st.sampled_from(
    [
        b"USER fred\r\n",
        b"PASS hunter2\r\n",
        b"PASS wrong\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n",
        b"AGZyZWQAaHVudGVyMg==\r\n",
        b"*\r\n",
        b"CAPA\r\n",
        b"STAT\r\n",
        b"LIST\r\n",
        b"UIDL 1\r\n",
        b"RETR 1\r\n",
        b"RETR 9\r\n",
        b"TOP 2 1\r\n",
        b"DELE 2\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"QUIT\r\n",
        b"\r\n",
        b"x" * 600,
    ]
)
MESSAGES = [b"A: b\r\n\r\n.\r\n", b"A: b\r\n\r\nx\r\ny"]


@settings(deadline=None)
@given(st.lists(st.one_of(WORDS, st.binary(max_size=30)), max_size=60), st.integers(1, 700))
def test_whatever_a_client_says_it_gets_replies_and_never_an_exception(
    words: list[bytes], chunk_bytes: int
) -> None:
    data = b"".join(words)
    whole, cut = Mailbox(MESSAGES), Mailbox(MESSAGES)
    expected = whole.says() + whole.says(data)
    said = cut.says()
    for start in range(0, len(data), chunk_bytes):
        said += cut.says(data[start : start + chunk_bytes])
    assert said == expected
    assert cut.events == whole.events
    assert all(isinstance(event, LoginAttempt | Retrieve | Commit | Closed) for event in cut.events)
    commits = [event for event in whole.events if isinstance(event, Commit)]
    assert len(commits) <= 1
    assert len(whole.messages) == len(MESSAGES) - sum(len(event.deleted) for event in commits)
