"""SASL mechanisms as a client plays them."""

from __future__ import annotations

import pytest

from relaynode.errors import RemoteProtocolError
from relaynode.sasl import CramMd5, Login, Plain, choose


def test_plain_sends_name_and_password_at_once() -> None:
    # RFC 4616 section 4, without an authorization identity.
    assert Plain("tim", "tanstaaftanstaaf").initial() == b"\0tim\0tanstaaftanstaaf"
    assert Plain("ü", "ß").initial() == b"\0\xc3\xbc\0\xc3\x9f"


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


ALL = ["LOGIN", "PLAIN", "CRAM-MD5", "GSSAPI"]


@pytest.mark.parametrize(
    ("offered", "is_private", "chosen"),
    [
        (ALL, True, Plain),
        (ALL, False, CramMd5),
        (["LOGIN", "CRAM-MD5"], True, CramMd5),
        (["LOGIN", "PLAIN"], False, Plain),
        (["login"], True, Login),
        (["Plain"], False, Plain),
    ],
)
def test_the_best_mechanism_depends_on_who_can_listen(
    offered: list[str], is_private: bool, chosen: type
) -> None:
    assert type(choose(offered, "tim", "secret", is_private=is_private)) is chosen


@pytest.mark.parametrize("offered", [[], ["GSSAPI", "XOAUTH2", "PLAIN-CLIENTTOKEN"]])
def test_no_mechanism_is_chosen_where_we_know_none(offered: list[str]) -> None:
    assert choose(offered, "tim", "secret", is_private=True) is None


def test_what_is_chosen_has_the_name_and_the_password() -> None:
    mechanism = choose(["PLAIN"], "tim", "secret", is_private=True)
    assert mechanism is not None
    assert mechanism.name == "PLAIN"
    assert mechanism.initial() == b"\0tim\0secret"


@pytest.mark.parametrize("mechanism", [Plain, Login, CramMd5])
def test_no_mechanism_shows_the_password(mechanism: type) -> None:
    made = mechanism("tim", "secret")
    assert "secret" not in repr(made)
    with pytest.raises(RemoteProtocolError) as caught:
        for challenge in (b"", b"x", b"", b"x", b""):
            made.respond(challenge)
    assert "secret" not in str(caught.value)
