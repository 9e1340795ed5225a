"""A session that waits at an IMAP server to be told that mail has come (RFC 2177).

It fetches nothing: whoever is told makes a visit, in a session of its own. Whether mail came
between two such sessions nobody tells; so the beginning of each is news, too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError, TimedOut
from relaynode.imap import events as imap
from relaynode.polls.imap_login import LoginSteps
from relaynode.polls.imap_session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.polls.account import Account

RENEW_SECONDS = 28 * 60.0
"""RFC 2177: servers may close a line that was silent for 30 minutes; it says 29 are safe."""


@dataclass(frozen=True, slots=True)
class ImapIdler:
    """Waits at one folder. `sleep`: for so many seconds."""

    account: Account
    folder: str = "INBOX"
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def idle(self, on_news: Callable[[], None]) -> bool:
        """Wait, and call `on_news` when there may be mail, until the line is lost.

        False: the server knows no IDLE. Raises: WireError, RefusedError, ProtocolError.
        """
        stream = await self.account.open()
        session = Session(stream, self.account.timeout_seconds)
        try:
            await LoginSteps(self.account, session, lambda: None).run()
            if not await self._can_idle(session):
                await session.answer(session.client.logout())
                return False
            await self._open_folder(session)
            # While nothing happens the server may be as silent as that.
            session.timeout_seconds += RENEW_SECONDS
            turn = _Turn(session, self.account.timeout_seconds, self.sleep, on_news)
            await turn.run(is_first=True)
            while True:
                await turn.run(is_first=False)
        finally:
            stream.abort()

    async def _can_idle(self, session: Session) -> bool:
        if not session.client.can("IDLE"):
            await session.answer(session.client.capability())
        return session.client.can("IDLE")

    async def _open_folder(self, session: Session) -> None:
        answer = await session.answer(session.client.select(self.folder, is_readonly=True))
        if isinstance(answer, imap.Refused):
            raise RefusedError(answer.status, f"{session.stream.peer}: {self.folder} refused")


@dataclass(frozen=True, slots=True)
class _Turn:
    """From IDLE to DONE. `patience`: seconds for the server's answers."""

    session: Session
    patience: float
    sleep: Callable[[float], Awaitable[None]]
    on_news: Callable[[], None]

    async def run(self, *, is_first: bool) -> None:
        self.session.client.idle()
        timer = asyncio.ensure_future(self.sleep(RENEW_SECONDS))
        reading = asyncio.ensure_future(self.session.event())
        has_begun = False
        try:
            while True:
                await asyncio.wait((reading, timer), return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    break
                event = reading.result()
                if isinstance(event, imap.Refused):
                    raise RefusedError(event.status, f"{self.session.stream.peer}: IDLE refused")
                if isinstance(event, imap.Done):
                    return  # it ends by itself, as a server may when it is restarted
                has_begun = has_begun or isinstance(event, imap.Idling)
                if isinstance(event, imap.Exists) or (is_first and isinstance(event, imap.Idling)):
                    self.on_news()
                reading = asyncio.ensure_future(self.session.event())
            if not has_begun:
                raise TimedOut(f"{self.session.stream.peer}: does not begin to idle")
            await self._end(reading)
        finally:
            timer.cancel()
            reading.cancel()
            await asyncio.gather(timer, reading, return_exceptions=True)

    async def _end(self, reading: asyncio.Task[imap.Event]) -> None:
        self.session.client.done()
        await self.session.send()
        try:
            async with asyncio.timeout(self.patience):
                event = await reading
                while not isinstance(event, (imap.Done, imap.Refused)):
                    if isinstance(event, imap.Exists):
                        self.on_news()
                    event = await self.session.event()
        except TimeoutError:
            raise TimedOut(f"{self.session.stream.peer}: silent behind DONE") from None
