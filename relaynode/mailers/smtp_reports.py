"""What became of messages, on its way to whoever writes it down, while the session goes on.

Each report waits for a commit. A session that waited too would send nothing meanwhile where every
message needs replies; so it goes on, and what is known before one commit ends goes into the next.
A process that is killed sends once more what was not written down, so there is never much of that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.mailers.mailer import Attempt, Report

MAX_WAITING = 64
"""Attempts that wait to be written down, before the session waits for them."""


class Reports:
    """Reports of one session, in order, one at a time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._waiting: list[Attempt] = []
        self._writing: asyncio.Task[None] | None = None

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Report these as soon as it can be done."""
        self._waiting += attempts
        if self._waiting and self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            attempts, self._waiting = self._waiting, []
            await self._report(attempts)
        self._writing = None

    async def have_room(self) -> None:
        """Wait while many are not written down. Raises: what `report` raised, at once."""
        writing = self._writing
        if writing is not None and (writing.done() or len(self._waiting) > MAX_WAITING):
            await writing

    async def finish(self) -> None:
        """Wait until all are written down. Raises: what `report` raised."""
        if self._writing is not None:
            await self._writing
