"""Where the answer to TOP ends: behind the header, the empty line and so many lines of the body.

RFC 1939 section 7. A line ends with CRLF; a bare CR or LF is content. Content may come cut
anywhere; only the few bytes that a cut may part are kept between calls.
"""

from __future__ import annotations

_HEADER_END = b"\r\n\r\n"
_LINE_END = b"\r\n"


class TopCutter:
    """Content in, its top out. A message without an empty line is all header."""

    def __init__(self, lines: int) -> None:
        self._lines_left = lines
        self._is_in_header = True
        # A text begins at a line start: an empty first line is the end of an empty header.
        self._tail = b"\r\n"

    @property
    def is_complete(self) -> bool:
        """The end of the top has been seen: no more content is wanted."""
        return not self._is_in_header and self._lines_left == 0

    def feed(self, data: bytes) -> bytes:
        """As much of the next piece as belongs to the top."""
        text = self._tail + data
        searched = 0
        while not self.is_complete:
            mark = _HEADER_END if self._is_in_header else _LINE_END
            at = text.find(mark, searched)
            if at < 0:
                self._tail = text[max(searched, len(text) - len(mark) + 1) :]
                return data
            searched = at + len(mark)
            self._pass_mark()
        end = searched - (len(text) - len(data))
        return data[: max(end, 0)]

    def _pass_mark(self) -> None:
        if self._is_in_header:
            self._is_in_header = False
        else:
            self._lines_left -= 1
