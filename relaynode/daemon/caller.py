"""Calls neighbours whenever there is something for them: one caller a link, each call on its own.

A call may last for hours, and another neighbour shall not wait for it; so each call is a task, and
the caller only looks whom to call.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from relaynode.daemon.worker import TICK_SECONDS
from relaynode.errors import CalledOff, RelaynodeError
from relaynode.node import is_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.node import Node

log = logging.getLogger("relaynode")


class LinkCaller:
    """Places the calls over `link` that are due. `node` gives the node as it is now; `on_called` is
    told when a call is over, since mail may have come."""

    def __init__(self, link: str, node: Callable[[], Node], on_called: Callable[[], None]) -> None:
        self._link = link
        self._node = node
        self._on_called = on_called
        self._woken = asyncio.Event()
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._task = asyncio.ensure_future(self._run())
        self.wake()

    def wake(self) -> None:
        """Something was queued, or has changed."""
        self._woken.set()

    async def close(self) -> None:
        """End; calls under way are called off, and what they know is recorded."""
        tasks = [self._task, *self._calls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            try:
                await self._look()
            except RelaynodeError as error:
                log.error("%s", error)

    async def _look(self) -> None:
        node = self._node()
        if not await is_up(node, self._link):
            return
        for name in await node.links.due_calls(self._link):
            if name not in self._calls:
                self._calls[name] = asyncio.ensure_future(self._call(node, name))

    async def _call(self, node: Node, name: str) -> None:
        try:
            summary = await node.links.call(name)
            for call in summary.calls:
                if call.problem:
                    log.warning("%s: %s", call.neighbour, call.problem)
        except CalledOff:
            pass  # the line went down
        except RelaynodeError as error:
            log.error("%s", error)
        finally:
            del self._calls[name]
            self._on_called()
