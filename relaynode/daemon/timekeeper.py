"""Gives each link with a timetable its turns: one keeper a link.

Which turn is due is worked out in `timetable/turns.py`. What a turn is, the daemon says.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from relaynode.errors import BusyError, CalledOff, RelaynodeError
from relaynode.links import hours
from relaynode.node import is_up
from relaynode.timetable.turns import JUMP_SECONDS, LOOK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.node import Node
    from relaynode.timetable import Mark, Moment, Turns

log = logging.getLogger("relaynode")


class Timekeeper:
    """Calls `on_turn` with the link's name at each of its turns, one after the other.

    A turn is over, and is remembered, when `on_turn` has returned or failed; not when it raises
    BusyError, since then it is tried again soon, nor when it is cancelled, since then it comes when
    the daemon, or its new configuration, is there. `sleep` waits at most so many seconds.
    """

    def __init__(
        self,
        link: str,
        node: Node,
        on_turn: Callable[[str], Awaitable[None]],
        *,
        now: Callable[[], Moment] = hours.now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._node = node
        self._on_turn = on_turn
        self._now = now
        self._sleep = sleep
        self._kept: Mark | None = None
        """What is in the store."""
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """End; a turn under way is called off."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        turns = await self._recall()
        while turns is not None:
            time.tzset()  # the machine may have moved to another zone
            is_soon = await self._look(turns)
            await self._keep(turns)
            await self._sleep(turns.wait_seconds(self._now()) if is_soon else LOOK_SECONDS)

    async def _recall(self) -> Turns | None:
        while True:
            try:
                self._kept = await self._node.store.turn_marks.recall(self._link)
            except RelaynodeError as error:
                log.error("%s", error)
                await self._sleep(LOOK_SECONDS)
            else:
                return hours.turns_of(self._node.config.links[self._link], self._now(), self._kept)

    async def _look(self, turns: Turns) -> bool:
        """Give the turn that is due. False if it could not be had."""
        began = self._now()
        turn = turns.due(began)
        if turn is None:
            return True
        log.info("link %s: its turn (%s)", self._link, turn)
        try:
            await self._on_turn(self._link)
        except BusyError as error:
            log.info("%s", error)
            return False
        except CalledOff as error:
            log.info("%s", error)  # the line went down; the next linkup takes all along
        except RelaynodeError as error:
            log.error("%s", error)
        except Exception:
            # The keeper outlives whatever is wrong with one turn.
            log.exception("link %s: its turn failed", self._link)
        turns.given(turn, began, self._now())
        return True

    async def _keep(self, turns: Turns) -> None:
        """Remember the last turn; again when a clock was set, since it is told in its terms."""
        mark = turns.mark(self._now())
        kept = self._kept
        if kept and kept.local == mark.local and abs(kept.at - mark.at) < JUMP_SECONDS:
            return
        try:
            await self._node.store.turn_marks.remember(self._link, mark)
            self._kept = mark
        except RelaynodeError as error:
            log.error("%s", error)


async def take_turn(node: Node, link: str) -> None:
    """A run over the link, as if it were ordered: one that we dial is dialled. If another is down,
    its next linkup is the turn.

    Raises: BusyError, CalledOff, StoreError.
    """
    if node.config.links[link].kind != "dial" and not await is_up(node, link):
        log.info("link %s is down: what was to be done waits for its linkup", link)
        return
    summary = await node.links.run(link)
    for problem in summary.problems:
        log.warning("%s", problem)
