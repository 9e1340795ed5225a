"""Stored secrets: known hashes, our own, and what is none."""

import base64

import pytest

from relaynode.accounts import hashes
from relaynode.accounts.hashes import hash_password, parse_secret, scram_keys, scram_text

CHEAP = "$argon2id$v=19$m=64,t=1,p=1$"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """New hashes cost next to nothing here."""
    monkeypatch.setattr(hashes, "LOG_N", 4)


@pytest.mark.parametrize(
    "text, password",
    [
        # crypt(5)'s own example, and one made with hashlib alone
        (
            "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D",
            "pleaseletmein",
        ),
        # the specification's own
        (
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoE"
            "OfaS35inz1",
            "Hello world!",
        ),
        (
            "$6$rounds=1400$anotherlongsaltstring$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3C"
            "mLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
            "a very much longer text to encrypt.  This one even stretches over morethan one line.",
        ),
        (
            "$scrypt$ln=4,r=8,p=1$U29kaXVtQ2hsb3JpZGU$ZN7SBDEuMSZjw+Udk8RVayZz+2NEqh2Jh5GAlQXHOOY",
            "sesame",
        ),
    ],
)
def test_known_hashes_are_understood(text, password):
    secret = parse_secret(text)
    assert secret.is_password(password)
    assert not secret.is_password(password + "x")
    assert not secret.is_password("")
    assert parse_secret("{CRYPT}" + text).is_password(password)
    assert secret.mechanisms == {"PLAIN", "LOGIN"}
    assert secret.plain() is None and secret.keys("SHA-256") is None


def test_argon2_is_understood():
    argon2 = pytest.importorskip("argon2")
    text = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("sesame")
    for shown in (text, "{ARGON2ID}" + text):
        assert parse_secret(shown).is_password("sesame")
        assert not parse_secret(shown).is_password("sesamE")


def test_a_new_hash_is_that_of_the_password_and_each_is_another():
    first, second = hash_password("sésame"), hash_password("sésame")
    assert first != second
    assert parse_secret(first).is_password("sésame")
    assert not parse_secret(first).is_password("sesame")


@pytest.mark.parametrize("digest", ["SHA-1", "SHA-256"])
def test_scram_keys_are_good_for_scram_and_for_plain(digest):
    secret = parse_secret(scram_text("sesame", digest))
    assert secret.mechanisms == {"PLAIN", "LOGIN", f"SCRAM-{digest}"}
    assert secret.is_password("sesame") and not secret.is_password("sesamE")
    known = secret.keys(digest)
    assert known == scram_keys("sesame", digest, known.salt, known.iterations)
    assert secret.keys("SHA-1" if digest == "SHA-256" else "SHA-256") is None
    assert not secret.is_password("\0")


def test_the_keys_are_those_of_the_rfc():
    # RFC 7677 section 3
    keys = scram_keys("pencil", "SHA-256", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    assert base64.b64encode(keys.stored_key) == b"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="


def test_a_plain_password_is_good_for_everything():
    secret = parse_secret("{PLAIN}sesame")
    assert secret.plain() == "sesame"
    assert secret.is_password("sesame") and not secret.is_password("x")
    assert {"CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"} < secret.mechanisms
    # Always the same, as for names that nobody has: else it would tell which exist.
    assert secret.keys("SHA-256").salt == secret.keys("SHA-256").salt


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sesame",
        "{PLAIN}",
        "{NONSENSE}sesame",
        "$scrypt$ln=99,r=8,p=1$c2FsdA$aGFzaA",
        "$scrypt$ln=20,r=64,p=1$c2FsdA$" + "A" * 43,
        "$scrypt$ln=4,r=8,p=1$c$" + "A" * 43,
        "$scrypt$sesame",
        "$7$sesame",
        "$6$sesame",
        "$6$rounds=999999999$salt$" + "A" * 86,
        "$7$......./....salt$" + "A" * 43,
        "$argon2id$sesame",
        "{SCRAM-SHA-256}sesame",
        "{SCRAM-SHA-256}1,c2FsdA==,sesame,sesame",
        "{SCRAM-SHA-512}4096,a,b,c",
        "{SCRAM-SHA-256}4096,c2FsdA==,c2VzYW1l,c2VzYW1l",
    ],
)
def test_what_is_no_secret_is_told_without_showing_it(text):
    with pytest.raises(ValueError) as error:
        parse_secret(text)
    assert "sesame" not in str(error.value)
    assert "c2VzYW1l" not in str(error.value)


def test_no_secret_is_shown_by_its_object():
    for text in ("{PLAIN}sesame", scram_text("sesame")):
        assert "sesame" not in repr(parse_secret(text))
        assert "key=" not in repr(parse_secret(text))
