"""An event loop whose clock stands still while anything can be done, and then jumps on.

For what lives in memory: the kernel's TCP has clocks of its own, so no sockets. Threads are waited
for in the real world.
"""

import asyncio
import selectors


class _Selector(selectors.DefaultSelector):
    loop = None

    def select(self, timeout=None):
        if timeout is None or self.loop.threads:
            return super().select(timeout if timeout == 0 else 0.05)  # a thread that ends wakes us
        found = super().select(0)
        if not found:
            self.loop.now += max(timeout, 0)
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
