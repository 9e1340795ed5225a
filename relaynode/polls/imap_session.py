"""One IMAP session on a stream: events, one after the other, and what ends it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RefusedError, RemoteProtocolError
from relaynode.imap import events as imap
from relaynode.imap.client import Client

if TYPE_CHECKING:
    from relaynode.wire.stream import Stream


@dataclass(slots=True)
class Session:
    """`timeout_seconds`: for each read and write. `alerts`: what people should read.
    `said_bye`: the server has answered LOGOUT."""

    stream: Stream
    timeout_seconds: float
    client: Client = field(default_factory=Client)
    alerts: list[str] = field(default_factory=list)
    _events: deque[imap.Event] = field(default_factory=deque)
    _failure: RemoteProtocolError | None = None
    said_bye: bool = False
    _lost: LineLost | None = None

    @property
    def has_event(self) -> bool:
        """Is there an event that needs no waiting?"""
        return bool(self._events)

    async def send(self) -> None:
        """Write what is to be written. A line that is lost is so only when all that has come is
        read: a message may be complete. Raises: WireError."""
        data = self.client.data_to_send()
        if data and self._lost is None:
            try:
                await self.stream.write(data, self.timeout_seconds)
            except LineLost as error:
                self._lost = error

    async def hang_up(self) -> None:
        """Write what is to be written, and close. Raises: WireError."""
        await self.send()
        await self.stream.close()

    async def event(self) -> imap.Event:
        """The next event; what is to be written is written first.

        Raises: WireError, RemoteProtocolError; RefusedError if the server says BYE unasked.
        """
        while not self._events:
            await self.send()
            self._events.extend(await self._receive())
        event = self._events.popleft()
        match event:
            case imap.Bye(status, was_asked):
                if not was_asked:
                    raise RefusedError(status, f"{self.stream.peer}: ended the session")
                self.said_bye = True
            case imap.Alert(text):
                self.alerts.append(text)
        return event

    async def answer(self, tag: str) -> imap.Done | imap.Refused:
        """The answer to one command; what comes before it is of no interest."""
        while True:
            event = await self.event()
            if isinstance(event, (imap.Done, imap.Refused)) and event.tag == tag:
                return event

    async def _receive(self) -> imap.Events:
        if self._failure is not None:
            raise self._failure
        try:
            if self.client.has_more:
                return self.client.receive(b"")
            if self._lost is not None:
                raise self._lost
            data = await self.stream.read(self.timeout_seconds)
            if not data:
                if self.said_bye:
                    raise LineLost(f"{self.stream.peer}: closed behind BYE")
                self.client.peer_closed()
                raise LineLost(f"{self.stream.peer}: closed the connection")
            return self.client.receive(data)
        except RemoteProtocolError as error:
            # What was understood before the fault counts: a message may be complete.
            self._failure = RemoteProtocolError(f"{self.stream.peer}: {error}")
            return self.client.drain_events()
