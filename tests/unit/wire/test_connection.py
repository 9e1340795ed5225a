"""A TCP connection: what the peer said before it broke the line is read, waits end in time."""

import asyncio
import socket
import threading

import pytest

from relaynode.errors import LineLost
from relaynode.wire import tcp


class Hasty:
    """Reads one byte, says something, and closes with the rest unread: the kernel says RST."""

    def __init__(self, words):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._words = words
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(1)
            connection.sendall(self._words)

    def wait(self):
        self._thread.join(10)
        self._listener.close()


async def write_until_lost(stream):
    with pytest.raises(LineLost, match=r"reset by peer|Broken pipe"):
        while True:
            await stream.write(b"more\r\n" * 100, 5)
            await asyncio.sleep(0)


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_answer_behind_which_the_line_breaks_is_read(size):
    words = b"554 no\r\n" * (size // 8)
    server = Hasty(words)

    async def play():
        stream = await tcp.connect("127.0.0.1", server.port, timeout=5)
        await stream.write(b"too much at once", 5)
        await asyncio.to_thread(server.wait)
        await write_until_lost(stream)
        said = b""
        with pytest.raises(LineLost, match=r"reset by peer|Broken pipe"):
            while True:
                said += await stream.read(5)
        stream.abort()
        return said

    said = asyncio.run(play())
    assert said and words.startswith(said)
    if size < 1000:
        assert said == words


def test_an_orderly_end_is_an_end():
    async def play():
        async def serve(reader, writer):
            writer.write(b"bye")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        stream = await tcp.connect("127.0.0.1", server.sockets[0].getsockname()[1], timeout=5)
        assert [await stream.read(5), await stream.read(5)] == [b"bye", b""]
        stream.abort()
        server.close()

    asyncio.run(play())
