"""An event loop whose clock stands still while anything can be done, and then jumps on.

Sockets on loopback and threads work as ever: what they bring is waited for in the real world.
"""

import asyncio
import selectors

SETTLE_SECONDS = 0.0001
"""How long loopback may take to show at one socket what was written to another."""


class _Selector(selectors.SelectSelector):  # epoll waits a millisecond at least
    loop = None

    def select(self, timeout=None):
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if self.loop.threads:
            return super().select(0.001)
        found = super().select(0.05 if timeout is None else SETTLE_SECONDS)
        if not found and timeout is not None:
            self.loop.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0."""

    def __init__(self):
        self.now = 0.0
        self.threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self.now

    def run_in_executor(self, executor, func, *arguments):
        self.threads += 1
        future = super().run_in_executor(executor, func, *arguments)
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, _):
        self.threads -= 1


def run(coroutine):
    """As asyncio.run, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
