"""A queued message as it goes out: its header rewritten for the mailer, its body as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.header import MAX_HEADER_BYTES, locate
from relaynode.policy import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.content import Content
    from relaynode.queue.model import Delivery


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message in wire form. `size_bytes` is exact, as BDAT and SIZE want it."""

    header: bytes
    body: Content
    body_start: int

    @property
    def size_bytes(self) -> int:
        """The length of all pieces together."""
        return len(self.header) + self.body.size_bytes - self.body_start

    def pieces(self) -> Iterator[bytes]:
        """Header, then body. Raises: StoreError."""
        yield self.header
        yield from self.body.pieces(self.body_start)


def compose(delivery: Delivery, masquerade: Masquerade, *, mailer: str, host: str = "") -> Outgoing:
    """The message as it is sent: our trace lines, the rewritten header, the body untouched.

    `mailer`, `host`: as the route has them; they tell the form of addresses. A header longer
    than MAX_HEADER_BYTES is rewritten that far. Raises: StoreError.
    """
    content = delivery.content
    start = content.head(MAX_HEADER_BYTES)
    head = locate(start, is_whole=len(start) == content.size_bytes)
    header = rewrite.header(
        masquerade, delivery.trace + start[: head.end], mailer=mailer, host=host
    )
    return Outgoing(header + head.separator, content, head.end)
