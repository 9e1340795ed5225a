"""Mechanisms that lean on something outside: the certificate of the TLS line, a Kerberos ticket.

EXTERNAL is RFC 4422 appendix A, GSSAPI is RFC 4752. What holds the ticket does I/O, so it is given
from above as a SecurityContext.
"""

from __future__ import annotations

from typing import Protocol

from relaynode.errors import RemoteProtocolError, ServerNotProven
from relaynode.sasl.mechanism import Mechanism, OneMessage

_NO_LAYER = b"\1\0\0\0"
"""RFC 4752 3.1: bit 1, no security layer, and no size of a buffer for one."""


class External(OneMessage):
    """Who we are was shown by the certificate. `acting_as`: as whom, if it leaves a choice."""

    name = "EXTERNAL"

    def __init__(self, acting_as: str = "") -> None:
        super().__init__(acting_as.encode())


class SecurityContext(Protocol):
    """A GSS-API context as initiator. Errors come as ServerNotProven."""

    @property
    def is_complete(self) -> bool:
        """Do both sides know each other?"""
        ...

    def step(self, token: bytes | None) -> bytes | None:
        """Go on with the server's token, or begin with None; what it shall get."""
        ...

    def unwrap(self, message: bytes) -> bytes:
        """What the server has signed."""
        ...

    def wrap(self, message: bytes) -> bytes:
        """`message` signed for the server."""
        ...


class Gssapi(Mechanism):
    """A Kerberos ticket. `acting_as`: whose rights are wanted, "" for the ticket's own."""

    name = "GSSAPI"

    def __init__(self, context: SecurityContext, acting_as: str = "") -> None:
        self._context = context
        self._acting_as = acting_as.encode()
        self._first = context.step(None) or b""
        self._is_begun = False
        self._is_proven = False

    def initial(self) -> bytes | None:
        """The first token."""
        return self._first

    def respond(self, challenge: bytes) -> bytes:
        """Tokens until the context stands, then the agreement on no security layer."""
        if not challenge and not self._is_begun:  # the server ignored the initial response
            self._is_begun = True
            return self._first
        self._is_begun = True
        if self._is_proven:
            raise RemoteProtocolError("GSSAPI: a challenge behind the last one")
        if not self._context.is_complete:
            return self._context.step(challenge) or b""
        offer = self._context.unwrap(challenge)
        if len(offer) != 4 or not offer[0] & 1:
            raise RemoteProtocolError("GSSAPI: the server insists on a layer of its own")
        self._is_proven = True
        return self._context.wrap(_NO_LAYER + self._acting_as)

    def succeeded(self) -> None:
        """Only the context's last step shows that it was the right server."""
        if not self._is_proven:
            raise ServerNotProven("GSSAPI: the server did not prove who it is")
