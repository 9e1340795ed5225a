"""PLAIN, LOGIN and CRAM-MD5 as a client plays them."""

from __future__ import annotations

import pytest

from relaynode.errors import RemoteProtocolError
from relaynode.sasl import CramMd5, Login, Plain


def test_plain_sends_name_and_password_at_once() -> None:
    # RFC 4616 section 4, without an authorization identity.
    assert Plain("tim", "tanstaaftanstaaf").initial() == b"\0tim\0tanstaaftanstaaf"
    assert Plain("ü", "ß").initial() == b"\0\xc3\xbc\0\xc3\x9f"
    # The same section, with one.
    assert Plain("Kurt", "xipj3plmq", "Ursel").initial() == b"Ursel\0Kurt\0xipj3plmq"


def test_plain_answers_a_server_that_ignored_the_initial_response() -> None:
    plain = Plain("tim", "secret")
    assert plain.respond(b"") == plain.initial()


def test_plain_answers_no_other_challenge() -> None:
    with pytest.raises(RemoteProtocolError):
        Plain("tim", "secret").respond(b"who?")


@pytest.mark.parametrize(
    "words", [(b"Username:", b"Password:"), (b"User Name\0", b"Password\0"), (b"", b"")]
)
def test_login_answers_name_then_password_whatever_is_asked(words: tuple[bytes, bytes]) -> None:
    login = Login("tim", "geheim ä")
    assert login.initial() is None
    assert [login.respond(word) for word in words] == [b"tim", b"geheim \xc3\xa4"]


def test_login_answers_no_third_challenge() -> None:
    login = Login("tim", "secret")
    login.respond(b"Username:")
    login.respond(b"Password:")
    with pytest.raises(RemoteProtocolError):
        login.respond(b"Password:")


def test_cram_md5_gives_the_digest_of_the_rfc() -> None:
    # RFC 2195 section 2
    cram = CramMd5("tim", "tanstaaftanstaaf")
    assert cram.initial() is None
    answer = cram.respond(b"<1896.697170952@postoffice.reston.mci.net>")
    assert answer == b"tim b913a602c7eda7a495b4e6e7334d3890"


def test_cram_md5_signs_nothing_for_a_server_that_gives_no_challenge() -> None:
    with pytest.raises(RemoteProtocolError):
        CramMd5("tim", "secret").respond(b"")


@pytest.mark.parametrize("mechanism", [Plain, Login, CramMd5])
def test_no_mechanism_shows_the_password(mechanism: type) -> None:
    made = mechanism("tim", "secret")
    assert "secret" not in repr(made)
    with pytest.raises(RemoteProtocolError) as caught:
        for challenge in (b"", b"x", b"", b"x", b""):
            made.respond(challenge)
    assert "secret" not in str(caught.value)
