"""Sockets that were opened before anybody listens on them."""

import socket

import pytest

from peers.processes import free_port
from relaynode.config.values import ListenAddress
from relaynode.errors import ConnectFailed
from relaynode.wire.ports import Ports


def test_a_socket_is_found_by_what_it_listens_on_as_often_as_it_is_wanted():
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
        ports = Ports([opened])
        for _ in range(2):  # the second time after a reload
            with ports.take(ListenAddress.parse(f"127.0.0.1:{port}")) as taken:
                assert taken.fileno() != opened.fileno()
            socket.create_connection(("127.0.0.1", port)).close()  # it still listens
        assert ports.take(ListenAddress.parse(f"127.0.0.2:{port}")) is None
        assert ports.take(ListenAddress.parse(f"[::1]:{port}")) is None


def test_what_nobody_takes_any_more_is_closed_and_named():
    with socket.create_server(("127.0.0.1", 0)) as opened:
        ports = Ports([opened])
        where = f"127.0.0.1:{opened.getsockname()[1]}"
        ports.take(ListenAddress.parse(where)).close()
        assert ports.close_unused() == []
        assert opened.fileno() >= 0
        assert ports.close_unused() == [where]
        assert opened.fileno() == -1
        assert ports.take(ListenAddress.parse(where)) is None


def test_one_that_is_open_is_not_opened_again_and_one_that_is_taken_is_named():
    where = ListenAddress.parse(f"127.0.0.1:{free_port()}")
    ports = Ports()
    ports.bind(where)
    ports.bind(where)
    with pytest.raises(ConnectFailed, match=f"cannot listen on {where}: Address already in use"):
        Ports().bind(where)
    ports.take(where).close()
