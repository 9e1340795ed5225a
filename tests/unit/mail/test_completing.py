"""Addresses without a domain are completed, and nothing else is touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.completing import complete


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"From: ann\r\n", b"From: ann@p.example\r\n"),
        (
            b"to:Ann  <ann>,\r\n\tbob (Bob)\r\n",
            b"to:Ann  <ann@p.example>,\r\n\tbob@p.example (Bob)\r\n",
        ),
        (b"Cc: friends: a, b@c.d;\r\n", b"Cc: friends: a@p.example, b@c.d;\r\n"),
        (b"To: ann%far\r\n", b"To: ann%far@p.example\r\n"),
        (b"Resent-Reply-To: x\r\n", b"Resent-Reply-To: x@p.example\r\n"),
        (b'To: "Ann Bee" <"a b">\r\n', b'To: "Ann Bee" <"a b"@p.example>\r\n'),
    ],
)
def test_a_bare_name_gets_the_servers_domain(before, after):
    assert complete(before, "p.example") == after


@pytest.mark.parametrize(
    "line",
    [
        b"From: ann@b.example\r\n",
        b"Subject: ann, bob\r\n",
        b"To: far!ann\r\n",
        b"Errors-To: ann\r\n",
        b"To: ann@\r\n",
        b"To: undisclosed-recipients:;\r\n",
        b"To: Ann Bee\r\n",
        b"From: =?utf-8?q?Ann?=\r\n",
        b"\xff: ann\r\n",
    ],
)
def test_everything_else_stays_byte_for_byte(line):
    assert complete(line, "p.example") == line


@given(st.binary(max_size=200))
def test_whatever_it_is_only_the_domain_is_put_in(text):
    header = b"To: " + text
    assert complete(header, "p.example").replace(b"@p.example", b"") == header.replace(
        b"@p.example", b""
    )
