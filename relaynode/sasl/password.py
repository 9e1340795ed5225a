"""Mechanisms that give the password away, so that only TLS keeps it secret.

PLAIN is RFC 4616; LOGIN an expired draft (draft-murchison-sasl-login) that servers still offer.
"""

from __future__ import annotations

from relaynode.errors import RemoteProtocolError
from relaynode.sasl.mechanism import Mechanism, OneMessage


class Plain(OneMessage):
    """Name and password in the clear: for use under TLS. `acting_as`: whose rights are wanted."""

    name = "PLAIN"

    def __init__(self, user: str, password: str, acting_as: str = "") -> None:
        super().__init__(f"{acting_as}\0{user}\0{password}".encode())


class Login(Mechanism):
    """Name and password in the clear, one after the other."""

    name = "LOGIN"

    def __init__(self, user: str, password: str) -> None:
        self._answers = [user.encode(), password.encode()]

    def initial(self) -> bytes | None:
        """The server speaks first: not every one takes the name with the command."""
        return None

    def respond(self, challenge: bytes) -> bytes:
        """The name, then the password, whatever words the server asks with."""
        if not self._answers:
            raise RemoteProtocolError("LOGIN: a third challenge")
        answer = self._answers.pop(0)
        self.has_said_all = not self._answers
        return answer
