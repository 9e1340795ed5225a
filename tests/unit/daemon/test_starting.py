"""Who starts a daemon hears that it serves, and not a moment too early."""

import asyncio
import subprocess
import sys

import pytest

from nodes import TestNode
from peers.processes import free_port
from relaynode.daemon.daemon import Daemon
from relaynode.errors import BusyError, ConnectFailed
from relaynode.wire.listener import Listener
from relaynode.wire.unix import is_served

PORT = '[listen.lan]\nsmtp = ["127.0.0.1:{}"]\nnetworks = ["127.0.0.0/8"]\n'


async def start_and_stop(node):
    daemon = Daemon(node)
    try:
        await daemon.start()
    finally:
        await daemon.stop()


def test_a_daemon_answers_on_its_socket_only_when_its_ports_are_open(tmp_path, monkeypatch):
    node = TestNode(tmp_path, PORT.format(free_port())).open()
    seen = []

    async def refuse(where, serve, pass_on):
        seen.append(is_served(node.config.control_socket))
        raise ConnectFailed(f"cannot listen on {where}: Address already in use")

    monkeypatch.setattr(Listener, "open", refuse)
    with pytest.raises(ConnectFailed, match="already in use"):
        asyncio.run(start_and_stop(node))
    assert seen == [False]


def test_a_second_daemon_is_refused_before_it_opens_a_port(tmp_path, monkeypatch):
    first, second = (TestNode(tmp_path, PORT.format(free_port())).open() for _ in range(2))

    async def run():
        daemon = Daemon(first)
        await daemon.start()
        monkeypatch.setattr(Listener, "open", None)
        try:
            with pytest.raises(BusyError, match="serves this spool already"):
                await start_and_stop(second)
        finally:
            await daemon.stop()

    asyncio.run(run())


ANSWERS = """
[uucp]
nodename = "beta"
[neighbour.alpha]
called_login = "Ualpha"
called_password_file = "password"
[listen.lan]
uucp = ["127.0.0.1:{}"]
"""


def test_the_first_neighbour_that_calls_waits_for_no_module(tmp_path):
    """In a process of its own: in ours all has been loaded long ago."""
    port = free_port()
    node = TestNode(tmp_path, ANSWERS.format(port))
    node.password("password")
    ended = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, str(port)],
        env=node.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


FIRST_CALL = """
import asyncio, sys
from pathlib import Path
from relaynode.config.loader import find, load
from relaynode.daemon.daemon import Daemon
from relaynode.node import make_node

async def run():
    daemon = Daemon(make_node(load(find())))
    await daemon.start()
    before = set(sys.modules)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    await reader.readuntil(b"ogin:")
    print(sorted(one for one in set(sys.modules) - before if one.startswith("relaynode")))
    writer.close()
    await daemon.stop()

asyncio.run(run())
"""
