"""What one step of a login leads to, whoever checks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class More:
    """Say this to the client, and come back with its response."""

    challenge: bytes


@dataclass(frozen=True, slots=True)
class Passed:
    """It is this user."""

    user: str


@dataclass(frozen=True, slots=True)
class Denied:
    """Name or password are wrong, or the account is closed. Nobody is told which."""


@dataclass(frozen=True, slots=True)
class Nonsense:
    """The response was none that the mechanism knows. `text`: for strangers, without secrets."""

    text: str


@dataclass(frozen=True, slots=True)
class Later:
    """It cannot be checked now. `text`: for strangers."""

    text: str


Answer: TypeAlias = More | Passed | Denied | Nonsense | Later


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who wants to log in. `service`: "smtp" or "pop3". `address`: the client's IP address, "" for
    none. `is_private`: the line is TLS."""

    service: str
    address: str
    is_private: bool


class Conversation(Protocol):
    """One login. After anything but More it is over."""

    async def step(self, response: bytes | None) -> Answer:
        """Go on with the client's response; None at first, if it had none. Never raises but
        CancelledError."""
        ...

    def close(self) -> None:
        """It is over, or given up."""
        ...


class Checker(Protocol):
    """Who checks logins."""

    async def mechanisms(self) -> tuple[str, ...]:
        """Those that all accounts can use, the one that shows least first."""
        ...

    def open(self, mechanism: str, visitor: Visitor) -> Conversation:
        """Begin a login with one of the mechanisms."""
        ...
