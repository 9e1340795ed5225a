"""Connections in memory over the directions of an emulated line: its rate and delay, no sockets."""

import asyncio
from collections import deque

from relaynode.errors import LineLost, TimedOut
from relaynode.wire.emulator import SEGMENT_BYTES, SOCKET_BUFFER_BYTES, Direction
from relaynode.wire.metered import MeteredStream


class End:
    """One end of a connection: a Stream."""

    def __init__(self, peer, direction):
        self.peer = peer
        self.direction = direction
        self.other = None
        self.inbox = asyncio.Queue()
        self.buffer, self.flying = bytearray(), deque()
        self.unconfirmed = 0
        self.has_ended = self.is_lost = False
        self.changed = asyncio.Event()
        self.tasks = [asyncio.ensure_future(self._pump())]
        self.port, self.own_address, self.address, self.cipher = 0, "", "192.0.2.1", None

    async def _pump(self):
        while True:
            while not self.buffer and not self.has_ended:
                self.changed.clear()
                await self.changed.wait()
            piece = bytes(self.buffer[:SEGMENT_BYTES])
            at = await self.direction.send(len(piece), 0.0)
            del self.buffer[: len(piece)]
            self.changed.set()
            loop = asyncio.get_running_loop()
            self.flying.append(piece)  # two that arrive at once do so in order
            loop.call_at(at, self._arrive)
            if not piece:
                return

    def _arrive(self):
        piece = self.flying.popleft()
        self.unconfirmed -= len(piece)
        if not self.is_lost:
            self.other.inbox.put_nowait(piece)

    async def read(self, timeout=None):
        try:
            async with asyncio.timeout(timeout):
                data = await self.inbox.get()
        except TimeoutError:
            raise TimedOut(f"{self.peer}: silent") from None
        if not data:
            self.inbox.put_nowait(data)
        if data is None:
            raise LineLost(f"{self.peer}: lost")
        return data

    async def write(self, data, timeout=None):
        if self.is_lost:
            raise LineLost(f"{self.peer}: lost")
        self.buffer += data
        self.unconfirmed += len(data)
        self.changed.set()
        while len(self.buffer) > SOCKET_BUFFER_BYTES and not self.is_lost:
            self.changed.clear()
            await self.changed.wait()
        if self.is_lost:
            raise LineLost(f"{self.peer}: lost")

    def backlog(self):
        return self.unconfirmed

    async def close(self):
        self.has_ended = True
        self.changed.set()
        while self.buffer and not self.is_lost:
            self.changed.clear()
            await self.changed.wait()

    def abort(self):
        for end in (self, self.other):
            if not end.is_lost and not (end.has_ended and end is not self):
                end.inbox.put_nowait(None)
            end.is_lost = True
            end.changed.set()
            for task in end.tasks:
                task.cancel()


class MemoryLine:
    """`services`: by port, what serves there."""

    def __init__(self, bits_per_second, round_trip_seconds):
        self.round_trip_seconds = round_trip_seconds
        self.up = Direction(bits_per_second, round_trip_seconds / 2)
        self.down = Direction(bits_per_second, round_trip_seconds / 2)
        self.services = {}
        self.serving = []

    async def connect(self, host, port, *, count=None, **_):
        """In place of `tcp.connect`."""
        if count is not None:
            count.check()
        await asyncio.sleep(self.round_trip_seconds)
        ours, theirs = End("far [192.0.2.1]", self.up), End("near", self.down)
        ours.other, theirs.other = theirs, ours
        self.serving.append(asyncio.ensure_future(self.services[port](theirs, "192.0.2.9")))
        return ours if count is None else MeteredStream(ours, count)

    async def close(self):
        for task in self.serving:
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)
