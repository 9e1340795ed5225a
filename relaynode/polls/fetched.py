"""What a poll has fetched goes into the queue here, whatever protocol brought it.

A message is queued in one transaction with its mark on the seen-list, so that it is never fetched
into the queue twice. Who it is for, and where it comes from in its trace, is settled here too:

    deliver_to, or the recipients that multidrop finds     expanded as any mail's are
    nobody is found, or those found are nobody any more    the postmaster; its history says why
    it has been here before, or has too many hops          held for the postmaster

Nothing is refused for good: a message that stayed at the server for what it is would be fetched at
each visit, over a line that may cost by the minute; one that were deleted would be lost.
Not here: talking to the server (pop3.py), and when a message may be deleted there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail import trace
from relaynode.mail.address import addresses, join, parse_path, split
from relaynode.mail.envelope import NULL_PATH, Envelope, Recipient
from relaynode.mail.header import find_header_end, first_value
from relaynode.mail.logline import clean
from relaynode.mail.loops import came_before
from relaynode.polls.content import FetchedContent
from relaynode.polls.marks import NAMELESS
from relaynode.queue.finish import finish
from relaynode.queue.model import SeenMark
from relaynode.sources.intake import Arrival, Parcel, Rejected
from relaynode.sources.local_filters import filter_taken, held

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.polls.account import Account
    from relaynode.polls.marks import Marks
    from relaynode.sources.intake import Collector, Intake

log = logging.getLogger("relaynode.mail")

DROP_OFF = "drop-off"
"""The mailer of recipients whose mail an account hands to a server or program of its own; their
host is the account's name (links/drop_off.py)."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """Who gets a message. `given`: the addresses that were expanded. `notes`: what is to be told of
    it."""

    recipients: tuple[Recipient, ...]
    given: tuple[str, ...]
    notes: tuple[str, ...] = ()


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
    _known: dict[str, list[Recipient] | Rejected] = field(default_factory=dict)

    def prepare(self) -> None:
        """Find out whether anybody can have the mail, before anything is fetched.

        Raises: Rejected, TableError.
        """
        self._known.clear()
        if self.account.multidrop is None:
            self._for_all([self.account.deliver_to])

    def collector(self) -> Collector:
        """A place for the content of the next message, CRLF wire form."""
        edits = self.account.edits
        return self.intake.collector(
            make=lambda queue_id, draft: FetchedContent(queue_id, draft, edits)
        )

    async def queue(
        self, collector: Collector, *, uid: str | None, peer: str, listed_bytes: int = 0
    ) -> bool:
        """Queue a message that has come whole, and mark it by its unique-id, in one transaction.

        `collector`: one of ours. `uid`: None for a message to which the server gives none. `peer`:
        the server, as a stream has it. `listed_bytes`: the size that the server lists. Once this
        has begun, calling the poll off waits for its end. Filters may have it held, or throw it
        away: then there is a mark only. False: it was queued by an earlier visit, and is marked
        anew. Raises: Rejected, StoreError, TableError; the message must then stay at the server.
        """
        assert isinstance(collector, FetchedContent)
        mark = self._mark(collector, uid, listed_bytes)
        known = self.marks.known(mark.digest) if self.marks is not None else None
        if known is not None:
            collector.discard()
            await finish(self._mark_anew(replace(mark, taken_at=known.taken_at), known))
            return False
        try:
            collector.settle()
            parcel = self._parcel(collector, peer)
        except Exception:
            collector.discard()
            raise
        parcels = await self._filtered(parcel)
        await finish(self.intake.accept_all(parcels, seen=[mark]))
        for text in parcel.arrival.notes:
            log.warning("%s: from %s: %s", collector.queue_id, self.account.name, text)
        return True

    def _mark(self, collector: FetchedContent, uid: str | None, listed_bytes: int) -> SeenMark:
        digest = collector.digest.hexdigest()
        self.marked_uid = NAMELESS + digest if uid is None else uid
        return SeenMark(
            self.account.name, self.marked_uid, listed_bytes=listed_bytes, digest=digest
        )

    async def _mark_anew(self, mark: SeenMark, known: SeenMark) -> None:
        log.info("%s: %s was fetched before as %s", mark.account, mark.uid, known.uid)
        await self.intake.accept_all([], seen=[mark])
        assert self.marks is not None
        await self.marks.settle(known, mark.uid)

    async def _filtered(self, parcel: Parcel) -> list[Parcel]:
        """What the filters leave of a message. Raises: Rejected if it shall come again later."""
        filters = self.account.filters
        if filters is None:
            return [parcel]
        left = await filter_taken(self.intake, filters, parcel, held)
        return [] if left is None else [left]

    def _parcel(self, content: FetchedContent, peer: str) -> Parcel:
        addressed = self.addressed(content.came)
        path = reverse_path(content.came)
        if path and not split(path)[1]:  # a user of the server, and no namesake of ours
            path = join(path, self.account.server)
        envelope = Envelope(path, addressed.recipients)
        arrival = self._arrival(peer, addressed.notes)
        parcel = Parcel(content, envelope, arrival, addressed.given)
        return self._held_if_in_loop(parcel, content.came)

    def _arrival(self, peer: str, notes: tuple[str, ...]) -> Arrival:
        address = peer.partition("[")[2].removesuffix("]")
        origin = trace.poll_origin(self.account.server, address)
        source = f"{self.protocol.lower()} {self.account.name}"
        told = tuple(clean(text) for text in notes)  # strangers have said some of it
        return Arrival(origin, self.protocol, source, fix_header=False, notes=told)

    # --- who it is for

    def addressed(self, header: bytes) -> Addressed:
        """Whom mail with this header is for. Raises: Rejected, TableError."""
        if self.account.multidrop is None:
            return self._for_all([self.account.deliver_to])
        found = self.account.multidrop.find(header)
        if found.recipients:
            return self._for_all(found.recipients, found.doubts)
        return self._for_postmaster(("nobody here was found for it", *found.doubts))

    def _for_all(self, given: Iterable[str], doubts: tuple[str, ...] = ()) -> Addressed:
        """Everybody who can have it; who cannot is a doubt. Raises: Rejected, TableError."""
        recipients: list[Recipient] = []
        taken: list[str] = []
        refused: list[str] = []
        for address in given:
            expanded = self._expand(address)
            if isinstance(expanded, Rejected):
                if not 500 <= expanded.status.code < 600:
                    raise expanded
                refused.append(str(expanded.status))
            else:
                recipients += expanded
                taken.append(address)
        if refused:
            return self._with_postmaster(recipients, taken, (*refused, *doubts))
        return Addressed(self._distinct(recipients), tuple(taken), doubts)

    def _for_postmaster(self, why: tuple[str, ...]) -> Addressed:
        return self._with_postmaster([], [], why)

    def _with_postmaster(
        self, recipients: list[Recipient], taken: list[str], why: tuple[str, ...]
    ) -> Addressed:
        """Raises: Rejected if the postmaster is nobody either, TableError."""
        expanded = self._expand(self.intake.postmaster)
        if isinstance(expanded, Rejected):
            raise expanded
        given = (*taken, self.intake.postmaster)
        notes = (f"the postmaster gets it: {why[0]}", *why[1:])
        return Addressed(self._distinct([*recipients, *expanded]), given, notes)

    def _expand(self, address: str) -> list[Recipient] | Rejected:
        """Whom an address stands for; one that a drop-off has is its affair. Raises: TableError."""
        known = self._known.get(address)
        if known is None:
            known = self._known[address] = self._expand_now(address)
        return known

    def _expand_now(self, address: str) -> list[Recipient] | Rejected:
        drop_off = self.account.drop_off_address
        if drop_off is not None:
            return [Recipient(drop_off(address), mailer=DROP_OFF, host=self.account.name)]
        try:
            return self.intake.expand([address])
        except Rejected as error:
            return error

    def _distinct(self, recipients: Iterable[Recipient]) -> tuple[Recipient, ...]:
        found: dict[tuple[str, ...], Recipient] = {}
        for one in recipients:
            found.setdefault(self.intake.identity(one), one)
        return tuple(found.values())

    # --- loops

    def _held_if_in_loop(self, parcel: Parcel, came: bytes) -> Parcel:
        """Raises: Rejected if the postmaster is nobody."""
        too_many = self.intake.too_many_hops(parcel)
        why = "" if too_many is None else str(too_many)
        why = clean(why or came_before(came, self.intake.hostname, parcel.given))
        if not why:
            return parcel
        held = self._for_postmaster((f"it goes round in a circle: {why}", *parcel.arrival.notes))
        arrival = replace(
            parcel.arrival,
            notes=held.notes,
            hold_reason=f"mail loop: {why}",
            may_be_in_loop=True,
        )
        envelope = replace(parcel.envelope, recipients=held.recipients)
        return Parcel(parcel.collector, envelope, arrival, held.given)


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
