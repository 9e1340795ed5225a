"""Connections to servers of this machine over unix sockets."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from relaynode.errors import ConnectFailed
from relaynode.wire.unix import UnixListener, connect


@pytest.fixture
def folder():
    """With a path that is short enough for a socket."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    yield path
    shutil.rmtree(path)


def test_both_sides_hear_each_other(folder):
    async def serve(stream):
        await stream.write(b"you said " + await stream.read(5))

    async def play():
        listener = UnixListener(serve)
        listener.listen(folder / "socket", 0o600)
        stream = await connect(folder / "socket", timeout=5)
        assert stream.peer == str(folder / "socket")
        await stream.write(b"hello", 5)
        heard = await stream.read(5)
        await stream.close()
        await listener.close()
        return heard

    assert asyncio.run(play()) == b"you said hello"


@pytest.mark.parametrize("name", ["none", "file", "x" * 200])
def test_where_nobody_listens_is_told_by_name(folder, name):
    (folder / "file").touch()
    with pytest.raises(ConnectFailed, match=name):
        asyncio.run(connect(folder / name, timeout=5))
