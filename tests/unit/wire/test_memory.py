"""The in-memory twin behaves as a connection does."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from relaynode.errors import LineLost, TimedOut, TlsFailed
from relaynode.wire.memory import pair
from relaynode.wire.stream import READ_BYTES


def test_what_one_writes_the_other_reads_in_order_both_ways() -> None:
    async def play() -> None:
        first, second = pair("the second", "the first")
        assert (first.peer, second.peer) == ("the second", "the first")
        for number in range(5):
            await first.write(b"ping%d" % number)
            await second.write(b"pong%d" % number)
        assert [await second.read() for _ in range(5)] == [b"ping%d" % i for i in range(5)]
        assert [await first.read() for _ in range(5)] == [b"pong%d" % i for i in range(5)]
        assert first.backlog() == 0

    asyncio.run(play())


def test_a_reader_waits_for_a_writer() -> None:
    async def play() -> None:
        first, second = pair()
        reading = asyncio.ensure_future(second.read())
        await asyncio.sleep(0)
        assert not reading.done()
        await first.write(b"x")
        assert await reading == b"x"

    asyncio.run(play())


def test_a_read_gives_no_more_than_its_share() -> None:
    async def play() -> None:
        first, second = pair()
        data = bytes(range(256)) * 1024
        await first.write(data)
        await first.close()
        read = []
        while piece := await second.read():
            read.append(piece)
        assert b"".join(read) == data
        assert max(map(len, read)) == READ_BYTES

    asyncio.run(play())


def test_nothing_written_is_nothing_read() -> None:
    async def play() -> None:
        first, second = pair()
        await first.write(b"")
        with pytest.raises(TimedOut):
            await second.read(timeout=0)
        await first.close()
        await first.write(b"")  # as on TCP, no error

    asyncio.run(play())


def test_silence_is_a_time_out_and_loses_nothing() -> None:
    async def play() -> None:
        first, second = pair("the second", "the first")
        with pytest.raises(TimedOut, match=r"the first: silent for 0\.001 s"):
            await second.read(timeout=0.001)
        await first.write(b"late")
        assert await second.read(timeout=1) == b"late"

    asyncio.run(play())


def test_a_close_is_seen_behind_what_was_written_and_for_ever() -> None:
    async def play() -> None:
        first, second = pair()
        await first.write(b"last words")
        await first.close()
        await first.close()
        assert [await second.read() for _ in range(4)] == [b"last words", b"", b"", b""]
        with pytest.raises(LineLost):
            await first.write(b"more")
        await second.write(b"it was closed one way only")
        assert await first.read() == b"it was closed one way only"

    asyncio.run(play())


def test_an_abort_loses_the_line_for_both_and_for_ever() -> None:
    async def play() -> None:
        first, second = pair()
        await first.write(b"last words")
        first.abort()
        first.abort()
        assert await second.read() == b"last words"
        for stream in (first, second, second, first):
            with pytest.raises(LineLost):
                await stream.read()
            with pytest.raises(LineLost):
                await stream.write(b"x")
        await second.close()

    asyncio.run(play())


def test_an_abort_wakes_who_reads() -> None:
    async def play() -> None:
        first, second = pair()
        readings = [asyncio.ensure_future(stream.read()) for stream in (first, second)]
        await asyncio.sleep(0)
        first.abort()
        ended = await asyncio.gather(*readings, return_exceptions=True)
        assert [type(end) for end in ended] == [LineLost, LineLost]

    asyncio.run(play())


def test_there_is_no_tls_in_memory() -> None:
    async def play() -> None:
        with pytest.raises(TlsFailed):
            await pair()[0].start_tls(ssl.create_default_context(), "x")

    asyncio.run(play())
