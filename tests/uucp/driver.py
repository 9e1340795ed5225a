"""Drives a call over file descriptors in real time: the smallest loop that does it right.

It reads while it writes, so that two sides that both send do not wait for each other, and asks the
call for more only when the connection takes more.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.uucp.call import Call
    from relaynode.uucp.events import CallEvent

LINGER_SECONDS = 2.0
READ_BYTES = 65536


class TooLong(Exception):
    """A call took longer than its test allows. str() holds the events so far."""


def drive(
    call: Call,
    reader: int,
    writer: int,
    *,
    seconds: float = 60.0,
    until: Callable[[Call], bool] = lambda call: False,
) -> list[CallEvent]:
    """Run a call to its end, or until `until`. The descriptors are left open.

    Raises: TooLong.
    """
    return _Drive(call, reader, writer, time.monotonic() + seconds, until).run()


def drive_socket(call: Call, connection: socket.socket, **options: object) -> list[CallEvent]:
    """The same over a socket, which is closed in order."""
    with connection:
        connection.setblocking(False)
        events = drive(call, connection.fileno(), connection.fileno(), **options)
        if call.is_finished:
            _linger(connection)
        return events


def _linger(connection: socket.socket) -> None:
    """Bytes that come after the last read would destroy what the peer has not read yet."""
    ends_at = time.monotonic() + LINGER_SECONDS
    try:
        connection.shutdown(socket.SHUT_WR)
        while (left := ends_at - time.monotonic()) > 0:
            if not select.select([connection], [], [], left)[0] or not connection.recv(READ_BYTES):
                return
    except OSError:
        return


class _Drive:
    def __init__(
        self,
        call: Call,
        reader: int,
        writer: int,
        ends_at: float,
        until: Callable[[Call], bool],
    ) -> None:
        self._call = call
        self._reader = reader
        self._writer = writer
        self._ends_at = ends_at
        self._until = until
        self._unwritten = b""
        self._events: list[CallEvent] = []
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)

    def run(self) -> list[CallEvent]:
        self._events += self._call.start(time.monotonic())
        while not self._until(self._call):
            self._unwritten = self._unwritten or self._call.data_to_send(time.monotonic())
            if self._call.is_finished and not self._unwritten:
                self._events += self._call.tick(time.monotonic())
                break
            self._turn()
        return self._events

    def _turn(self) -> None:
        now = time.monotonic()
        if now > self._ends_at:
            raise TooLong("\n".join(map(str, self._events)))
        wake_at = self._call.wake_at
        wake_at = self._ends_at if wake_at is None else min(wake_at, self._ends_at)
        readers = [] if self._call.is_finished else [self._reader]
        writers = [self._writer] if self._unwritten else []
        readable, writable, _ = select.select(readers, writers, [], max(0.0, wake_at - now))
        if writable:
            self._write()
        if readable:
            self._read()
        now = time.monotonic()
        if (wake_at := self._call.wake_at) is not None and now >= wake_at:
            self._events += self._call.tick(now)

    def _write(self) -> None:
        try:
            written = os.write(self._writer, self._unwritten)
        except BlockingIOError:
            return
        except OSError:
            self._unwritten = b""
            self._events += self._call.peer_closed(time.monotonic())
            return
        self._unwritten = self._unwritten[written:]

    def _read(self) -> None:
        try:
            data = os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        now = time.monotonic()
        self._events += self._call.receive(data, now) if data else self._call.peer_closed(now)
