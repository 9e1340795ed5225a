"""Masquerading, against recorded answers of Sendmail and by its properties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.policy.rewrite import (
    Masquerade,
    Role,
    envelope_recipient,
    envelope_sender,
    header,
    rewrite,
)

RECORDED = json.loads(Path(__file__).with_name("masquerade_cases.json").read_text(encoding="utf-8"))


def masquerade(settings: dict[str, Any]) -> Masquerade:
    values: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, list) else value
        for name, value in settings.items()
    }
    return Masquerade(**values)


@pytest.mark.parametrize(
    "case", RECORDED["cases"], ids=lambda case: f"{case['id']} {case['config']} {case['input']}"
)
def test_an_address_becomes_what_sendmail_makes_of_it(case: dict[str, Any]) -> None:
    masq = masquerade(RECORDED["configs"][case["config"]])
    for role, result in case["expect"].items():
        rewritten = rewrite(masq, case["input"], Role(role), qualify=case["mailer"] != "local")
        assert rewritten.result == result, (role, rewritten.trail)
        assert rewritten.trail


GATE = Masquerade(
    hostname="gate.example.org",
    as_domain="example.org",
    exposed_users=frozenset({"root"}),
    local_domains=frozenset({"gate.example.org", "alias.example.org", "[192.0.2.1]"}),
)
ALL = Masquerade(
    hostname="gate.example.org", as_domain="example.org", all_headers=True, envelope=True
)
PLAIN = Masquerade(hostname="gate.example.org")


def result(masq: Masquerade, address: str, role: Role = Role.HEADER_SENDER) -> str:
    return rewrite(masq, address, role).result


# ---- one address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("joe", "joe@example.org"),
        ("joe+tag", "joe+tag@example.org"),
        ("joe@", "joe@example.org"),
        ("joe@GATE.Example.Org.", "joe@example.org"),
        ("joe@alias.example.org", "joe@example.org"),
        ("joe@[192.0.2.1]", "joe@example.org"),
        ("joe@localhost", "joe@example.org"),
        ('"joe b"@gate.example.org', '"joe b"@example.org'),
        ("a%b@gate.example.org", "a%b@example.org"),
        ("joe%gate.example.org", "joe@example.org"),
        ("joe%Example.COM", "joe@Example.COM"),
        ("a!b", "a!b@example.org"),
        ("example.com!foo", "foo@example.com"),
        ("foo@nbr.UUCP", "nbr!foo@example.org"),
        ("root", "root@gate.example.org"),
        ("Root@alias.example.org", "Root@alias.example.org"),
        ("root+x", "root+x@example.org"),
        ("joe@sub.gate.example.org", "joe@sub.gate.example.org"),
        ("Joe@Example.COM", "Joe@Example.COM"),
        ("joe@example.com.", "joe@example.com"),
        ("", ""),
        ("<>", "<>"),
    ],
)
def test_a_header_sender_is_masqueraded_if_it_is_ours(address: str, expected: str) -> None:
    assert result(GATE, address) == expected


@pytest.mark.parametrize("masq", [PLAIN, GATE, ALL])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("joe", "joe@gate.example.org"),
        ("joe@localhost", "joe@gate.example.org"),
        ("joe@gate.example.org", "joe@gate.example.org"),
        ("foo@example.com", "foo@example.com"),
    ],
)
def test_an_envelope_recipient_is_qualified_and_never_masqueraded(
    masq: Masquerade, path: str, expected: str
) -> None:
    assert envelope_recipient(masq, path).result == expected


def test_the_settings_widen_masquerading_to_more_roles() -> None:
    assert result(GATE, "joe", Role.HEADER_RECIPIENT) == "joe@gate.example.org"
    assert result(ALL, "joe", Role.HEADER_RECIPIENT) == "joe@example.org"
    assert envelope_sender(GATE, "joe").result == "joe@gate.example.org"
    assert envelope_sender(ALL, "joe").result == "joe@example.org"
    assert envelope_sender(ALL, "").result == ""


def test_without_a_masquerade_names_get_our_own_domain() -> None:
    assert {result(PLAIN, "joe", role) for role in Role} == {"joe@gate.example.org"}


def test_further_domains_are_hidden_exactly_or_with_all_below_them() -> None:
    exact = Masquerade(
        hostname="gate.example.org",
        as_domain="example.org",
        masquerade_domains=frozenset({"lan.example.org"}),
    )
    entire = Masquerade(
        hostname="gate.example.org",
        as_domain="example.org",
        masquerade_domains=frozenset({"lan.example.org"}),
        entire_domain=True,
        exceptions=frozenset({"ext.lan.example.org"}),
        exposed_users=frozenset({"root"}),
    )
    assert result(exact, "u@Lan.example.org") == "u@example.org"
    assert result(exact, "u@pc1.lan.example.org") == "u@pc1.lan.example.org"
    assert result(entire, "u@pc1.lan.example.org") == "u@example.org"
    assert result(entire, "u@flan.example.org") == "u@flan.example.org"
    assert result(entire, "u@ext.lan.example.org") == "u@ext.lan.example.org"
    assert result(entire, "u@a.ext.lan.example.org") == "u@a.ext.lan.example.org"
    assert result(entire, "root@pc1.lan.example.org") == "root@pc1.lan.example.org"


def test_the_trail_tells_the_steps() -> None:
    assert rewrite(GATE, "root@localhost", Role.HEADER_SENDER).trail == (
        "localhost is gate.example.org",
        "root is an exposed user",
    )
    assert rewrite(GATE, "joe", Role.ENVELOPE_SENDER).trail == (
        "envelope-sender addresses are not masqueraded",
        "no domain: qualified with gate.example.org",
    )
    assert rewrite(GATE, "joe", Role.HEADER_SENDER).trail == (
        "no domain is masqueraded as example.org",
    )


# ---- the header

HEADER = (
    b"Received: from joe@gate.example.org\r\n"
    b"Return-Path: <joe@gate.example.org>\r\n"
    b'From: "Joe, at gate.example.org" <joe@gate.example.org> (joe@gate.example.org)\r\n'
    b"sender:joe\r\n"
    b"REPLY-TO: Joe\r\n\t<joe>,\r\n   root\r\n"
    b"To: list: alice@gate.example.org, <bob> ; , Caf\xe9 <z@example.com>\r\n"
    b"Subject: joe@gate.example.org\r\n"
    b"X-From: joe@gate.example.org\r\n"
    b"\r\n"
    b"From: joe@gate.example.org\r\n"
)


def test_only_addresses_in_sender_fields_are_masqueraded() -> None:
    assert header(GATE, HEADER) == (
        b"Received: from joe@gate.example.org\r\n"
        b"Return-Path: <joe@gate.example.org>\r\n"
        b'From: "Joe, at gate.example.org" <joe@example.org> (joe@gate.example.org)\r\n'
        b"sender:joe@example.org\r\n"
        b"REPLY-TO: Joe\r\n\t<joe@example.org>,\r\n   root@gate.example.org\r\n"
        b"To: list: alice@gate.example.org, <bob@gate.example.org> ; ,"
        b" Caf\xe9 <z@example.com>\r\n"
        b"Subject: joe@gate.example.org\r\n"
        b"X-From: joe@gate.example.org\r\n"
        b"\r\n"
        b"From: joe@gate.example.org\r\n"
    )


def test_recipients_are_masqueraded_too_when_all_headers_are() -> None:
    assert b"To: list: alice@example.org, <bob@example.org> ; ," in header(ALL, HEADER)


def test_a_local_mailer_gets_names_as_they_are() -> None:
    text = b"From: joe\r\nTo: Bob <bob>, alice@gate.example.org, a!b\r\n"
    assert header(GATE, text, qualify=False) == text


@pytest.mark.parametrize(
    "name",
    [
        b"From",
        b"Sender",
        b"Reply-To",
        b"Errors-To",
        b"Disposition-Notification-To",
        b"Resent-From",
        b"Resent-Sender",
        b"Resent-Reply-To",
    ],
)
def test_all_fields_that_name_senders_are_known(name: bytes) -> None:
    assert header(GATE, name + b": joe\r\n") == name + b": joe@example.org\r\n"


@pytest.mark.parametrize(
    "name",
    [b"To", b"Cc", b"Bcc", b"Apparently-To", b"Resent-To", b"Resent-Cc", b"Resent-Bcc"],
)
def test_all_fields_that_name_recipients_are_known(name: bytes) -> None:
    assert header(GATE, name + b": joe\r\n") == name + b": joe@gate.example.org\r\n"


def test_undecodable_bytes_in_an_address_survive_its_rewriting() -> None:
    assert header(GATE, b"From: andr\xe9@localhost\r\n") == b"From: andr\xe9@example.org\r\n"


@given(st.binary(max_size=200), st.sampled_from([PLAIN, GATE, ALL]))
def test_any_bytes_pass_through_header_rewriting(data: bytes, masq: Masquerade) -> None:
    header(masq, data)
    header(masq, b"From:" + data)
    header(masq, b"To: a, " + data + b", b\r\n")


@given(st.text(max_size=40), st.sampled_from(list(Role)), st.booleans())
def test_any_text_is_rewritten_without_an_error(text: str, role: Role, qualify: bool) -> None:
    for masq in (PLAIN, GATE, ALL):
        rewrite(masq, text, role, qualify=qualify)


ADDRESS = st.sampled_from(
    ["joe", "root", "joe@gate.example.org", "joe@localhost", "z@example.com", "a!b", "u+t", '"q r"']
)
FOREIGN = st.sampled_from(["z@example.com", '"a, b"@example.net', "u@[192.0.2.9]", "a%b@x.example"])
# What may stand before and behind an address in a list.
FRAME = st.sampled_from(
    [
        (" ", ""),
        ("\r\n\t", " "),
        (" <", ">"),
        (' "Phrase, joe@gate.example.org" <', "> (comment <joe>)"),
        (" (joe (nested)) ", " (joe)"),
        (" list: ", ";"),
        (" =?utf-8?q?a,b?= <@r1,@r2:", ">\r\n "),
        (" Caf\udce9 <", ">"),
        ("  ,, ", ""),
    ]
)
FIELD = st.sampled_from(["From", "REPLY-TO", "To", "cc", "Resent-Bcc"])


def built(name: str, entries: list[tuple[tuple[str, str], str]]) -> bytes:
    body = ",".join(f"{before}{address}{behind}" for (before, behind), address in entries)
    return f"{name}:{body}\r\nSubject: joe\r\n\r\njoe@localhost\r\n".encode(
        "utf-8", "surrogateescape"
    )


@given(FIELD, st.lists(st.tuples(FRAME, ADDRESS), max_size=6), st.sampled_from([PLAIN, GATE, ALL]))
def test_rewriting_changes_addresses_and_no_byte_beside_them(
    name: str, entries: list[tuple[tuple[str, str], str]], masq: Masquerade
) -> None:
    is_sender = name in ("From", "REPLY-TO")
    role = Role.HEADER_SENDER if is_sender else Role.HEADER_RECIPIENT
    expected = [(frame, rewrite(masq, address, role).result) for frame, address in entries]
    assert header(masq, built(name, entries)) == built(name, expected)


@given(FIELD, st.lists(st.tuples(FRAME, FOREIGN), max_size=6), st.sampled_from([PLAIN, GATE, ALL]))
def test_a_header_without_addresses_of_ours_stays_identical(
    name: str, entries: list[tuple[tuple[str, str], str]], masq: Masquerade
) -> None:
    text = built(name, entries)
    assert header(masq, text) == text


@given(ADDRESS, st.sampled_from(list(Role)), st.sampled_from([PLAIN, GATE, ALL]))
def test_rewriting_twice_gives_what_rewriting_once_gives(
    address: str, role: Role, masq: Masquerade
) -> None:
    once = result(masq, address, role)
    assert result(masq, once, role) == once
