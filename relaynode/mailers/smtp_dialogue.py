"""An SMTP client core on a stream: bytes out, events in. What is said is told by others."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, LoginRefused, RefusedError, TimedOut, WireError
from relaynode.mail.reason import Reason
from relaynode.smtp.client import LOOP, Client
from relaynode.smtp.client_events import Answered, Bye, Event, Refused, ServerClosing, State
from relaynode.wire.meter import PipeMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relaynode.mail.status import Status
    from relaynode.smtp.reply import Reply
    from relaynode.wire.stream import Stream

SLOWEST_BYTES_PER_SECOND = 16
"""A line slower than HF at its worst (200 bit/s is 25) counts as dead."""


_REFUSALS = {
    "greeting": Reason.GREETING_REFUSED,
    "EHLO": Reason.HELLO_REFUSED,
    "STARTTLS": Reason.TLS_REFUSED,
    "AUTH": Reason.AUTH_REFUSED,
}


@dataclass(slots=True)
class Dialogue:
    """One connection. `clock`: monotonic seconds. `timeout_seconds`: for the peer's silence.
    `written_bytes`: that went to the stream."""

    stream: Stream
    client: Client
    clock: Callable[[], float]
    timeout_seconds: float
    meter: PipeMeter = field(init=False)
    written_bytes: int = 0
    _hello_at: float = 0.0

    def __post_init__(self) -> None:
        self.meter = PipeMeter(self.clock())

    @property
    def peer(self) -> str:
        """The server, for people and the record."""
        return self.stream.peer

    def hello(self, presumed: Mapping[str, str] | None = None) -> None:
        """Say EHLO (Client.hello): the answer measures the round trip."""
        self.client.hello(presumed)
        self._hello_at = self.clock()

    def hello_answered(self) -> None:
        """The answer is here."""
        self.meter.round_trip(self.clock() - self._hello_at)

    @property
    def hello_bytes(self) -> int:
        """About how many EHLO and its answer had together."""
        offered = self.client.extensions.items()
        keywords = sum(len(f"250-{key} {value}\r\n") for key, value in offered)
        return len(f"EHLO \r\n250-\r\n{2 * self.client.hostname}") + keywords

    async def read(self) -> list[Event]:
        """The next events; [] when only time has passed while what we sent was moving.

        Raises: WireError, RemoteProtocolError.
        """
        backlog = self.stream.backlog()
        try:
            data = await self.stream.read(self.timeout_seconds)
        except TimedOut:
            # On a slow line an answer may be long in coming because what it answers is still
            # on its way: as long as that moves, nobody is silent.
            if self.client.wants_content or self.stream.backlog() < backlog:
                return []
            raise
        if not data:
            self.client.peer_closed()
            raise LineLost(f"{self.peer}: closed the connection")
        return self.client.receive(data)

    async def write(self) -> None:
        """Send what the core has to say. Raises: WireError."""
        data = self.client.data_to_send()
        self.written_bytes += len(data)
        timeout = self.timeout_seconds + len(data) / SLOWEST_BYTES_PER_SECOND
        await self.stream.write(data, timeout)

    async def until(self, wanted: type[Event]) -> None:
        """Talk until an event that the opening waits for.

        Raises: WireError, RefusedError, ProtocolError.
        """
        while True:
            await self.write()
            events = await self.read()
            for event in events:
                if isinstance(event, Refused) and event.status.code != 421:
                    kind = LoginRefused if event.what == "AUTH" else RefusedError
                    what = f"{self.peer}: {event.what} refused"
                    raise kind(event.status, what, _reason(event))
                if isinstance(event, ServerClosing):
                    raise self.closing(event.status)
            self.client.check()
            if any(isinstance(event, wanted) for event in events):
                return

    async def ask(self, command: str) -> Reply:
        """The reply to a command that stands alone.

        Raises: WireError, RefusedError (the server hangs up), ProtocolError.
        """
        if self.client.state is State.CLOSED:
            raise LineLost(f"{self.peer}: closed the session")
        self.client.ask(command)
        while True:
            await self.write()
            for event in await self.read():
                if isinstance(event, Answered) and event.reply.code != 421:
                    self.client.check()
                    return event.reply
                if isinstance(event, ServerClosing):
                    raise self.closing(event.status)
            self.client.check()

    async def say_goodbye(self) -> None:
        """QUIT, and its answer if one comes. Raises: RefusedError, ProtocolError."""
        self.client.quit()
        with contextlib.suppress(WireError):  # it knows all that it must
            await self.until(Bye)

    def closing(self, status: Status) -> RefusedError:
        """The error for a server that hangs up."""
        return RefusedError(status, f"{self.peer}: closing", Reason.CLOSING_421)


def _reason(refused: Refused) -> str:
    if refused.status == LOOP:
        return Reason.MAIL_LOOP
    return _REFUSALS.get(refused.what, Reason.REFUSED)
