"""The parts of a MIME message (RFC 2045, 2046), as offsets into a stream that is never held whole.

    multipart/mixed         header, preamble
    ├── text/plain          header, body
    ├── message/rfc822      header
    │   └── text/plain      header of a message, body
    └── image/png           header, body
                            epilogue

Content is in wire form, lines ended by CRLF. Anything is a message: what breaks the rules is read
as other programs read it (a header that ends without an empty line, a boundary that never comes, a
part that an outer boundary ends), and what is too deep, too long or too much is OPAQUE. Nothing is
decoded; what is encoded or signed is not looked into.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from relaynode.mail.header import MAX_HEADER_BYTES, begins_field, first_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_DEPTH = 100
"""Parts within parts; what lies deeper is not looked into. Postfix has the same limit."""

MAX_PARTS = 10_000
"""Parts of one message; behind them nothing is looked into."""

MAX_BOUNDARY_BYTES = 200
"""RFC 2046 5.1.1 allows 70; a longer one than this is none."""

_CRLF = b"\r\n"
_8BIT = bytes(range(128, 256))
_MEDIA_TYPE = re.compile(rb"[ \t]*([^\s;()/\"]+)[ \t]*/[ \t]*([^\s;()\"]+)")
_PARAMETER = re.compile(
    rb"[^;]*+;[ \t]*+(?:([^\s;=\"]++)[ \t]*+=[ \t]*+(\"(?:[^\"\\]|\\.)*\"|[^\s;]*+))?"
)
_COMMENT = re.compile(rb"\([^()]*+\)")
_QUOTED_PAIR = re.compile(rb"\\(.)")
_AS_IT_IS = frozenset((b"", b"7bit", b"8bit", b"binary"))


class Kind(Enum):
    """What a part holds."""

    LEAF = auto()
    MULTIPART = auto()
    MESSAGE = auto()
    OPAQUE = auto()
    """Encoded, signed, or beyond a limit: not to be looked into."""


@dataclass(slots=True, eq=False)
class Part:
    """One part. Offsets count from the beginning of the whole message.

    `start`: of its header, which is `header` without the empty line. `end`: of its body, before the
    line end that belongs to the boundary behind it. `is_message`: its header is that of a message.
    `has_empty_line`: one ends the header. `is_last`: it goes to the end of the whole message.
    `bytes_8bit`: how many bytes of its own have the eighth bit set; a MULTIPART's own are those of
    preamble and epilogue, a MESSAGE has none.
    """

    start: int
    parent: Part | None = None
    is_message: bool = False
    media_type: bytes = b"text/plain"
    kind: Kind = Kind.LEAF
    header: bytes = b""
    has_empty_line: bool = False
    body_start: int = 0
    end: int = 0
    is_last: bool = False
    bytes_8bit: int = 0
    boundary: bytes = b""
    depth: int = 0
    is_in_body: bool = False

    def __post_init__(self) -> None:
        self.depth = 0 if self.parent is None else self.parent.depth + 1

    @property
    def encoding(self) -> bytes:
        """Its Content-Transfer-Encoding in lower case, "" if it has none."""
        value = first_value(self.header, b"Content-Transfer-Encoding") or b""
        words = _COMMENT.sub(b" ", value).lower().split(None, 1)
        return words[0].rstrip(b";") if words else b""


def parts(pieces: Iterable[bytes]) -> Iterator[Part]:
    """Every part when its end has come: those inside before the one that holds them.

    `pieces`: a whole message, from its header on.
    """
    walk = _Walk()
    for line in _lines(pieces):
        walk.take(line)
        if walk.closed:
            yield from walk.closed
            walk.closed.clear()
    walk.finish()
    yield from walk.closed


class _Line(NamedTuple):
    """`text`: its first MAX_HEADER_BYTES, without the line end. `size_bytes`: of all of it."""

    start: int
    text: bytes
    size_bytes: int
    bytes_8bit: int


def _lines(pieces: Iterable[bytes]) -> Iterator[_Line]:
    start, rest, cut = 0, b"", _Line(0, b"", 0, 0)
    for piece in pieces:
        *texts, rest = (rest + piece).split(_CRLF)
        for text in texts:
            line = _joined(cut, text, start, len(_CRLF))
            yield line
            start, cut = start + line.size_bytes, _Line(0, b"", 0, 0)
        if len(rest) > MAX_HEADER_BYTES:
            cut, rest = _joined(cut, rest[:-1], start, 0), rest[-1:]
    if rest or cut.size_bytes:
        yield _joined(cut, rest, start, 0)


def _joined(cut: _Line, text: bytes, start: int, end_bytes: int) -> _Line:
    """A line that goes on after what was cut off."""
    return _Line(
        start,
        (cut.text + text)[:MAX_HEADER_BYTES] if cut.text else text[:MAX_HEADER_BYTES],
        cut.size_bytes + len(text) + end_bytes,
        cut.bytes_8bit + count_8bit(text),
    )


def count_8bit(data: bytes) -> int:
    """How many bytes have the eighth bit set."""
    return 0 if data.isascii() else len(data) - len(data.translate(None, _8BIT))


@dataclass(slots=True)
class _Walk:
    """`_path`: the parts that are open, each in the one before it."""

    closed: list[Part] = field(default_factory=list)
    _path: list[Part] = field(default_factory=lambda: [Part(0, is_message=True)])
    _boundaries: dict[bytes, list[Part]] = field(default_factory=dict)
    _header: list[bytes] = field(default_factory=list)
    _header_bytes: int = 0
    _end: int = 0
    _opened: int = 1

    def take(self, line: _Line) -> None:
        """The next line of the message."""
        self._end = line.start + line.size_bytes
        if line.text.startswith(b"--") and self._boundaries and self._take_boundary(line):
            return
        part = self._path[-1]
        if not part.is_in_body and self._take_header(part, line):
            return
        self._path[-1].bytes_8bit += line.bytes_8bit

    def finish(self) -> None:
        """The message has ended."""
        for part in self._path:
            part.is_last = True
        self._close(0, self._end)

    # --- header

    def _take_header(self, part: Part, line: _Line) -> bool:
        """Does the line belong to the header? If not, the header is over."""
        if line.size_bytes == len(_CRLF) and not line.text:
            self._end_header(part, self._end, has_empty_line=True)
            return True
        is_more = line.text[:1] in (b" ", b"\t") and self._header
        if not (is_more or begins_field(line.text)):
            self._end_header(part, line.start, has_empty_line=False)
            inner = self._path[-1]
            return inner is not part and self._take_header(inner, line)
        self._header_bytes += line.size_bytes
        if self._header_bytes > MAX_HEADER_BYTES:
            self._be_in_body(part, self._end)
            part.kind = Kind.OPAQUE
            return False
        self._header.append(line.text + _CRLF)
        return True

    def _end_header(self, part: Part, body_start: int, *, has_empty_line: bool) -> None:
        part.header, part.has_empty_line = b"".join(self._header), has_empty_line
        self._be_in_body(part, body_start)
        self._classify(part)
        if part.kind is Kind.MULTIPART:
            self._boundaries.setdefault(part.boundary, []).append(part)
        elif part.kind is Kind.MESSAGE:
            self._open(Part(body_start, part, is_message=True))

    def _be_in_body(self, part: Part, body_start: int) -> None:
        part.is_in_body, part.body_start = True, body_start
        self._header, self._header_bytes = [], 0

    def _classify(self, part: Part) -> None:
        value = first_value(part.header, b"Content-Type")
        if value is not None:
            part.media_type = _media_type(value)
        if part.encoding not in _AS_IT_IS:
            part.kind = Kind.OPAQUE
        elif part.media_type == b"message/rfc822":
            part.kind = Kind.MESSAGE
        elif part.media_type.startswith((b"multipart/", b"message/")):
            part.boundary = _boundary(value or b"")
            # What is signed is signed as it is, its encodings included (RFC 1847 2.1).
            is_closed = part.media_type.startswith(b"message/") or not part.boundary
            is_signed = part.media_type == b"multipart/signed"
            part.kind = Kind.OPAQUE if is_closed or is_signed else Kind.MULTIPART
        if part.kind in (Kind.MULTIPART, Kind.MESSAGE) and part.depth >= MAX_DEPTH:
            part.kind = Kind.OPAQUE

    # --- boundaries

    def _take_boundary(self, line: _Line) -> bool:
        """Is the line a boundary? Then what it ends is closed, and what it begins is opened."""
        found = self._find(line)
        if found is None:
            return False
        part, is_end = found
        self._close(part.depth + 1, line.start)
        if is_end:
            self._forget(part)
        elif self._opened >= MAX_PARTS:
            self._give_up()
        else:
            is_digest = part.media_type == b"multipart/digest"
            default = b"message/rfc822" if is_digest else b"text/plain"
            self._open(Part(self._end, part, media_type=default))
        return True

    def _find(self, line: _Line) -> tuple[Part, bool] | None:
        """The innermost part whose boundary it is, and whether it is the last one of it."""
        if len(line.text) > MAX_BOUNDARY_BYTES * 2:
            return None
        text = line.text[2:].rstrip(b" \t")
        found = [(self._boundaries[text][-1], False)] if text in self._boundaries else []
        if text.endswith(b"--") and text[:-2] in self._boundaries:
            found.append((self._boundaries[text[:-2]][-1], True))
        return max(found, key=lambda one: one[0].depth, default=None)

    def _open(self, part: Part) -> None:
        self._opened += 1
        self._path.append(part)

    def _close(self, depth: int, at: int) -> None:
        """Close the parts of that depth and below; a boundary or nothing stands at `at`."""
        while len(self._path) > depth:
            part = self._path.pop()
            if not part.is_in_body:
                part.header = b"".join(self._header)
                self._be_in_body(part, at)
            self._forget(part)
            part.end = max(part.body_start, at if part.is_last else at - len(_CRLF))
            self.closed.append(part)

    def _forget(self, part: Part) -> None:
        """Its boundary has no meaning any more."""
        same = self._boundaries.get(part.boundary, [])
        if part in same:
            same.remove(part)
            if not same:
                del self._boundaries[part.boundary]

    def _give_up(self) -> None:
        """Too many parts: what is open is not looked into any more."""
        self._boundaries.clear()
        for part in self._path:
            part.kind = Kind.OPAQUE


def _media_type(value: bytes) -> bytes:
    """In lower case. RFC 2045 5.2: what cannot be read is text/plain."""
    match = _MEDIA_TYPE.match(value)
    return b"/".join(match.groups()).lower() if match else b"text/plain"


def _boundary(value: bytes) -> bytes:
    """The parameter of a Content-Type; "" if there is none that can be used."""
    position = 0
    while match := _PARAMETER.match(value, position):
        name, text = match.groups()
        position = match.end()
        if name is not None and name.lower() == b"boundary":
            if len(text) > 1 and text.startswith(b'"') and text.endswith(b'"'):
                text = _QUOTED_PAIR.sub(rb"\1", text[1:-1])
            text = text.rstrip(b" \t")
            return text if len(text) <= MAX_BOUNDARY_BYTES else b""
    return b""
