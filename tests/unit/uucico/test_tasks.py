"""Work beside a session, begun on the loop or in a thread."""

import asyncio

import pytest

from relaynode.errors import NotClaimed, StoreError
from relaynode.uucico.tasks import Tasks


def test_the_session_is_told_when_work_is_over_and_nothing_is_left_undone():
    async def scenario():
        done, changes = [], []
        tasks = Tasks(lambda: changes.append(len(done)))

        async def work(number):
            await asyncio.sleep(0)
            done.append(number)

        tasks.start(work(1))
        await asyncio.to_thread(lambda: [tasks.start(work(2)), tasks.start(work(3))])
        await tasks.finish()
        assert sorted(done) == [1, 2, 3]
        await asyncio.sleep(0)
        assert len(changes) == 3

    asyncio.run(scenario())


def test_the_first_error_of_ours_is_told_and_told_again():
    async def scenario():
        async def fail(error):
            raise error

        tasks = Tasks()
        tasks.start(fail(NotClaimed("J1")))
        await tasks.finish()
        tasks.check()
        tasks.start(fail(StoreError("first")))
        tasks.start(fail(StoreError("second")))
        with pytest.raises(StoreError, match="first"):
            await tasks.finish()
        with pytest.raises(StoreError, match="first"):
            tasks.check()

    asyncio.run(scenario())


def test_work_that_makes_more_work_is_waited_for():
    async def scenario():
        done = []
        tasks = Tasks()

        async def second():
            done.append(2)

        async def first():
            await asyncio.sleep(0)
            tasks.start(second())

        tasks.start(first())
        await tasks.finish()
        assert done == [2]

    asyncio.run(scenario())
