"""Work that goes on beside a session which must not wait: commits, copies, look-ups.

The session is told that something has changed, asks again, and finds what became of it. The first
error of ours ends the session: it is raised where the session next asks for anything.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from relaynode.errors import NotClaimed, StoreError
from relaynode.uucico.from_thread import is_running

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Tasks:
    """The work beside one session, made on the loop that does it. `on_change`: called there when a
    piece of it is over."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change
        self._running: set[asyncio.Task[None]] = set()
        self._coming = 0
        self._failure: StoreError | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a piece of work. A session begins in a thread, where the handshake ends."""
        if is_running(self._loop):
            self._create(work)
        else:
            self._coming += 1
            self._loop.call_soon_threadsafe(self._came, work)

    def _came(self, work: Coroutine[Any, Any, None]) -> None:
        self._coming -= 1
        self._create(work)

    def _create(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(self._guarded(work))
        self._running.add(task)
        task.add_done_callback(self._over)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except NotClaimed:
            pass  # the operator removed a job while it was on the line: its history says so
        except StoreError as error:
            self._failure = self._failure or error

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._on_change()

    def ring(self) -> None:
        """Something has changed."""
        self._on_change()

    def check(self) -> None:
        """Raises: StoreError if a piece of work has failed."""
        if self._failure is not None:
            raise self._failure

    async def finish(self) -> None:
        """Wait for all of it. Raises: StoreError, and what nobody foresaw."""
        while self._running or self._coming:
            await asyncio.gather(asyncio.sleep(0), *self._running)
        self.check()
