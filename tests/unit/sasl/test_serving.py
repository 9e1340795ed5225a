"""Mechanisms as a server plays them, with our own client on the other side."""

import base64
import hmac

import pytest

from relaynode.accounts.hashes import scram_keys
from relaynode.errors import RemoteProtocolError
from relaynode.sasl import CramMd5, Login, Plain, Scram
from relaynode.sasl.asked import Challenge, CheckPassword, WantKeys, WantPassword
from relaynode.sasl.serving import SERVED, serve

CLIENTS = {
    "PLAIN": Plain,
    "LOGIN": Login,
    "CRAM-MD5": CramMd5,
    "SCRAM-SHA-1": lambda *who: Scram("SHA-1", *who),
    "SCRAM-SHA-256": lambda *who: Scram("SHA-256", *who),
}
PASSWORDS = {"alice": "sesame", "bob,=b": "x=y,z"}


def known(asked):
    """The answer to what a server asks."""
    match asked:
        case CheckPassword(user, password):
            return PASSWORDS.get(user) == password
        case WantPassword(user):
            return PASSWORDS.get(user)
        case WantKeys(user, digest):
            return scram_keys(PASSWORDS[user], digest) if user in PASSWORDS else None


def play(name, client, *, ignores_initial=False):
    """The user who is let in, or None."""
    initial = None if ignores_initial else client.initial()
    exchange = serve(name, initial, "bsd.home")
    answer = None
    try:
        while True:
            asked = exchange.send(answer)
            is_said = isinstance(asked, Challenge)
            answer = client.respond(asked.data) if is_said else known(asked)
    except StopIteration as ended:
        return ended.value


def says(name, *responses):
    """A client that says these, the first along with the name; the user, or None."""
    exchange = serve(name, responses[0], "bsd.home")
    rest, answer = list(responses[1:]), None
    try:
        while True:
            asked = exchange.send(answer)
            answer = rest.pop(0) if isinstance(asked, Challenge) else known(asked)
    except StopIteration as ended:
        return ended.value


@pytest.mark.parametrize("name", SERVED)
def test_who_knows_the_password_is_let_in_and_nobody_else(name):
    assert play(name, CLIENTS[name]("alice", "sesame")) == "alice"
    assert play(name, CLIENTS[name]("alice", "sesamE")) is None
    assert play(name, CLIENTS[name]("mallory", "sesame")) is None
    assert play(name, CLIENTS[name]("bob,=b", "x=y,z")) == "bob,=b"


@pytest.mark.parametrize("name", ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_a_client_that_waits_to_be_asked_is_asked(name):
    assert play(name, CLIENTS[name]("alice", "sesame"), ignores_initial=True) == "alice"


def test_a_name_may_come_along_with_login():
    assert says("LOGIN", b"alice", b"sesame") == "alice"


def test_cram_challenges_differ_and_the_digest_is_that_of_the_challenge():
    first, second = (serve("CRAM-MD5", None, "h").send(None).data for _ in range(2))
    assert first != second
    exchange = serve("CRAM-MD5", None, "h")
    challenge = exchange.send(None).data
    stale = hmac.new(b"sesame", first, "md5").hexdigest()
    assert exchange.send(f"alice {stale}".encode()) == WantPassword("alice")
    with pytest.raises(StopIteration) as ended:
        exchange.send("sesame")
    assert ended.value.value is None
    assert challenge.endswith(b"@h>")


def test_a_scram_server_proves_that_it_knows_the_password():
    client = Scram("SHA-256", "alice", "sesame")
    assert play("SCRAM-SHA-256", client) == "alice"
    client.succeeded()


def test_scram_asks_the_same_of_a_name_that_nobody_has_each_time():
    first = b"n,,n=ghost,r=abc"
    said = []
    for _ in range(2):
        exchange = serve("SCRAM-SHA-256", first, "h")
        assert exchange.send(None) == WantKeys("ghost", "SHA-256")
        challenge = dict(one.split(b"=", 1) for one in exchange.send(None).data.split(b","))
        assert len(base64.b64decode(challenge[b"s"])) == 16
        said.append((challenge[b"s"], challenge[b"i"]))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "name, responses",
    [
        ("PLAIN", [b""]),
        ("PLAIN", [b"alice\0sesame"]),
        ("PLAIN", [b"\0\0sesame"]),
        ("PLAIN", [b"\0alice\0"]),
        ("PLAIN", [b"\0alice\0sesame\0"]),
        ("PLAIN", [b"\0al\nice\0sesame"]),
        ("PLAIN", [b"\0\xff\0sesame"]),
        ("PLAIN", [b"\0" + b"a" * 300 + b"\0x"]),
        ("PLAIN", [b"\0a\0" + b"x" * 1000]),
        ("LOGIN", [b"", b"sesame"]),
        ("LOGIN", [b"alice", b"ses\0ame"]),
        ("CRAM-MD5", [b"alice 0"]),
        ("CRAM-MD5", [None, b""]),
        ("CRAM-MD5", [None, b"nodigest"]),
        ("SCRAM-SHA-256", [b"p=tls-unique,,n=alice,r=abc"]),
        ("SCRAM-SHA-256", [b"n,,m=x,n=alice,r=abc"]),
        ("SCRAM-SHA-256", [b"n,,n=,r=abc"]),
        ("SCRAM-SHA-256", [b"n,,n=alice"]),
        ("SCRAM-SHA-256", [b"n,a=bob,n=alice,r=abc"]),
        ("SCRAM-SHA-256", [b"garbage"]),
        ("SCRAM-SHA-256", [b"n,,n=alice,r=" + b"x" * 3000]),
    ],
)
def test_a_response_that_makes_no_sense_is_told_so_without_what_it_said(name, responses):
    with pytest.raises(RemoteProtocolError) as error:
        says(name, *responses)
    assert "sesame" not in str(error.value)


def test_nobody_acts_for_somebody_else():
    assert says("PLAIN", b"alice\0alice\0sesame") == "alice"
    assert says("PLAIN", b"bob\0alice\0sesame") is None


def test_nonsense_at_the_end_of_scram_is_a_wrong_password():
    assert says("SCRAM-SHA-256", b"n,,n=alice,r=abc", b"c=biws,r=other,p=AAAA") is None
    assert says("SCRAM-SHA-256", b"n,,n=alice,r=abc", b"xx") is None
