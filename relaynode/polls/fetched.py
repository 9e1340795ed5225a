"""What a poll has fetched goes into the queue here, whatever protocol brought it.

A message is queued in one transaction with its mark on the seen-list, so that it is never fetched
into the queue twice. Who it is for, and where it comes from in its trace, is settled here too.
Not here: talking to the server (pop3_poller.py), and when a message may be deleted there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail import trace
from relaynode.mail.address import addresses, parse_path
from relaynode.mail.envelope import NULL_PATH, Envelope
from relaynode.mail.header import find_header_end, first_value
from relaynode.queue.finish import finish
from relaynode.queue.model import SeenMark
from relaynode.sources.intake import Arrival, Parcel
from relaynode.sources.local_filters import filter_taken, held

if TYPE_CHECKING:
    from relaynode.mail.envelope import Recipient
    from relaynode.polls.account import Account
    from relaynode.sources.intake import Collector, Intake


@dataclass(slots=True)
class Fetched:
    """The way from one account into the queue. `protocol`: as Received names it, "POP3"."""

    account: Account
    intake: Intake
    protocol: str
    _recipients: list[Recipient] = field(default_factory=list)

    def prepare(self) -> None:
        """Find out who gets the mail, before anything is fetched. Raises: Rejected, TableError."""
        self._recipients = self.intake.expand([self.account.deliver_to])

    def collector(self) -> Collector:
        """A place for the content of the next message, CRLF wire form."""
        return self.intake.collector()

    async def queue(self, collector: Collector, *, uid: str | None, peer: str) -> None:
        """Queue a message that has come whole, and mark it by its unique-id, in one transaction.

        `uid`: None for a message that cannot be known again. `peer`: the server, as a stream has
        it. Once this has begun, calling the poll off waits for its end. Filters may have it held,
        or throw it away: then there is a mark only. Raises: Rejected, StoreError; the message must
        then stay at the server.
        """
        envelope = Envelope(reverse_path(collector.head), tuple(self._recipients))
        given = (self.account.deliver_to,)
        parcels = await self._filtered(Parcel(collector, envelope, self._arrival(peer), given))
        seen = [] if uid is None else [SeenMark(self.account.name, uid)]
        await finish(self.intake.accept_all(parcels, seen=seen))

    async def _filtered(self, parcel: Parcel) -> list[Parcel]:
        """What the filters leave of a message. Raises: Rejected if it shall come again later."""
        filters = self.account.filters
        if filters is None:
            return [parcel]
        left = await filter_taken(self.intake, filters, parcel, held)
        return [] if left is None else [left]

    def _arrival(self, peer: str) -> Arrival:
        address = peer.partition("[")[2].removesuffix("]")
        origin = trace.poll_origin(self.account.server, address)
        source = f"{self.protocol.lower()} {self.account.name}"
        return Arrival(origin, self.protocol, source, fix_header=False)


def reverse_path(head: bytes) -> str:
    """Whom to tell if the mail cannot be delivered here: Return-Path, else From, else nobody."""
    header = head[: find_header_end(head)]
    path = first_value(header, b"return-path")
    if path is not None:
        try:
            return parse_path(path.decode("ascii", "replace"))
        except AddressError:
            return NULL_PATH
    senders = addresses(first_value(header, b"from") or b"")
    try:
        return parse_path(senders[0]) if senders else NULL_PATH
    except AddressError:
        return NULL_PATH
