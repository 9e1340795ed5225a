"""What a server session offers and bears by its terms: DSN, LIMITS, VRFY, ETRN, XCLIENT, idling."""

from __future__ import annotations

import pytest

from relaynode.mail.status import Status, ok
from relaynode.smtp.events import Closed, Hello, Introduced, Mail, Rcpt, SendNow, Verify
from relaynode.smtp.phases import Phase
from relaynode.smtp.server import Session
from relaynode.smtp.terms import MAX_ERRORS, Terms
from relaynode.smtp.xclient import Identity, parse_xclient
from unit.smtp.talk import HELLO, MAIL, RCPT, Desk, desk_in


def desk_with(**terms: bool | int) -> Desk:
    desk = Desk(terms=Terms(**terms))  # type: ignore[arg-type]
    desk.says(HELLO)
    desk.events.clear()
    return desk


# --- DSN and LIMITS


def test_what_a_client_wants_of_dsns_is_told_to_the_driver() -> None:
    desk = desk_in(Phase.READY)
    desk.says(b"MAIL FROM:<a@b> RET=hdrs ENVID=QQ+2B1\r\n")
    desk.says(b"RCPT TO:<c@d> NOTIFY=success,delay ORCPT=rfc822;c+2Bx@d\r\n")
    desk.says(b"RCPT TO:<e@f> NOTIFY=never\r\n")
    assert desk.events == [
        Mail("a@b", None, "", False, ret="HDRS", envid="QQ+2B1"),
        Rcpt("c@d", notify="SUCCESS,DELAY", orcpt="rfc822;c+2Bx@d"),
        Rcpt("e@f", notify="NEVER"),
    ]


def test_limits_are_announced() -> None:
    terms = Terms(max_recipients=7, max_messages=3)
    session = Session("mx.example.net", max_size_bytes=1, terms=terms)
    session.receive(HELLO)
    session.next_event()
    assert b"LIMITS MAILMAX=3 RCPTMAX=7\r\n" in session.data_to_send()


def test_after_so_many_messages_the_next_is_told_to_come_again() -> None:
    desk = desk_with(max_messages=2)
    whole = MAIL + RCPT + b"BDAT 0 LAST\r\n"
    assert b"452" not in desk.says(whole + whole)
    assert desk.says(MAIL).startswith(b"452 4.5.3 ")
    assert desk.says(b"QUIT\r\n").startswith(b"221 ")


# --- VRFY, EXPN, ETRN


def test_vrfy_and_expn_are_asked_of_the_driver_where_they_are_offered() -> None:
    desk = desk_with(verifies=True, expands=True)
    assert desk.says(b"VRFY bob\r\nEXPN staff\r\n") == b"250 2.0.0 Done\r\n" * 2
    assert desk.events == [Verify("bob", False), Verify("staff", True)]
    assert b"EXPN" in desk.says(b"HELP\r\n")


def test_an_answer_may_have_several_lines() -> None:
    session = desk_with(expands=True).session
    session.receive(b"EXPN staff\r\n")
    session.next_event()
    session.reply(ok("<a@b>"), ("<c@d>", "<e@f>"))
    assert session.data_to_send().count(b"\r\n") == 3


def test_etrn_names_a_domain_and_perhaps_all_below_it() -> None:
    desk = desk_with(takes_etrn=True)
    assert b"250-ETRN\r\n" in desk.says(HELLO) or b"250 ETRN\r\n" in desk.says(HELLO)
    desk.events.clear()
    desk.says(b"ETRN Example.NET.\r\nETRN @example.net\r\n")
    assert desk.events == [SendNow("example.net", False), SendNow("example.net", True)]


# --- XCLIENT


def test_xclient_begins_the_session_anew_for_another_client() -> None:
    session = desk_with(takes_xclient=True).session
    session.receive(b"XCLIENT ADDR=203.0.113.9 NAME=[UNAVAILABLE]\r\n")
    assert session.next_event() == Introduced(Identity(address="203.0.113.9", name=""))
    session.introduce(Status(550, "5.7.1", "Access denied"))
    assert session.data_to_send().startswith(b"220 ")
    assert (session.phase, session.hello_name) == (Phase.START, "")
    session.receive(b"MAIL FROM:<a@b>\r\n")
    session.next_event()
    assert session.data_to_send() == b"550 5.7.1 Access denied\r\n"


def test_in_a_transaction_nobody_is_introduced() -> None:
    desk = desk_with(takes_xclient=True)
    assert desk.says(MAIL + b"XCLIENT ADDR=203.0.113.9\r\n").endswith(
        b"503 5.5.1 Mail transaction in progress\r\n"
    )


@pytest.mark.parametrize(
    ("argument", "identity"),
    [
        ("ADDR=192.0.2.1", Identity(address="192.0.2.1")),
        ("addr=IPV6:2001:DB8::1 port=5", Identity(address="2001:db8::1")),
        ("ADDR=[UNAVAILABLE]", Identity(address="")),
        ("NAME=a.example", Identity(name="a.example")),
        ("NAME=[TEMPUNAVAIL]", Identity(name="", is_name_unknown=True)),
        ("LOGIN=joe+40example.net", Identity(login="joe@example.net")),
        ("LOGIN=[UNAVAILABLE] PROTO=esmtp HELO=x", Identity(login="", helo="x", protocol="ESMTP")),
    ],
)
def test_attributes_are_understood(argument: str, identity: Identity) -> None:
    assert parse_xclient(argument) == identity


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "ADDR",
        "ADDR=",
        "ADDR=x",
        "ADDR=1.2.3.4 ADDR=1.2.3.5",
        "ADDR=fe80::1%eth0",
        "FOO=1",
        "NAME=a=b",
        "NAME=a+0D+0Ab",
        "PROTO=UUCP",
        f"NAME={'x' * 300}",
    ],
)
def test_attributes_that_are_wrong_are_refused(argument: str) -> None:
    desk = desk_with(takes_xclient=True)
    assert desk.says(f"XCLIENT {argument}\r\n".encode()).startswith(b"501 5.5.4 ")
    assert desk.session.phase is Phase.READY


# --- idling


@pytest.mark.parametrize("command", [b"NOOP\r\n", b"RSET\r\n", b"HELP\r\n", b"VRFY x\r\n", HELLO])
def test_commands_that_lead_to_nothing_end_the_session_after_all(command: bytes) -> None:
    desk = desk_with(max_idle_commands=10)
    said = desk.says(command * 100)
    assert said.splitlines()[-1].startswith(b"421 4.7.0 ")
    assert desk.events[-1] == Closed()


def test_a_message_makes_up_for_them() -> None:
    desk = desk_with(max_idle_commands=10)
    whole = MAIL + RCPT + b"BDAT 0 LAST\r\n"
    for _ in range(2 * MAX_ERRORS):
        assert b"421" not in desk.says(b"NOOP\r\n" * 9 + whole)


def test_a_strict_session_lets_a_client_wait_for_each_answer() -> None:
    desk = desk_with(is_strict=True)
    for command in (HELLO, MAIL, RCPT, b"DATA\r\n"):
        assert desk.says(command)[:1] in (b"2", b"3")
    assert desk.says(b"hi\r\n.\r\n").startswith(b"250 ")


@pytest.mark.parametrize(("knows_again", "code"), [(True, b"250 "), (False, b"554 ")])
def test_our_own_kind_may_begin_its_mail_behind_ehlo(knows_again: bool, code: bytes) -> None:
    terms = Terms(is_strict=True)
    session = Session("mx.example.net", max_size_bytes=9, terms=terms, knows_again=knows_again)
    session.receive(b"EHLO pc.lan\r\nMAIL FROM:<a@b.example>\r\n")
    event = session.next_event()
    said = session.data_to_send().splitlines()
    assert said[-1].startswith(code)
    assert isinstance(event, Hello) is knows_again
    if knows_again:
        assert isinstance(session.next_event(), Mail)
