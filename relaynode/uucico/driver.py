"""Drives a call over a stream: reads, writes, and wakes the call when its time has come.

Reading never stops for writing: on a slow line a write may take minutes, and what the peer says
meanwhile (acknowledgements, a refusal) decides what is worth writing next. So the call is asked for
more bytes only when the last ones are on their way.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from relaynode.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.uucp.call import Call
    from relaynode.uucp.events import CallEvent
    from relaynode.wire.stream import Stream

MAX_UNREAD_PIECES = 16
"""Pieces from the line that wait for the call; then the line waits."""


class Driver:
    """One call on one stream.

    `clock`: monotonic seconds. `on_event`: told of each event. `is_gated`: before the conversation
    the call asks things that it waits for, so that part is taken in a thread.
    """

    def __init__(
        self,
        call: Call,
        stream: Stream,
        *,
        clock: Callable[[], float],
        on_event: Callable[[CallEvent], None],
        is_gated: bool = False,
    ) -> None:
        self._call = call
        self._stream = stream
        self._clock = clock
        self._on_event = on_event
        self._is_gated = is_gated
        self._unread: asyncio.Queue[bytes] = asyncio.Queue(MAX_UNREAD_PIECES)
        self._changed = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._is_line_lost = False

    def wake(self) -> None:
        """There is new work, or an answer that the call waits for."""
        self._changed.set()

    async def run(self) -> None:
        """Until the call is over and its last bytes are written, or the line is gone.

        The stream is left open. What the call's injected interfaces raise passes through, after
        the call was aborted.
        """
        reading = asyncio.create_task(self._read())
        try:
            self._tell(self._call.start(self._clock()))
            while self._is_busy():
                await self._wait()
                await self._step()
            self._tell(self._call.tick(self._clock()))  # what was found while sending
        except BaseException as error:
            self._tell(self._call.abort(_reason(error), self._clock()))
            raise
        finally:
            for task in (reading, self._writing):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    def _is_busy(self) -> bool:
        """Is there anything left to do? Starts the next write if one is due."""
        if self._writing is None and not self._is_line_lost:
            data = self._call.data_to_send(self._clock())
            if data:
                self._writing = asyncio.create_task(self._write(data))
        return not self._call.is_finished or self._writing is not None

    async def _wait(self) -> None:
        wake_at = self._call.wake_at
        delay = None if wake_at is None else max(0.0, wake_at - self._clock())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._changed.wait()
        self._changed.clear()

    async def _step(self) -> None:
        while not self._unread.empty():
            piece = self._unread.get_nowait()
            take = self._call.receive if piece else self._closed
            if self._is_gated and self._call.session is None:
                self._tell(await asyncio.to_thread(take, piece, self._clock()))
            else:
                self._tell(take(piece, self._clock()))
        # A tick costs nothing, and what the call waited for (a commit) may have come.
        self._tell(self._call.tick(self._clock()))

    def _closed(self, _: bytes, now: float) -> list[CallEvent]:
        return self._call.peer_closed(now)

    def _tell(self, events: list[CallEvent]) -> None:
        for event in events:
            self._on_event(event)

    async def _read(self) -> None:
        piece = b"?"
        while piece:
            try:
                piece = await self._stream.read()
            except WireError:
                piece = b""
            await self._unread.put(piece)
            self._changed.set()

    async def _write(self, data: bytes) -> None:
        try:
            await self._stream.write(data)
        except WireError:
            self._is_line_lost = True
            await self._unread.put(b"")
        finally:
            self._writing = None
            self._changed.set()


def _reason(error: BaseException) -> str:
    return "called off" if isinstance(error, asyncio.CancelledError) else str(error)
