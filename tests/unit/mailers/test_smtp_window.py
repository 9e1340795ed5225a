"""How many messages may be under way, and who gets which."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from relaynode.mailers.smtp_supply import Supply
from relaynode.mailers.smtp_window import LOW_BACKLOG_BYTES, MAX_UNMEASURED, MIN_IN_FLIGHT, Window
from relaynode.wire.meter import PipeMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SIZE = 1000


def settled(bytes_per_second: float, round_trip: float) -> PipeMeter:
    """A meter that has seen so much."""
    meter = PipeMeter(0.0)
    meter.round_trip(round_trip)
    now = 0.0
    for _ in range(PipeMeter.SAMPLES):
        sent = meter.send(SIZE, now)
        now += SIZE / bytes_per_second
        meter.acknowledge(sent, now)
    return meter


def room(window: Window, backlog: int) -> int:
    """How many messages it takes."""
    taken = 0
    while window.has_room(lambda: backlog):
        window.opened(SIZE)
        taken += 1
    return taken


def test_two_messages_are_always_under_way() -> None:
    assert room(Window(settled(10.0, 0.001), limit=64), backlog=10**6) == MIN_IN_FLIGHT


def test_as_many_are_under_way_as_fill_the_pipe() -> None:
    window = Window(settled(5000.0, 1.0), limit=64)
    fitting = room(window, backlog=10**6)
    assert fitting == pytest.approx(PipeMeter.GAIN * 5, abs=1)
    window.closed(SIZE)
    assert room(window, backlog=10**6) == 1


def test_no_more_are_under_way_than_the_user_allows() -> None:
    assert room(Window(settled(5000.0, 1.0), limit=1), backlog=0) == 1


@pytest.mark.parametrize(("backlog", "most"), [(0, MAX_UNMEASURED), (LOW_BACKLOG_BYTES, 2)])
def test_before_it_is_measured_a_line_is_kept_busy(backlog: int, most: int) -> None:
    window = Window(PipeMeter(0.0), limit=64)
    assert room(window, backlog) == most
    assert window.look_again_seconds is not None


def test_a_measured_line_is_looked_at_only_when_something_is_answered() -> None:
    assert Window(settled(10.0, 0.001), limit=64).look_again_seconds is None


# --- the supply


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def test_each_is_given_out_once_and_what_comes_back_first() -> None:
    async def play() -> list[object]:
        supply: Supply = Supply(numbers(3))  # type: ignore[arg-type]
        taken: list[object] = [await supply.take()]
        supply.give_back(taken[0])  # type: ignore[arg-type]
        assert supply.has_returned
        assert await supply.has_more()
        while (one := await supply.take()) is not None:
            taken.append(one)
        assert not await supply.has_more()
        assert await supply.take() is None
        await supply.close()
        return taken

    assert asyncio.run(play()) == [0, 0, 1, 2]


def test_a_taker_that_is_called_off_takes_nothing_away() -> None:
    async def play() -> list[object]:
        supply: Supply = Supply(numbers(4))  # type: ignore[arg-type]
        gone = asyncio.ensure_future(supply.take())
        await asyncio.sleep(0)
        gone.cancel()
        takers = [asyncio.ensure_future(supply.take()) for _ in range(6)]
        return list(await asyncio.gather(*takers))

    taken = asyncio.run(play())
    assert sorted(one for one in taken if one is not None) == [0, 1, 2, 3]  # type: ignore[type-var]
    assert taken.count(None) == 2


def test_an_error_of_the_source_reaches_every_taker() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise OSError("the disk")

    async def play() -> None:
        supply: Supply = Supply(broken())  # type: ignore[arg-type]
        assert await supply.take() == 1
        for _ in range(2):
            with pytest.raises(OSError, match="the disk"):
                await supply.take()
        await supply.close()

    asyncio.run(play())
