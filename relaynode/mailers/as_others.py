"""Asking the monitor to do something as a user: the side of those who have no rights.

Whether there is a monitor is a property of the process, as its user id is: it is there from the
moment the rights were given up.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
from typing import BinaryIO

from relaynode.mailers.monitor_words import MAX_REQUEST_BYTES, Request, Tell, encode

ANSWER_SECONDS = 10.0
"""For what is only read. A home on a server that is down must not hold up everybody else."""


class Lent:
    """A process that the monitor has started for us, as far as `subprocess.Popen` is like it."""

    def __init__(self, control: socket.socket, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._control = control
        self.stdin: BinaryIO | None = stdin
        self.stdout: BinaryIO | None = stdout

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or a signal's number, negative. Raises: subprocess.TimeoutExpired."""
        # Not select(): a busy daemon has more descriptors than that takes.
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired("monitor", timeout or 0)
        with self._control:
            code = self._control.recv(16)
        # Without a word it was refused, or the monitor is gone.
        return int(code) if code else os.EX_TEMPFAIL

    def kill_all(self) -> None:
        """Kill it and all that it has started. `wait` still tells how it ended."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)


class MonitorClient:
    """The node's end of the connection to its monitor. Any thread may ask."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """Readable when the monitor has ended, and at no other time."""
        return self._connection.fileno()

    def tell(self, state: str) -> None:
        """See Tell."""
        with contextlib.suppress(OSError):
            self._connection.send(encode(Tell(state.encode())))

    def start(self, request: Request) -> Lent:
        """Ask; what runs then takes its input from us. Raises: OSError."""
        data = encode(request)
        if len(data) > MAX_REQUEST_BYTES:
            raise OSError(None, "too long a request")
        control, theirs = socket.socketpair()
        source, stdin = os.pipe()
        stdout, sink = os.pipe()
        try:
            socket.send_fds(self._connection, [data], [theirs.fileno(), source, sink])
        except BaseException:
            control.close()
            os.close(stdin)
            os.close(stdout)
            raise
        finally:
            theirs.close()
            os.close(source)
            os.close(sink)
        return Lent(control, os.fdopen(stdin, "wb", 0), os.fdopen(stdout, "rb", 0))

    def ask(self, request: Request) -> tuple[int, bytes]:
        """What it prints, and its exit code. Raises: OSError, TimeoutError among them."""
        lent = self.start(request)
        assert lent.stdin is not None
        assert lent.stdout is not None
        lent.stdin.close()
        with lent.stdout as pipe:
            found, poll = bytearray(), select.poll()
            poll.register(pipe, select.POLLIN)
            while poll.poll(ANSWER_SECONDS * 1000):
                if not (piece := os.read(pipe.fileno(), 65536)):
                    return lent.wait(), bytes(found)
                found += piece
        lent.kill_all()
        raise TimeoutError(None, f"no answer within {ANSWER_SECONDS:g} s")


class NoMonitor(PermissionError):
    """What is to be done as somebody else waits for a node that can."""


_monitor: MonitorClient | None = None
_is_expected = False


def monitor() -> MonitorClient | None:
    """Who does for us what only root can have done; None where that was never meant to be.

    Raises: NoMonitor.
    """
    if _is_expected and _monitor is None and os.geteuid() != 0:
        raise NoMonitor(None, "this can only be done by a node that root has started")
    return _monitor


def expect() -> None:
    """This node delivers as others, by the configuration: without a monitor such mail waits, and
    is not refused. For the same node may be started by its own user, and by root later."""
    global _is_expected
    _is_expected = True


def lend(client: MonitorClient) -> None:
    """From now on there is one: for who has just given up root's rights."""
    global _monitor
    _monitor = client
    expect()


def can_become_others() -> bool:
    """Can things be done as other users, here or by a monitor?"""
    return os.geteuid() == 0 or _is_expected or _monitor is not None
