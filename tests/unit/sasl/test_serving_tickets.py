"""GSSAPI as a server plays it, with our own client on the other side; the tickets are doubles."""

import pytest

from relaynode.errors import RemoteProtocolError
from relaynode.sasl import Gssapi
from relaynode.sasl.asked import Challenge, WantAcceptor
from relaynode.sasl.serving import MAX_TOKEN_BYTES, TICKETS, serve

NO_LAYER = b"\1\0\0\0"


class Context:
    """One end of a GSS-API context: it gives these tokens and is complete then. What is wrapped
    begins with an S."""

    def __init__(self, *tokens, user="ann"):
        self.left, self.user = list(tokens), user

    @property
    def is_complete(self):
        return not self.left

    def step(self, token):
        return self.left.pop(0)

    def wrap(self, message):
        return b"S" + message

    def unwrap(self, message):
        if message[:1] != b"S":
            raise RemoteProtocolError("not signed")
        return message[1:]


def play(client, server, *, ignores_initial=False):
    """The user who is let in, or None."""
    exchange = serve(TICKETS, None if ignores_initial else client.initial(), "bsd.home")
    answer = None
    try:
        while True:
            asked = exchange.send(answer)
            answer = client.respond(asked.data) if isinstance(asked, Challenge) else server
    except StopIteration as ended:
        return ended.value


def tokens(text):
    return [b"" if one == "-" else one.encode() for one in text]


def client(acting_as=""):
    return Gssapi(Context(b"1", b""), acting_as)


def says(server, *responses):
    """A client that says these, the first along with the name; the user, or None."""
    exchange = serve(TICKETS, responses[0], "bsd.home")
    rest, answer = list(responses[1:]), None
    try:
        while True:
            asked = exchange.send(answer)
            answer = server if isinstance(asked, WantAcceptor) else rest.pop(0)
    except StopIteration as ended:
        return ended.value


@pytest.mark.parametrize("ignores_initial", [False, True])
@pytest.mark.parametrize(("ours", "theirs"), [("2", "1-"), ("2-", "13"), ("24", "13-")])
def test_who_has_a_ticket_is_let_in_however_many_tokens_it_takes(ours, theirs, ignores_initial):
    """Each letter is one token, in order of both; a dash is none, where the context is complete."""
    client = Gssapi(Context(*tokens(theirs)))
    assert play(client, Context(*tokens(ours)), ignores_initial=ignores_initial) == "ann"
    client.succeeded()


def test_nobody_acts_for_somebody_else():
    assert play(client("ann"), Context(b"2")) == "ann"
    assert play(client("bob"), Context(b"2")) is None


def test_a_ticket_of_nobody_of_ours_lets_nobody_in():
    assert play(client(), Context(b"2", user="")) is None


@pytest.mark.parametrize(
    "responses",
    [
        [b""],
        [b"x" * (MAX_TOKEN_BYTES + 1)],
        [b"t", b"more"],
        [b"t", b"", b""],
        [b"t", b"", b"unsigned"],
        [b"t", b"", b"S\2\0\0\0"],
        [b"t", b"", b"S\1\0\xff\xff"],
        [b"t", b"", b"S\1\0\0"],
        [b"t", b"", b"S" + NO_LAYER + b"\xff"],
        [b"t", b"", b"S" + NO_LAYER + b"a" * 1000],
    ],
)
def test_what_makes_no_sense_is_an_error(responses):
    with pytest.raises(RemoteProtocolError):
        says(Context(b"2"), *responses)


def test_a_client_that_never_comes_to_an_end_is_sent_away():
    with pytest.raises(RemoteProtocolError, match="no end"):
        says(Context(*[b"t"] * 99), *[b"t"] * 99)


def test_a_name_that_cannot_be_one_is_an_error():
    with pytest.raises(RemoteProtocolError):
        says(Context(b"2", user="a\nb"), b"t", b"", b"S" + NO_LAYER)
