"""Words between two processes of one node, and connections that go along with them.

A pair of unix sockets (SOCK_SEQPACKET: a word is one packet, and comes whole or not at all); a
connection goes along as a descriptor (SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES = 16 * 1024
"""Of what is said at once; far less than a packet may have."""

_AT_ONCE = 64
"""Packets that are taken before others have their turn."""


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Channel:
    """One end. `on_words`: told what the other says, with the connection that came along, if one
    did: it is the hearer's to close. `on_end`: the other has ended; told once."""

    def __init__(
        self,
        connection: socket.socket,
        on_words: Callable[[str, socket.socket | None], None],
        on_end: Callable[[], None],
    ) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._on_words = on_words
        self._on_end = on_end
        self._unsaid: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection, self._hear)

    def say(self, words: str) -> None:
        """In order, and as soon as there is room. `words`: at most MAX_BYTES."""
        if self._is_closed:
            return
        self._unsaid.append(words.encode())
        if len(self._unsaid) == 1:
            self._say_all()

    def hand_over(self, words: str, connected: socket.socket) -> bool:
        """Say something, and let a connection go along: now, or not at all. Is it done?"""
        if self._is_closed or self._unsaid:
            return False
        try:
            socket.send_fds(self._socket, [words.encode()], [connected.fileno()])
        except OSError:  # there is no room, or nobody
            return False
        return True

    def close(self) -> None:
        """Say and hear no more."""
        if not self._is_closed:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    @property
    def _is_closed(self) -> bool:
        return self._socket.fileno() < 0

    def _say_all(self) -> None:
        while self._unsaid:
            try:
                self._socket.send(self._unsaid[0])
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._socket, self._say_all)
                return
            except OSError:  # that it has ended is for the reader to tell
                self._unsaid.clear()
                break
            self._unsaid.popleft()
        self._loop.remove_writer(self._socket)

    def _hear(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                words, descriptors, _, _ = socket.recv_fds(self._socket, MAX_BYTES, 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                words, descriptors = b"", []
            if not words:
                self.close()
                self._on_end()
                return
            self._on_words(words.decode("utf-8", "replace"), _connection(descriptors))
            if self._is_closed:
                return


def _connection(descriptors: list[int]) -> socket.socket | None:
    if not descriptors:
        return None
    os.set_inheritable(descriptors[0], False)
    return socket.socket(fileno=descriptors[0])
