"""DIGEST-MD5: the exchange of the RFC, the server's proof, and challenges that are none."""

from __future__ import annotations

import pytest

from relaynode.errors import RemoteProtocolError, ServerNotProven
from relaynode.sasl import DigestMd5

# RFC 2831 section 4, first example
CHALLENGE = (
    b'realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",'
    b"algorithm=md5-sess,charset=utf-8"
)
PROOF = b"rspauth=ea40f60335c427b5527b84dbabcdfffd"


def chris(**more: str) -> DigestMd5:
    more = {"service": "imap", "cnonce": "OA6MHXh6VqTrRk", **more}
    return DigestMd5("chris", "secret", "elwood.innosoft.com", **more)


def test_it_gives_the_response_of_the_rfc_and_accepts_its_proof() -> None:
    digest = chris()
    assert digest.initial() is None
    assert digest.respond(CHALLENGE) == (
        b'charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",'
        b'nc=00000001,cnonce="OA6MHXh6VqTrRk",digest-uri="imap/elwood.innosoft.com",'
        b"response=d388dad90d4bbd760a152321f2143af7,qop=auth"
    )
    assert digest.respond(PROOF) == b""
    digest.succeeded()


def test_the_other_example_of_the_rfc_too() -> None:
    # RFC 2831 section 4, second example: ACAP
    digest = DigestMd5(
        "chris", "secret", "elwood.innosoft.com", service="acap", cnonce="OA9BSuZWMSpW8m"
    )
    challenge = CHALLENGE.replace(b"OA6MG9tEQGm2hh", b"OA9BSXrbuRhWay")
    assert b"response=6084c6db3fede7352c551284490fd0fc," in digest.respond(challenge)
    digest.respond(b"rspauth=2f0b3d7c3c2e486600ef710726aa2eae")
    digest.succeeded()


def test_a_wrong_proof_is_an_impostors() -> None:
    digest = chris()
    digest.respond(CHALLENGE)
    with pytest.raises(ServerNotProven, match="impostor"):
        digest.respond(b"rspauth=ea40f60335c427b5527b84dbabcdffff")


@pytest.mark.parametrize("steps", [(), (CHALLENGE,)])
def test_success_without_a_proof_is_none(steps: tuple[bytes, ...]) -> None:
    digest = chris()
    for step in steps:
        digest.respond(step)
    with pytest.raises(ServerNotProven):
        digest.succeeded()


@pytest.mark.parametrize(
    ("challenge", "realm", "chosen"),
    [
        (b'nonce="x",algorithm=md5-sess', "", None),
        (b'realm="a",realm="b",nonce="x",algorithm=md5-sess', "", b'realm="a"'),
        (b'realm="a",realm="b",nonce="x",algorithm=md5-sess', "b", b'realm="b"'),
        (b'nonce="x",algorithm=md5-sess,realm="a\\"b"', "", b'realm="a\\"b"'),
    ],
)
def test_the_realm_is_ours_or_the_first_that_is_offered(
    challenge: bytes, realm: str, chosen: bytes | None
) -> None:
    answer = chris(realm=realm).respond(challenge)
    assert (chosen in answer) if chosen is not None else b"realm=" not in answer


def test_whose_rights_are_wanted_is_said_and_signed() -> None:
    one, other = chris(), chris(acting_as="ursel")
    answers = [one.respond(CHALLENGE), other.respond(CHALLENGE)]
    assert b'authzid="ursel"' in answers[1]
    digests = [answer.partition(b"response=")[2][:32] for answer in answers]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"nonsense",
        b'realm="x"',
        b'nonce="x"',
        b'nonce="x',
        b'nonce="x",algorithm=md5',
        b'nonce="",algorithm=md5-sess',
        b'nonce="x",nonce="y",algorithm=md5-sess',
        b'nonce="x",algorithm=md5-sess,qop="auth-conf"',
        b'nonce="x",algorithm=md5-sess,junk',
        b'nonce="x",algorithm=md5-sess,a=' + b"b" * 3000,
        b"\xff\xfe\0",
        b'nonce="' + b"\\" * 1500,
    ],
)
def test_a_challenge_that_makes_no_sense_is_refused(challenge: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="DIGEST-MD5"):
        chris().respond(challenge)


def test_letters_that_the_server_does_not_know_are_refused_by_name() -> None:
    digest = DigestMd5("Ωmega", "secret", "x")
    with pytest.raises(RemoteProtocolError, match="letters"):
        digest.respond(b'nonce="x",algorithm=md5-sess')
    assert b"charset=utf-8" in DigestMd5("Ωmega", "s", "x").respond(CHALLENGE)
