"""Content-Transfer-Encodings made piece by piece: quoted-printable and base64 (RFC 2045 6.7, 6.8).

Content is in wire form, lines ended by CRLF. However it is cut into pieces, the result is the same.
Decoding gives back every byte: a CR or LF that stands alone is encoded, only CRLF stays a line end.
"""

from __future__ import annotations

import binascii
import re
from enum import StrEnum

_CRLF = b"\r\n"
_SLICE_BYTES = 4096
"""A longer line is encoded in slices of this size, with a soft line break in between."""

_MOST_BYTES = 76
"""Of an encoded line, without its end (RFC 2045 6.7)."""

_UNSAFE = re.compile(rb"[^\t -<>-~]|[\t ]\Z|\A\.\Z")
"""What cannot stand for itself; nor can a blank that ends a line, or a dot that is all of it."""

_ESCAPED = [b"=%02X" % byte for byte in range(256)]

_LINE_BYTES = 57
"""What makes a line of 76 characters of base64 (RFC 2045 6.8)."""


class Encoding(StrEnum):
    """How a body is encoded; the values are those of the field Content-Transfer-Encoding."""

    QUOTED_PRINTABLE = "quoted-printable"
    BASE64 = "base64"


class QuotedPrintable:
    """Text in, quoted-printable out. The last line ends as it did before."""

    def __init__(self) -> None:
        self._line = b""  # at most a slice and a CR of the line under way

    def feed(self, data: bytes) -> bytes:
        """The encoded form of the next piece, as far as it is sure."""
        *lines, self._line = (self._line + data).split(_CRLF)
        encoded = [_quoted_line(line) + _CRLF for line in lines]
        # A CR may be half of a line end.
        size = len(self._line) - self._line.endswith(b"\r")
        if size > _SLICE_BYTES:
            sure = (size - 1) // _SLICE_BYTES * _SLICE_BYTES
            encoded.append(_quoted_line(self._line[:sure]) + b"=" + _CRLF)
            self._line = self._line[sure:]
        return b"".join(encoded)

    def finish(self) -> bytes:
        """What is left when the text has ended."""
        return _quoted_line(self._line)


def _quoted_line(line: bytes) -> bytes:
    slices = [line[at : at + _SLICE_BYTES] for at in range(0, len(line), _SLICE_BYTES)]
    return b"=\r\n".join(map(_quoted, slices))


def _quoted(text: bytes) -> bytes:
    # Not binascii's: that makes a line too long where a bare LF follows its end.
    escaped = _UNSAFE.sub(lambda found: _ESCAPED[found[0][0]], text)
    lines = []
    start = 0
    while len(escaped) - start > _MOST_BYTES:
        end = start + _MOST_BYTES - 1
        escape = escaped.rfind(b"=", end - 2, end)  # an escape stays whole
        end = escape if escape >= 0 else end
        lines.append(escaped[start:end])
        start = end
    lines.append(escaped[start:])
    return b"=\r\n".join(lines)


class Base64:
    """Bytes in, base64 out, in lines; the last line has no end."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_begun = False

    def feed(self, data: bytes) -> bytes:
        """The encoded form of the next piece, in whole lines."""
        data = self._rest + data
        whole = len(data) // _LINE_BYTES * _LINE_BYTES
        self._rest = data[whole:]
        return self._lines(data[:whole])

    def finish(self) -> bytes:
        """What is left when the content has ended."""
        return self._lines(self._rest)

    def _lines(self, data: bytes) -> bytes:
        starts = range(0, len(data), _LINE_BYTES)
        lines = [binascii.b2a_base64(data[at : at + _LINE_BYTES], newline=False) for at in starts]
        text = _CRLF.join(lines)
        if text and self._is_begun:
            text = _CRLF + text
        self._is_begun = self._is_begun or bool(text)
        return text


def encoder(encoding: Encoding) -> QuotedPrintable | Base64:
    """A new encoder."""
    return Base64() if encoding is Encoding.BASE64 else QuotedPrintable()
