"""Received lines and dates."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.trace import (
    count_received,
    own_origin,
    poll_origin,
    received,
    rfc5322_date,
    smtp_origin,
    user_origin,
)

NOW = 1795279045.9  # Sat, 21 Nov 2026 16:37:25 UTC


def line(origin: str, *, protocol: str = "", recipient: str = "") -> str:
    return received(
        origin,
        by="gate.example.org",
        program="relaynode 1.0",
        queue_id="6ALGbPYc019600",
        now=NOW,
        protocol=protocol,
        recipient=recipient,
    ).decode("ascii")


def test_mail_from_an_smtp_client_shows_its_greeting_name_and_address() -> None:
    origin = smtp_origin("pc10", "pc10.lan.example.org", "192.0.2.10")
    assert line(origin, protocol="ESMTP", recipient="bob@example.org") == (
        "Received: from pc10 (pc10.lan.example.org [192.0.2.10])\r\n"
        "\tby gate.example.org (relaynode 1.0) with ESMTP id 6ALGbPYc019600\r\n"
        "\tfor <bob@example.org>; Sat, 21 Nov 2026 16:37:25 +0000\r\n"
    )


def test_several_recipients_are_not_disclosed() -> None:
    origin = smtp_origin("relay.example.net", "relay.example.net", "192.0.2.30")
    assert line(origin, protocol="ESMTPS") == (
        "Received: from relay.example.net (relay.example.net [192.0.2.30])\r\n"
        "\tby gate.example.org (relaynode 1.0) with ESMTPS id 6ALGbPYc019600;\r\n"
        "\tSat, 21 Nov 2026 16:37:25 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (smtp_origin("noptr", "", "192.0.2.15"), "from noptr ([192.0.2.15])"),
        (
            smtp_origin("f.example", "f.example", "192.0.2.14", may_be_forged=True),
            "from f.example (f.example [192.0.2.14] (may be forged))",
        ),
        (smtp_origin("[192.0.2.1]", "", "[192.0.2.1]"), "from [192.0.2.1] ([192.0.2.1])"),
        (smtp_origin("x", "", "2001:db8::1"), "from x ([IPv6:2001:db8::1])"),
        (smtp_origin("x", "", "IPv6:2001:db8::1"), "from x ([IPv6:2001:db8::1])"),
        (smtp_origin("", "", "192.0.2.1"), "from unknown ([192.0.2.1])"),
        (user_origin("alice"), "(from alice@localhost)"),
        (user_origin("alice", "horus"), "from horus (alice@localhost)"),
        (user_origin("alice", "a\r\nb (c"), "from a??b??c (alice@localhost)"),
        (
            poll_origin("pop.example.net", "198.51.100.7"),
            "from pop.example.net [198.51.100.7]",
        ),
        (poll_origin("pop.example.net"), "from pop.example.net"),
        (own_origin(), "from localhost (localhost)"),
    ],
)
def test_each_source_has_its_form(origin: str, text: str) -> None:
    assert origin == text


def test_a_submission_names_its_recipient_without_brackets() -> None:
    assert line(user_origin("root"), recipient="bob") == (
        "Received: (from root@localhost)\r\n"
        "\tby gate.example.org (relaynode 1.0) id 6ALGbPYc019600\r\n"
        "\tfor bob; Sat, 21 Nov 2026 16:37:25 +0000\r\n"
    )


def test_a_protocol_of_the_command_line_is_cleaned_and_brackets_stay_with_rcpt() -> None:
    text = received(
        user_origin("root", "horus"),
        by="gate.example.org",
        program="relaynode 1.0",
        queue_id="Q",
        now=NOW,
        protocol="UU\r\nCP",
        recipient="bob",
        is_submission=True,
    ).decode()
    assert text.startswith("Received: from horus (root@localhost)\r\n\tby gate.example.org ")
    assert " with UU??CP id Q\r\n\tfor bob; " in text


def test_a_poll_says_pop3_and_for_whom() -> None:
    text = line(poll_origin("pop.example.net", "198.51.100.7"), protocol="POP3", recipient="alice")
    assert "by gate.example.org (relaynode 1.0) with POP3 id 6ALGbPYc019600" in text
    assert "\r\n\tfor <alice>; " in text


@pytest.mark.parametrize(
    ("helo", "shown"),
    [
        ("a\r\nX-Evil: 1", "a??X-Evil:?1"),
        ("a (b [192.0.2.1])", "a??b?[192.0.2.1]?"),
        ("a\0b\x7f", "a?b?"),
        ("café", "caf?"),
        ("x;y<z>\\,\"'", "x?y?z????'"),
    ],
)
def test_words_of_strangers_are_cleaned(helo: str, shown: str) -> None:
    assert smtp_origin(helo, helo, "192.0.2.1") == f"from {shown} ({shown} [192.0.2.1])"


@pytest.mark.parametrize("recipient", ['"a b"@x', "a(b@x", "é@x", "a\r\nb@x", "x" * 300])
def test_a_recipient_unfit_for_a_comment_is_left_out(recipient: str) -> None:
    assert "for" not in line(own_origin(), protocol="ESMTP", recipient=recipient)


@given(st.text(), st.text(), st.text(), st.text())
def test_nothing_a_stranger_says_can_break_the_field(
    helo: str, name: str, address: str, recipient: str
) -> None:
    text = line(smtp_origin(helo, name, address), protocol="ESMTP", recipient=recipient)
    lines = text.split("\r\n")
    assert len(lines) == 4
    assert lines[0].startswith("Received: from ")
    assert re.fullmatch(r"Received: from [!-'*-~]+ \([^()]+\)", lines[0])
    assert all(re.fullmatch(r"\t[ -~]+", tail) for tail in lines[1:3])
    assert all(len(each) <= 998 for each in lines)


@pytest.mark.parametrize(
    ("now", "offset", "text"),
    [
        (0, 0, "Thu, 1 Jan 1970 00:00:00 +0000"),
        (1795279045.9, 0, "Sat, 21 Nov 2026 16:37:25 +0000"),
        (1795279045, 60, "Sat, 21 Nov 2026 17:37:25 +0100"),
        (1795279045, -210, "Sat, 21 Nov 2026 13:07:25 -0330"),
        (1795279045, 13 * 60, "Sun, 22 Nov 2026 05:37:25 +1300"),
        (951782400, 0, "Tue, 29 Feb 2000 00:00:00 +0000"),
    ],
)
def test_a_date_is_written_in_the_zone_that_is_given(now: float, offset: int, text: str) -> None:
    assert rfc5322_date(now, offset) == text


def test_hops_are_counted_in_the_header_only() -> None:
    header = b"Received: a\r\n\tb\r\nRECEIVED: c\r\nX-Received: d\r\n\r\nReceived: e\r\n"
    assert count_received(header) == 2
