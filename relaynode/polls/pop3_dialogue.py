"""A POP3 client on a stream: sends what is due, waits for what is owed.

Not here: what is said and when (pop3_opening.py, pop3_listing.py, pop3.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, LoginRefused, RefusedError
from relaynode.pop3 import events as pop3
from relaynode.pop3.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.wire.stream import Stream

_LOGIN = ("USER", "PASS", "APOP", "AUTH")


@dataclass(slots=True)
class Dialogue:
    """`timeout_seconds`: of silence. `can_pipeline`: the server takes commands ahead of replies."""

    stream: Stream
    timeout_seconds: float
    client: Client = field(default_factory=Client)
    can_pipeline: bool = False

    @property
    def peer(self) -> str:
        """The server, for people."""
        return self.stream.peer

    async def send(self) -> None:
        """Write what is due. Raises: WireError."""
        await self.stream.write(self.client.data_to_send(), self.timeout_seconds)

    async def receive(self) -> list[pop3.Event]:
        """The next events. Raises: WireError, RemoteProtocolError."""
        data = await self.stream.read(self.timeout_seconds)
        if not data:
            self.client.peer_closed()
            raise LineLost(f"{self.peer}: closed the connection")
        return self.client.receive(data)

    async def until(
        self, wanted: type[pop3.Event], ahead: Callable[[], None] = lambda: None
    ) -> list[pop3.Event]:
        """All events up to the wanted one, and those that came with it.

        `ahead` is called before each write: what can go along with it may be queued there.
        Raises: RefusedError if the server says no before; WireError, RemoteProtocolError.
        """
        found: list[pop3.Event] = []
        has_come = False
        while not has_come:
            ahead()
            await self.send()
            for event in await self.receive():
                if isinstance(event, pop3.Refused) and not has_come:
                    raise self.refusal(event)
                has_come = has_come or isinstance(event, wanted)
                found.append(event)
        return found

    async def all_owed(self) -> list[pop3.Event]:
        """All events, until nothing is owed; refusals are among them. Raises: as receive."""
        found: list[pop3.Event] = []
        await self.send()
        while self.client.outstanding:
            found += await self.receive()
            await self.send()
        return found

    def refusal(self, event: pop3.Refused) -> RefusedError:
        """The error that a refusal is, if it is one."""
        kind = LoginRefused if event.command in _LOGIN else RefusedError
        return kind(event.status, f"{self.peer}: {event.command} refused")
