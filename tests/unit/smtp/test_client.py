"""The client's side against scripted servers: exact bytes out, exact events in."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError, ServerNotProven
from relaynode.mail.envelope import Recipient
from relaynode.mail.status import Status
from relaynode.sasl import CramMd5, External, Login, Mechanism, Plain, Scram, XOAuth2
from relaynode.smtp.client import Client
from relaynode.smtp.client_events import (
    Bye,
    ContentWanted,
    Event,
    Finished,
    Greeted,
    Mode,
    Ready,
    Refused,
    ServerClosing,
    State,
    TlsAccepted,
)
from relaynode.smtp.transaction import Transaction
from unit.smtp.talk import KEYWORDS, ehlo_reply, pieces, ready_client

CONTENT = b"Subject: x\r\n\r\n.\r\nhello\r\n"
STUFFED = b"Subject: x\r\n\r\n..\r\nhello\r\n.\r\n"
ALL_MODES = pytest.mark.parametrize("mode", Mode, ids=lambda mode: mode.name)


def message(*addresses: str, tag: object = None, content: bytes = CONTENT) -> Transaction:
    recipients = [Recipient(address) for address in addresses or ("bob@example.net",)]
    return Transaction(tag, "alice@example.org", recipients, len(content))


def client_in(mode: Mode, *keywords: str) -> Client:
    client = ready_client(*KEYWORDS[mode], *keywords)
    assert client.mode is mode
    return client


def send(client: Client, content: bytes = CONTENT) -> None:
    client.send_content(content)
    client.end_content()


def codes(transaction: Transaction) -> list[int | None]:
    return [status and status.code for status in transaction.statuses]


# --- greeting, EHLO, HELO


def test_the_session_opens_with_ehlo_after_the_greeting() -> None:
    client = Client("pc.lan")
    assert (client.data_to_send(), client.state) == (b"", State.GREETING)
    assert client.receive(b"220-mx.example.net\r\n220 ESMTP\r\n") == [Greeted()]
    client.hello()
    assert client.data_to_send() == b"EHLO pc.lan\r\n"
    assert client.data_to_send() == b""
    reply = ehlo_reply("pipelining", "Size 1000", "AUTH LOGIN", "AUTH=PLAIN", "8BITMIME", "X-Y z")
    assert client.receive(reply) == [Ready()]
    assert client.extensions == {
        "PIPELINING": "",
        "SIZE": "1000",
        "AUTH": "LOGIN PLAIN",
        "8BITMIME": "",
        "X-Y": "z",
    }
    assert client.mechanisms == ["LOGIN", "PLAIN"]
    assert (client.max_size_bytes, client.mode, client.can_begin) == (1000, Mode.PIPELINED, True)


@pytest.mark.parametrize(
    ("argument", "size"),
    [("", None), ("0", None), ("x", None), ("²", None), ("-1", None), ("7", 7)],
)
def test_a_size_that_is_none_is_no_limit(argument: str, size: int | None) -> None:
    assert ready_client(f"SIZE {argument}").max_size_bytes == size


@pytest.mark.parametrize("code", [500, 501, 502, 504, 550])
def test_a_server_that_does_not_know_ehlo_gets_helo(code: int) -> None:
    client = Client("pc.lan")
    client.receive(b"220 hi\r\n")
    client.hello()
    client.data_to_send()
    assert client.receive(f"{code} what?\r\n".encode()) == []
    assert client.data_to_send() == b"HELO pc.lan\r\n"
    assert client.receive(b"250-mx\r\n250 PIPELINING\r\n") == [Ready()]
    assert (client.extensions, client.mode) == ({}, Mode.LOCKSTEP)


@pytest.mark.parametrize("greeting", [b"554 5.7.1 go away\r\n", b"450 later\r\n"])
def test_a_greeting_can_be_a_refusal(greeting: bytes) -> None:
    client = Client("pc.lan")
    events = client.receive(greeting)
    assert [event.what for event in events if isinstance(event, Refused)] == ["greeting"]
    assert client.state is State.CLOSED


@pytest.mark.parametrize("replies", [b"450 later\r\n", b"554 no\r\n", b"502 what?\r\n502 no\r\n"])
def test_ehlo_and_helo_can_be_refused(replies: bytes) -> None:
    client = Client("pc.lan")
    client.receive(b"220 hi\r\n")
    client.hello()
    assert [type(event) for event in client.receive(replies)] == [Refused]
    assert client.state is State.CLOSED


@pytest.mark.parametrize(
    "reply", [b"250-PC.lan Hello\r\n250 SIZE\r\n", b"502 what?\r\n250 pc.lan.\r\n"]
)
def test_a_server_with_our_own_name_is_ourselves_and_gets_nothing(reply: bytes) -> None:
    client = Client("pc.lan")
    client.receive(b"220 hi\r\n")
    client.hello()
    (refused,) = client.receive(reply)
    assert isinstance(refused, Refused)
    assert str(refused.status) == "451 4.3.5 config error: mail loops back to me (MX problem?)"
    assert client.state is State.CLOSED


def test_two_hosts_without_a_name_may_talk() -> None:
    client = Client("localhost")
    client.receive(b"220 hi\r\n")
    client.hello()
    assert client.receive(b"250 localhost\r\n") == [Ready()]


def test_replies_may_come_in_any_pieces() -> None:
    greeting, reply = b"220-mx\r\n220 hi\r\n", ehlo_reply("PIPELINING", "CHUNKING")
    for cut in range(len(reply)):
        client = Client("pc.lan")
        events = [event for piece in pieces(greeting, [cut]) for event in client.receive(piece)]
        client.hello()
        events += [event for piece in pieces(reply, [cut]) for event in client.receive(piece)]
        assert events == [Greeted(), Ready()]
        assert client.mode is Mode.CHUNKED


def test_a_reply_to_ehlo_before_it_was_said_is_a_violation() -> None:
    client = Client("pc.lan")
    assert client.receive(b"220 hi\r\n" + ehlo_reply()) == [Greeted()]
    with pytest.raises(RemoteProtocolError, match="nobody asked"):
        client.check()


# --- STARTTLS


def test_starttls_forgets_what_was_learned_in_the_clear() -> None:
    client = ready_client("STARTTLS", "PIPELINING", "AUTH PLAIN")
    client.starttls()
    assert client.data_to_send() == b"STARTTLS\r\n"
    assert client.receive(b"220 go\r\n") == [TlsAccepted()]
    assert (client.extensions, client.can_begin) == ({}, False)
    client.after_tls()
    client.hello()
    assert client.data_to_send() == b"EHLO pc.lan\r\n"
    assert client.receive(ehlo_reply("CHUNKING", "PIPELINING")) == [Ready()]
    assert client.mode is Mode.CHUNKED


def test_starttls_can_be_refused() -> None:
    client = ready_client("STARTTLS")
    client.starttls()
    refused = Refused("STARTTLS", Status(454, "4.7.0", "not now"))
    assert client.receive(b"454 4.7.0 not now\r\n") == [refused]
    assert client.state is State.READY


INJECTED = b"250-mx\r\n250 AUTH PLAIN\r\n"


@pytest.mark.parametrize("cut", range(len(b"220 go\r\n" + INJECTED) + 1))
def test_what_is_injected_behind_starttls_is_never_believed(cut: int) -> None:
    client = ready_client("STARTTLS")
    client.starttls()
    data = b"220 go\r\n" + INJECTED
    with pytest.raises(RemoteProtocolError, match="injected"):
        for piece in pieces(data, [cut]):
            client.receive(piece)
    assert client.extensions == {}


@pytest.mark.parametrize("length", range(1, len(INJECTED) - 2))
def test_even_a_part_of_a_reply_before_tls_is_an_injection(length: int) -> None:
    client = ready_client("STARTTLS")
    client.starttls()
    with pytest.raises(RemoteProtocolError, match="injected"):
        client.receive(b"220 go\r\n" + INJECTED[:length])
        client.after_tls()


# --- AUTH


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


def test_auth_plain_goes_in_one_line() -> None:
    client = ready_client("AUTH PLAIN")
    client.authenticate(Plain("tim", "secret"))
    assert client.data_to_send() == b"AUTH PLAIN " + b64(b"\0tim\0secret") + b"\r\n"
    assert client.state is State.AUTH
    assert client.receive(b"235 2.7.0 welcome\r\n") == [Ready()]
    assert client.can_begin


def test_auth_plain_answers_an_empty_challenge() -> None:
    client = ready_client("AUTH PLAIN")
    client.authenticate(Plain("tim", "secret"))
    client.data_to_send()
    assert client.receive(b"334 \r\n") == []
    assert client.data_to_send() == b64(b"\0tim\0secret") + b"\r\n"
    assert client.receive(b"235 welcome\r\n") == [Ready()]


def test_auth_login_answers_two_challenges() -> None:
    client = ready_client("AUTH LOGIN")
    client.authenticate(Login("tim", "secret"))
    sent = [client.data_to_send()]
    for challenge in (b"Username:", b"Password:"):
        assert client.receive(b"334 " + b64(challenge) + b"\r\n") == []
        sent.append(client.data_to_send())
    assert sent == [b"AUTH LOGIN\r\n", b64(b"tim") + b"\r\n", b64(b"secret") + b"\r\n"]
    assert client.receive(b"235 welcome\r\n") == [Ready()]


def test_auth_cram_md5_answers_one_challenge() -> None:
    client = ready_client("AUTH CRAM-MD5")
    client.authenticate(CramMd5("tim", "tanstaaftanstaaf"))
    assert client.data_to_send() == b"AUTH CRAM-MD5\r\n"
    client.receive(b"334 " + b64(b"<1896.697170952@postoffice.reston.mci.net>") + b"\r\n")
    answer = b64(b"tim b913a602c7eda7a495b4e6e7334d3890")
    assert client.data_to_send() == answer + b"\r\n"


def test_an_empty_initial_response_is_written_as_a_sign() -> None:
    client = ready_client("AUTH EXTERNAL")
    client.authenticate(External())
    assert client.data_to_send() == b"AUTH EXTERNAL =\r\n"  # RFC 4954 section 4
    client.receive(b"334\r\n")
    assert client.data_to_send() == b"\r\n"


@pytest.mark.parametrize("mechanism", [Plain, Login, CramMd5])
def test_a_refused_login_leaves_the_session_ready(mechanism: type[Plain]) -> None:
    client = ready_client("AUTH PLAIN LOGIN CRAM-MD5")
    client.authenticate(mechanism("tim", "wrong"))
    refused = Refused("AUTH", Status(535, "5.7.8", "no"))
    assert client.receive(b"535 5.7.8 no\r\n") == [refused]
    assert client.state is State.READY


@pytest.mark.parametrize(
    "reply",
    [
        b"334 ?\r\n",
        b"334 YQ\r\n",
        b"334 \xc3\xa4\r\n",
        b"334 \xff\r\n",
    ],
)
@pytest.mark.parametrize("mechanism", [Login("tim", "x"), CramMd5("tim", "x"), Plain("tim", "x")])
def test_a_login_that_cannot_go_on_is_called_off_and_then_a_violation(
    mechanism: Mechanism, reply: bytes
) -> None:
    client = ready_client("AUTH LOGIN")
    client.authenticate(mechanism)
    client.data_to_send()
    assert client.receive(reply) == []
    assert client.data_to_send() == b"*\r\n"  # RFC 4954 section 4
    with pytest.raises(RemoteProtocolError, match="base64"):
        client.receive(b"501 5.7.0 cancelled\r\n")
    assert client.state is State.CLOSED


@pytest.mark.parametrize("reply", [b"354 go\r\n", b"399 x\r\n"])
def test_what_is_no_reply_to_auth_is_a_violation(reply: bytes) -> None:
    client = ready_client("AUTH LOGIN")
    client.authenticate(Login("tim", "x"))
    client.data_to_send()
    with pytest.raises(RemoteProtocolError):
        client.receive(reply)
    assert client.data_to_send() == b""


@pytest.mark.parametrize("reply", [b"501 cancelled\r\n", b"235 welcome\r\n", b"334 \r\n"])
def test_a_challenge_more_than_the_mechanism_has_is_a_violation(reply: bytes) -> None:
    client = ready_client("AUTH LOGIN")
    client.authenticate(Login("tim", "x"))
    client.receive(b"334 \r\n334 \r\n")
    client.data_to_send()
    client.receive(b"334 \r\n")
    assert client.data_to_send() == b"*\r\n"
    with pytest.raises(RemoteProtocolError, match="third challenge"):
        client.receive(reply)


def test_a_server_that_has_not_proven_itself_is_not_believed() -> None:
    client = ready_client("AUTH SCRAM-SHA-1")
    client.authenticate(Scram("SHA-1", "tim", "secret"))
    with pytest.raises(ServerNotProven):
        client.receive(b"235 welcome\r\n")
    assert client.state is State.CLOSED


def test_an_initial_response_too_long_for_a_command_waits_to_be_asked_for() -> None:
    client = ready_client("AUTH XOAUTH2")
    mechanism = XOAuth2("tim", "t" * 1000)
    client.authenticate(mechanism)
    assert client.data_to_send() == b"AUTH XOAUTH2\r\n"
    client.receive(b"334 \r\n")
    assert client.data_to_send() == b64(mechanism.initial() or b"") + b"\r\n"


@pytest.mark.parametrize("mechanism", [Plain, Login])
def test_what_a_server_quotes_of_a_login_is_not_repeated(mechanism: type[Plain]) -> None:
    client = ready_client("AUTH PLAIN LOGIN")
    client.authenticate(mechanism("timothy", "sesame"))
    for _ in range(2 if mechanism is Login else 0):
        client.receive(b"334 \r\n")
    said = client.data_to_send().split()[-1]
    (refused,) = client.receive(b"535 5.7.8 no: " + said + b" is SESAME, sesame\r\n")
    assert isinstance(refused, Refused)
    assert refused.status == Status(535, "5.7.8", "no: *** is ***, ***")


def test_an_error_of_oauth_is_answered_before_the_refusal() -> None:
    client = ready_client("AUTH XOAUTH2")
    mechanism = XOAuth2("tim", "t")
    client.authenticate(mechanism)
    client.data_to_send()
    client.receive(b"334 " + b64(b'{"status":"invalid_token"}') + b"\r\n")
    assert client.data_to_send() == b"\r\n"
    refused = Refused("AUTH", Status(535, "5.7.8", "no"))
    assert client.receive(b"535 5.7.8 no\r\n") == [refused]
    assert mechanism.told == "invalid_token"


# --- the three modes: exactly these bytes


def test_chunked_sends_whole_messages_without_waiting() -> None:
    client = client_in(Mode.CHUNKED)
    one, two = message(tag=1), message("carol@example.net", "dave@example.net", tag=2)
    for transaction in (one, two):
        assert client.can_begin
        client.begin(transaction)
        assert client.wants_content
        assert not client.can_begin
        send(client)
    assert client.data_to_send() == (
        b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\n"
        b"BDAT 24 LAST\r\n" + CONTENT + b"RSET\r\n"
        b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<carol@example.net>\r\n"
        b"RCPT TO:<dave@example.net>\r\nBDAT 24 LAST\r\n" + CONTENT
    )
    client.quit()
    assert client.data_to_send() == b"QUIT\r\n"
    assert client.unfinished == (one, two)
    replies = b"250 s\r\n250 r\r\n250 one\r\n250 reset\r\n250 s\r\n550 r\r\n250 r\r\n251 two\r\n"
    assert client.receive(replies) == [Finished(one), Finished(two)]
    assert client.unfinished == ()
    assert (codes(one), codes(two)) == ([250], [550, 251])
    assert client.receive(b"221 bye\r\n") == [Bye()]
    client.peer_closed()


def test_pipelined_sends_content_and_the_next_envelope_in_one_flight() -> None:
    client = client_in(Mode.PIPELINED)
    one, two = message(tag=1), message("carol@example.net", tag=2)
    client.begin(one)
    assert client.data_to_send() == (
        b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
    )
    assert not client.can_begin
    assert client.receive(b"250 s\r\n250 r\r\n354 go\r\n") == [ContentWanted(one)]
    send(client)
    assert client.can_begin
    client.begin(two)
    assert client.data_to_send() == (
        STUFFED + b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<carol@example.net>\r\nDATA\r\n"
    )
    assert client.receive(b"250 one\r\n250 s\r\n250 r\r\n") == [Finished(one)]
    assert client.receive(b"354 go\r\n") == [ContentWanted(two)]
    send(client)
    client.quit()
    assert client.data_to_send() == STUFFED + b"QUIT\r\n"
    assert client.receive(b"250 two\r\n221 bye\r\n") == [Finished(two), Bye()]
    client.peer_closed()


def test_lockstep_waits_for_every_reply() -> None:
    client = client_in(Mode.LOCKSTEP)
    one = message("bob@example.net", "carol@example.net")
    client.begin(one)
    assert client.data_to_send() == b"MAIL FROM:<alice@example.org>\r\n"
    client.receive(b"250 s\r\n")
    assert client.data_to_send() == b"RCPT TO:<bob@example.net>\r\n"
    client.receive(b"550 r\r\n")
    assert client.data_to_send() == b"RCPT TO:<carol@example.net>\r\n"
    client.receive(b"250 r\r\n")
    assert client.data_to_send() == b"DATA\r\n"
    assert client.receive(b"354 go\r\n") == [ContentWanted(one)]
    send(client)
    assert client.data_to_send() == STUFFED
    assert not client.can_begin
    client.quit()
    assert client.data_to_send() == b""  # QUIT waits too
    assert client.receive(b"250 done\r\n") == [Finished(one)]
    assert client.data_to_send() == b"QUIT\r\n"
    assert codes(one) == [550, 250]


@pytest.mark.parametrize("keywords", [("CHUNKING",), ("SIZE", "8BITMIME")])
def test_without_pipelining_nothing_is_pipelined(keywords: tuple[str, ...]) -> None:
    assert ready_client(*keywords).mode is Mode.LOCKSTEP


def test_content_without_a_final_line_end_is_exact_in_a_chunk_and_ended_in_data() -> None:
    for mode, wire in ((Mode.CHUNKED, b".x"), (Mode.PIPELINED, b"..x\r\n.\r\n")):
        client = client_in(mode)
        client.begin(message(content=b".x"))
        if mode is Mode.PIPELINED:
            client.receive(b"250 s\r\n250 r\r\n354 go\r\n")
        client.data_to_send()
        for byte in (b".", b"x"):
            client.send_content(byte)
        client.end_content()
        assert client.data_to_send().endswith(wire)


# --- what MAIL and RCPT carry


def full(**changes: object) -> Transaction:
    values: dict[str, object] = {
        "is_8bit": True,
        "smtputf8": True,
        "ret": "HDRS",
        "envid": "id+2B",
        **changes,
    }
    recipient = Recipient("bob@example.net", "FAILURE,DELAY", "rfc822;bob@example.net")
    return Transaction(None, "alice@example.org", [recipient], 7, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keywords", "mail", "rcpt"),
    [
        ((), "", ""),
        (("SIZE",), " SIZE=7", ""),
        (("8BITMIME",), " BODY=8BITMIME", ""),
        (("SMTPUTF8",), " SMTPUTF8", ""),
        (("DSN",), " RET=HDRS ENVID=id+2B", " NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@example.net"),
        (
            ("DSN", "SMTPUTF8", "8BITMIME", "SIZE 100"),
            " SIZE=7 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B",
            " NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@example.net",
        ),
    ],
)
def test_parameters_are_sent_only_to_a_server_that_offers_them(
    keywords: tuple[str, ...], mail: str, rcpt: str
) -> None:
    client = client_in(Mode.PIPELINED, *keywords)
    client.begin(full())
    lines = client.data_to_send().decode().split("\r\n")
    assert lines[0] == f"MAIL FROM:<alice@example.org>{mail}"
    assert lines[1] == f"RCPT TO:<bob@example.net>{rcpt}"


def test_what_a_message_is_called_in_all_its_tries_is_told_to_who_wants_to_know() -> None:
    for keywords, told in ((("XRELAYNODE-ONCE",), " XONCE=A1.17@h+C3+A4.example"), ((), "")):
        client = client_in(Mode.PIPELINED, *keywords)
        transaction = message()
        transaction.once_id = "A1.17@h\u00e4.example"
        client.begin(transaction)
        line, _, _ = client.data_to_send().decode().partition("\r\n")
        assert line == "MAIL FROM:<alice@example.org>" + told


def test_parameters_that_were_not_given_are_not_sent() -> None:
    client = client_in(Mode.PIPELINED, "8BITMIME", "SMTPUTF8", "DSN")
    client.begin(message())
    assert client.data_to_send() == (
        b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
    )


def test_the_null_path_and_letters_of_any_script_can_be_sent() -> None:
    client = client_in(Mode.PIPELINED, "SMTPUTF8")
    recipients = [Recipient("bøb@exämple.net"), Recipient('"a b>"@c')]
    client.begin(Transaction(None, "", recipients, 7, smtputf8=True))
    assert client.data_to_send().decode().split("\r\n")[:3] == [
        "MAIL FROM:<> SMTPUTF8",
        "RCPT TO:<bøb@exämple.net>",
        'RCPT TO:<"a b>"@c>',
    ]


BAD = ["\r\nRCPT TO:<eve@x>", "\n", "\r", "\0", "\t", "\x1b", "\x7f", "\x85", "\udcff", "\ud800"]


@ALL_MODES
@pytest.mark.parametrize("bad", BAD, ids=ascii)
def test_a_path_with_control_characters_or_surrogates_is_refused(mode: Mode, bad: str) -> None:
    client = client_in(mode, "DSN")
    for transaction in (
        Transaction(None, f"alice{bad}@example.org", [Recipient("bob@example.net")], 7),
        message("carol@example.net", f"bob@example.net{bad}"),
        full(envid=f"x{bad}"),
        full(ret=bad),
        Transaction(None, "", [Recipient("bob@example.net", notify=f"NEVER{bad}")], 7),
        Transaction(None, "", [Recipient("bob@example.net", orcpt=f"rfc822;x{bad}")], 7),
    ):
        with pytest.raises(LocalProtocolError):
            client.begin(transaction)
        assert client.data_to_send() == b""
        assert client.unfinished == ()
    assert client.can_begin


def test_a_parameter_with_a_blank_is_refused() -> None:
    client = client_in(Mode.PIPELINED, "DSN")
    with pytest.raises(LocalProtocolError):
        client.begin(full(envid="a b"))


# --- refusals


def begun(mode: Mode, *addresses: str) -> tuple[Client, Transaction]:
    """A client with a transaction begun; CHUNKED has sent its content as well."""
    client, transaction = client_in(mode), message(*addresses)
    client.begin(transaction)
    if client.wants_content:
        send(client)
    return client, transaction


def rset_goes_first(client: Client) -> bool:
    """Does the next transaction begin with RSET?"""
    client.data_to_send()
    client.begin(message())
    if client.mode is Mode.LOCKSTEP and client.data_to_send() == b"RSET\r\n":
        client.receive(b"250 reset\r\n")
        return client.data_to_send().startswith(b"MAIL ")
    sent = client.data_to_send()
    assert sent.startswith((b"RSET\r\nMAIL ", b"MAIL ")) or client.mode is Mode.LOCKSTEP
    return sent.startswith(b"RSET\r\n")


NOT_REFUSED = {Mode.CHUNKED: b"250 ok\r\n", Mode.PIPELINED: b"354 go\r\n", Mode.LOCKSTEP: b""}


@ALL_MODES
def test_mail_refused_is_the_status_of_all_recipients(mode: Mode) -> None:
    client, transaction = begun(mode, "a@x", "b@x")
    replies = b"" if mode is Mode.LOCKSTEP else b"503 r\r\n503 r\r\n503 d\r\n"
    assert client.receive(b"550 5.7.1 not from you\r\n" + replies) == [Finished(transaction)]
    assert transaction.statuses == [Status(550, "5.7.1", "not from you")] * 2
    assert transaction.mail_reply is not None
    assert transaction.mail_reply.code == 550
    assert transaction.is_finished
    assert not transaction.is_in_doubt
    assert rset_goes_first(client)


@ALL_MODES
def test_one_recipient_refused_is_no_matter_to_the_others(mode: Mode) -> None:
    client, transaction = begun(mode, "a@x", "b@x", "c@x")
    go = b"" if mode is Mode.CHUNKED else b"354 go\r\n"
    events = client.receive(b"250 s\r\n250 r\r\n") + client.receive(b"450 4.2.1 later\r\n")
    events += client.receive(b"250 r\r\n" + go)
    if mode is not Mode.CHUNKED:
        assert events == [ContentWanted(transaction)]
        send(client)
    assert client.receive(b"250 2.0.0 taken\r\n") == [Finished(transaction)]
    taken = Status(250, "2.0.0", "taken")
    assert transaction.statuses == [taken, Status(450, "4.2.1", "later"), taken]
    assert not rset_goes_first(client)


@ALL_MODES
def test_with_all_recipients_refused_no_content_is_wanted(mode: Mode) -> None:
    client, transaction = begun(mode, "a@x", "b@x")
    last = b"" if mode is Mode.LOCKSTEP else b"554 5.5.1 no valid recipients\r\n"
    events = client.receive(b"250 s\r\n550 r\r\n")
    assert not transaction.is_finished
    events += client.receive(b"450 r\r\n" + last)
    assert events == [Finished(transaction)]
    assert codes(transaction) == [550, 450]
    assert not transaction.is_in_doubt
    assert rset_goes_first(client)


def test_a_server_that_wants_content_for_nobody_gets_none() -> None:
    # RFC 2920 section 3.1
    client, transaction = begun(Mode.PIPELINED)
    client.data_to_send()
    assert client.receive(b"250 s\r\n550 r\r\n354 go\r\n") == []
    assert client.data_to_send() == b".\r\n"
    assert client.can_begin
    assert not transaction.is_in_doubt
    assert client.receive(b"250 whatever\r\n") == [Finished(transaction)]
    assert codes(transaction) == [550]


@pytest.mark.parametrize("mode", [Mode.PIPELINED, Mode.LOCKSTEP], ids=lambda mode: mode.name)
@pytest.mark.parametrize("reply", [b"451 4.3.0 not now\r\n", b"554 no\r\n", b"250 what?\r\n"])
def test_data_refused_is_the_status_of_the_recipients_left(mode: Mode, reply: bytes) -> None:
    client, transaction = begun(mode, "a@x", "b@x")
    client.receive(b"250 s\r\n")
    client.receive(b"550 5.1.1 r\r\n")
    client.receive(b"250 r\r\n")
    assert client.receive(reply) == [Finished(transaction)]
    expected = int(reply[:3]) if reply[:1] != b"2" else 554
    assert codes(transaction) == [550, expected]
    assert not transaction.is_in_doubt
    assert rset_goes_first(client)


@ALL_MODES
@pytest.mark.parametrize("code", [250, 451, 552])
def test_the_final_reply_is_the_status_of_the_recipients(mode: Mode, code: int) -> None:
    client, transaction = begun(mode)
    if mode is not Mode.CHUNKED:
        client.receive(b"250 s\r\n")
        client.receive(b"250 r\r\n")
        client.receive(b"354 go\r\n")
        send(client)
    else:
        client.receive(b"250 s\r\n250 r\r\n")
    assert client.receive(b"%d x\r\n" % code) == [Finished(transaction)]
    assert codes(transaction) == [code]
    # RFC 3030 section 2: only RSET makes the state sure again after a BDAT that failed.
    assert rset_goes_first(client) is (mode is Mode.CHUNKED and code != 250)


@ALL_MODES
def test_a_refusal_while_content_is_sent_ends_the_transaction_not_the_content(mode: Mode) -> None:
    client, transaction = client_in(mode), message()
    client.begin(transaction)
    client.receive(b"250 s\r\n")
    client.receive(b"250 r\r\n")
    if mode is not Mode.CHUNKED:
        client.receive(b"354 go\r\n")
    client.send_content(CONTENT[:10])
    client.data_to_send()
    assert client.receive(b"552 5.3.4 too big\r\n") == [Finished(transaction)]
    assert codes(transaction) == [552]
    assert client.wants_content
    assert not client.can_begin  # the server reads content still
    with pytest.raises(LocalProtocolError):
        client.quit()
    client.send_content(CONTENT[10:])
    client.end_content()
    rest = CONTENT[10:] if mode is Mode.CHUNKED else STUFFED[10:]
    assert client.data_to_send() == rest
    assert not transaction.is_in_doubt
    assert client.can_begin
    assert rset_goes_first(client) is (mode is Mode.CHUNKED)


def test_a_refused_chunk_does_not_disturb_the_ones_behind_it() -> None:
    client = client_in(Mode.CHUNKED)
    transactions = [message(tag=tag) for tag in range(3)]
    for transaction in transactions:
        client.begin(transaction)
        send(client)
    events = client.receive(
        b"250 s\r\n250 r\r\n552 no\r\n" + b"250 reset\r\n250 s\r\n250 r\r\n250 ok\r\n"
        b"500 rset?\r\n503 s\r\n503 r\r\n503 b\r\n"
    )
    assert events == [Finished(transaction) for transaction in transactions]
    assert [codes(transaction) for transaction in transactions] == [[552], [250], [503]]
    assert rset_goes_first(client)


# --- 421 and what nobody asked for


def test_421_as_an_answer_closes_whatever_it_answers() -> None:
    def closing_at(client: Client) -> None:
        events = client.receive(b"421 4.3.2 going down\r\n")
        assert events[-1] == ServerClosing(Status(421, "4.3.2", "going down"))
        assert client.state is State.CLOSED
        assert not client.can_begin
        client.data_to_send()
        client.quit()
        assert client.data_to_send() == b""

    closing_at(Client("pc.lan"))
    client = Client("pc.lan")
    client.receive(b"220 hi\r\n")
    client.hello()
    closing_at(client)
    client = ready_client("STARTTLS")
    client.starttls()
    closing_at(client)
    client = ready_client("AUTH PLAIN")
    client.authenticate(Plain("a", "b"))
    closing_at(client)
    closing_at(ready_client())  # unasked


@ALL_MODES
@pytest.mark.parametrize("before", range(4))
def test_421_in_a_transaction_says_what_became_of_it(mode: Mode, before: int) -> None:
    client, transaction = client_in(mode), message("a@x", "b@x")
    client.begin(transaction)
    if mode is Mode.CHUNKED:
        send(client)
    for reply in [b"250 s\r\n", b"250 r\r\n", b"250 r\r\n", b"354 go\r\n"][:before]:
        client.receive(reply)
    client.data_to_send()
    events = client.receive(b"421 4.3.2 bye\r\n")
    assert events[-1] == ServerClosing(Status(421, "4.3.2", "bye"))
    assert client.data_to_send() == b""
    is_final = before == 3 or (before == 0 and mode is Mode.LOCKSTEP)
    assert (Finished(transaction) in events) is is_final
    if before in (0, 3):
        assert codes(transaction) == [421, 421]
        assert not transaction.is_in_doubt
    else:
        assert codes(transaction) == [421 if index == before - 1 else None for index in range(2)]
    assert (transaction in client.unfinished) is not is_final


@pytest.mark.parametrize("reply", [b"250 what?\r\n", b"500 x\r\n", b"354 x\r\n", b"220 x\r\n"])
def test_a_reply_that_nobody_asked_for_is_a_violation(reply: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="nobody asked"):
        ready_client().receive(reply)


@ALL_MODES
@pytest.mark.parametrize("before", range(3))
def test_354_where_no_content_can_follow_is_a_violation(mode: Mode, before: int) -> None:
    client, _ = begun(mode, "a@x", "b@x")
    for reply in [b"250 s\r\n", b"250 r\r\n"][:before]:
        client.receive(reply)
    with pytest.raises(RemoteProtocolError, match="unexpected reply"):
        client.receive(b"354 go\r\n")


@ALL_MODES
def test_what_a_server_promised_before_it_broke_a_rule_still_holds(mode: Mode) -> None:
    client, transaction = begun(mode)
    if mode is Mode.CHUNKED:
        client.receive(b"250 s\r\n250 r\r\n")
    else:
        for reply in (b"250 s\r\n", b"250 r\r\n", b"354 go\r\n"):
            client.receive(reply)
        send(client)
    assert client.receive(b"250 taken\r\n250 unasked\r\n250 more\r\n") == [Finished(transaction)]
    assert codes(transaction) == [250]
    assert not client.can_begin
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="unasked"):
            client.check()
        with pytest.raises(RemoteProtocolError, match="unasked"):
            client.receive(b"")


def test_endless_replies_are_cut_short() -> None:
    for line in (b"250-" + b"x" * 500 + b"\r\n", b"250-\r\n", b"x" * 500):
        client = client_in(Mode.CHUNKED)
        client.begin(message())
        with pytest.raises(RemoteProtocolError):
            for _ in range(100_000):
                client.receive(line)


# --- doubt

REPLIES = {
    Mode.CHUNKED: [b"250 s\r\n", b"250 r\r\n", b"250 r\r\n", b"250 done\r\n"],
    Mode.PIPELINED: [b"250 s\r\n", b"250 r\r\n", b"250 r\r\n", b"354 go\r\n", b"250 done\r\n"],
    Mode.LOCKSTEP: [b"250 s\r\n", b"250 r\r\n", b"250 r\r\n", b"354 go\r\n", b"250 done\r\n"],
}


@ALL_MODES
def test_a_message_is_in_doubt_from_its_last_byte_to_the_last_byte_of_the_final_reply(
    mode: Mode,
) -> None:
    client, transaction = client_in(mode), message("a@x", "b@x")
    client.begin(transaction)

    def send_slowly() -> None:
        for byte in pieces(CONTENT, range(len(CONTENT))):
            assert not transaction.is_in_doubt
            client.send_content(byte)
        assert not transaction.is_in_doubt
        client.end_content()
        assert transaction.is_in_doubt

    if client.wants_content:
        send_slowly()
    for reply in REPLIES[mode]:
        for byte in pieces(reply, range(len(reply))):
            assert transaction.is_in_doubt is transaction.is_content_sent
            client.receive(byte)
        if client.wants_content:
            send_slowly()
    assert transaction.is_finished
    assert not transaction.is_in_doubt
    with pytest.raises(LineLost):
        client.peer_closed()  # for QUIT was not said


@ALL_MODES
@pytest.mark.parametrize("refused", ["MAIL", "RCPT"])
def test_a_message_that_no_recipient_is_left_of_is_never_in_doubt(mode: Mode, refused: str) -> None:
    client, transaction = begun(mode, "a@x")
    mail, rcpt = (b"550 s\r\n", b"503 r\r\n") if refused == "MAIL" else (b"250 s\r\n", b"550 r\r\n")
    client.receive(mail)
    if not (mode is Mode.LOCKSTEP and refused == "MAIL"):
        client.receive(rcpt)
    assert not transaction.is_in_doubt


def test_each_message_in_flight_is_in_doubt_by_itself() -> None:
    client = client_in(Mode.CHUNKED)
    transactions = [message(tag=tag) for tag in range(3)]
    for transaction in transactions:
        client.begin(transaction)
        if transaction is not transactions[-1]:
            send(client)
    client.send_content(CONTENT[:-1])
    assert [one.is_in_doubt for one in transactions] == [True, True, False]
    client.receive(b"250 s\r\n250 r\r\n250 done\r\n250 reset\r\n")
    assert [one.is_in_doubt for one in transactions] == [False, True, False]
    with pytest.raises(LineLost):
        client.peer_closed()
    assert client.unfinished == (transactions[1], transactions[2])


# --- the driver's misuse


def test_nothing_can_be_asked_for_out_of_turn() -> None:
    client = Client("pc.lan")
    for ask in (client.hello, client.starttls, lambda: client.authenticate(Plain("a", "b"))):
        with pytest.raises(LocalProtocolError, match="GREETING"):
            ask()
    with pytest.raises(LocalProtocolError):
        client.begin(message())
    assert client.data_to_send() == b""


@ALL_MODES
def test_a_transaction_begins_only_when_it_can(mode: Mode) -> None:
    client = client_in(mode)
    with pytest.raises(LocalProtocolError, match="without recipients"):
        client.begin(Transaction(None, "a@x", [], 7))
    client.begin(message())
    with pytest.raises(LocalProtocolError, match="no transaction may begin"):
        client.begin(message())
    with pytest.raises(LocalProtocolError):
        client.quit()
    with pytest.raises(LocalProtocolError):
        client.hello()


def test_content_is_exactly_as_long_as_announced() -> None:
    client = client_in(Mode.CHUNKED)
    with pytest.raises(LocalProtocolError, match="no content"):
        client.send_content(b"x")
    with pytest.raises(LocalProtocolError):
        client.end_content()
    client.begin(message(content=b"12345"))
    client.send_content(b"1234")
    with pytest.raises(LocalProtocolError, match="not as long"):
        client.end_content()
    with pytest.raises(LocalProtocolError, match="more content"):
        client.send_content(b"56")


def test_the_server_may_hang_up_only_after_quit() -> None:
    for client in (Client("pc.lan"), ready_client()):
        with pytest.raises(LineLost):
            client.peer_closed()
        assert client.state is State.CLOSED
    client = ready_client()
    client.quit()
    with pytest.raises(LineLost):
        client.peer_closed()
    client = ready_client()
    client.quit()
    client.receive(b"221 bye\r\n")
    client.peer_closed()


# --- anything at all


class Driver:
    """Plays on with whatever events come, and checks what must always hold."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.finished: list[Transaction] = []
        self.begun: list[Transaction] = []

    def hear(self, data: bytes) -> None:
        for event in self.client.receive(data):
            self._take(event)
        self._send()
        self._check()

    def _take(self, event: Event) -> None:
        if isinstance(event, Finished):
            assert event.transaction not in self.finished
            assert None not in event.transaction.statuses
            self.finished.append(event.transaction)
        elif isinstance(event, Greeted) and self.client.state is State.GREETED:
            self.client.hello()
        elif isinstance(event, TlsAccepted):
            self.client.after_tls()
            self.client.hello()

    def _send(self) -> None:
        if self.client.wants_content:
            send(self.client)
        if self.client.can_begin and len(self.begun) < 5:
            self.begun.append(message("a@x", "b@x"))
            self.client.begin(self.begun[-1])
        self.client.data_to_send()

    def _check(self) -> None:
        unfinished = list(self.client.unfinished)
        assert unfinished == [one for one in self.begun if one not in self.finished]
        assert all(one.is_finished for one in self.finished)


LINES = [
    b"220 x\r\n",
    b"221 x\r\n",
    b"235 x\r\n",
    b"250 x\r\n",
    b"250-x\r\n",
    ehlo_reply("PIPELINING"),
    ehlo_reply("PIPELINING", "CHUNKING", "SIZE 5", "AUTH PLAIN"),
    b"334 \r\n",
    b"334 eA==\r\n",
    b"334 \xc3\xa4\r\n",
    b"354 x\r\n",
    b"421 x\r\n",
    b"450 x\r\n",
    b"503 x\r\n",
    b"550 5.1.1 x\r\n",
    b"\r\n",
    b"\xff",
]
NOISE = st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=8)), max_size=25)


def fuzzed(kind: str) -> Client:
    if kind == "greeting":
        return Client("pc.lan")
    if kind == "starttls":
        client = ready_client("STARTTLS")
        client.starttls()
        return client
    if kind in ("PLAIN", "LOGIN", "CRAM-MD5"):
        client = ready_client("AUTH")
        mechanisms: dict[str, Mechanism] = {
            "PLAIN": Plain("a", "b"),
            "LOGIN": Login("a", "b"),
            "CRAM-MD5": CramMd5("a", "b"),
        }
        client.authenticate(mechanisms[kind])
        return client
    return client_in(Mode[kind])


@pytest.mark.parametrize(
    "kind", ["greeting", "starttls", "PLAIN", "LOGIN", "CRAM-MD5", *(mode.name for mode in Mode)]
)
@given(noise=NOISE)
def test_no_bytes_raise_anything_but_a_violation(kind: str, noise: list[bytes]) -> None:
    driver = Driver(fuzzed(kind))
    try:
        driver.hear(b"")
        for piece in noise:
            driver.hear(piece)
    except RemoteProtocolError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize("kind", ["CRAM-MD5", *(mode.name for mode in Mode)])
@given(noise=NOISE, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_where_replies_are_cut_is_no_matter(kind: str, noise: list[bytes], cuts: list[int]) -> None:
    data = b"".join(noise)

    def finished(parts: list[bytes]) -> list[list[int | None]]:
        driver = Driver(fuzzed(kind))
        with suppress(RemoteProtocolError):
            driver.hear(b"")
            for part in parts:
                # One reply at a time, for what is answered to an event may come before the next.
                for line in part.splitlines(keepends=True):
                    driver.hear(line)
        return [codes(one) for one in driver.finished]

    assert finished(pieces(data, cuts)) == finished([data])
