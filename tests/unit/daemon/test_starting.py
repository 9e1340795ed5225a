"""Who starts a daemon hears that it serves, and not a moment too early."""

import asyncio

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
