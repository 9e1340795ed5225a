"""A queued message as it goes out: its header rewritten for the mailer, its body as it is.

The one exception is a server that takes seven bits only: for it mail/seven_bit.py encodes the parts
that need it. That takes a pass to find them and another to know the size, before anything is sent.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import MessageBroke, RelaynodeError
from relaynode.mail import seven_bit
from relaynode.mail.header import MAX_HEADER_BYTES, locate
from relaynode.policy import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.content import Content
    from relaynode.queue.model import Delivery


log = logging.getLogger("relaynode")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message in wire form. `size_bytes` is exact, as BDAT and SIZE want it.

    `recoding`, if any, is what seven bits ask for.
    """

    header: bytes
    body: Content
    body_start: int
    size_bytes: int
    recoding: seven_bit.Recoding | None = None

    @classmethod
    def of(cls, header: bytes, body: Content, body_start: int) -> Outgoing:
        """A message as it is: `header`, and behind it the content from `body_start` on."""
        size_bytes = len(header) + body.size_bytes - body_start
        return cls(header, body, body_start, size_bytes)

    def in_seven_bits(self) -> Outgoing:
        """The same message for a server without 8BITMIME. Raises: StoreError."""
        recoding = seven_bit.plan(self.pieces())
        if not recoding:
            return self
        size_bytes = sum(map(len, recoding.apply(self.pieces())))
        return Outgoing(self.header, self.body, self.body_start, size_bytes, recoding)

    def pieces(self) -> Iterator[bytes]:
        """All of it, in order. Raises: StoreError."""
        return self._as_it_is() if self.recoding is None else self.recoding.apply(self._as_it_is())

    def _as_it_is(self) -> Iterator[bytes]:
        yield self.header
        yield from self.body.pieces(self.body_start)


def compose(
    delivery: Delivery,
    masquerade: Masquerade,
    *,
    mailer: str,
    host: str = "",
    takes_8bit: bool = True,
) -> Outgoing:
    """The message as it is sent: our trace lines, the rewritten header, the body untouched.

    `mailer`, `host`: as the route has them; they tell the form of addresses. Without `takes_8bit`,
    8-bit parts of the body are encoded. A header longer than MAX_HEADER_BYTES is rewritten that
    far. Raises: StoreError, MessageBroke.
    """
    with carefully(delivery):
        content = delivery.content
        start = content.head(MAX_HEADER_BYTES)
        head = locate(start, is_whole=len(start) == content.size_bytes)
        header = rewrite.header(
            masquerade, delivery.trace + start[: head.end], mailer=mailer, host=host
        )
        outgoing = Outgoing.of(header + head.separator, content, head.end)
        is_8bit = delivery.message.envelope.body == "8BITMIME"
        return outgoing.in_seven_bits() if is_8bit and not takes_8bit else outgoing


@contextmanager
def carefully(delivery: Delivery) -> Iterator[None]:
    """Whatever a message does to us here, it is known which one it was: Raises: MessageBroke."""
    queue_id = delivery.message.queue_id
    with delivery.in_hand():
        try:
            yield
        except RelaynodeError:
            raise
        except Exception as error:
            log.exception("%s: an internal error", queue_id)
            raise MessageBroke(queue_id, error) from error
