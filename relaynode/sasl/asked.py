"""What a server's side of a login asks of whoever drives it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps of a password for SCRAM (RFC 5802 section 3)."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """To be sent. Answer with the client's response."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Is it the user's? Answer with true or false."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WantPassword:
    """Answer with the user's password as it is, or None if it is not kept so."""

    user: str


@dataclass(frozen=True, slots=True)
class WantKeys:
    """Answer with the user's ScramKeys for a digest ("SHA-256"), or None if there are none."""

    user: str
    digest: str


class Acceptor(Protocol):
    """A GSS-API context as acceptor. Errors come as RemoteProtocolError; steps may read files."""

    @property
    def is_complete(self) -> bool:
        """Do both sides know each other?"""
        ...

    @property
    def user(self) -> str:
        """Whose ticket it was, once it is complete; "" for somebody who is no user of ours."""
        ...

    def step(self, token: bytes) -> bytes:
        """Go on with the client's token; what it shall get."""
        ...

    def wrap(self, message: bytes) -> bytes:
        """`message` signed for the client."""
        ...

    def unwrap(self, message: bytes) -> bytes:
        """What the client has signed."""
        ...


@dataclass(frozen=True, slots=True)
class WantAcceptor:
    """Answer with an Acceptor."""


Asked: TypeAlias = Challenge | CheckPassword | WantPassword | WantKeys | WantAcceptor

Exchange: TypeAlias = Generator[Asked, Any, str | None]
"""One login as the server plays it: asks, is sent the answers, and returns the user who has shown
that he is it, or None. Raises: RemoteProtocolError for a response that makes no sense."""
