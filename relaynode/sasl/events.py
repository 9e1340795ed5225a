"""What a server's session tells of a client that logs in by a mechanism, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AuthStart:
    """A login begins. Answer with the session's `challenge`, or let the client in or not: SMTP by
    `reply`, POP3 as LoginAttempt.

    `initial`: what came along with the mechanism's name, None for nothing.
    """

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The response to a challenge. Answer as AuthStart."""

    data: bytes = field(repr=False)
