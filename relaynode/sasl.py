"""SASL mechanisms as a client plays them (RFC 4422), for any protocol that carries them. Pure.

PLAIN is RFC 4616, LOGIN an expired draft that servers still offer, CRAM-MD5 is RFC 2195.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Protocol

from relaynode.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Collection


class Mechanism(Protocol):
    """One attempt to log in. All values are raw, base64 is the protocol's affair."""

    name: str

    def initial(self) -> bytes | None:
        """What may be sent together with the mechanism's name; None if the server speaks first."""
        ...

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge. Raises: RemoteProtocolError if none is due."""
        ...


class Plain:
    """Name and password in the clear: for use under TLS."""

    name = "PLAIN"

    def __init__(self, user: str, password: str) -> None:
        self._message = f"\0{user}\0{password}".encode()

    def initial(self) -> bytes | None:
        """The whole exchange."""
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        """A server that ignored the initial response asks for it with an empty challenge."""
        if challenge:
            raise RemoteProtocolError("PLAIN: an unexpected challenge")
        return self._message


class Login:
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
        return self._answers.pop(0)


class CramMd5:
    """A keyed digest of the server's challenge: the password does not cross the line."""

    name = "CRAM-MD5"

    def __init__(self, user: str, password: str) -> None:
        self._user = user.encode()
        self._password = password.encode()

    def initial(self) -> bytes | None:
        """The server speaks first."""
        return None

    def respond(self, challenge: bytes) -> bytes:
        """RFC 2195 section 2: name, blank, HMAC-MD5 of the challenge in lower-case hex."""
        if not challenge:
            raise RemoteProtocolError("CRAM-MD5: an empty challenge")
        digest = hmac.new(self._password, challenge, "md5").hexdigest()
        return self._user + b" " + digest.encode()


_BY_ROUND_TRIPS = (Plain, CramMd5, Login)
_BY_SECRECY = (CramMd5, Plain, Login)


def choose(
    offered: Collection[str], user: str, password: str, *, is_private: bool
) -> Mechanism | None:
    """The best of the mechanisms a server offers, or None if we know none of them.

    On a private line (TLS) the one with the fewest round trips; on an open one the one that does
    not show the password.
    """
    names = {name.upper() for name in offered}
    for mechanism in _BY_ROUND_TRIPS if is_private else _BY_SECRECY:
        if mechanism.name in names:
            return mechanism(user, password)
    return None
