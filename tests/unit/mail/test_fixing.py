"""Fields that submitted mail lacks or must not have."""

from __future__ import annotations

from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.address import addresses
from relaynode.mail.fixing import clean_submission, eat_unix_from, missing_fields, phrase
from relaynode.mail.header import fields, first_value

NOW = 1795278760.0  # Sat, 21 Nov 2026 16:32:40 UTC
DATE = b"Sat, 21 Nov 2026 16:32:40 +0000"
MESSAGE_ID = b"<202611211632.6ALGWenk006018@gate.example.org>"


def added(
    header: bytes, *, sender: str = "root", full_name: str = "", dated: float | None = None
) -> bytes:
    return missing_fields(
        header,
        now=NOW,
        queue_id="6ALGWenk006018",
        hostname="gate.example.org",
        sender=sender,
        full_name=full_name,
        dated=dated,
    )


def names(lines: bytes) -> list[bytes]:
    return [field.name for field in fields(lines)]


def test_a_text_without_header_gets_date_from_and_message_id() -> None:
    assert added(b"", full_name="root") == (
        b"Date: " + DATE + b"\r\nFrom: root <root>\r\nMessage-Id: " + MESSAGE_ID + b"\r\n"
    )


def test_fields_that_are_there_are_not_added() -> None:
    assert added(b"date: x\r\nFROM: y\r\nMessage-ID: z\r\n\r\n") == b""
    assert names(added(b"From: Alice <alice>\r\nTo: bob\r\n")) == [b"Date", b"Message-Id"]


def test_a_field_in_the_body_does_not_count() -> None:
    assert b"Date" in names(added(b"Subject: x\r\n\r\nDate: y\r\n"))


@pytest.mark.parametrize(
    ("sender", "full_name", "value"),
    [
        ("alice", "", b"alice"),
        ("someone@example.com", "", b"someone@example.com"),
        ("alice@gate.example.org", "Alice Example", b"Alice Example <alice@gate.example.org>"),
        ("alice", "Alice B. Example", b'"Alice B. Example" <alice>'),
        ("alice", 'Alice "Al" \\ X', b'"Alice \\"Al\\" \\\\ X" <alice>'),
        ("alice", "A\r\nBcc: bob", b'"A Bcc: bob" <alice>'),
        ("al\r\nice", "", b"alice"),
        ("alice", "André", b"=?utf-8?b?QW5kcsOp?= <alice>"),
        ("alice", "Andr\udce9", b"=?unknown-8bit?b?QW5kcuk=?= <alice>"),
        ("", "Alice", b"Mail Delivery Subsystem <MAILER-DAEMON>"),
    ],
)
def test_from_is_made_of_sender_and_full_name(sender: str, full_name: str, value: bytes) -> None:
    assert first_value(added(b"", sender=sender, full_name=full_name), b"from") == value


def test_a_full_name_field_wins_over_the_full_name_we_know() -> None:
    header = b"Full-Name: Someone Else\r\nSubject: r\r\n\r\n"
    assert first_value(added(header, full_name="root"), b"from") == b"Someone Else <root>"


def test_resent_mail_gets_resent_fields_in_sendmails_order() -> None:
    header = b"Resent-To: bob\r\nTo: carol\r\nSubject: r\r\n\r\n"
    assert names(added(header)) == [
        b"Resent-Date",
        b"Date",
        b"Resent-From",
        b"From",
        b"Resent-Message-Id",
        b"Message-Id",
    ]
    header = (
        b"Resent-To: bob\r\nResent-From: alice\r\nFrom: z@example.com\r\nDate: x\r\n"
        b"Message-Id: <1@x>\r\n\r\n"
    )
    assert names(added(header)) == [b"Resent-Date", b"Resent-Message-Id"]


def test_the_date_of_a_unix_from_line_becomes_the_date() -> None:
    content = b"From someone Mon Jan  1 00:00:00 2001\r\nSubject: f\r\n\r\nFrom here\r\n"
    rest, dated = eat_unix_from(content)
    assert rest == b"Subject: f\r\n\r\nFrom here\r\n"
    lines = added(rest, dated=dated)
    assert first_value(lines, b"date") == b"Mon, 1 Jan 2001 00:00:00 +0000"
    assert first_value(lines, b"message-id") == MESSAGE_ID


@pytest.mark.parametrize(
    ("line", "dated"),
    [
        (b"From a@b Sat Nov 21 16:32:40 2026", 1795278760),
        (b"From a Sat Nov 21 16:32 2026", 1795278720),
        (b"From a Sat Nov 21 16:32:40 GMT 2026", 1795278760),
        (b"From a Sat Nov 21 16:32:40 2026 remote from horus", 1795278760),
        (b"From Jan May Sat Nov 21 16:32:40 2026", 1795278760),
    ],
)
def test_a_unix_from_line_is_eaten_in_its_usual_forms(line: bytes, dated: int) -> None:
    assert eat_unix_from(line + b"\r\nA: b\r\n") == (b"A: b\r\n", dated)


def test_the_time_of_a_unix_from_line_is_local() -> None:
    content = b"From a Sat Nov 21 17:32:40 2026\r\n"
    assert eat_unix_from(content, utc_offset_minutes=60) == (b"", 1795278760)


@pytest.mark.parametrize(
    "content",
    [
        b"From here on it is text\r\n",
        b"From a Sat Feb 31 16:32:40 2026\r\n",
        b"From: a Sat Nov 21 16:32:40 2026\r\n",
        b">From a Sat Nov 21 16:32:40 2026\r\n",
        b"Subject: x\r\nFrom a Sat Nov 21 16:32:40 2026\r\n",
        b"",
    ],
)
def test_what_is_no_unix_from_line_stays(content: bytes) -> None:
    assert eat_unix_from(content) == (content, None)


@pytest.mark.parametrize(
    ("content", "rest"),
    [
        (b"From a b c\r\nSubject: x\r\n\r\nb\r\n", b"Subject: x\r\n\r\nb\r\n"),
        (b"From a Sat Feb 31 16:32:40 2026\r\nTo: x\r\n", b"To: x\r\n"),
        (b"From x\r\n\r\nbody\r\n", b"From x\r\n\r\nbody\r\n"),
        (b"From x\r\nand so on\r\n", b"From x\r\nand so on\r\n"),
    ],
)
def test_a_unix_from_line_without_a_date_is_eaten_where_a_header_follows(
    content: bytes, rest: bytes
) -> None:
    assert eat_unix_from(content) == (rest, None)


def test_empty_fields_that_we_would_add_are_taken_for_missing() -> None:
    header = b"Date: \r\nFrom:\r\n \r\nTo:\r\nMessage-Id:\t\r\nSubject:\r\nResent-From:\r\n\r\n"
    assert clean_submission(header) == b"To:\r\nSubject:\r\n\r\n"
    assert clean_submission(b"From: a\r\nFrom:\r\n\r\n") == b"From: a\r\n\r\n"


def test_a_submission_loses_bcc_return_path_and_full_name() -> None:
    header = (
        b"Return-Path: <evil@x>\r\nBcc: dave,\r\n\terin\r\nTo: bob\r\nFull-Name: S\r\n"
        b"Resent-Bcc: frank\r\nSubject: x\r\n\r\nBcc: body\r\n"
    )
    assert clean_submission(header) == b"To: bob\r\nSubject: x\r\n\r\nBcc: body\r\n"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200))
def test_a_phrase_reads_as_the_name_it_was_made_of(name: str) -> None:
    made = phrase(name)
    assert all(len(line) <= 76 for line in made.split("\r\n ")) or name.isascii()
    assert addresses(f" {made} <a@b>".encode()) == ["a@b"]
    if not name.isascii():
        assert str(make_header(decode_header(made.replace("\r\n", "")))) == name


@given(st.binary(max_size=80), st.text(max_size=20), st.text(max_size=20))
def test_any_header_can_be_completed_and_is_complete_then(
    header: bytes, sender: str, full_name: str
) -> None:
    lines = missing_fields(
        header, now=NOW, queue_id="Q", hostname="h", sender=sender, full_name=full_name
    )
    whole = {field.name.lower() for field in fields(lines + header)}
    assert {b"date", b"from", b"message-id"} <= whole
    assert added(lines + header) == b""
