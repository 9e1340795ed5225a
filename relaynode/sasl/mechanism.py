"""What every mechanism is to the protocol that carries it."""

from __future__ import annotations

from relaynode.errors import RemoteProtocolError


class Mechanism:
    """One attempt to log in. All values are raw, base64 is the protocol's affair.

    `told`: why the server says no, where the mechanism has room for that; it never holds a secret.
    `has_said_all`: behind what it has given so far nothing follows but the server's verdict.
    """

    name = ""
    told = ""
    has_said_all = False

    def initial(self) -> bytes | None:
        """What may be sent together with the mechanism's name; None if the server speaks first."""
        return None

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge.

        Raises: RemoteProtocolError if none is due or it makes no sense, ServerNotProven.
        """
        raise RemoteProtocolError(f"{self.name}: an unexpected challenge")

    def succeeded(self) -> None:
        """The server says that we are logged in. Raises: ServerNotProven if it had to prove first
        that it knows our secret, and has not."""


class OneMessage(Mechanism):
    """A mechanism that has one thing to say, and says it at once."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._is_asked = False

    def initial(self) -> bytes | None:
        """The whole exchange."""
        self.has_said_all = True
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        """A server that ignored the initial response asks for it with an empty challenge."""
        if challenge:
            raise RemoteProtocolError(f"{self.name}: an unexpected challenge")
        if self._is_asked:
            raise RemoteProtocolError(f"{self.name}: the server asks twice for the same")
        self._is_asked = self.has_said_all = True
        return self._message
