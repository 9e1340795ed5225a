"""One mail transaction as the server has it: its recipients counted, its content read and judged.

Content comes behind DATA with dots to be taken out, or in chunks of a size told beforehand (BDAT,
RFC 3030). What is refused is read to its end all the same: only so it is known where the next
command begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from relaynode.mail.lines import BareLineEnds, DotDecoder
from relaynode.mail.status import Status

_CHUNK = re.compile(r"([0-9]{1,18})(?:[ \t]+(LAST))?[ \t]*\Z", re.IGNORECASE | re.ASCII)
_BARE_LINE_ENDS = Status(554, "5.6.0", "Bare CR or LF in message: lines end with CRLF")


@dataclass(slots=True)
class ServerTransaction:
    """What RSET forgets.

    `size_bytes`: of the content that has come. `is_started`: the driver was told of it.
    `chunk_left`: bytes of the chunk still to come. `refusal`: what the content will be told.
    """

    size_bytes: int = 0
    recipients: int = 0
    is_started: bool = False
    is_last_chunk: bool = False
    chunk_left: int = 0
    refusal: Status | None = None
    _dots: DotDecoder | None = None
    _line_ends: BareLineEnds | None = None

    def announce(self, parameters: str) -> bool:
        """BDAT: a chunk will come. False if its size is not clear."""
        found = _CHUNK.match(parameters)
        if found is None:
            return False
        self.chunk_left = int(found[1])
        self.is_last_chunk = found[2] is not None
        return True

    def take_dotted(self, buffer: bytearray) -> bytes:
        """The content in what came behind DATA. With the lone dot all is there, as at the end of a
        last chunk, and `buffer` keeps what is behind it."""
        if self._dots is None:
            self._dots = DotDecoder()
        content = self._dots.feed(bytes(buffer))
        buffer.clear()
        if self._dots.is_complete:
            buffer += self._dots.rest or b""
            self.is_last_chunk, self.chunk_left = True, 0
        return content

    @property
    def has_come(self) -> bool:
        """Has the lone dot come?"""
        return self._dots is not None and self._dots.is_complete

    def take_chunk(self, buffer: bytearray) -> bytes:
        """What is there of the chunk, taken out of `buffer`."""
        content = bytes(buffer[: self.chunk_left])
        del buffer[: len(content)]
        self.chunk_left -= len(content)
        return content

    def judge(self, content: bytes, max_size_bytes: int) -> bool:
        """A piece of content has come: is it for the driver? What was refused is not."""
        self.size_bytes += len(content)
        if self._line_ends is None:
            self._line_ends = BareLineEnds()
        self._line_ends.feed(content)
        if self.size_bytes > max_size_bytes and self.refusal is None:
            self.refusal = too_big(max_size_bytes)
        return bool(content) and self.refusal is None

    def finish(self) -> Status | None:
        """All has come: why it is not taken, None if nothing speaks against it."""
        if self.refusal is None and self._line_ends is not None and self._line_ends.finish():
            self.refusal = _BARE_LINE_ENDS
        return self.refusal


def too_big(limit: int) -> Status:
    """RFC 1870 section 6.1."""
    return Status(552, "5.3.4", f"Message size exceeds the maximum of {limit} bytes")
