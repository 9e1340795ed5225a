"""A file that a neighbour sends: in memory while short, a part in the spool when long or cut.

A part is written as it comes, so that a lost line or a killed process loses nothing that has come
over the line; its row tells the next session where it is. What the whole file becomes is decided by
its landing (`landing.py`), in one commit; only then is there a verdict, and only then may CY go.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from relaynode.errors import LocalProtocolError, RemoteProtocolError, StoreFull
from relaynode.queue.boot import boot
from relaynode.queue.content import INLINE_BYTES, Content, store_error, sync_folder
from relaynode.queue.uucp.model import Mark, Part
from relaynode.uucico.tree import free_bytes
from relaynode.uucp.work import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relaynode.queue.uucp.store import Received
    from relaynode.uucico.tasks import Tasks

SPILL_SECONDS = 5.0
"""A file that has been in memory for so long comes over a slow line: what has come is dear."""

WORTH_KEEPING_BYTES = 256
"""A shorter part costs as much to ask for as to send again."""

CHECK_BYTES = 1024 * 1024
"""After so much of a file it is synced, and looked whether there is room for more."""


class Landing(Protocol):
    """What a whole file becomes."""

    async def land(
        self, content: Content, mark: Mark | None, part: tuple[str, str] | None
    ) -> Verdict:
        """Make it durable, together with its mark and the end of its part.

        Content that is not kept in the spool is discarded. Raises: StoreError.
        """
        ...


def held_bytes(part: Part, received: Received) -> int:
    """How much of a part can be relied upon."""
    try:
        size_bytes = received.path_of(part.content_file).stat().st_size
    except OSError:
        return 0
    if part.boot and part.boot == boot():
        return size_bytes  # what was written is in the system's hands, whatever became of us
    return min(size_bytes, part.held_bytes)


class Arriving:
    """A `Sink` of the session's.

    `part`: what there is of the file or may come to be, with `held_bytes` to go on from; None for a
    file whose temporary name is a dummy, which can neither go on another time nor be known again.
    `max_bytes`: of any file. `on_stored`, `on_confirmed`: told of its mark. `clock`: epoch seconds.
    """

    def __init__(
        self,
        part: Part | None,
        landing: Landing,
        received: Received,
        tasks: Tasks,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        min_free_bytes: int = 0,
        max_bytes: int | None = None,
        on_stored: Callable[[Mark], None] = lambda mark: None,
        on_confirmed: Callable[[Mark], None] = lambda mark: None,
    ) -> None:
        self._part = part
        self._landing = landing
        self._received = received
        self._tasks = tasks
        self._clock = clock
        self._monotonic = monotonic
        self._min_free_bytes = min_free_bytes
        self._max_bytes = max_bytes
        self._on_stored = on_stored
        self._on_confirmed = on_confirmed
        self._memory = bytearray()
        self._path: Path | None = None
        self._descriptor = -1
        self._began_at = monotonic()
        self._checked_bytes = 0
        self._holding = asyncio.Lock()
        self._is_whole = self._is_abandoned = False
        self._mark: Mark | None = None
        self._verdict: Verdict | None = None
        self.position = 0
        self._size_bytes = 0
        if part is not None and part.held_bytes:
            self._resume(part)

    def _resume(self, part: Part) -> None:
        path = self._received.path_of(part.content_file)
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            os.ftruncate(self._descriptor, part.held_bytes)
        except OSError as error:
            raise store_error(error, str(path)) from error
        self._path = path
        self.position = self._size_bytes = self._checked_bytes = part.held_bytes

    # --- for the session

    @property
    def is_over(self) -> bool:
        """Is nothing more to be done for it?"""
        return self._is_abandoned or self._verdict is not None

    def write(self, position: int, content: bytes) -> None:
        """Keep a piece. Raises: StoreFull, StoreError."""
        self._tasks.check()
        if position > self._size_bytes:
            raise LocalProtocolError("a hole in a file that arrives")
        end = position + len(content)
        self._check_size(end)
        if self._descriptor < 0 and self._must_spill(end):
            self._spill()
        if self._descriptor < 0:
            self._memory[position:end] = content
        else:
            self._write_file(position, content)
        self._size_bytes = max(self._size_bytes, end)
        if self._size_bytes - self._checked_bytes >= CHECK_BYTES:
            self._check()

    def _check_size(self, end: int) -> None:
        """What was told is not held against a peer, whose file may have grown; the limit is."""
        if self._max_bytes is not None and end > self._max_bytes:
            raise RemoteProtocolError(f"more than the {self._max_bytes} bytes a file may have")

    def _must_spill(self, end: int) -> bool:
        is_slow = self._monotonic() - self._began_at >= SPILL_SECONDS
        return end > INLINE_BYTES or (is_slow and self._part is not None)

    def commit(self, size_bytes: int) -> None:
        """The file is complete: make it durable."""
        if size_bytes > self._size_bytes:
            raise LocalProtocolError("a file is said to be longer than what came of it")
        self._size_bytes = size_bytes
        self._is_whole = True
        self._tasks.start(self._land())

    @property
    def verdict(self) -> Verdict | None:
        """What became of it; None as long as that is not known. Raises: StoreError."""
        if self._verdict is None:
            self._tasks.check()
        return self._verdict

    def abandon(self, keeps_part: bool) -> None:
        """The transfer is over without a whole file."""
        if self._is_whole:
            return  # the line went before our word of it; it is stored all the same
        keeps = keeps_part and self._part is not None
        if keeps and self._descriptor < 0 and self._size_bytes >= WORTH_KEEPING_BYTES:
            self._spill()
        self._memory.clear()
        self._is_abandoned = True
        if self._descriptor >= 0:
            self._tasks.start(self._hold() if keeps else self._drop())

    def confirmed(self) -> None:
        """The peer knows that it is stored."""
        if self._mark is not None:
            self._on_confirmed(self._mark)

    # --- the part

    def _spill(self) -> None:
        """From memory into a file."""
        self._path = self._received.new_path()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise store_error(error, str(self._path)) from error
        self._write_file(0, bytes(self._memory))
        self._memory.clear()
        if self._part is not None:
            self._part = replace(
                self._part,
                content_file=self._path.name,
                held_bytes=0,
                boot=boot(),
                updated_at=self._clock(),
            )
            self._tasks.start(self._begin(self._part))

    async def _begin(self, part: Part) -> None:
        async with self._holding:
            await self._received.begin_part(part)

    def _write_file(self, position: int, content: bytes) -> None:
        view = memoryview(content)
        try:
            while view:
                written = os.pwrite(self._descriptor, view, position)
                position, view = position + written, view[written:]
        except OSError as error:
            raise store_error(error, str(self._path)) from error

    def _check(self) -> None:
        """So much has come: is there room for more? What there is, is synced beside the session."""
        assert self._path is not None
        self._checked_bytes = self._size_bytes
        try:
            left = free_bytes(self._path.parent)
        except OSError as error:
            raise store_error(error, str(self._path)) from error
        if left < self._min_free_bytes:
            raise StoreFull(f"{self._path.parent}: less than {self._min_free_bytes} bytes are free")
        if self._part is not None and not self._holding.locked():
            self._tasks.start(self._sync())

    async def _sync(self) -> None:
        async with self._holding:
            if self._part is None or self._descriptor < 0 or self._verdict is not None:
                return
            held = self._size_bytes
            await self._fsync()
            self._part = replace(self._part, held_bytes=held, boot=boot(), updated_at=self._clock())
            await self._received.hold_part(self._part)

    async def _fsync(self) -> None:
        try:
            await asyncio.to_thread(os.fsync, self._descriptor)
        except OSError as error:
            raise store_error(error, str(self._path)) from error

    async def _hold(self) -> None:
        await self._sync()
        self._close()

    async def _drop(self) -> None:
        async with self._holding:
            self._close()
            assert self._path is not None
            if self._part is not None:
                await self._received.drop_part(self._part.neighbour, self._part.temp)
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # --- the whole file

    async def _land(self) -> None:
        async with self._holding:
            try:
                content = await self._content()
            finally:
                self._close()
            mark, key = self._marked(content.size_bytes)
            verdict = await self._landing.land(content, mark, key)
            if verdict is Verdict.NOT_STORED:
                await self._forget(content)
        if verdict is Verdict.STORED and mark is not None:
            self._mark = mark
            self._on_stored(mark)
        self._verdict = verdict

    async def _forget(self, content: Content) -> None:
        if self._part is not None:
            await self._received.drop_part(self._part.neighbour, self._part.temp)
        content.discard()

    async def _content(self) -> Content:
        if self._descriptor < 0:
            return Content.of(bytes(self._memory[: self._size_bytes]))
        assert self._path is not None
        try:
            os.ftruncate(self._descriptor, self._size_bytes)
            await self._fsync()
            await asyncio.to_thread(sync_folder, self._path.parent)
        except OSError as error:
            raise store_error(error, str(self._path)) from error
        return Content(self._size_bytes, path=self._path)

    def _marked(self, size_bytes: int) -> tuple[Mark | None, tuple[str, str] | None]:
        part = self._part
        if part is None:
            return None, None
        mark = Mark(part.neighbour, part.temp, part.target, size_bytes, self._clock())
        return mark, (part.neighbour, part.temp)
