"""Talks to the daemon, if there is one."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from relaynode.daemon.control import encode_request
from relaynode.errors import LineLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class DaemonClient:
    """One request to the daemon of a spool."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, path: Path) -> DaemonClient | None:
        """A connection, or None if no daemon runs."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            return None
        return cls(connection)

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
