"""The content of a message out of a mailbox: its header is edited when it is known whole.

What the mailbox's server knows of the envelope stands in the header, so it is kept as it came for
whoever looks for recipients; what goes into the queue has lost what must not go on. The body is
never touched, and a header longer than MAX_HEADER_BYTES is edited that far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.completing import complete
from relaynode.mail.digest import ContentDigest
from relaynode.mail.header import CRLF, MAX_HEADER_BYTES, locate, remove
from relaynode.sources.intake import Collector

if TYPE_CHECKING:
    from relaynode.queue.content import Draft

RETURN_PATH = b"return-path"
STATUS = (b"status", b"x-mozilla-status")
"""What mail programs that work inside the mailbox keep there."""

_END = CRLF + CRLF


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """What becomes of a header. `drops`: fields to take out. `domain`: whose the addresses are that
    name none; "": they stay as they are.

    RFC 5321 4.4: Return-Path is for the final delivery to write, so an old one always goes.
    """

    drops: tuple[bytes, ...] = ()
    domain: str = ""

    def apply(self, header: bytes) -> bytes:
        """The header as it goes into the queue."""
        header = remove(header, (RETURN_PATH, *self.drops))
        return complete(header, self.domain) if self.domain else header


class FetchedContent(Collector):
    """Takes a message's content. `came`: its header as it came, once it is `settled`. `digest`: of
    all as it came. `size_bytes` is what came, too: who fetches a message in parts wants to know
    that.
    """

    def __init__(self, queue_id: str, draft: Draft, edits: HeaderEdits) -> None:
        super().__init__(queue_id, draft)
        self.came = b""
        self.digest = ContentDigest()
        self._edits = edits
        self._held: bytearray | None = bytearray()
        self._came_bytes = 0

    @property
    def size_bytes(self) -> int:
        """What has come so far."""
        return self._came_bytes

    def write(self, piece: bytes) -> None:
        """See Collector."""
        self._came_bytes += len(piece)
        self.digest.feed(piece)
        if self._held is None:
            super().write(piece)
            return
        looked_at = max(len(self._held) - len(_END) + 1, 0)
        self._held += piece
        has_ended = self._held.startswith(CRLF) or self._held.find(_END, looked_at) >= 0
        if has_ended or len(self._held) >= MAX_HEADER_BYTES:
            self._edit(is_whole=False)

    def settle(self) -> None:
        """All has come. Raises: StoreFull, StoreError."""
        if self._held is not None:
            self._edit(is_whole=True)

    def _edit(self, *, is_whole: bool) -> None:
        held, self._held = bytes(self._held or b""), None
        is_whole = is_whole and len(held) <= MAX_HEADER_BYTES
        end = locate(held[:MAX_HEADER_BYTES], is_whole=is_whole).end
        self.came = held[:end]
        super().write(self._edits.apply(self.came) + held[end:])
