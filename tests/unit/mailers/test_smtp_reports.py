"""Reports go on behind a session's back: in order, together, and never unheard when they fail."""

import asyncio

import pytest

from relaynode.errors import StoreError
from relaynode.mailers.smtp_reports import MAX_WAITING, Reports


class Desk:
    """Writes down what is reported, each time when `open` is set; then it shuts again."""

    def __init__(self):
        self.open = asyncio.Event()
        self.written = []
        self.fails = False

    async def report(self, attempts):
        await self.open.wait()
        self.open.clear()
        if self.fails:
            raise StoreError("the disk is full")
        self.written.append(list(attempts))


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_comes_while_one_is_written_down_goes_together_into_the_next():
    async def play():
        desk = Desk()
        reports = Reports(desk.report)
        reports.add([1])
        await turns()
        reports.add([2])
        reports.add([3, 4])
        await reports.have_room()
        finishing = asyncio.ensure_future(reports.finish())
        for _ in range(2):
            await turns()
            assert not finishing.done()
            desk.open.set()
        await finishing
        assert desk.written == [[1], [2, 3, 4]]
        reports.add([])
        await reports.finish()
        reports.add([5])
        desk.open.set()
        await reports.finish()
        assert desk.written[2:] == [[5]]

    asyncio.run(play())


def test_who_reports_too_much_waits():
    async def play():
        desk = Desk()
        reports = Reports(desk.report)
        reports.add([0])
        await turns()
        reports.add(range(MAX_WAITING + 1))
        waiting = asyncio.ensure_future(reports.have_room())
        await turns()
        assert not waiting.done()
        desk.open.set()
        await turns()
        desk.open.set()
        await waiting

    asyncio.run(play())


@pytest.mark.parametrize("ask", [Reports.have_room, Reports.finish])
def test_a_report_that_fails_is_heard_of(ask):
    async def play():
        desk = Desk()
        desk.fails = True
        reports = Reports(desk.report)
        reports.add([1])
        desk.open.set()
        await turns()
        reports.add([2])
        with pytest.raises(StoreError, match="full"):
            await ask(reports)

    asyncio.run(play())
