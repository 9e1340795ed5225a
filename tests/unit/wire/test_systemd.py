"""Sockets that systemd hands over, and what it is told."""

import fcntl
import os
import socket

import pytest

from relaynode.wire.systemd import READY, handed_over, notify


def is_free(descriptor):
    """A number that another thread waits to have, as in accept(2), is neither open nor free."""
    got = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, descriptor)
    os.close(got)
    return got == descriptor


@pytest.fixture
def passed():
    """Passes sockets on as systemd does, from a descriptor on that is free with those behind it."""
    first = next(n for n in range(200, 900, 10) if all(map(is_free, range(n, n + 10))))
    opened = []

    def hand_over(*sockets, **environ):
        for number, one in enumerate(sockets, start=first):
            os.dup2(one.fileno(), number)
        opened.append(len(sockets))
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(sockets)), **environ}
        found = handed_over(environ, first)
        assert not environ
        return found

    yield hand_over
    for number in range(first, first + max(opened)):
        try:
            os.close(number)
        except OSError:
            continue


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_listening_socket_is_taken_and_no_program_of_ours_inherits_it(passed, listening):
    (found,) = passed(listening, LISTEN_FDNAMES="lan")
    with found:
        assert found.getsockname() == listening.getsockname()
        assert not found.get_inheritable()


def test_what_is_no_listening_tcp_socket_is_closed(passed, listening):
    quiet, pair = socket.socket(), socket.socketpair()
    with quiet, pair[0], pair[1], open(os.devnull) as file:
        found = passed(quiet, pair[0], file, listening)
    assert [one.getsockname() for one in found] == [listening.getsockname()]
    for one in found:
        one.close()


@pytest.mark.parametrize(
    "environ",
    [{"LISTEN_PID": "1"}, {"LISTEN_PID": ""}, {"LISTEN_FDS": "-1"}, {"LISTEN_FDS": "x"},
     {"LISTEN_FDS": "99999999"}],
)  # fmt: skip
def test_what_is_for_another_process_or_no_number_is_left_alone(passed, listening, environ):
    assert passed(listening, **environ) == []


def test_without_the_variables_there_is_nothing():
    assert handed_over({}) == []


@pytest.mark.parametrize("is_abstract", [False, True])
def test_who_asked_to_be_told_is_told(tmp_path, is_abstract):
    place = f"@relaynode-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(place.replace("@", "\0"))
        notify(READY, {"NOTIFY_SOCKET": place})
        assert server.recv(100) == b"READY=1"


@pytest.mark.parametrize("place", ["", "relative", "/nonexistent/notify"])
def test_that_nobody_can_be_told_is_no_trouble(place):
    notify(READY, {"NOTIFY_SOCKET": place})
