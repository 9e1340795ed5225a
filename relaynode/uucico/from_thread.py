"""Asks the queue from a thread.

The handshake asks questions that only the queue can answer, and the answers are all there is to
wait for. So a driver feeds a call in a thread until its handshake is over, and these wait there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from relaynode.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Are we on this loop now?"""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class FromThread:
    """Runs coroutines on `loop` for a thread that is not the loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it there and wait for its end. Raises: what it raises."""
        if is_running(self._loop):
            work.close()
            raise LocalProtocolError("the queue was asked on the event loop, which would never end")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
