"""EXTERNAL and GSSAPI."""

from __future__ import annotations

import pytest

from relaynode.errors import RemoteProtocolError, ServerNotProven
from relaynode.sasl import External, Gssapi


def test_external_names_whom_to_act_as_or_nobody() -> None:
    assert External().initial() == b""
    assert External("ann").initial() == b"ann"
    assert External("ann").respond(b"") == b"ann"
    with pytest.raises(RemoteProtocolError):
        External().respond(b"who?")


class Ticket:
    """A context that wants two tokens."""

    def __init__(self) -> None:
        self.is_complete = False
        self.taken: list[bytes | None] = []

    def step(self, token: bytes | None) -> bytes | None:
        self.taken.append(token)
        self.is_complete = token is not None
        return b"first" if token is None else None

    def unwrap(self, message: bytes) -> bytes:
        return message.removeprefix(b"signed:")

    def wrap(self, message: bytes) -> bytes:
        return b"signed:" + message


def test_gssapi_exchanges_tokens_then_agrees_on_no_layer() -> None:
    ticket = Ticket()
    gssapi = Gssapi(ticket, "ann")
    assert gssapi.initial() == b"first"
    assert gssapi.respond(b"") == b"first"
    assert gssapi.respond(b"second") == b""
    assert gssapi.respond(b"signed:\7\0\1\0") == b"signed:\1\0\0\0ann"
    gssapi.succeeded()
    assert ticket.taken == [None, b"second"]
    with pytest.raises(RemoteProtocolError):
        gssapi.respond(b"more")


@pytest.mark.parametrize("offer", [b"", b"\6\0\1\0", b"\1\0\0", b"\1\0\0\0\0"])
def test_gssapi_takes_no_layer_but_none(offer: bytes) -> None:
    gssapi = Gssapi(Ticket())
    gssapi.respond(b"second")
    with pytest.raises(RemoteProtocolError, match="layer"):
        gssapi.respond(offer)
    with pytest.raises(ServerNotProven):
        gssapi.succeeded()
