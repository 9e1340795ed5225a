"""Intake: what every message passes on its way into the queue.

Recipients are expanded (aliases), the content is collected, hops are counted, our trace lines are
made, and all of it is committed at once. Only then may a source say yes (250, exit 0, DELE).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode import __version__
from relaynode.errors import RelaynodeError
from relaynode.mail import trace
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.fixing import missing_fields
from relaynode.mail.header import MAX_HEADER_BYTES, find_header_end
from relaynode.mail.status import Status
from relaynode.queue.ids import new_queue_id
from relaynode.queue.model import NewMessage, SeenMark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relaynode.queue.content import Content, Draft
    from relaynode.queue.store import Store
    from relaynode.rules import Rules

PROGRAM = f"relaynode {__version__}"

_IS_8BIT = re.compile(rb"[\x80-\xff]")


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
    From line. `warnings`: the texts of X-Authentication-Warning fields.
    """

    origin: str
    protocol: str
    source: str
    fix_header: bool = True
    header_sender: str | None = None
    full_name: str = ""
    dated: float | None = None
    warnings: tuple[str, ...] = ()


class Collector:
    """Takes a message's content, piece by piece."""

    def __init__(self, queue_id: str, draft: Draft) -> None:
        self.queue_id = queue_id
        self.head = b""
        self.is_8bit = False
        self._draft = draft

    @property
    def size_bytes(self) -> int:
        """What has come so far."""
        return self._draft.size_bytes

    def write(self, piece: bytes) -> None:
        """The next piece, CRLF wire form. Raises: StoreFull, StoreError."""
        self._draft.write(piece)
        if len(self.head) < MAX_HEADER_BYTES:
            self.head += piece[: MAX_HEADER_BYTES - len(self.head)]
        self.is_8bit = self.is_8bit or _IS_8BIT.search(piece) is not None

    async def finish(self) -> Content:
        """The content, on the disk if it is long. Raises: StoreFull, StoreError."""
        if self._draft.is_in_file:
            return await asyncio.to_thread(self._draft.finish)
        return self._draft.finish()

    def discard(self) -> None:
        """Forget it."""
        self._draft.discard()


class Intake:
    """The way into one queue. `on_queued` is called with the queue id after each commit."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        *,
        hostname: str,
        max_hops: int,
        clock: Callable[[], float],
        utc_offset_minutes: Callable[[float], int],
    ) -> None:
        self._store = store
        self._rules = rules
        self._hostname = hostname
        self._max_hops = max_hops
        self._clock = clock
        self._utc_offset_minutes = utc_offset_minutes
        self.on_queued: Callable[[str], None] = lambda queue_id: None

    def collector(self) -> Collector:
        """A place for the content of a new message."""
        queue_id = new_queue_id()
        return Collector(queue_id, self._store.draft(queue_id))

    def expand(self, addresses: Iterable[str]) -> list[Recipient]:
        """The recipients that addresses stand for, each once.

        Raises: Rejected for the first address that nobody can have; TableError.
        """
        found: dict[tuple[str, str], Recipient] = {}
        expander = self._rules.expander
        for address in addresses:
            expansion = expander.expand(address)
            if expansion.refusal is not None:
                raise Rejected(expansion.refusal)
            for recipient in expansion.recipients:
                found.setdefault(expander.identity(recipient.address), recipient)
        return list(found.values())

    def identity(self, recipient: Recipient) -> tuple[str, str]:
        """What tells a recipient from others, however it is written. Raises: TableError."""
        return self._rules.expander.identity(recipient.address)

    async def accept(
        self,
        collector: Collector,
        envelope: Envelope,
        arrival: Arrival,
        *,
        given: Sequence[str] = (),
        seen: Sequence[SeenMark] = (),
    ) -> str:
        """Queue a message for good; its queue id.

        `envelope`: recipients expanded. `given`: the forward-paths as they were given.
        Raises: Rejected (too many hops), StoreFull, StoreError; the content is then discarded.
        """
        message = None
        try:
            message = await self._message(collector, envelope, arrival, given)
            await self._store.add([message], seen)
        except (RelaynodeError, OSError):
            collector.discard()
            raise
        self.on_queued(message.queue_id)
        return message.queue_id

    async def _message(
        self,
        collector: Collector,
        envelope: Envelope,
        arrival: Arrival,
        given: Sequence[str],
    ) -> NewMessage:
        now = self._clock()
        header = collector.head[: find_header_end(collector.head)]
        self._check_hops(header, envelope)
        lines = self._trace(collector, header, envelope, arrival, given, now)
        if collector.is_8bit and envelope.body != "8BITMIME":
            envelope = replace(envelope, body="8BITMIME")
        content = await collector.finish()
        return NewMessage(collector.queue_id, envelope, lines, content, arrival.source, now)

    def _trace(
        self,
        collector: Collector,
        header: bytes,
        envelope: Envelope,
        arrival: Arrival,
        given: Sequence[str],
        now: float,
    ) -> bytes:
        """The lines that go in front of the header, in sendmail's order."""
        utc_offset_minutes = self._utc_offset_minutes(now)
        lines = trace.received(
            arrival.origin,
            by=self._hostname,
            program=PROGRAM,
            queue_id=collector.queue_id,
            now=now,
            utc_offset_minutes=utc_offset_minutes,
            protocol=arrival.protocol,
            recipient=given[0] if len(given) == 1 else "",
        )
        if arrival.fix_header:
            lines += missing_fields(
                header,
                now=now,
                utc_offset_minutes=utc_offset_minutes,
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

    def _check_hops(self, header: bytes, envelope: Envelope) -> None:
        hops = trace.count_received(header)
        if hops > self._max_hops:
            # RFC 5321 6.3: a message that has come round so often is in a loop.
            text = f"Too many hops {hops} ({self._max_hops} max): from {envelope.reverse_path}"
            raise Rejected(Status(554, "5.4.6", text))
