"""Which mechanism is played."""

from __future__ import annotations

import pytest

from relaynode.sasl import NAMES, Credentials, choose

ALL = ["LOGIN", "PLAIN", "CRAM-MD5", "GSSAPI"]
EVERY = list(NAMES)
TIM = Credentials("tim", "secret")


def chosen(
    offered: list[str], credentials: Credentials, *, is_private: bool, **more: object
) -> str:
    found = choose(offered, credentials, is_private=is_private, host="h", **more)  # type: ignore[arg-type]
    return "" if found is None else found.name


@pytest.mark.parametrize(
    ("offered", "is_private", "name"),
    [
        (ALL, True, "PLAIN"),
        (ALL, False, "CRAM-MD5"),
        (["LOGIN", "CRAM-MD5"], True, "CRAM-MD5"),
        (["LOGIN", "PLAIN"], False, "PLAIN"),
        (["login"], True, "LOGIN"),
        (["Plain"], False, "PLAIN"),
        (EVERY, True, "PLAIN"),
        (EVERY, False, "SCRAM-SHA-256"),
        (["SCRAM-SHA-1", "DIGEST-MD5", "LOGIN"], True, "SCRAM-SHA-1"),
        (["CRAM-MD5", "DIGEST-MD5", "PLAIN"], False, "DIGEST-MD5"),
        (["GSSAPI", "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "PLAIN-CLIENTTOKEN"], True, ""),
        ([], True, ""),
    ],
)
def test_the_best_mechanism_depends_on_who_can_listen(
    offered: list[str], is_private: bool, name: str
) -> None:
    assert chosen(offered, TIM, is_private=is_private) == name


def test_a_token_goes_over_private_lines_only_and_never_as_a_password() -> None:
    token = Credentials("tim", token="t")
    assert chosen(EVERY, token, is_private=True) == "OAUTHBEARER"
    assert chosen(["XOAUTH2", "PLAIN"], token, is_private=True) == "XOAUTH2"
    assert chosen(["PLAIN", "LOGIN", "SCRAM-SHA-1"], token, is_private=True) == ""
    assert chosen(EVERY, token, is_private=False) == ""


def test_a_certificate_logs_in_where_there_is_nothing_else_or_it_is_named() -> None:
    assert chosen(EVERY, Credentials(has_certificate=True), is_private=True) == "EXTERNAL"
    assert chosen(EVERY, Credentials(has_certificate=True), is_private=False) == ""
    both = Credentials("tim", "secret", has_certificate=True)
    assert chosen(EVERY, both, is_private=True) == "PLAIN"
    named = Credentials("tim", "secret", has_certificate=True, mechanisms=("PLAIN", "EXTERNAL"))
    assert chosen(EVERY, named, is_private=True) == "EXTERNAL"


def test_the_user_can_name_those_that_may_be_used() -> None:
    strict = Credentials("tim", "secret", mechanisms=("SCRAM-SHA-256", "SCRAM-SHA-1"))
    assert chosen(EVERY, strict, is_private=True) == "SCRAM-SHA-256"
    assert chosen(["PLAIN", "LOGIN", "CRAM-MD5"], strict, is_private=True) == ""


def test_what_was_turned_down_is_not_tried_again() -> None:
    assert chosen(EVERY, TIM, is_private=True, without=["PLAIN"]) == "CRAM-MD5"
    assert chosen(["PLAIN"], TIM, is_private=True, without=["plain"]) == ""


def test_guarded_secrets_are_not_shown_to_an_open_line() -> None:
    guarded = Credentials("tim", "secret", is_guarded=True)
    assert chosen(["PLAIN", "LOGIN"], guarded, is_private=False) == ""
    assert chosen(["PLAIN", "CRAM-MD5"], guarded, is_private=False) == "CRAM-MD5"
    assert chosen(["PLAIN"], guarded, is_private=True) == "PLAIN"


def test_what_is_chosen_has_the_name_and_the_password() -> None:
    mechanism = choose(["PLAIN"], TIM, is_private=True)
    assert mechanism is not None
    assert mechanism.initial() == b"\0tim\0secret"


def test_credentials_show_no_secret() -> None:
    assert "secret" not in repr(Credentials("tim", "secret", token="secret"))
