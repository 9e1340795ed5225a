"""A filter that a test plays: what it answers at each step, and whether it is there."""

import asyncio
import contextlib
import struct

from relaynode.config.milter_values import MilterSocket
from relaynode.errors import ConnectFailed, LineLost
from relaynode.milter.packets import PacketReader, encode
from relaynode.sources.filters import Filters
from relaynode.sources.milter_session import Filter
from relaynode.wire.memory import pair

AGREED = encode(b"O", struct.pack(">III", 6, 0x1FF, 0))
CONTINUE = encode(b"c")


class Scripted:
    """A filter: `answers` by the letter of the step, else it goes on. An answer may be None
    (silence) or b"" (it hangs up). `calls`: the letters that each connection brought. Where nobody
    is silent, limits of time are long: a busy machine is no reason to fail."""

    def __init__(
        self,
        answers=None,
        *,
        name="m",
        action="tempfail",
        is_there=True,
        command_seconds=30,
        content_seconds=30,
    ):
        self.answers = answers or {}
        self.is_there = is_there
        self.calls = []
        self.packets = []
        socket = MilterSocket(path=f"/{name}")
        self.filter = Filter(name, socket, action, 30, command_seconds, content_seconds)
        self._tasks = []

    async def open(self):
        if not self.is_there:
            raise ConnectFailed(f"/{self.filter.name}: Connection refused")
        theirs, ours = pair("filter", "server")
        self.calls.append("")
        self._tasks.append(asyncio.ensure_future(self._play(theirs)))
        return ours

    async def _play(self, stream):
        with contextlib.suppress(LineLost):
            await self._answer(stream)

    async def _answer(self, stream):
        reader = PacketReader()
        while data := await stream.read():
            reader.feed(data)
            while (packet := reader.take()) is not None:
                letter = packet.code.decode()
                self.calls[-1] += letter
                self.packets.append(packet)
                answer = AGREED if letter == "O" else self.answers.get(letter, CONTINUE)
                if answer == b"":
                    await stream.close()
                    return
                if answer is not None and letter not in "DAQ":
                    await stream.write(answer)


def filters_that_ask(*scripted, daemon_name="lan"):
    """Filters of a source, played by these."""
    by_name = {one.filter.name: one for one in scripted}
    return Filters(
        [one.filter for one in scripted],
        "bsd.home",
        daemon_name,
        10**6,
        lambda filter: by_name[filter.name].open(),
    )
