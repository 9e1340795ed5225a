"""What a run over a link cost is written down, however it ends."""

import asyncio

import pytest

from relaynode.errors import StoreFull
from relaynode.links import recorder
from relaynode.links.recorder import Recorder
from relaynode.links.summary import Summary
from relaynode.queue.link_runs import MemoryLinkRuns


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Played:
    """A run that carries 5 bytes out and 7 in, takes 3 seconds, and ends as `end` says."""

    def __init__(self, end=lambda: None, runs=None):
        self.clock = Clock()
        self.runs = runs or MemoryLinkRuns()
        self.recorder = Recorder(self.runs, self.clock, self.clock)
        self.end = end

    async def run(self):
        summary = Summary("isp")
        async with self.recorder.recorded(summary, is_ordered=True):
            summary.count.sent(5)
            summary.count.received(7)
            summary.problems.append("x" * 1000)
            self.clock.now += 3
            await asyncio.sleep(0)
            self.end()

    def record(self):
        (found,) = asyncio.run(self.runs.last(9))
        return found


def fail():
    raise ValueError("broke")


def test_a_run_is_recorded_with_its_time_and_bytes():
    played = Played()
    asyncio.run(played.run())
    found = played.record()
    assert (found.link, found.began_at, found.seconds) == ("isp", 1000.0, 3.0)
    assert (found.bytes_out, found.bytes_in, found.ended) == (5, 7, "done")
    assert found.problems == ("x" * 300,)


def test_a_run_that_breaks_says_of_what():
    played = Played(fail)
    with pytest.raises(ValueError, match="broke"):
        asyncio.run(played.run())
    assert played.record().ended == "broke"


def test_a_run_that_is_called_off_is_recorded_too():
    played = Played()

    async def play():
        task = asyncio.ensure_future(played.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(play())
    assert played.record().ended == "called off"
    assert played.record().bytes_out == 5


def test_a_long_run_is_noted_while_it_goes_on(monkeypatch):
    monkeypatch.setattr(recorder, "NOTE_SECONDS", 0)
    played = Played()

    async def play():
        running = asyncio.Event()

        async def long():
            async with played.recorder.recorded(Summary("isp"), is_ordered=False):
                running.set()
                await asyncio.get_running_loop().create_future()

        task = asyncio.ensure_future(long())
        await running.wait()
        while not await played.runs.last(1):
            await asyncio.sleep(0)
        (noted,) = await played.runs.last(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return noted

    noted = asyncio.run(play())
    assert noted.ended == ""
    assert played.record().ended == "called off"


def test_a_full_disk_does_not_stop_a_run(caplog):
    class Full(MemoryLinkRuns):
        async def begin(self, run):
            raise StoreFull("no room")

    played = Played(runs=Full())
    asyncio.run(played.run())
    assert "is not recorded: no room" in caplog.text
