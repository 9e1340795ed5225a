"""A message as it is kept at home: Unix line ends, and the lines that the last mailer writes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relaynode.mail.lines import ToLf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.mailers.outgoing import Outgoing
    from relaynode.queue.model import Delivery


def stored(delivery: Delivery, outgoing: Outgoing, *, return_path: bool = True) -> Iterator[bytes]:
    """The message with Unix line ends; `return_path`: with Return-Path in front (RFC 5321 4.4).

    Raises: StoreError.
    """
    if return_path:
        path = delivery.message.envelope.reverse_path
        yield f"Return-Path: <{path}>\n".encode("utf-8", "surrogateescape")
    to_lf = ToLf()
    for piece in outgoing.pieces():
        yield to_lf.feed(piece)
    yield to_lf.finish()


def from_line(delivery: Delivery) -> str:
    """The line "From SENDER DATE" that begins a message of an mbox, without its end."""
    sender = delivery.message.envelope.reverse_path or "MAILER-DAEMON"
    date = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(delivery.message.arrived_at))
    return f"From {''.join(sender.split())} {date}"
