"""Words between two processes of a node, and connections that go along."""

import asyncio
import fcntl
import socket

import pytest

from relaynode.wire.channel import MAX_BYTES, Channel, pair


class End:
    """One end, and what it has heard."""

    def __init__(self, connection):
        self.words, self.connections, self.ends = [], [], 0
        self.channel = Channel(connection, self._hear, self._end)

    def _hear(self, words, connected):
        self.words.append(words)
        if connected is not None:
            self.connections.append(connected)

    def _end(self):
        self.ends += 1

    async def heard(self, count):
        while len(self.words) < count:
            await asyncio.sleep(0)


async def ends():
    return tuple(map(End, pair()))


def test_words_come_whole_and_in_order():
    async def run():
        one, other = await ends()
        said = [f"{number} {'x' * (MAX_BYTES - 10)}" for number in range(200)]
        for words in said:  # more than the kernel holds
            one.channel.say(words)
        await other.heard(len(said))
        assert other.words == said
        one.channel.close()

    asyncio.run(run())


def test_a_connection_goes_along_and_no_program_of_ours_inherits_it():
    async def run():
        one, other = await ends()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                assert one.channel.hand_over("smtp lan", theirs)
            await other.heard(1)
            assert other.words == ["smtp lan"]
            (handed,) = other.connections
            with handed:
                assert fcntl.fcntl(handed, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
                handed.send(b"220")
                assert ours.recv(3) == b"220"
        one.channel.close()

    asyncio.run(run())


def test_nothing_is_handed_over_where_there_is_no_room_or_nobody():
    async def run():
        one, other = await ends()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for _ in range(1000):
                one.channel.say("x" * MAX_BYTES)
            assert not one.channel.hand_over("smtp lan", theirs)
            other.channel.close()
            assert not one.channel.hand_over("smtp lan", theirs)
            while not one.ends:
                await asyncio.sleep(0)
            assert not one.channel.hand_over("smtp lan", theirs)
        assert other.connections == []

    asyncio.run(run())


@pytest.mark.parametrize("is_killed", [False, True])
def test_the_end_of_the_other_is_told_once(is_killed):
    async def run():
        ours, theirs = pair()
        one = End(ours)
        if is_killed:  # with something unread
            one.channel.say("words")
        theirs.close()
        while not one.ends:
            await asyncio.sleep(0)
        one.channel.say("to nobody")
        one.channel.close()
        assert one.ends == 1

    asyncio.run(run())
