"""The server's STLS and AUTH, step by step."""

import base64

import pytest

from relaynode.errors import LocalProtocolError
from relaynode.pop3.events import AuthResponse, AuthStart, Closed, LoginAttempt, NeedData, StartTls
from relaynode.pop3.server import Server

GUARDED = {"allow_login": False, "offers_tls": True, "mechanisms": ("CRAM-MD5", "PLAIN")}


def server(**more):
    made = Server("mx", **more)
    made.data_to_send()
    return made


def says(made, data):
    """The next event that is not NeedData, if there is one, and what was said by then."""
    made.receive(data)
    event = made.next_event()
    return event, made.data_to_send().decode()


def test_logins_are_offered_when_tls_is_up_and_stls_is_not_any_more():
    made = server(**GUARDED)
    _, said = says(made, b"CAPA\r\n")
    assert "STLS\r\n" in said and "SASL" not in said and "USER" not in said
    assert "[SYS/PERM]" in says(made, b"USER alice\r\n")[1]
    event, said = says(made, b"STLS\r\n")
    assert (event, said) == (StartTls(), "+OK begin TLS\r\n")
    made.tls_started()
    _, said = says(made, b"CAPA\r\n")
    assert "SASL CRAM-MD5 PLAIN\r\n" in said and "USER\r\n" in said and "STLS" not in said
    assert says(made, b"STLS\r\n")[1].startswith("-ERR")
    made.receive(b"USER alice\r\nPASS sesame\r\n")
    assert made.next_event() == LoginAttempt("alice", "sesame")


@pytest.mark.parametrize("behind", [b"USER mallory\r\n", b"\x16\x03\x01", b"\n"])
def test_what_comes_behind_stls_in_the_clear_ends_the_session(behind):
    made = server(**GUARDED)
    event, said = says(made, b"STLS\r\n" + behind)
    assert isinstance(event, Closed)
    assert said.startswith("-ERR bytes in the clear")


def test_a_name_said_in_the_clear_is_forgotten():
    made = server(offers_tls=True)
    made.receive(b"USER alice\r\n")
    assert isinstance(made.next_event(), NeedData)
    assert says(made, b"STLS\r\n")[1].endswith("-ERR STLS is not possible now\r\n")
    assert says(made, b"STLS\r\n")[0] == StartTls()
    made.tls_started()
    assert says(made, b"PASS sesame\r\n")[1].startswith("-ERR")


def test_stls_without_a_certificate_or_with_an_argument_is_refused():
    assert says(server(), b"STLS\r\n")[1].startswith("-ERR TLS is not possible")
    assert says(server(**GUARDED), b"STLS now\r\n")[1].startswith("-ERR")


def test_nothing_goes_on_before_tls_is_up():
    made = server(**GUARDED)
    says(made, b"STLS\r\n")
    with pytest.raises(LocalProtocolError):
        made.next_event()
    with pytest.raises(LocalProtocolError):
        server().tls_started()


def test_a_mechanism_with_challenges_is_carried_to_the_end():
    made = server(mechanisms=("CRAM-MD5", "SCRAM-SHA-256"))
    assert says(made, b"AUTH cram-md5\r\n") == (AuthStart("CRAM-MD5", None), "")
    made.challenge(b"<1@mx>")
    event, said = says(made, base64.b64encode(b"alice 0") + b"\r\n")
    assert said == "+ " + base64.b64encode(b"<1@mx>").decode() + "\r\n"
    assert event == AuthResponse(b"alice 0")
    made.refuse_login("AUTH", "no")
    assert says(made, b"AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,,") + b"\r\n") == (
        AuthStart("SCRAM-SHA-256", b"n,,"),
        "-ERR [AUTH] no\r\n",
    )
    made.accept_login([])
    assert made.data_to_send().startswith(b"+OK maildrop")


@pytest.mark.parametrize(
    "line, said",
    [
        (b"AUTH CRAM-MD5 %%%\r\n", "-ERR the response is not base64"),
        (b"AUTH DIGEST-MD5\r\n", "-ERR AUTH is possible with CRAM-MD5 PLAIN"),
        (b"AUTH\r\n", "-ERR AUTH is possible with CRAM-MD5 PLAIN"),
    ],
)
def test_a_login_that_makes_no_sense_is_refused(line, said):
    event, answer = says(server(mechanisms=("CRAM-MD5", "PLAIN")), line)
    assert isinstance(event, NeedData)
    assert answer.startswith(said)


@pytest.mark.parametrize("response", [b"*", b"no base64", b"QUFB" * 4000])
def test_a_login_given_up_or_broken_leaves_the_session_where_it_was(response):
    made = server(mechanisms=("CRAM-MD5",))
    says(made, b"AUTH CRAM-MD5\r\n")
    made.challenge(b"x")
    made.data_to_send()
    event, said = says(made, response + b"\r\n")
    assert isinstance(event, NeedData) and said.startswith("-ERR")
    assert says(made, b"AUTH CRAM-MD5 =\r\n")[0] == AuthStart("CRAM-MD5", b"")


def test_a_lone_equals_sign_is_an_empty_response():
    assert says(server(mechanisms=("LOGIN",)), b"AUTH LOGIN =\r\n")[0] == AuthStart("LOGIN", b"")
