"""What was begun is finished, however often its caller is cancelled."""

import asyncio

import pytest

from relaynode.queue.finish import finish


class Work:
    """Something that takes as long as the test wants."""

    def __init__(self, error=None):
        self.may_end = asyncio.Event()
        self.is_done = False
        self._error = error

    async def run(self):
        await self.may_end.wait()
        self.is_done = True
        if self._error is not None:
            raise self._error
        return "result"


async def begun(work):
    task = asyncio.ensure_future(finish(work.run()))
    await asyncio.sleep(0)
    return task


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


def test_the_result_or_the_error_comes_through():
    async def play():
        good, bad = Work(), Work(ValueError("so"))
        good.may_end.set()
        bad.may_end.set()
        assert await finish(good.run()) == "result"
        with pytest.raises(ValueError, match="so"):
            await finish(bad.run())

    asyncio.run(play())


@pytest.mark.parametrize("error", [None, ValueError("nobody looks")], ids=["done", "failed"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_cancellation_waits_for_the_end_and_is_not_forgotten(times, error):
    async def play():
        work = Work(error)
        task = await begun(work)
        for _ in range(times):
            task.cancel()
            await turns()
            assert not task.done()
        work.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.is_done

    asyncio.run(play())
