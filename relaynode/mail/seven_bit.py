"""A message for a server that takes seven bits only (RFC 6152 section 3): what needs it is encoded.

What needs it are the leaves of its MIME structure that hold 8-bit bytes and are not encoded, and
nothing else: their bodies become quoted-printable or base64, their headers say so, and every other
byte stays as it is. A message that is not MIME becomes MIME, with the charset unknown-8bit
(RFC 1428). The parts around say 7bit where they said 8bit, if nothing inside needs that any more.

What cannot be encoded stays and is sent with eight bits, as sendmail does, since a server without
8BITMIME mostly takes them: header fields, what stands before and behind the parts of a multipart,
signed parts (their signature would break), message/partial and message/delivery-status (RFC 2046
5.2.2, RFC 3464 2.1: never encoded), and what is beyond the limits of `mime.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.header import fields, has
from relaynode.mail.mime import Kind, Part, parts
from relaynode.mail.transfer_encoding import Encoding, encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FIELD = b"Content-Transfer-Encoding"
_UNKNOWN = b"Content-Type: text/plain; charset=unknown-8bit\r\n"

FEW = 8
"""Text of which no more than one byte in so many has the eighth bit set becomes quoted-printable,
which can be read as it is. sendmail has the same bound: from about there on base64 is shorter."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What comes in the place of the bytes from `start` to `end`: `text`, and then, with
    `encoding`, the same bytes encoded, and `line_end`. `depth` orders those at the same place."""

    start: int
    end: int
    depth: int
    text: bytes = b""
    encoding: Encoding | None = None
    line_end: bytes = b""


@dataclass(frozen=True, slots=True)
class Recoding:
    """What is to be changed in one message, in order. Apply it to the same bytes."""

    edits: tuple[Edit, ...]

    def __bool__(self) -> bool:
        return bool(self.edits)

    def apply(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The message as it is sent: the same bytes each time. Raises: what `pieces` raise."""
        source, position = _Source(iter(pieces)), 0
        for edit in self.edits:
            yield from source.take(edit.start - position)
            yield from _applied(edit, source.take(edit.end - edit.start))
            position = edit.end
        yield from source.rest()


def plan(pieces: Iterable[bytes]) -> Recoding:
    """What is to be changed in a whole message, wire form, header first.

    Raises: what `pieces` raise, nothing else, whatever they hold.
    """
    edits: list[Edit] = []
    remaining: set[Part] = set()  # parts with something inside that stays 8-bit
    changed: set[Part] = set()  # parts with something inside that was changed
    for part in parts(pieces):
        if part.kind is Kind.LEAF:
            is_changed, stays = bool(part.bytes_8bit), False
        else:
            stays = bool(part.bytes_8bit) or part in remaining
            is_changed = part in changed
        if is_changed:
            edits += _edits(part, stays=stays)
        if part.parent is not None and stays:
            remaining.add(part.parent)
        if part.parent is not None and is_changed:
            changed.add(part.parent)
        remaining.discard(part)
        changed.discard(part)
    return Recoding(tuple(sorted(edits, key=lambda edit: (edit.start, edit.end, edit.depth))))


def _edits(part: Part, *, stays: bool) -> Iterator[Edit]:
    if part.kind is not Kind.LEAF:
        is_relabelled = part.encoding in (b"8bit", b"binary") and not stays
        yield from _header_edits(part, "7bit" if is_relabelled else "")
        return
    encoding = _choice(part)
    yield from _header_edits(part, encoding)
    line_end = b"\r\n" if part.is_last and encoding is Encoding.BASE64 else b""
    yield Edit(part.body_start, part.end, part.depth, encoding=encoding, line_end=line_end)


def _choice(part: Part) -> Encoding:
    """As sendmail chooses."""
    is_text = part.media_type.startswith(b"text/")
    is_readable = part.bytes_8bit * FEW <= part.end - part.body_start
    return Encoding.QUOTED_PRINTABLE if is_text and is_readable else Encoding.BASE64


def _header_edits(part: Part, encoding: str) -> Iterator[Edit]:
    """Say `encoding` ("": leave what it says), and be MIME."""
    line = b"%s: %s\r\n" % (_FIELD, encoding.encode()) if encoding else b""
    for field in fields(part.header) if encoding else ():
        if field.is_named(_FIELD):
            yield Edit(part.start + field.start, part.start + field.end, part.depth, line)
            line = b""  # a second one goes
    if part.is_message and not has(part.header, b"MIME-Version"):
        line = b"MIME-Version: 1.0\r\n" + _missing_type(part) + line
    if encoding and not part.has_empty_line:
        line += b"\r\n"  # the first line of the body ended the header, and will not any more
    if line:
        end = part.start + len(part.header)
        yield Edit(end, end, part.depth, line)


def _missing_type(part: Part) -> bytes:
    return b"" if has(part.header, b"Content-Type") else _UNKNOWN


def _applied(edit: Edit, content: Iterator[bytes]) -> Iterator[bytes]:
    if edit.text:
        yield edit.text
    if edit.encoding is None:
        for _ in content:
            pass
        return
    encode = encoder(edit.encoding)
    for piece in content:
        if encoded := encode.feed(piece):
            yield encoded
    yield encode.finish() + edit.line_end


class _Source:
    """Pieces that are taken by length."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def take(self, size_bytes: int) -> Iterator[bytes]:
        """The next so many bytes, or what is there."""
        while size_bytes > 0:
            piece = self._held or next(self._pieces, None)
            if piece is None:
                return
            taken, self._held = piece[:size_bytes], piece[size_bytes:]
            size_bytes -= len(taken)
            if taken:
                yield taken

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        if self._held:
            yield self._held
        yield from self._pieces
