"""OAUTHBEARER and XOAUTH2: one message, and an error that is answered and told."""

from __future__ import annotations

import pytest

from relaynode.errors import RemoteProtocolError
from relaynode.sasl import OAuthBearer, XOAuth2

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


def test_oauthbearer_says_what_the_rfc_says() -> None:
    # RFC 7628 section 4.1
    bearer = OAuthBearer("user@example.com", TOKEN, "server.example.com", 143)
    message = (
        b"n,a=user@example.com,\1host=server.example.com\1port=143\1"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"
    )
    assert bearer.initial() == message
    assert bearer.respond(b"") == message
    bearer.succeeded()


def test_xoauth2_says_user_and_token() -> None:
    xoauth2 = XOAuth2("someuser@example.com", "ya29.vF9d")
    assert xoauth2.initial() == b"user=someuser@example.com\1auth=Bearer ya29.vF9d\1\1"


def test_letters_with_a_meaning_are_escaped_in_a_name() -> None:
    assert (OAuthBearer("a,b=c", "t", "h").initial() or b"").startswith(
        b"n,a=a=2Cb=3Dc,\1host=h\1auth"
    )


@pytest.mark.parametrize(
    ("mechanism", "answer"),
    [(OAuthBearer("u", TOKEN, "h"), b"\1"), (XOAuth2("u", TOKEN), b"")],
)
def test_an_error_is_answered_and_told(mechanism: XOAuth2, answer: bytes) -> None:
    assert mechanism.respond(b'{"status":"invalid_token","scope":"example_scope"}') == answer
    assert mechanism.told == "invalid_token"
    with pytest.raises(RemoteProtocolError, match="second error"):
        mechanism.respond(b"{}")


@pytest.mark.parametrize(
    ("challenge", "told"),
    [
        (b"not json", "not json"),
        (b"[1]", "[1]"),
        (b'{"a":1}', '{"a":1}'),
        (b'{"status":401,"error_description":"expired\\r\\n235 ok"}', "401: expired 235 ok"),
        (b"\x00\xff", "\ufffd"),
        (b" ", "no reason"),
        (b"[" * 100_000, "[" * 200),
    ],
)
def test_whatever_a_server_says_is_one_short_line(challenge: bytes, told: str) -> None:
    mechanism = XOAuth2("u", TOKEN)
    mechanism.respond(challenge)
    assert mechanism.told == told


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(XOAuth2("u", TOKEN))
