"""Processes that take mail from the LAN beside the daemon, when there is more than one can take.

Python works on one core at a time. A daemon that is asked a lot starts receivers, up to
`limits.receivers`, and gives them some of the connections that it accepts; they talk to the client,
put the mail into the queue by themselves, and say what they have queued. When nobody has come for a
while they end: an idle node is one process.

Only clients that are not counted one by one (`SmtpSource.is_near`) go to a receiver. What has to be
known of others, how often they come, and what they have failed at, is in the daemon's memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from relaynode.wire.channel import Channel, pair

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from relaynode.accounts.accounts import Accounts
    from relaynode.sources.crowd import Crowd
    from relaynode.wire.listener import PassOn

CONNECTIONS_EACH = 4
"""A process that has more of them is due for help: one after the other, few clients need none."""

MOST = 4
"""Processes of a node, where nothing is said: more only wait for the disk together."""

IDLE_SECONDS = 300.0
"""A receiver that has had no connection for so long ends."""

AGAIN_SECONDS = 60.0
"""When one has failed, the next is started no sooner."""

END_SECONDS = 20.0
"""What a receiver that is to end may take to say goodbye to its clients."""

READY = "ready"
LEFT = "left"
QUEUED = "queued"
AWAY = "away"
FAILED = "failed"
"""What receivers say: READY; LEFT and how many of their connections are over; QUEUED and queue ids,
AWAY and those of which nothing stays on this machine; FAILED and from where a login has failed."""

log = logging.getLogger("relaynode")


class Process(Protocol):
    """What asyncio.subprocess.Process promises."""

    async def wait(self) -> int: ...
    def kill(self) -> None: ...


if TYPE_CHECKING:
    Start = Callable[[socket.socket], Awaitable[Process]]
    """Starts a receiver that has this end of a channel. Raises: OSError."""


@dataclass(slots=True, eq=False)
class _Receiver:
    """One, from the moment it is wanted. `connections`: those that it has."""

    process: asyncio.Task[Process]
    channel: Channel
    is_ready: bool = False
    connections: int = 0
    idle_since: float = 0.0


def usual_number() -> int:
    """How many there may be where nothing is said: one for each processor beside the daemon's."""
    return min(_processors(), MOST) - 1


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on the BSDs
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(slots=True)
class Receivers:
    """Those of one daemon. `most`: how many there may be. `crowd`, `accounts`: what the daemon
    remembers of its clients. `own`: how many connections the daemon serves itself. `on_queued`:
    see Intake. `clock`: monotonic seconds."""

    start: Start
    most: int
    crowd: Crowd
    accounts: Accounts
    own: Callable[[], int]
    on_queued: Callable[[str, bool], None]
    clock: Callable[[], float] = time.monotonic
    there: list[_Receiver] = field(default_factory=list)
    _not_before: float = 0.0
    _looking: asyncio.TimerHandle | None = None
    _ending: set[asyncio.Task[None]] = field(default_factory=set)

    def door(self, words: str, is_near: Callable[[str], bool]) -> PassOn:
        """What a listener asks. `words`: what its clients come to, a key of Doors.for_mail and the
        name of the [listen.NAME]. `is_near`: is this an address whose clients are not counted?"""

        def pass_on(connected: socket.socket, address: str) -> bool:
            # Guesses are counted in one place: who has failed to log in comes to the daemon.
            if not is_near(address) or self.accounts.has_failed(address):
                return False
            return self._pass_on(words, connected, address)

        return pass_on

    def _pass_on(self, words: str, connected: socket.socket, address: str) -> bool:
        self._start_if_due()
        found = min(
            (one for one in self.there if one.is_ready),
            key=lambda one: one.connections,
            default=None,
        )
        if found is None or found.connections > self.own():
            return False
        if self.crowd.enter(address, is_exempt=True) is not None:
            return False
        if not found.channel.hand_over(words, connected):
            self.crowd.leave(address, is_exempt=True)
            return False
        found.connections += 1
        return True

    def _start_if_due(self) -> None:
        total = self.own() + sum(one.connections for one in self.there)
        if total < CONNECTIONS_EACH * (len(self.there) + 1) or len(self.there) >= self.most:
            return
        if self.clock() >= self._not_before:
            self._add()

    def _add(self) -> None:
        ours, theirs = pair()
        process = asyncio.ensure_future(self._started(theirs))
        channel = Channel(
            ours,
            lambda words, connected: self._hear(one, words),
            lambda: self._lose(one),
        )
        one = _Receiver(process, channel, idle_since=self.clock())
        self.there.append(one)

    async def _started(self, theirs: socket.socket) -> Process:
        with theirs:  # it has a copy
            return await self.start(theirs)

    def _hear(self, one: _Receiver, words: str) -> None:
        kind, _, rest = words.partition(" ")
        if kind == READY:
            one.is_ready = True
            log.info("many clients: receiver %d of %d is ready", len(self.there), self.most)
            self._look_later()
        elif kind == LEFT and rest.isdecimal():
            self._leave(one, int(rest))
        elif kind in (QUEUED, AWAY):
            for queue_id in rest.split():
                self.on_queued(queue_id, kind == QUEUED)
        elif kind == FAILED:
            self.accounts.note_failure(rest)

    def _leave(self, one: _Receiver, count: int) -> None:
        for _ in range(min(count, one.connections)):
            self.crowd.leave("", is_exempt=True)
            one.connections -= 1
        one.idle_since = self.clock()

    def _lose(self, one: _Receiver) -> None:
        """It has ended by itself: its clients bring again what was not accepted."""
        if one.connections:
            log.warning("a receiver was lost with %d connections", one.connections)
        self._not_before = self.clock() + AGAIN_SECONDS
        self._end(one)

    # --- ending

    def _look_later(self) -> None:
        if self._looking is None:
            loop = asyncio.get_running_loop()
            self._looking = loop.call_later(IDLE_SECONDS / 2, self._look)

    def _look(self) -> None:
        self._looking = None
        self.end_idle()
        if self.there:
            self._look_later()

    def end_idle(self) -> None:
        """Let those end that have had nothing to do for a while."""
        for one in list(self.there):
            if not one.connections and self.clock() - one.idle_since >= IDLE_SECONDS:
                self._end(one)

    def _end(self, one: _Receiver) -> None:
        self._leave(one, one.connections)
        self.there.remove(one)
        one.channel.close()  # which it takes for the end
        task = asyncio.ensure_future(_ended(one.process))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End them all: they say goodbye to their clients."""
        if self._looking is not None:
            self._looking.cancel()
        for one in list(self.there):
            self._end(one)
        await asyncio.gather(*self._ending)


async def _ended(starting: asyncio.Task[Process]) -> None:
    try:
        process = await starting
    except OSError as error:
        log.warning("no receiver could be started: %s", error)
        return
    try:
        async with asyncio.timeout(END_SECONDS):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        code = await process.wait()
    if code:
        log.warning("a receiver has ended with exit code %d", code)
