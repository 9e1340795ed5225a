"""Workers: one for what stays on this machine and one for each link: none waits for another.

A session over a slow line may last for hours; local mail and the other links go on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from relaynode.errors import BusyError, CalledOff, RelaynodeError
from relaynode.node import is_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.links.run_parts import RunResult
    from relaynode.node import Node

log = logging.getLogger("relaynode")

TICK_SECONDS = 60.0
"""How often retry times are looked at when nothing else wakes a worker."""


class Worker:
    """Delivers what is due over `link` (None: at home) whenever it may.

    What has just come is looked at by its id; the whole queue only now and then, for its retry
    times, and when a link or the configuration changed. `node` gives the node as it is now;
    `on_failed` is called when mail failed or a DSN was queued, which may be for another worker.
    """

    def __init__(
        self, link: str | None, node: Callable[[], Node], on_failed: Callable[[], None]
    ) -> None:
        self._link = link
        self._node = node
        self._on_failed = on_failed
        self._woken = asyncio.Event()
        self._fresh: set[str] = set()
        self._looks_at_all = False
        self._is_down = False
        """The link was, when we looked last; `wake` is called when it comes up."""
        self._task = asyncio.ensure_future(self._run())
        self.wake()

    @property
    def is_home(self) -> bool:
        """Is it the one for what needs no link?"""
        return self._link is None

    def queued(self, queue_id: str) -> None:
        """This message has just come. While the link is down it waits for that in the queue."""
        if not self._is_down:
            self._fresh.add(queue_id)
            self._woken.set()

    def wake(self) -> None:
        """Look at the whole queue: something has changed."""
        self._looks_at_all = True
        self._is_down = False
        self._woken.set()

    async def close(self) -> None:
        """End; a session under way is called off, and what it knows is recorded."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                self._looks_at_all = True
            self._woken.clear()
            queue_ids = None if self._looks_at_all else self._fresh
            self._looks_at_all, self._fresh = False, set()
            try:
                await self._work(queue_ids)
            except (BusyError, CalledOff):
                continue  # somebody else works over this link, or it went down
            except RelaynodeError as error:
                log.error("%s", error)

    async def _work(self, queue_ids: set[str] | None) -> None:
        node = self._node()
        if self._link is not None and not await is_up(node, self._link):
            if await node.links.is_worth_a_dial(self._link, queue_ids):
                summary = await node.links.run(self._link)
                self._tell(summary.flush, summary.all_problems)
            # Not if it has come up while we looked: then we are woken, and look at all of it.
            dials = node.config.links[self._link].dial_grade is not None
            self._is_down = not self._looks_at_all and not dials
            return
        self._is_down = False
        result = await node.links.run_due(self._link, queue_ids)
        self._tell(result, result.problems)

    def _tell(self, result: RunResult, problems: list[str]) -> None:
        for problem in problems:
            log.warning("%s", problem)
        if result.failed or result.notices:
            self._on_failed()
