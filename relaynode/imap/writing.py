"""Arguments as they are written: strings, and sets of numbers (RFC 3501 sections 4.3 and 9)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError
from relaynode.imap.limits import MAX_SET_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_UNSENDABLE = re.compile("[\x00\r\n\ud800-\udfff]")


def is_quotable(text: str) -> bool:
    """Can it be written between quotes? Else it takes a literal."""
    return text.isascii() and len(text) <= 1000


def argument(name: str, text: str) -> bytes:
    """Its bytes. An error names the argument and never shows it. Raises: LocalProtocolError."""
    if _UNSENDABLE.search(text):
        raise LocalProtocolError(f"the {name} holds a character that IMAP cannot send")
    return text.encode()


def quoted(data: bytes) -> bytes:
    """A string between quotes."""
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def sets(numbers: Iterable[int]) -> Iterator[bytes]:
    """Numbers as sets, the shortest way, each of a length that any server takes."""
    line = b""
    for first, last in _ranges(sorted(set(numbers))):
        text = b"%d" % first if first == last else b"%d:%d" % (first, last)
        if line and len(line) + len(text) >= MAX_SET_BYTES:
            yield line
            line = b""
        line = line + b"," + text if line else text
    if line:
        yield line


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield numbers[start], numbers[place - 1]
            start = place
