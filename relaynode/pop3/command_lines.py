"""What a POP3 client says: lines out of bytes, commands and arguments out of lines.

RFC 1939 section 3. Not here: whether a command may come now (`states.py`), and what it does.
"""

from __future__ import annotations

import re

from relaynode.errors import RemoteProtocolError
from relaynode.pop3.states import Command

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_BY_NAME = {one.encode("ascii"): one for one in Command if one.isupper()}


class CommandLines:
    """Bytes in, command lines out. The rest of a line that is too long is thrown away unread."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_dropping = False

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """More bytes, however they are cut."""
        self._buffer += data

    def forget(self) -> None:
        """Throw away what is there."""
        self._buffer.clear()
        self._is_dropping = False

    def next_line(self, limit: int) -> bytes | None:
        """The next line without its end, or None if it has not come completely.

        Raises: RemoteProtocolError once for a line longer than `limit`, line end included.
        """
        if self._is_dropping:
            self._drop()
        end = self._buffer.find(b"\n", 0, limit)
        if end >= 0:
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            return line
        if len(self._buffer) < limit:
            return None
        self._is_dropping = True
        raise RemoteProtocolError("line too long")

    def _drop(self) -> None:
        end = self._buffer.find(b"\n")
        self._is_dropping = end < 0
        del self._buffer[: end + 1 if end >= 0 else len(self._buffer)]


def command_of(line: bytes) -> tuple[Command, str]:
    """Command and argument of a line.

    Raises: RemoteProtocolError, which shows nothing of the line: it may hold a password.
    """
    if _CONTROL.search(line):
        raise RemoteProtocolError("control characters are not possible in a command")
    verb, _, argument = line.partition(b" ")
    command = _BY_NAME.get(verb.upper())
    if command is None:
        raise RemoteProtocolError("unknown command")
    try:
        return command, argument.decode("utf-8")
    except UnicodeDecodeError:
        raise RemoteProtocolError("the argument is not UTF-8") from None


def no_argument(argument: str) -> None:
    """Raises: RemoteProtocolError if there is one."""
    if argument.strip():
        raise RemoteProtocolError("there is an argument too many")


def numbers(argument: str, count: int) -> tuple[int, ...]:
    """So many numbers and nothing else. Raises: RemoteProtocolError."""
    words = argument.split()
    if len(words) != count or not all(_NUMBER.fullmatch(word) for word in words):
        raise RemoteProtocolError(f"{count} number{'s' * (count > 1)} expected")
    return tuple(int(word) for word in words)
