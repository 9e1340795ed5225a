"""SCRAM: the exchanges of the RFCs, servers that do not sign, and challenges that are none."""

from __future__ import annotations

import pytest

from relaynode.errors import RemoteProtocolError, ServerNotProven
from relaynode.sasl import Scram
from relaynode.sasl.scram import MAX_ITERATIONS

# RFC 5802 section 5, RFC 7677 section 3: digest, our nonce, the server's first message, our final
# one, the server's final one
VECTORS = [
    (
        "SHA-1",
        "fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        "SHA-256",
        "rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]
BOTH = pytest.mark.parametrize(("digest", "nonce", "first", "final", "signature"), VECTORS)


@BOTH
def test_it_says_what_the_rfc_says_and_accepts_its_signature(
    digest: str, nonce: str, first: bytes, final: bytes, signature: bytes
) -> None:
    scram = Scram(digest, "user", "pencil", nonce)
    assert scram.name == f"SCRAM-{digest}"
    assert scram.initial() == b"n,,n=user,r=" + nonce.encode()
    assert scram.respond(b"") == scram.initial(), "the server ignored the initial response"
    assert scram.respond(first) == final
    assert scram.respond(signature) == b""
    scram.succeeded()


@BOTH
def test_a_wrong_signature_is_an_impostors(
    digest: str, nonce: str, first: bytes, final: bytes, signature: bytes
) -> None:
    for wrong in (b"v=AAAA", signature.replace(b"v=", b"v=A", 1), b"", b"v=", b"x=y", b"\xff"):
        scram = Scram(digest, "user", "pencil", nonce)
        scram.respond(first)
        with pytest.raises(RemoteProtocolError):
            scram.respond(wrong)
    with pytest.raises(ServerNotProven, match="impostor"):
        scram = Scram(digest, "user", "pencil", nonce)
        scram.respond(first)
        scram.respond(b"v=AAAA")


@BOTH
def test_success_without_a_signature_is_none(
    digest: str, nonce: str, first: bytes, final: bytes, signature: bytes
) -> None:
    scram = Scram(digest, "user", "pencil", nonce)
    for step in (None, first, b"e=invalid-proof"):
        if step is not None:
            scram.respond(step)
        with pytest.raises(ServerNotProven, match="did not prove"):
            scram.succeeded()
    assert scram.told == "invalid-proof"


@pytest.mark.parametrize(
    "challenge",
    [
        b"x",
        b"\xff",
        b"r=other,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=abc,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=abcdef,s=!!,i=4096",
        b"r=abcdef,s=QSXCR+Q6sek8bf92,i=1",
        b"r=abcdef,s=QSXCR+Q6sek8bf92",
        b"e=other-error",
        b"m=ext,r=abcdef,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=abcdef,s=QSXCR+Q6sek8bf92,i=%d" % (MAX_ITERATIONS + 1),
        b"r=abcdef,s=QSXCR+Q6sek8bf92,i=99999999999999",
    ],
)
def test_a_challenge_that_makes_no_sense_is_refused_at_once(challenge: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="SCRAM-SHA-256"):
        Scram("SHA-256", "user", "pencil", "abc").respond(challenge)


def test_names_are_escaped_and_nonces_are_fresh() -> None:
    one, other = Scram("SHA-1", "a,b=c", "x"), Scram("SHA-1", "a,b=c", "x")
    assert (one.initial() or b"").startswith(b"n,,n=a=2Cb=3Dc,r=")
    assert one.initial() != other.initial()


def test_no_error_shows_the_password() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Scram("SHA-1", "user", "pencil\u0007")
    assert "pencil" not in str(caught.value)
    assert caught.value.__suppress_context__
