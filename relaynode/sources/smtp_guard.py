"""What an SMTP source offers its clients and bears from them, in one object.

The daemon's listeners share one `Crowd`; standard input and servers that we have called have none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.errors import TimedOut
from relaynode.mail.header import MAX_HEADER_BYTES, find_header_end
from relaynode.mail.status import Status
from relaynode.smtp import atrn, etrn
from relaynode.smtp.terms import USUAL, Terms
from relaynode.sources.crowd import Crowd, CrowdLimits
from relaynode.sources.patience import COMMAND_SECONDS, Patience

if TYPE_CHECKING:
    from relaynode.smtp.events import SendNow
    from relaynode.wire.stream import Stream

Turn = Callable[["Stream"], Awaitable[None]]
"""Brings mail over a connection whose other end is the server now. Never raises but
CancelledError."""

EARLY = Status(554, "5.5.1", "You talk before you are greeted; good bye")

LONG_HEADER = Status(552, "5.3.4", f"The message header is longer than {MAX_HEADER_BYTES} bytes")


async def _nobody_asks(event: SendNow) -> Status:
    """ETRN where it is not offered."""
    return etrn.unable(event.domain)


async def _nobody_turns(user: str, domains: tuple[str, ...]) -> Turn | Status:
    """ATRN where it is not offered."""
    return atrn.UNABLE


def _endless_room(size_bytes: int) -> bool:
    return True


@dataclass(slots=True, kw_only=True)
class Guard:
    """`clock`: monotonic seconds. `is_exempt_network`: clients of the networks we serve are not
    counted one by one. `xclient_hosts`: who may say XCLIENT. `has_room`: is there room for a
    message of so many bytes? `send_now`: starts what a
    client has asked for (ETRN) that may. `turn`: what a login is brought that asks for the mail of
    these domains (ATRN), or why it is brought nothing."""

    terms: Terms = USUAL
    clock: Callable[[], float] = time.monotonic
    crowd: Crowd = field(default_factory=lambda: Crowd(CrowdLimits(), time.monotonic))
    is_exempt_network: bool = True
    command_seconds: float = COMMAND_SECONDS
    slowest_bytes_per_second: int = 0
    greeting_delay_seconds: float = 0.0
    xclient_hosts: Container[Any] = ()
    has_room: Callable[[int], bool] = _endless_room
    send_now: Callable[[SendNow], Awaitable[Status]] = _nobody_asks
    turn: Callable[[str, tuple[str, ...]], Awaitable[Turn | Status]] = _nobody_turns

    def patience(self) -> Patience:
        """For a new session."""
        return Patience(self.command_seconds, self.slowest_bytes_per_second, self.clock)

    async def is_early(self, stream: Stream) -> bool:
        """Does the client speak, or leave, before it is greeted? Raises: LineLost."""
        if not self.greeting_delay_seconds:
            return False
        try:
            await stream.read(self.greeting_delay_seconds)
        except TimedOut:
            return False
        return True


def has_endless_header(head: bytes) -> bool:
    """`head`: the first MAX_HEADER_BYTES of a message, or what of them is the header. Is there no
    end of the header in them?"""
    return len(head) >= MAX_HEADER_BYTES and find_header_end(head) >= len(head)
