"""A UUCP system that logs in as it should and then asks for what it should not. It speaks e."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_SECONDS = 20
_PIECE_BYTES = 65536


class HostileCaller:
    """Connected to a port of 127.0.0.1, in use between the two ends of a `with`."""

    def __init__(self, port: int) -> None:
        self._line = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self._heard = b""

    def __enter__(self) -> HostileCaller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._line.close()

    def say(self, data: bytes) -> None:
        """Say something."""
        self._line.sendall(data)

    def hear(self, end: bytes) -> bytes:
        """What comes up to `end`, without it; b"" if the connection ends before."""
        while end not in self._heard:
            try:
                data = self._line.recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                return b""
            self._heard += data
        heard, _, self._heard = self._heard.partition(end)
        return heard

    def hear_all(self) -> bytes:
        """What comes until the connection ends."""
        try:
            while data := self._line.recv(4096):
                self._heard += data
        except ConnectionError:
            pass
        return self._heard

    def log_in(self, login: str, password: str = "secret") -> None:
        """At the prompts."""
        self.hear(b"login: ")
        self.say(f"{login}\r".encode())
        self.hear(b"Password:")
        self.say(f"{password}\r".encode())

    def shake_hands(self, name: str) -> bytes:
        """As system `name`: the verdict. If it is ROK the conversation begins."""
        self.hear(b"\0")
        self.say(f"\x10S{name} -R -N047\0".encode())
        verdict = self.hear(b"\0").removeprefix(b"\x10")
        if verdict.startswith(b"ROK"):
            assert b"e" in self.hear(b"\0")
            self.say(b"\x10Ue\0")
        return verdict

    def ask(self, command: str) -> bytes:
        """A command: the answer."""
        self.say(command.encode("utf-8", "surrogateescape") + b"\0")
        return self.hear(b"\0")

    def send(self, content: bytes, announced_bytes: int | None = None) -> bytes:
        """A file that was granted: the word about it."""
        size = len(content) if announced_bytes is None else announced_bytes
        self.say(str(size).encode().ljust(20, b"\0") + content)
        return self.hear(b"\0")

    def send_without_end(self, most_bytes: int) -> int:
        """A file without an end: how many bytes of it went until the connection broke."""
        self.say(str(10**15).encode().ljust(20, b"\0"))
        sent_bytes = 0
        try:
            while sent_bytes < most_bytes:
                self.say(bytes(_PIECE_BYTES))
                sent_bytes += _PIECE_BYTES
        except ConnectionError:
            pass
        return sent_bytes

    def hang_up(self) -> None:
        """In order."""
        assert self.ask("H") == b"HY"
        self.say(b"HY\0" + b"\x10OOOOOO\0" * 2)
