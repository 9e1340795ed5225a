r"""How bytes become responses: line by line, and from literal to literal.

    * 3 FETCH (UID 7 BODY[] {4718592}CRLF <so many bytes> )CRLF

A response is kept until its last line has come, but for content: a literal that is the value of a
body section is handed on as it comes, whatever its size. The numbers of a SEARCH are handed on
too. RFC 3501 sections 2.2, 4.3 and 7; a literal8 of RFC 3516 is read as any other.

A generator tells the story and pauses (`None`) when bytes run out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from relaynode.errors import RemoteProtocolError
from relaynode.imap.limits import (
    MAX_HELD_LITERAL_BYTES,
    MAX_LINE_BYTES,
    MAX_LITERALS,
    MAX_PIECE_BYTES,
    MAX_RESPONSE_BYTES,
)
from relaynode.imap.values import Literal, Streamed

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@dataclass(frozen=True, slots=True)
class Plain:
    """A response of one line: a status, a completion, a continuation. It holds no literal."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """An untagged response with values, "* " taken away."""

    parts: tuple[bytes | Literal | Streamed, ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Some of what a SEARCH has found, as text."""

    text: bytes


@dataclass(frozen=True, slots=True)
class ContentStart:
    """A literal that is handed on begins. `uid`: if it was told already."""

    uid: int | None
    section: bytes
    origin: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ContentPiece:
    """A piece of it."""

    data: bytes


Read: TypeAlias = Plain | Data | Numbers | ContentStart | ContentPiece
_Story: TypeAlias = "Generator[Read | None, None, None]"

_STATUS = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)(?: |\Z)", re.IGNORECASE)
_FETCH = re.compile(rb"\d{1,10} FETCH ?\(", re.IGNORECASE)
_SEARCH = b"* SEARCH"
# RFC 3501 section 4.3; a "+" is the client's to write (RFC 7888), and harmless here.
_LITERAL = re.compile(rb"~?\{(\d{1,20})\+?\}\Z")
_SECTION = re.compile(
    rb"[ (](?:(?:BODY|BINARY)\[([^\]]{0,1000})\](?:<(\d{1,10})>)?|RFC822(?:\.(HEADER|TEXT))?) \Z",
    re.IGNORECASE,
)
_UID = re.compile(rb"[ (]UID (\d{1,10})[ )]", re.IGNORECASE)


class Reader:
    """Feed bytes, take what was read."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._story = self._responses()

    def feed(self, data: bytes) -> None:
        """Bytes from the server."""
        self._buffer += data

    def take_rest(self) -> bytes:
        """What has come and was not read yet, taken away."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._scanned = 0
        return rest

    @property
    def is_empty(self) -> bool:
        """Nothing has come that was not read."""
        return not self._buffer

    def read(self) -> Iterator[Read]:
        """What can be read now, one by one. Raises: RemoteProtocolError."""
        for read in self._story:
            if read is None:
                return
            yield read

    def _responses(self) -> _Story:
        while True:
            if (yield from self._is_search()):
                yield from self._search()
                continue
            line = yield from self._line()
            if not line.startswith(b"* ") or _STATUS.match(line):
                yield Plain(line)
            else:
                yield from self._data(line[2:])

    def _line(self) -> Generator[Read | None, None, bytes]:
        """The next line without its end; a bare LF ends one, too: no harm can be hidden there."""
        while (end := self._buffer.find(b"\n", self._scanned, MAX_LINE_BYTES)) < 0:
            if len(self._buffer) >= MAX_LINE_BYTES:
                text = f"the server sent a line longer than {MAX_LINE_BYTES} bytes"
                raise RemoteProtocolError(text)
            self._scanned = len(self._buffer)
            yield None
        self._scanned = 0
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        if b"\0" in line:
            raise RemoteProtocolError("the server sent a NUL in a line")
        return line

    # --- data, with its literals

    def _data(self, line: bytes) -> _Story:
        parts: list[bytes | Literal | Streamed] = []
        is_fetch = _FETCH.match(line) is not None
        size_bytes = len(line)
        while (literal := _LITERAL.search(line)) is not None:
            text, length = line[: literal.start()], int(literal[1])
            parts.append(text)
            if len(parts) > 2 * MAX_LITERALS:
                raise RemoteProtocolError(f"a response has more than {MAX_LITERALS} literals")
            section = _SECTION.search(text) if is_fetch else None
            if section is None:
                parts.append((yield from self._held(length)))
                size_bytes += length
            else:
                yield _content_start(section, parts, length)
                yield from self._content(length)
                parts.append(Streamed(length))
            line = yield from self._line()
            size_bytes += len(line)
            if size_bytes > MAX_RESPONSE_BYTES:
                raise RemoteProtocolError(f"a response is longer than {MAX_RESPONSE_BYTES} bytes")
        yield Data((*parts, line))

    def _held(self, length: int) -> Generator[Read | None, None, Literal]:
        if length > MAX_HELD_LITERAL_BYTES:
            raise RemoteProtocolError(f"a literal of {length} bytes where none that long can be")
        while len(self._buffer) < length:
            yield None
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return Literal(data)

    def _content(self, length: int) -> _Story:
        while length:
            if not self._buffer:
                yield None
                continue
            data = bytes(self._buffer[: min(length, MAX_PIECE_BYTES)])
            del self._buffer[: len(data)]
            length -= len(data)
            yield ContentPiece(data)

    # --- what a SEARCH has found

    def _is_search(self) -> Generator[Read | None, None, bool]:
        while True:
            start = bytes(self._buffer[: len(_SEARCH) + 1]).upper()
            if len(start) > len(_SEARCH):
                return start.startswith(_SEARCH) and start[-1:] in b" \r\n"
            if start and not _SEARCH.startswith(start):
                return False
            yield None

    def _search(self) -> _Story:
        del self._buffer[: len(_SEARCH)]
        is_behind = False  # RFC 7162: (MODSEQ n) may stand behind the numbers
        while True:
            end = self._buffer.find(b"\n")
            cut = end if end >= 0 else self._buffer.rfind(b" ")
            if cut < 0 and len(self._buffer) > MAX_HELD_LITERAL_BYTES:
                raise RemoteProtocolError("the server found a number that is none")
            if cut >= 0:
                text = bytes(self._buffer[:cut])
                del self._buffer[: cut + 1]
                numbers, bracket, _ = text.partition(b"(")
                if not is_behind:
                    yield Numbers(numbers)
                is_behind = is_behind or bool(bracket)
            if end >= 0:
                return
            yield None


def _content_start(
    section: re.Match[bytes], parts: list[bytes | Literal | Streamed], length: int
) -> ContentStart:
    told = [_UID.search(part) for part in parts if isinstance(part, bytes)]
    uid = next((int(found[1]) for found in told if found), None)
    name = (section[1] or section[3] or b"").upper()
    return ContentStart(uid, name, int(section[2] or 0), length)
