"""What a poll has fetched goes into the queue here, whatever protocol brought it.

A message is queued in one transaction with its mark on the seen-list, so that it is never fetched
into the queue twice. Who it is for, and where it comes from in its trace, is settled here too.
Not here: talking to the server (pop3_poller.py), and when a message may be deleted there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail import trace
from relaynode.mail.address import addresses, parse_path
from relaynode.mail.digest import ContentDigest
from relaynode.mail.envelope import NULL_PATH, Envelope
from relaynode.mail.header import find_header_end, first_value
from relaynode.polls.marks import NAMELESS
from relaynode.queue.finish import finish
from relaynode.queue.model import SeenMark
from relaynode.sources.intake import Arrival

if TYPE_CHECKING:
    from relaynode.mail.envelope import Recipient
    from relaynode.polls.account import Account
    from relaynode.polls.marks import Marks
    from relaynode.sources.intake import Collector, Intake

log = logging.getLogger("relaynode.polls")


@dataclass(slots=True)
class Fetched:
    """The way from one account into the queue. `protocol`: as Received names it, "POP3". `marks`:
    where there are some, a message is known again by its content. `marked_uid`: what the last
    message was marked by."""

    account: Account
    intake: Intake
    protocol: str
    marks: Marks | None = None
    marked_uid: str = ""
    _recipients: list[Recipient] = field(default_factory=list)
    _digests: dict[str, ContentDigest] = field(default_factory=dict)

    def prepare(self) -> None:
        """Find out who gets the mail, before anything is fetched. Raises: Rejected, TableError."""
        self._recipients = self.intake.expand([self.account.deliver_to])

    def collector(self) -> Collector:
        """A place for the content of the next message, CRLF wire form."""
        collector = self.intake.collector()
        digest = self._digests[collector.queue_id] = ContentDigest()
        collector.watch = digest.feed
        return collector

    async def queue(
        self, collector: Collector, *, uid: str | None, peer: str, listed_bytes: int = 0
    ) -> bool:
        """Queue a message that has come whole, and mark it by its unique-id, in one transaction.

        `uid`: None for a message to which the server gives none. `peer`: the server, as a stream
        has it. `listed_bytes`: the size that the server lists. Once this has begun, calling the
        poll off waits for its end. False: it was queued by an earlier visit, and is marked anew.
        Raises: Rejected, StoreError; the message must then stay at the server.
        """
        digest = self._digests.pop(collector.queue_id).hexdigest()
        mark = SeenMark(
            self.account.name,
            NAMELESS + digest if uid is None else uid,
            listed_bytes=listed_bytes,
            digest=digest,
        )
        self.marked_uid = mark.uid
        known = self.marks.known(digest) if self.marks is not None else None
        if known is not None:
            collector.discard()
            await finish(self._mark_anew(replace(mark, taken_at=known.taken_at), known))
            return False
        await finish(
            self.intake.accept(
                collector,
                Envelope(reverse_path(collector.head), tuple(self._recipients)),
                self._arrival(peer),
                given=[self.account.deliver_to],
                seen=[mark],
            )
        )
        return True

    async def _mark_anew(self, mark: SeenMark, known: SeenMark) -> None:
        log.info("%s: %s was fetched before as %s", mark.account, mark.uid, known.uid)
        await self.intake.accept_all([], seen=[mark])
        assert self.marks is not None
        await self.marks.settle(known, mark.uid)

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
