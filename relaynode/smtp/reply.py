"""SMTP replies on the wire (RFC 5321 section 4.2, RFC 2034).

250-first line CRLF
250 last line CRLF
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.mail.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE_BYTES = 4096
"""With the line end. RFC 5321 4.5.3.1.5 says 512; real servers write longer texts."""

MAX_REPLY_BYTES = 64 * 1024
"""All lines of one reply together, without their ends."""

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?\Z", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s+|\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply: its code and the text of each line."""

    code: int
    lines: tuple[str, ...]

    @property
    def status(self) -> Status:
        """The reply as a Status: enhanced code split off, lines joined by a blank."""
        enhanced = ""
        texts = []
        for line in self.lines:
            found = _ENHANCED.match(line)
            if found and found[1][0] == str(self.code)[0]:
                enhanced = enhanced or found[1]
                line = line[found.end() :]
            texts.append(line.strip())
        return Status(self.code, enhanced, " ".join(text for text in texts if text))


def encode(status: Status, more: tuple[str, ...] = ()) -> bytes:
    """The wire form of a reply: the status's text first, then one line for each of `more`."""
    if more:
        return _lines(status, more)
    prefix = f"{status.enhanced} " if status.enhanced else ""
    line = f"{status.code} {prefix}{_printable(status.text)}\r\n"
    return line.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=32)  # the same client gets the same answer to each of its EHLOs
def _lines(status: Status, more: tuple[str, ...]) -> bytes:
    texts = (status.text, *more)
    prefix = f"{status.enhanced} " if status.enhanced else ""
    lines = [
        f"{status.code}{'-' if index < len(texts) - 1 else ' '}{prefix}{_printable(text)}\r\n"
        for index, text in enumerate(texts)
    ]
    return "".join(lines).encode("utf-8", "surrogateescape")


def _printable(text: str) -> str:
    return text if text.isprintable() else _CONTROL.sub("?", text)


class ReplyParser:
    """Collects bytes into replies."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines: list[str] = []
        self._code: int | None = None
        self._size_bytes = 0

    @property
    def pending_bytes(self) -> bool:
        """There is input that is not yet a whole reply."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> Iterator[Reply]:
        """The replies completed by `data`, those before a violation too.

        Take them all before more is fed. Raises: RemoteProtocolError.
        """
        self._buffer += data
        return self._replies()

    def _replies(self) -> Iterator[Reply]:
        while (end := self._buffer.find(b"\n", 0, MAX_LINE_BYTES)) >= 0:
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            reply = self._line(line)
            if reply is not None:
                yield reply
        if len(self._buffer) >= MAX_LINE_BYTES:
            raise RemoteProtocolError(f"reply line longer than {MAX_LINE_BYTES} bytes")

    def _line(self, line: bytes) -> Reply | None:
        self._size_bytes += len(line)
        if self._size_bytes > MAX_REPLY_BYTES:
            raise RemoteProtocolError(f"reply longer than {MAX_REPLY_BYTES} bytes")
        found = _LINE.match(line)
        if found is None:
            raise RemoteProtocolError(f"no SMTP reply: {_shown(line)}")
        code = int(found[1])
        if self._code is not None and code != self._code:
            raise RemoteProtocolError(f"reply changes its code from {self._code} to {code}")
        self._code = code
        self._lines.append((found[3] or b"").decode("utf-8", "backslashreplace"))
        if found[2] == b"-":
            return None
        reply = Reply(code, tuple(self._lines))
        self._lines, self._code, self._size_bytes = [], None, 0
        return reply


def _shown(line: bytes) -> str:
    return ascii(line[:80].decode("latin-1"))
