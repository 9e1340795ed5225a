"""Visits accounts by itself: every poll_minutes while their link is up, and when a server tells of
new mail.

What a visit is, links/linkrun.py says. The turns of a link by its timetable are another matter
(timekeeper.py): they are runs over the whole link.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

from relaynode.daemon.idler import Idler
from relaynode.errors import BusyError, CalledOff, RelaynodeError
from relaynode.node import is_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.config.schema import AccountSection
    from relaynode.node import Node

log = logging.getLogger("relaynode")

LOOK_SECONDS = 60.0
"""How often it is looked whether a link is up, and how soon a visit that could not be is tried."""

NEWS_SECONDS = 2.0
"""Between two visits to an account because of news: a server may tell of each message."""


def visitors_of(node: Node, on_visited: Callable[[], None]) -> list[Visitor]:
    """One for each link with accounts that want it. `on_visited`: mail may have come."""
    found: dict[str, dict[str, AccountSection]] = {}
    for name, section in node.config.file.account.items():
        if section.poll_minutes or section.idle:
            found.setdefault(node.config.link_of(section), {})[name] = section
    return [Visitor(link, accounts, node, on_visited) for link, accounts in found.items()]


class Visitor:
    """Visits these accounts of a link. Over a link that is always up the first visits are made at
    once; over another the link-up makes them. `monotonic`: seconds."""

    def __init__(
        self,
        link: str,
        accounts: dict[str, AccountSection],
        node: Node,
        on_visited: Callable[[], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._node = node
        self._on_visited = on_visited
        self._monotonic = monotonic
        self._sleep = sleep
        self._seconds = {
            name: one.poll_minutes * 60.0 if one.poll_minutes else math.inf
            for name, one in accounts.items()
        }
        is_always = node.config.links[link].kind == "always"
        now = monotonic()
        self._due = {
            name: now + (0.0 if is_always and seconds < math.inf else seconds)
            for name, seconds in self._seconds.items()
        }
        self._visited = dict.fromkeys(accounts, -math.inf)
        self._woken = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())
        self._idlers = [
            Idler(name, link, node, self.news_of, monotonic=monotonic, sleep=sleep)
            for name, one in accounts.items()
            if one.idle
        ]

    def news_of(self, account: str) -> None:
        """There may be mail: visit it soon."""
        soon = max(self._monotonic(), self._visited[account] + NEWS_SECONDS)
        self._due[account] = min(self._due[account], soon)
        self._woken.set()

    async def close(self) -> None:
        """End; a visit under way is called off."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(one.close() for one in self._idlers))

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except RelaynodeError as error:
                log.error("%s", error)
            until_next = min(self._due.values()) - self._monotonic()
            await self._wait(max(0.0, min(until_next, LOOK_SECONDS)))

    async def _wait(self, seconds: float) -> None:
        """So long, or until there is news."""
        waits = [asyncio.ensure_future(one) for one in (self._sleep(seconds), self._woken.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._woken.clear()

    async def _look(self) -> None:
        now = self._monotonic()
        if not await is_up(self._node, self._link):
            for one in self._idlers:
                one.hang_up()
            # A link-up polls all of them.
            self._due = {name: now + seconds for name, seconds in self._seconds.items()}
            return
        names = [name for name, due in self._due.items() if due <= now]
        if not names:
            return
        for name in names:
            self._due[name], self._visited[name] = now + self._seconds[name], now
        await self._visit(names)

    async def _visit(self, names: list[str]) -> None:
        try:
            summary = await self._node.links.visit(self._link, names)
        except (BusyError, CalledOff) as error:
            log.info("%s", error)
            soon = self._monotonic() + LOOK_SECONDS
            for name in names:
                self._due[name] = min(self._due[name], soon)
            return
        for problem in summary.problems:
            log.warning("%s", problem)
        self._on_visited()
