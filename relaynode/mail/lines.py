"""Line ends and dots: the byte transformations between the wire, the store and a mailbox.

The store keeps content in wire form, lines ended by CRLF. Programs on Unix use LF. SMTP's DATA and
POP3's multi-line answers double a dot at the start of a line and end with a line of one dot
(RFC 5321 section 4.5.2, RFC 1939 section 3).

All classes work on a stream cut anywhere, keep at most a few bytes between calls, and touch
nothing but line ends and those dots. Only CRLF `.` CRLF ends a text: a bare LF or CR never does,
which is what keeps one message from being read as two ("SMTP smuggling").
"""

from __future__ import annotations

import re

# A pattern that begins with a plain byte is found as fast as that byte.
_DOTTED = re.compile(rb"\r\n\.")


def count_lines(data: bytes) -> int:
    """How many LFs there are."""
    return len(data) - len(data.replace(b"\n", b""))  # in a quarter of the time of bytes.count


class ToCrlf:
    """LF or CRLF in, CRLF out. A bare CR is content and stays."""

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, data: bytes) -> bytes:
        """The transformed form of the next piece."""
        if not data:
            return b""
        starts_with_paired_lf = self._after_cr and data.startswith(b"\n")
        self._after_cr = data.endswith(b"\r")
        if starts_with_paired_lf:
            return b"\n" + _with_crlf(data[1:])
        return _with_crlf(data)


def _with_crlf(data: bytes) -> bytes:
    # Two passes in C are much faster than one with a pattern.
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class WireSize:
    """Counts the bytes that ToCrlf would give. `bytes`: so far."""

    def __init__(self) -> None:
        self.bytes = 0
        self._after_cr = False

    def feed(self, data: bytes) -> None:
        """Count the next piece."""
        bare = count_lines(data)
        if b"\r" in data:  # to look for one byte is much faster than for two
            bare -= data.count(b"\r\n")
        if self._after_cr and data.startswith(b"\n"):
            bare -= 1
        self.bytes += len(data) + bare
        self._after_cr = data.endswith(b"\r") if data else self._after_cr


class ToLf:
    """CRLF in, LF out. A bare CR or LF is content and stays."""

    def __init__(self) -> None:
        self._held_cr = False

    def feed(self, data: bytes) -> bytes:
        """The transformed form of the next piece; a CR at its end waits for what follows."""
        if not data:
            return b""
        if self._held_cr:
            data = b"\r" + data
        self._held_cr = data.endswith(b"\r")
        if self._held_cr:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n")

    def finish(self) -> bytes:
        """What is left when the stream has ended."""
        return b"\r" if self._held_cr else b""


class BareLineEnds:
    """Watches a stream for CR or LF that stand alone, which RFC 5321 section 2.3.8 forbids."""

    def __init__(self) -> None:
        self.seen = False
        self._held_cr = False

    def feed(self, data: bytes) -> None:
        """Look at the next piece."""
        if self.seen or not data:
            return
        if self._held_cr:
            data = b"\r" + data
        self._held_cr = data.endswith(b"\r")
        if self._held_cr:
            data = data[:-1]
        # To take bytes out and put them in again is a third of the work of looking at each line.
        self.seen = data.replace(b"\r", b"").replace(b"\n", b"\r\n") != data

    def finish(self) -> bool:
        """The stream has ended: was there any?"""
        self.seen = self.seen or self._held_cr
        return self.seen


class DotEncoder:
    """Content in, dot-stuffed wire form out."""

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the last bytes of what went before; a text starts at a line start

    def feed(self, data: bytes) -> bytes:
        """The stuffed form of the next piece, all of it."""
        if not data:
            return b""
        context = self._tail
        joined = context + data
        self._tail = joined[-2:]
        stuffed = joined.replace(b"\r\n.", b"\r\n..")
        return stuffed[len(context) :]

    def finish(self) -> bytes:
        """The end of the text: its last line ended if it was not, then the lone dot."""
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"


class DotDecoder:
    """Wire form in, content out, and the place where the text ends."""

    _END = b"\r\n.\r\n"

    def __init__(self) -> None:
        # A text begins at a line start: pretend a CRLF, and leave it out of what is given back.
        self._held = b"\r\n"
        self._pretended = 2
        self.rest: bytes | None = None

    @property
    def is_complete(self) -> bool:
        """The lone dot has come; `rest` holds the bytes behind it."""
        return self.rest is not None

    def feed(self, data: bytes) -> bytes:
        """The content found in the next piece. Nothing may be fed once the text is complete."""
        buffer = self._held + data
        first_dot = self._first_dotted(buffer)
        end = buffer.find(self._END, first_dot)
        if end >= 0:
            self.rest = buffer[end + len(self._END) :]
            self._held = b""
            return self._unstuff(buffer[: end + 2], is_dotted=first_dot < end)
        cut = max(len(buffer) - (len(self._END) - 1), 0)
        # A CRLF and the dot behind it must not be parted.
        line_end = buffer.find(b"\r\n", max(cut - 2, 0), cut + 1)
        if line_end >= 0:
            cut = min(cut, line_end)
        self._held = buffer[cut:]
        return self._unstuff(buffer[:cut], is_dotted=first_dot < cut)

    @staticmethod
    def _first_dotted(buffer: bytes) -> int:
        """Where the first line end is that a dot follows; behind it all if there is none."""
        dot = buffer.find(b".")  # a plain byte is found at once, and base64 has none of these
        found = None if dot < 0 else _DOTTED.search(buffer, max(dot - 2, 0))
        return len(buffer) if found is None else found.start()

    def _unstuff(self, text: bytes, *, is_dotted: bool) -> bytes:
        # RFC 5321 4.5.2: a dot at the start of a line with more on it is dropped, whatever follows.
        plain = text.replace(b"\r\n.", b"\r\n") if is_dotted else text
        drop = min(self._pretended, len(text))
        self._pretended -= drop
        return plain[drop:]
