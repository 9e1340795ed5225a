"""Intake: what every message passes on its way into the queue.

Recipients are expanded (aliases), the content is collected, hops are counted, our trace lines are
made, and all of it is committed at once. Only then may a source say yes (250, exit 0, DELE).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode import __version__
from relaynode.errors import AddressError, RelaynodeError, TableError
from relaynode.mail import logline, trace
from relaynode.mail.address import parse_path, split
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.fixing import missing_fields
from relaynode.mail.header import MAX_HEADER_BYTES, first_value, header_of
from relaynode.mail.lines import count_lines
from relaynode.mail.status import Status
from relaynode.queue.ids import new_queue_id
from relaynode.queue.model import Mark, NewMessage, OnceMark
from relaynode.sources.quota import Limits, Quota

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from relaynode.policy.expand import Expansion
    from relaynode.queue.content import Content, Draft
    from relaynode.queue.store import Store
    from relaynode.queue.uucp.model import Settled
    from relaynode.rules import Rules

log = logging.getLogger("relaynode.mail")

PROGRAM = f"relaynode {__version__}"

TRUSTED_USERS = frozenset(("root", "daemon", "uucp"))
"""Who is trusted by any sendmail (class t), whatever the table trusted-users says."""


class Rejected(RelaynodeError):
    """The message cannot be accepted; `status` is what to tell whoever brought it."""

    def __init__(self, status: Status) -> None:
        self.status = status
        super().__init__(str(status))


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a message came: for its Received line and the queue's records.

    `origin`: from mail/trace.py. `protocol`: as in Received ("ESMTP", "POP3", ""). `source`: for
    people. `fix_header`: add Date, From and Message-Id if they are missing; From is made of
    `header_sender` (the reverse-path if None) and `full_name`. `dated`: epoch seconds of a unix
    From line. `warnings`: the texts of X-Authentication-Warning fields. `hops`: those it has behind
    it at least, whatever its header says. `is_submission`: its recipients stood on a command line.
    `hold_reason`: why it is to be held (quarantined), "" if it is not. `above`, `below`: lines that
    go above and below ours of Received; None: those that `Intake.lines_below` makes. `tls`: of the
    line that it came by, as Received has it. `is_from_us`: its sender is one whom this node serves,
    and has a quota. `grade`: that it came with by UUCP, "" if it has none. `notes`: what its
    history is to tell besides. `may_be_in_loop`: it is taken whatever its hops (and held: somebody
    must look at it).
    """

    origin: str
    protocol: str
    source: str
    fix_header: bool = True
    header_sender: str | None = None
    full_name: str = ""
    dated: float | None = None
    warnings: tuple[str, ...] = ()
    hops: int = 0
    is_submission: bool = False
    hold_reason: str = ""
    above: bytes = b""
    below: bytes | None = None
    tls: str = ""
    is_from_us: bool = False
    grade: str = ""
    notes: tuple[str, ...] = ()
    may_be_in_loop: bool = False

    @property
    def via(self) -> str:
        """Who brought it, for people."""
        kind, _, who = self.source.partition(" ")
        return "localhost" if kind == "local" else who or kind


class Collector:
    """Takes a message's content, piece by piece."""

    def __init__(self, queue_id: str, draft: Draft) -> None:
        self.queue_id = queue_id
        self.is_8bit = False
        self.lines = 0
        self._draft = draft
        self._head = bytearray()
        self._header: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """What has come so far."""
        return self._draft.size_bytes

    @property
    def head(self) -> bytes:
        """The first MAX_HEADER_BYTES of it."""
        return bytes(self._head)

    @property
    def header(self) -> bytes:
        """What of `head` is the header. The same object each time, so that what is found in it
        is remembered (mail/header.py)."""
        if self._header is None:
            self._header = header_of(self.head)
        return self._header

    def write(self, piece: bytes) -> None:
        """The next piece, CRLF wire form. Raises: StoreFull, StoreError."""
        self._draft.write(piece)
        if len(self._head) < MAX_HEADER_BYTES:
            self._header = None
            self._head += piece[: MAX_HEADER_BYTES - len(self._head)]
        self.is_8bit = self.is_8bit or not piece.isascii()
        self.lines += count_lines(piece)

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """What has been written, from offset `start` on. Raises: StoreFull, StoreError."""
        return self._draft.pieces(start)

    async def finish(self) -> Content:
        """The content, on the disk if it is long. Raises: StoreFull, StoreError."""
        if self._draft.is_in_file:
            return await asyncio.to_thread(self._draft.finish)
        return self._draft.finish()

    def discard(self) -> None:
        """Forget it."""
        self._draft.discard()


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message that has come whole, and all that intake wants to know of it: see `accept`."""

    collector: Collector
    envelope: Envelope
    arrival: Arrival
    given: tuple[str, ...] = ()


class Intake:
    """The way into one queue. `on_queued` is called after each commit, with the queue id and with
    whether something of the message stays on this machine.

    `quota`: what those whom we serve may send; None for any. `stays_here`: tells that of an
    envelope; raises TableError.
    """

    def __init__(
        self,
        store: Store,
        rules: Rules,
        *,
        hostname: str,
        max_hops: int,
        clock: Callable[[], float],
        utc_offset_minutes: Callable[[float], int],
        quota: Quota | None = None,
        stays_here: Callable[[Envelope], bool] = lambda envelope: True,
    ) -> None:
        self._store = store
        self._rules = rules
        self._hostname = hostname
        self._max_hops = max_hops
        self._clock = clock
        self._utc_offset_minutes = utc_offset_minutes
        self._stays_here = stays_here
        self.on_queued: Callable[[str, bool], None] = lambda queue_id, stays_here: None
        self.quota = quota or Quota(store, Limits(), clock)

    @property
    def hostname(self) -> str:
        """Ours, as Received has it."""
        return self._hostname

    @property
    def postmaster(self) -> str:
        """Who gets what nobody else can have: a local name or an address."""
        return self._rules.postmaster

    def collector(
        self, queue_id: str = "", make: Callable[[str, Draft], Collector] = Collector
    ) -> Collector:
        """A place for the content of a new message. `queue_id`: if it has one already. `make`: a
        collector that does more."""
        queue_id = queue_id or new_queue_id()
        return make(queue_id, self._store.draft(queue_id))

    def another_collector(self, queue_id: str) -> Collector:
        """One more place, for content that is to replace that of the same message."""
        return Collector(queue_id, self._store.draft(new_queue_id()))

    def trusts(self, user: str) -> bool:
        """May this user be anybody in `-f` without a warning? Raises: TableError."""
        return user in TRUSTED_USERS or user.lower() in self._rules.tables.trusted_users

    def expand(self, addresses: Iterable[str]) -> list[Recipient]:
        """The recipients that addresses stand for, each once.

        Raises: Rejected for the first address that nobody can have; TableError.
        """
        return list(self.by_identity(addresses).values())

    def by_identity(self, addresses: Iterable[str]) -> dict[tuple[str, ...], Recipient]:
        """The same, each by what tells a recipient from others, however it is written."""
        found: dict[tuple[str, ...], Recipient] = {}
        expander = self._rules.expander
        for address in addresses:
            if (plain := expander.expand_plain(address)) is not None:
                found.setdefault(expander.identity(plain), plain)
                continue
            expansion = expander.expand(address)
            if expansion.refusal is not None:
                raise Rejected(expansion.refusal)
            for recipient in expansion.recipients:
                found.setdefault(expander.identity(recipient), recipient)
        return found

    def expand_words(self, words: Iterable[str], *, uses_aliases: bool = True) -> Expansion:
        """The same for the words of a command line, with all that is wrong. Raises: TableError."""
        return replace(self._rules.expander, uses_aliases=uses_aliases).expand_lists(words)

    def identity(self, recipient: Recipient) -> tuple[str, ...]:
        """What tells a recipient from others, however it is written. Raises: TableError."""
        return self._rules.expander.identity(recipient)

    async def taken(self, mark: OnceMark) -> dict[str, str]:
        """For which recipients this mail was queued before (`Store.taken`). Raises: StoreError."""
        return await self._store.taken(mark)

    async def accept(
        self,
        collector: Collector,
        envelope: Envelope,
        arrival: Arrival,
        *,
        given: Sequence[str] = (),
        seen: Sequence[Mark] = (),
        announce: Callable[[str], None] | None = None,
        settled: Settled | None = None,
        once: OnceMark | None = None,
    ) -> str:
        """Queue a message for good; its queue id.

        Recipients that stand on a list with an owner get it from the owner, in a message with a
        queue id of its own, queued at the same moment.
        `envelope`: recipients expanded. `given`: the forward-paths as they were given.
        `announce`: told of each queue id, instead of the workers (`on_queued`). `settled`: UUCP
        work that this message is the end of, written down in the same commit. `once`: by what it
        would be known again.
        Raises: Rejected (too many hops, over quota), StoreFull, TakenBefore, StoreError; the
        content is then discarded.
        """
        parcel = Parcel(collector, envelope, arrival, tuple(given))
        queue_ids = await self.accept_all(
            [parcel], seen=seen, announce=announce, settled=settled, once=once
        )
        return queue_ids[0]

    async def accept_all(
        self,
        parcels: Sequence[Parcel],
        *,
        seen: Sequence[Mark] = (),
        announce: Callable[[str], None] | None = None,
        settled: Settled | None = None,
        once: OnceMark | None = None,
    ) -> list[str]:
        """The same for several messages, or none: all of them are queued at one moment, or none is.

        Their queue ids; a message for several reverse-paths has several. Raises: as `accept`; all
        contents are then discarded.
        """
        messages: list[NewMessage] = []
        try:
            for parcel in parcels:
                await self._check_quota(parcel)
                await self._collect(messages, parcel)
            await self._store.add(messages, seen, settled, once=once)
        except (RelaynodeError, OSError):
            for parcel in parcels:
                parcel.collector.discard()
            for message in messages:
                message.content.discard()
            raise
        queue_ids = [message.queue_id for message in messages]
        for message in messages:
            self._log(message, parcels)
        for message in messages:
            if announce is not None:
                announce(message.queue_id)
            else:
                self.on_queued(message.queue_id, self._is_for_here(message.envelope))
        return queue_ids

    def _is_for_here(self, envelope: Envelope) -> bool:
        try:
            return self._stays_here(envelope)
        except TableError:
            return True  # whoever tries it will say what is wrong

    def _log(self, message: NewMessage, parcels: Sequence[Parcel]) -> None:
        """One line for each message that is queued."""
        if not log.isEnabledFor(logging.INFO):
            return
        parcel = next((p for p in parcels if p.collector.queue_id == message.queue_id), parcels[0])
        envelope = message.envelope
        line = logline.arrival(
            message.queue_id,
            sender=envelope.reverse_path,
            size_bytes=message.content.size_bytes,
            recipients=len(envelope.recipients),
            message_id=_message_id(parcel, message),
            relay=parcel.arrival.via,
            body=envelope.body,
            protocol=parcel.arrival.protocol,
        )
        log.info("%s", line)

    async def _check_quota(self, parcel: Parcel) -> None:
        """Raises: Rejected, StoreError."""
        if not parcel.arrival.is_from_us:
            return
        size_bytes = parcel.collector.size_bytes
        envelope = parcel.envelope
        refusal = await self.quota.refusal(envelope.reverse_path, size_bytes)
        refusal = refusal or await self.quota.link_refusal(envelope, size_bytes)
        if refusal is not None:
            raise Rejected(refusal)

    async def _collect(self, messages: list[NewMessage], parcel: Parcel) -> None:
        """Append a message for each reverse-path to `messages`; they share their content."""
        collector, envelope, arrival = parcel.collector, parcel.envelope, parcel.arrival
        now = self._clock()
        header = collector.header
        if not arrival.may_be_in_loop and (refusal := self.too_many_hops(parcel)) is not None:
            raise Rejected(refusal)
        below = arrival.below
        added = self.lines_below(parcel) if below is None else below
        if collector.is_8bit and envelope.body != "8BITMIME":
            envelope = replace(envelope, body="8BITMIME")
        content = await collector.finish()
        body_bytes = content.size_bytes - collector.lines - (len(header) - count_lines(header))
        parts = by_reverse_path(envelope, self._hostname)
        urgency = self._rules.order.urgency(
            header,
            envelope.reverse_path,
            [one.address for one in envelope.recipients],
            content.size_bytes,
            came_with=arrival.grade,
        )
        for number, part in enumerate(parts):
            queue_id = new_queue_id() if number else collector.queue_id
            if number:
                content = await asyncio.to_thread(self._store.twin, content, queue_id)
            messages.append(
                NewMessage(
                    queue_id,
                    part,
                    arrival.above + self._received(queue_id, arrival, parcel.given, now) + added,
                    content,
                    arrival.source,
                    now,
                    lines=collector.lines,
                    body_bytes=body_bytes,
                    hold_reason=arrival.hold_reason,
                    grade=urgency.grade,
                    within_seconds=urgency.within_seconds,
                    links=self.quota.links_of(part) if arrival.is_from_us else (),
                    notes=arrival.notes,
                )
            )

    def _received(self, queue_id: str, arrival: Arrival, given: Sequence[str], now: float) -> bytes:
        return trace.received(
            arrival.origin,
            by=self._hostname,
            program=PROGRAM,
            queue_id=queue_id,
            now=now,
            utc_offset_minutes=self._utc_offset_minutes(now),
            protocol=arrival.protocol,
            recipient=given[0] if len(given) == 1 else "",
            is_submission=arrival.is_submission,
            tls=arrival.tls,
        )

    def lines_below(self, parcel: Parcel) -> bytes:
        """The lines that follow ours of Received, in sendmail's order."""
        collector, envelope, arrival = parcel.collector, parcel.envelope, parcel.arrival
        now = self._clock()
        lines = b""
        if arrival.fix_header:
            lines += missing_fields(
                collector.header,
                now=now,
                utc_offset_minutes=self._utc_offset_minutes(now),
                queue_id=collector.queue_id,
                hostname=self._hostname,
                sender=(
                    envelope.reverse_path
                    if arrival.header_sender is None
                    else arrival.header_sender
                ),
                full_name=arrival.full_name,
                dated=arrival.dated,
            )
        for warning in arrival.warnings:
            lines += f"X-Authentication-Warning: {self._hostname}: {warning}\r\n".encode()
        return lines

    def too_many_hops(self, parcel: Parcel) -> Status | None:
        """RFC 5321 6.3: why a message must not go on, if it has come round so often that it is in a
        loop. Ours is a hop too; one that only goes back to its sender ends the loop."""
        hops = trace.count_received(parcel.collector.header) + 1
        hops = max(hops, parcel.arrival.hops)
        recipients = parcel.envelope.recipients
        if hops <= self._max_hops or all(one.mailer == "error" for one in recipients):
            return None
        first = parcel.given[0] if parcel.given else recipients[0].address
        return Status(
            554,
            "5.4.6",
            f"Too many hops {hops} ({self._max_hops} max): from"
            f" {parcel.envelope.reverse_path or '<>'} via {parcel.arrival.via}, to {first}",
        )


def _message_id(parcel: Parcel, message: NewMessage) -> str:
    """It came with one, or was given one by a filter or by us."""
    name = b"message-id"
    found = first_value(parcel.arrival.above + parcel.collector.header, name)
    return (found or first_value(message.trace, name) or b"").decode("utf-8", "replace")


def by_reverse_path(envelope: Envelope, hostname: str) -> list[Envelope]:
    """An envelope for the sender's own recipients, and one for those of each list's owner."""
    if envelope.recipients and not any(one.owner for one in envelope.recipients):
        return [envelope]
    groups: dict[str, list[Recipient]] = {}
    for recipient in sorted(envelope.recipients, key=lambda one: bool(one.owner)):
        path = _owner_path(recipient.owner, hostname, envelope.reverse_path)
        # Who is on a list is not the sender's business, and the owner did not ask for receipts.
        notify = recipient.notify if path == envelope.reverse_path else _failures(recipient.notify)
        groups.setdefault(path, []).append(replace(recipient, owner="", notify=notify))
    return [
        replace(envelope, reverse_path=path, recipients=tuple(recipients))
        for path, recipients in groups.items()
    ]


def _failures(notify: str) -> str:
    """NOTIFY (RFC 3461 4.1) without SUCCESS."""
    left = [word for word in notify.split(",") if word != "SUCCESS"]
    return ",".join(left) or ("NEVER" if notify else "")


def _owner_path(owner: str, hostname: str, sender: str) -> str:
    """The reverse-path that an owner's name stands for; the sender's if it stands for none."""
    try:
        path = parse_path(owner, allow_utf8=True) if owner else ""
    except AddressError:
        path = ""
    if not path:
        return sender
    return path if split(path)[1] else f"{path}@{hostname}"
