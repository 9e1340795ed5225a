"""Group commit: one thread, one connection, and everybody who waits shares the same fsync.

Work that arrives while a commit runs, this process's or another's, is gathered and goes into the
next one. Each piece of work runs inside its own savepoint, so that one that fails does not take the
others along; if the commit itself fails, all of them fail.
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
        self, connect: Callable[[], sqlite3.Connection], turn: AbstractContextManager[None]
    ) -> None:
        """`turn`: held while something is written; see turn.py."""
        self._turn = turn
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
                self._commit(group)
            self._answer(group)
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

    def _commit(self, group: list[_Work]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for work in group:
                self._run_one(work)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            for work in group:
                work.error = translate(error)

    def _run_one(self, work: _Work) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT work")
        try:
            work.result = work.run(connection)
        except Exception as error:  # it belongs to the one who asked, and to nobody else
            if isinstance(error, sqlite3.Error):
                if not connection.in_transaction:
                    raise  # a full disk rolled everything back, the others' work too
                work.error = translate(error)
            else:
                work.error = error
            connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")

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
