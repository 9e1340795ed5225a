"""The connections of one delivery to one next hop: one, and more where one cannot fill the line.

What a server shows of itself is recalled when its address is known, and remembered at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import ProtocolError, RefusedError, StoreError, WireError
from relaynode.mailers.smtp_opening import open_session
from relaynode.mailers.smtp_session import Relearned, Session
from relaynode.queue.finish import finish
from relaynode.queue.servers import KnownServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from relaynode.mailers.mailer import Report
    from relaynode.mailers.smtp_hop import NextHop
    from relaynode.mailers.smtp_supply import Supply
    from relaynode.policy.masquerade import Masquerade
    from relaynode.wire.stream import Stream


@dataclass(slots=True)
class Connections:
    """All connections at one time. `clock`: monotonic seconds."""

    next_hop: NextHop
    hostname: str
    masquerade: Masquerade
    clock: Callable[[], float]
    supply: Supply
    report: Report
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _opening: set[asyncio.Task[None]] = field(default_factory=set)
    _recalled: dict[str, KnownServer] = field(default_factory=dict)
    _learned: dict[str, KnownServer] = field(default_factory=dict)
    """What the first connection has learned: the others need not ask again."""
    _is_served: bool = False
    """Has a connection come to the end of the supply?"""

    async def run(self) -> None:
        """Until the supply has ended or nothing more can be done.

        Raises: Relearned, WireError, RefusedError, ProtocolError: of the first connection that
        failed, unless another one came to the end of the supply.
        """
        self._start(self._first())
        try:
            while waiting := [task for task in self._tasks if not task.done()]:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            await finish(_ended(self._tasks))
        errors = [e for task in self._tasks if not task.cancelled() and (e := task.exception())]
        lessons = [error for error in errors if isinstance(error, Relearned)]
        if lessons or (errors and not self._is_served):
            raise (lessons or errors)[0]

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        self._opening.add(task)

    # --- connections

    async def _first(self) -> None:
        """The one that tells whether others would help."""
        stream = await self.next_hop.open()
        try:
            session = await self._open(stream)
            growing = asyncio.ensure_future(self._grow(session))
            try:
                await self._run(session)
            finally:
                growing.cancel()
                await asyncio.gather(growing, return_exceptions=True)
        finally:
            stream.abort()

    async def _grow(self, session: Session) -> None:
        while len(self._tasks) < self.next_hop.max_connections:
            await session.wants_more_than(len(self._tasks))
            self._learned[session.server] = session.known
            if not await self.supply.has_more():
                return
            self._start(self._another())

    async def _another(self) -> None:
        """One more. If it does not come about, those that are there do."""
        try:
            stream = await self.next_hop.open()
        except WireError:
            return
        try:
            try:
                session = await self._open(stream)
            except (WireError, RefusedError, ProtocolError):
                return
            await self._run(session)
        finally:
            stream.abort()

    async def _open(self, stream: Stream) -> Session:
        server = f"{stream.peer}:{self.next_hop.port} {self.next_hop.tls}"
        if server not in self._recalled:
            self._recalled[server] = await self.next_hop.servers.recall(server) or KnownServer()
        known = self._learned.get(server, self._recalled[server])
        dialogue = await open_session(
            stream, self.next_hop, known, hostname=self.hostname, clock=self.clock
        )
        client = dialogue.client
        if not client.is_presuming:
            known = replace(known, extensions=client.extensions)
        return Session(
            dialogue, self.next_hop, self.masquerade, self.supply, self.report, server, known
        )

    async def _run(self, session: Session) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._opening.discard(task)
        try:
            await session.run()
            self._served()
        finally:
            if session.known != self._recalled[session.server]:
                with contextlib.suppress(StoreError):  # it is found out again
                    await finish(self.next_hop.servers.remember(session.server, session.known))

    def _served(self) -> None:
        """Who is not ready yet comes too late."""
        self._is_served = True
        for task in self._opening:
            task.cancel()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
