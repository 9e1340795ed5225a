"""The client's core speaking LMTP: a final reply for each recipient (RFC 2033)."""

from __future__ import annotations

import pytest

from relaynode.mail.envelope import Recipient
from relaynode.smtp.client import Client
from relaynode.smtp.client_events import ContentWanted, Finished, Mode, Refused, ServerClosing
from relaynode.smtp.transaction import Transaction

CONTENT = b"Subject: a\r\n\r\nbody\r\n"
KEYWORDS = {
    Mode.CHUNKED: b"250-PIPELINING\r\n250 CHUNKING\r\n",
    Mode.PIPELINED: b"250 PIPELINING\r\n",
}
BOTH = pytest.mark.parametrize("mode", list(KEYWORDS), ids=lambda mode: mode.name)
PATHS = ("a@example.net", "b@example.net", "c@example.net")


def ready(mode: Mode) -> Client:
    client = Client("pc.lan", is_lmtp=True)
    client.receive(b"220 mx.example.net LMTP\r\n")
    client.hello()
    assert client.data_to_send() == b"LHLO pc.lan\r\n"
    client.receive(b"250-mx.example.net\r\n" + KEYWORDS[mode])
    assert client.mode is mode
    return client


def begun(client: Client, rcpts: bytes) -> Transaction:
    """A message to three whose content is sent; the server has answered RCPT so."""
    transaction = Transaction(None, "x@example.org", [Recipient(p) for p in PATHS], len(CONTENT))
    client.begin(transaction)
    replies = b"250 s\r\n" + rcpts
    if client.mode is Mode.PIPELINED:
        assert client.receive(replies + b"354 go\r\n") == [ContentWanted(transaction)]
        replies = b""
    client.send_content(CONTENT)
    client.end_content()
    client.receive(replies)
    return transaction


def codes(transaction: Transaction) -> list[int | None]:
    return [status and status.code for status in transaction.statuses]


@BOTH
def test_each_recipient_has_a_reply_of_its_own(mode: Mode) -> None:
    client = ready(mode)
    transaction = begun(client, b"250 a\r\n250 b\r\n250 c\r\n")
    assert client.receive(b"250 a\r\n452 4.2.2 b is full\r\n") == []
    assert codes(transaction) == [250, 452, None]
    assert transaction.is_in_doubt
    assert client.receive(b"550 c\r\n") == [Finished(transaction)]
    assert codes(transaction) == [250, 452, 550]
    assert not transaction.is_in_doubt


@BOTH
def test_who_was_refused_before_has_none(mode: Mode) -> None:
    client = ready(mode)
    transaction = begun(client, b"250 a\r\n550 b\r\n250 c\r\n")
    assert client.receive(b"250 a\r\n250 c\r\n") == [Finished(transaction)]
    assert codes(transaction) == [250, 550, 250]


def test_with_all_refused_one_reply_ends_it() -> None:
    client = ready(Mode.CHUNKED)
    transaction = begun(client, b"550 a\r\n550 b\r\n550 c\r\n")
    assert client.receive(b"503 no recipients\r\n") == [Finished(transaction)]
    assert codes(transaction) == [550, 550, 550]


@BOTH
def test_the_next_message_begins_when_all_have_answered(mode: Mode) -> None:
    client = ready(mode)
    begun(client, b"250 a\r\n250 b\r\n250 c\r\n")
    client.receive(b"250 a\r\n250 b\r\n250 c\r\n")
    assert client.unfinished == ()
    second = begun(client, b"250 a\r\n250 b\r\n250 c\r\n")
    client.receive(b"250 a\r\n250 b\r\n250 c\r\n")
    assert codes(second) == [250, 250, 250]


@BOTH
def test_a_server_that_goes_away_in_between_leaves_the_others_in_doubt(mode: Mode) -> None:
    client = ready(mode)
    transaction = begun(client, b"250 a\r\n250 b\r\n250 c\r\n")
    (event,) = client.receive(b"250 a\r\n421 4.3.2 going down\r\n")
    assert isinstance(event, ServerClosing)
    assert codes(transaction) == [250, 421, None]
    assert transaction.is_in_doubt


def test_a_server_that_knows_no_lhlo_gets_no_helo() -> None:
    client = Client("pc.lan", is_lmtp=True)
    client.receive(b"220 mx.example.net\r\n")
    client.hello()
    client.data_to_send()
    (event,) = client.receive(b"502 what?\r\n")
    assert isinstance(event, Refused)
    assert client.data_to_send() == b""


def test_a_server_on_our_own_machine_may_have_our_name() -> None:
    client = Client("pc.lan", is_lmtp=True)
    client.receive(b"220 pc.lan LMTP\r\n")
    client.hello()
    client.receive(b"250-pc.lan\r\n250 PIPELINING\r\n")
    assert client.can_begin
