"""Group commit: one thread, one connection, and everybody who waits shares the same fsync.

Work that arrives while a commit runs, this process's or another's, is gathered and goes into the
next one. If one piece of it fails, or the commit, all is taken back and each piece is committed by
itself, so that nobody fails for another. So a piece of work may run twice, and does nothing but
statements. (A savepoint for each would do as well: four more changes of the interpreter's lock a
message, where hardly any fails.)
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from relaynode.errors import StoreError, StoreFull

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

T = TypeVar("T")

MAX_GROUP = 512
"""Pieces of work in one commit: bounds the time that the first of them waits for the last."""


def translate(error: sqlite3.Error) -> StoreError:
    """Our own error for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return StoreFull(f"queue: {error}")
    return StoreError(f"queue: {error}")


@dataclass(slots=True)
class _Work:
    run: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: Exception | None = None


class Committer:
    """Runs pieces of work on one connection, each in a transaction shared with its neighbours."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        turn: AbstractContextManager[None],
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        """`turn`: held while something is written; see turn.py. `on_commit`: called after each
        commit, in the thread."""
        self._turn = turn
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._connection = connect()
        self._thread = threading.Thread(target=self._serve, name="committer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` and return what it returned, once it is durable.

        A caller that is cancelled meanwhile does not know whether it happened; it did or will.
        Raises: StoreFull, StoreError, and whatever `work` raised.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Work(work, future, loop))
        return await future

    def close(self) -> None:
        """Finish what was asked for and end the thread."""
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        while (first := self._queue.get()) is not None:
            with self._turn:
                group, is_last = self._gather(first)
                self._commit_all(group)
            self._answer(group)
            self._on_commit()
            if is_last:
                return

    def _gather(self, first: _Work) -> tuple[list[_Work], bool]:
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                break
            if work is None:
                return group, True
            group.append(work)
        return group, False

    def _commit_all(self, group: list[_Work]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:  # somebody has had the queue for a minute
            for work in group:
                work.error = translate(error)
            return
        try:
            for work in group:
                work.result = work.run(self._connection)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
            self._roll_back()
            if len(group) == 1:
                group[0].error = translate(error) if isinstance(error, sqlite3.Error) else error
                return
            for work in group:
                self._commit_all([work])

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    @staticmethod
    def _answer(group: list[_Work]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Work]] = {}
        for work in group:
            by_loop.setdefault(work.loop, []).append(work)
        for loop, works in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, works)


def _resolve(works: list[_Work]) -> None:
    for work in works:
        if work.future.done():
            continue  # cancelled meanwhile
        if work.error is not None:
            work.future.set_exception(work.error)
        else:
            work.future.set_result(work.result)
