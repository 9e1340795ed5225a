"""Talks to the daemon, if there is one."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
from typing import TYPE_CHECKING, Any

from relaynode.daemon.control import encode_request
from relaynode.errors import LineLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


PIECE_BYTES = 65536


class DaemonClient:
    """One request to the daemon of a spool."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, path: Path, timeout: float | None = None) -> DaemonClient | None:
        """A connection, or None if no daemon runs. `timeout`: seconds for each word of it."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            return None
        return cls(connection)

    def close(self) -> None:
        """Ask nothing."""
        self._connection.close()

    def submit(
        self, options: list[str], pieces: Iterator[bytes], verb: str = "submit"
    ) -> tuple[int, str]:
        """Hand a message over; the exit code and complaint of `sendmail`, or of what else `verb`
        is. Raises: LineLost."""
        answer = b""
        with self._connection as connection:
            connection.sendall(encode_request(verb, options))
            with contextlib.suppress(BrokenPipeError):  # it was refused early, and says why
                for piece in pieces:
                    connection.sendall(len(piece).to_bytes(4, "big") + piece)
                connection.sendall(b"\0\0\0\0")
            while answer.count(b"\0") < 2 and (data := connection.recv(65536)):
                answer += data
        code, _, text = answer.partition(b"\0")
        if not text.endswith(b"\0"):
            raise LineLost("the daemon ended before it answered; the message may be queued")
        return int(code), text[:-1].decode("utf-8", "surrogateescape")

    def hand_over(
        self, verb: str, arguments: list[str], contents: Iterator[Iterator[bytes]]
    ) -> dict[str, Any]:
        """Ask, hand contents over, and wait for the one answer. Raises: LineLost, and what reading
        the contents raises: then the daemon is told nothing more, and does nothing."""
        with self._connection as connection:
            connection.sendall(encode_request(verb, arguments))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it says why
                for pieces in contents:
                    for piece in pieces:
                        connection.sendall(len(piece).to_bytes(4, "big") + piece)
                    connection.sendall(b"\0\0\0\0")
            with connection.makefile("rb") as lines:
                for line in lines:
                    answer: dict[str, Any] = json.loads(line)
                    return answer
        raise LineLost("the daemon ended before it answered; the jobs may be queued")

    def relay(self, verb: str) -> None:
        """Let the daemon talk over our standard input and output, until it hangs up. It speaks
        first: what we sent behind the request would be taken for a part of that.

        Raises: LineLost.
        """
        try:
            with self._connection as connection:
                connection.sendall(encode_request(verb, []))
                _copy(connection, 1)
                reading: list[Any] = [connection, 0]
                while connection in reading:
                    ready, _, _ = select.select(reading, [], [])
                    if connection in ready and not _copy(connection, 1):
                        return
                    if 0 in ready and not _send(os.read(0, PIECE_BYTES), connection):
                        reading.remove(0)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise LineLost("the daemon ended in the middle of this") from error

    def ask(
        self,
        verb: str,
        arguments: list[str],
        on_progress: Callable[[dict[str, Any]], None] = lambda progress: None,
    ) -> dict[str, Any]:
        """Ask and wait: the answer has "exit" and "text". Raises: LineLost if the daemon dies."""
        with self._connection as connection:
            connection.sendall(encode_request(verb, arguments))
            with connection.makefile("rb") as lines:
                for line in lines:
                    answer: dict[str, Any] = json.loads(line)
                    if "exit" in answer:
                        return answer
                    on_progress(answer["progress"])
        raise LineLost("the daemon ended in the middle of this; what was done is recorded")


def _copy(connection: socket.socket, file: int) -> bool:
    """The next bytes of the daemon's; False when it has hung up."""
    data = connection.recv(PIECE_BYTES)
    rest = data
    while rest:
        rest = rest[os.write(file, rest) :]
    return bool(data)


def _send(data: bytes, connection: socket.socket) -> bool:
    """Pass on what we read; False, and the daemon is told, when there is no more."""
    if data:
        connection.sendall(data)
    else:
        connection.shutdown(socket.SHUT_WR)
    return bool(data)
