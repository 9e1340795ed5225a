"""What lies between two UUCP systems in tests: a small inetd, and a line that breaks.

Both listen on a port of 127.0.0.1 and work in threads of their own, between the two ends of a
`with`.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peers.processes import wait_until
from peers.taylor import as_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Self

_READ_BYTES = 4096
_DRAIN_SECONDS = 20
_END_SECONDS = 20


class _Listening:
    """Takes connections on a port of its own, between the ends of a `with`."""

    _is_over = False

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_END_SECONDS)

    def _serve(self) -> None:
        while not self._is_over:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        raise NotImplementedError


class Inetd(_Listening):
    """Starts a program for each connection, with the connection as its input and output."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._command = command
        self._started: list[subprocess.Popen[bytes]] = []

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for one in self._started:
            one.kill()
            one.wait()

    @property
    def is_idle(self) -> bool:
        """Have all programs ended?"""
        return all(one.poll() is not None for one in self._started)

    def wait(self) -> None:
        """Until all programs have ended."""
        assert wait_until(lambda: self.is_idle, _END_SECONDS), "a called program does not end"

    def _take(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._started.append(
                subprocess.Popen(
                    self._command,
                    stdin=connection,
                    stdout=connection,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    **as_user(),
                )
            )


@dataclass
class Passage:
    """One connection over the line. `pieces`: who spoke and what, in the order of the line."""

    pieces: list[tuple[str, bytes]] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def size_bytes(self, speaker: str) -> int:
        """How much the caller, or the called side, got over."""
        return sum(len(data) for who, data in self.pieces if who == speaker)


class BreakingLine(_Listening):
    """A TCP connection that may break once so many bytes have gone one way.

    `next_cut`: for the next connection: who speaks ("caller" or "called"), and after how many bytes
    of it the line goes. What is beyond is lost. `on_cut`: called at that moment; if it is given the
    line itself does not break.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.next_cut: tuple[str, int] | None = None
        self.on_cut: Callable[[], None] | None = None
        self.passages: list[Passage] = []

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for passage in self.passages:
            passage.is_over.wait(_END_SECONDS)

    def size_bytes(self, speaker: str) -> int:
        """How much one side got over, of all connections."""
        return sum(passage.size_bytes(speaker) for passage in self.passages)

    def _take(self, caller: socket.socket) -> None:
        try:
            called = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            caller.close()
            return
        for end in (caller, called):  # or each answer would wait for an acknowledgement
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cut, self.next_cut = self.next_cut, None
        passage = Passage()
        self.passages.append(passage)
        _Carrier(caller, called, passage, cut, self.on_cut).start()


class _Carrier:
    """Carries one connection, both ways, in a thread for each."""

    def __init__(
        self,
        caller: socket.socket,
        called: socket.socket,
        passage: Passage,
        cut: tuple[str, int] | None,
        on_cut: Callable[[], None] | None,
    ) -> None:
        self._ends = {"caller": caller, "called": called}
        self._passage = passage
        self._cut = cut
        self._on_cut = on_cut
        self._is_cut = False
        self._lock = threading.Lock()
        self._left = 2

    def start(self) -> None:
        for speaker, listener in (("caller", "called"), ("called", "caller")):
            threading.Thread(target=self._carry, args=(speaker, listener), daemon=True).start()

    def _carry(self, speaker: str, listener: str) -> None:
        source, target = self._ends[speaker], self._ends[listener]
        with contextlib.suppress(OSError):
            while data := source.recv(_READ_BYTES):
                self._pass(speaker, data, target)
        self._shut(target)
        with self._lock:
            self._left -= 1
            is_last = not self._left
        if is_last:
            for end in self._ends.values():
                end.close()
            self._passage.is_over.set()

    def _pass(self, speaker: str, data: bytes, target: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                return
            reached = self._cut is not None and self._cut[0] == speaker
            room = self._cut[1] - self._passage.size_bytes(speaker) if reached and self._cut else 0
            breaks = reached and room <= len(data)
            if breaks and self._on_cut is None:
                data = data[:room]
                self._is_cut = True
            self._passage.pieces.append((speaker, data))
            if breaks:
                self._cut = None
        with contextlib.suppress(OSError):
            target.sendall(data)
        if breaks and self._on_cut is not None:
            self._on_cut()
        elif breaks:
            # Both see the end. What they still say is read, and lost: unread bytes would make the
            # kernel take back what has arrived.
            for end in self._ends.values():
                self._shut(end)

    def _shut(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_WR)
