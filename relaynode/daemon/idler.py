"""Keeps a session at an IMAP server that tells of new mail, whatever becomes of the line."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from relaynode.errors import RelaynodeError
from relaynode.node import is_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.node import Node

log = logging.getLogger("relaynode")

FIRST_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 15 * 60.0
"""Before a lost session is begun again: twice as long each time, until one has held so long."""


class Idler:
    """One account's. `on_news` is called with its name when there may be mail."""

    def __init__(
        self,
        account: str,
        link: str,
        node: Node,
        on_news: Callable[[str], None],
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._account = account
        self._link = link
        self._node = node
        self._on_news = on_news
        self._monotonic = monotonic
        self._sleep = sleep
        self._session: asyncio.Task[bool] | None = None
        self._task = asyncio.ensure_future(self._run())

    def hang_up(self) -> None:
        """The link may not be used any more. The next session begins when it is up."""
        if self._session is not None:
            self._session.cancel()

    async def close(self) -> None:
        """End."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = self._monotonic()
            try:
                if await is_up(self._node, self._link) and not await self._idle():
                    text = "%s: its server knows no IDLE; poll_minutes says when it is polled"
                    log.warning(text, self._account)
                    return
            except RelaynodeError as error:
                log.info("%s: no news of mail for a while: %s", self._account, error)
            if self._monotonic() - began >= LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _idle(self) -> bool:
        """One session; False if the server cannot."""
        self._session = session = asyncio.ensure_future(
            self._node.links.idle(self._account, lambda: self._on_news(self._account), self._sleep)
        )
        try:
            await asyncio.wait((session,))
        finally:
            self._session = None
            session.cancel()
            await asyncio.gather(session, return_exceptions=True)
        return session.cancelled() or session.result()
