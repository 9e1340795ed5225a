"""The digest of a message's content, by which it is known again under another name.

SHA-256 of the content in wire form without the header fields that mail servers write anew at each
visit (Status, X-UIDL and kin). It takes pieces cut anywhere and keeps a few bytes between them.
"""

from __future__ import annotations

import hashlib

VOLATILE = frozenset(
    (
        b"status",
        b"x-status",
        b"x-uidl",
        b"x-uid",
        b"x-imap",
        b"x-imapbase",
        b"x-keywords",
        b"x-mozilla-status",
        b"x-mozilla-status2",
        b"x-mozilla-keys",
        b"content-length",
        b"lines",
    )
)
"""What mbox drivers and POP3 servers add to a header or change in it (lower case)."""

_NAME_BYTES = max(map(len, VOLATILE)) + 1


class ContentDigest:
    """Feed content, take `hexdigest()` at its end."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._held = b""  # the start of a header line whose name is not complete
        self._is_in_header = True
        self._is_at_line_start = True
        self._is_dropping = False

    def feed(self, piece: bytes) -> None:
        """The next piece of the content, CRLF wire form."""
        if not self._is_in_header:
            self._hash.update(piece)
            return
        data = self._held + piece
        self._held = b""
        start = 0
        while self._is_in_header and start < len(data):
            if self._is_at_line_start and not self._starts_line(data, start):
                self._held = data[start:]
                return
            end = data.find(b"\n", start) + 1
            self._is_at_line_start = end > 0
            end = end or len(data)
            if not self._is_dropping:
                self._hash.update(data[start:end])
            start = end
        self._hash.update(data[start:])

    def _starts_line(self, data: bytes, start: int) -> bool:
        """Decide what becomes of the line that starts here; False if more of it is needed."""
        head = data[start : start + _NAME_BYTES]
        if head[:1] in (b" ", b"\t"):  # the field goes on, and its fate with it
            return True
        if head[:2] == b"\r\n" or head[:1] == b"\n":
            self._is_in_header = self._is_dropping = False
            return True
        if len(head) < _NAME_BYTES and b":" not in head and b"\n" not in head:
            return False
        name, colon, _ = head.partition(b":")
        self._is_dropping = bool(colon) and name.rstrip().lower() in VOLATILE
        return True

    def hexdigest(self) -> str:
        """Of all that was fed."""
        final = self._hash.copy()
        final.update(self._held)
        return final.hexdigest()
