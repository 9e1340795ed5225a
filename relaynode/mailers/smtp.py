"""The SMTP mailer: one session to one next hop, kept full.

The sender pulls, begins transactions and writes content while the receiver reads replies and
reports; neither waits for the other beyond what the window allows. The window is what the pipe
holds (wire/meter.py), two messages at least: what is under way when the line drops may arrive
twice, so it is no wider than it must be.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import (
    LineLost,
    LocalProtocolError,
    StoreError,
    WireError,
)
from relaynode.mail.status import Status, permanent, temporary
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.outgoing import compose
from relaynode.mailers.smtp_dialogue import Dialogue
from relaynode.mailers.smtp_opening import Opening
from relaynode.policy import rewrite
from relaynode.policy.mailer_forms import Role
from relaynode.queue.finish import finish
from relaynode.smtp.client import Client
from relaynode.smtp.client_events import Bye, Finished, ServerClosing, State
from relaynode.smtp.transaction import Transaction
from relaynode.wire.meter import Sent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from relaynode.mailers.outgoing import Outgoing
    from relaynode.mailers.smtp_hop import NextHop
    from relaynode.policy.masquerade import Masquerade

MIN_IN_FLIGHT = 2
"""Transactions under way whatever the meter says: one being sent, one being answered."""

WRITE_BYTES = 16 * 1024
"""Content is handed to the line in pieces of this size."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A consignment on its way: the tag of its transaction."""

    consignment: Consignment
    sent: Sent | None = None


class SmtpMailer:
    """A `Mailer` to one next hop."""

    def __init__(
        self,
        next_hop: NextHop,
        *,
        hostname: str,
        masquerade: Masquerade,
        clock: Callable[[], float],
    ) -> None:
        """`clock`: monotonic seconds, to measure the line with."""
        self._next_hop = next_hop
        self._hostname = hostname
        self._masquerade = masquerade
        self._clock = clock

    async def deliver(
        self,
        consignments: AsyncIterator[Consignment],
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        """See Mailer."""
        stream = await self._next_hop.open()
        client, seconds = Client(self._hostname), self._next_hop.timeout_seconds
        dialogue = Dialogue(stream, client, self._clock, seconds)
        try:
            await Opening(dialogue, self._next_hop).open()
            await _Session(dialogue, self._next_hop, self._masquerade).run(consignments, report)
        finally:
            stream.abort()


@dataclass(slots=True)
class _Session:
    """One connection."""

    dialogue: Dialogue
    next_hop: NextHop
    masquerade: Masquerade
    in_flight_bytes: int = 0
    closing: Status | None = None
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def client(self) -> Client:
        return self.dialogue.client

    @property
    def peer(self) -> str:
        return self.dialogue.peer

    # --- the messages

    async def run(
        self,
        consignments: AsyncIterator[Consignment],
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        """Send all that comes, then QUIT. Whatever happens, what was begun is reported."""
        receiver = asyncio.ensure_future(self._receive(report))
        sender = asyncio.ensure_future(self._send(consignments, report))
        try:
            await asyncio.wait((sender, receiver), return_when=asyncio.FIRST_COMPLETED)
            if not sender.done():
                sender.cancel()  # the receiver has failed, or the server is closing
                await asyncio.wait((sender,))
            elif not isinstance(sender.exception(), LineLost | None):
                receiver.cancel()
            # Behind a lost line there may be replies that have arrived: they are read to the end.
            await asyncio.wait((receiver,))
        finally:
            receiver.cancel()
            sender.cancel()
            # Also a run that is called off must write down what it knows.
            await finish(self._settle(sender, receiver, report))
        for task in (sender, receiver):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        if self.closing is not None and sender.cancelled():
            raise self.dialogue.closing(self.closing)

    async def _settle(
        self,
        sender: asyncio.Future[None],
        receiver: asyncio.Future[None],
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        """Report the transactions that the end of the session left open."""
        await asyncio.gather(sender, receiver, return_exceptions=True)
        status = self.closing
        for task in (sender, receiver):
            if status is None and not task.cancelled() and (error := task.exception()) is not None:
                status = temporary(str(error), "4.4.2")
        status = status or temporary("the session was called off", "4.4.2")
        attempts = []
        for transaction in self.client.unfinished:
            attempts += self._attempts(transaction, status)
        if attempts:
            await report(attempts)

    def _attempts(self, transaction: Transaction, otherwise: Status) -> list[Attempt]:
        """One attempt a recipient; `otherwise` for those whose status is not known."""
        assert isinstance(transaction.tag, _Flight)
        delivery = transaction.tag.consignment.delivery
        return [
            Attempt(
                delivery,
                recipient,
                status or otherwise,
                self.peer,
                in_doubt=status is None and transaction.is_in_doubt,
            )
            for recipient, status in zip(delivery.recipients, transaction.statuses, strict=True)
        ]

    # --- sending

    async def _send(
        self,
        consignments: AsyncIterator[Consignment],
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        while True:
            await self._room()
            consignment = await anext(consignments, None)
            if consignment is None:
                break
            # The server may have closed meanwhile: then this consignment is not tried.
            await self._wait_for(lambda: self.client.can_begin)
            try:
                outgoing = compose(
                    consignment.delivery, self.masquerade, mailer=self.next_hop.mailer
                )
                refusal = self._refusal(consignment, outgoing)
            except StoreError as error:
                refusal = temporary(str(error), "4.3.0")
            if refusal is not None:
                await report(self._refused(consignment, refusal))
                continue
            await self._send_one(consignment, outgoing, report)
        await self._wait_for(lambda: not self.client.unfinished)
        self.client.quit()
        await self.dialogue.write()

    def _refusal(self, consignment: Consignment, outgoing: Outgoing) -> Status | None:
        """Why this message must not be sent to this server, if so."""
        limit = self.client.max_size_bytes
        if limit is not None and outgoing.size_bytes > limit:
            text = f"message of {outgoing.size_bytes} bytes, {self.peer} takes {limit}"
            return permanent(text, "5.3.4", 552)
        if _needs_utf8(consignment) and "SMTPUTF8" not in self.client.extensions:
            text = f"{self.peer} takes no addresses outside ASCII"
            return permanent(text, "5.6.7", 550)
        return None

    def _refused(self, consignment: Consignment, status: Status) -> list[Attempt]:
        delivery = consignment.delivery
        return [Attempt(delivery, recipient, status) for recipient in delivery.recipients]

    async def _room(self) -> None:
        """Wait until the window has room for one more message."""

        def has_room() -> bool:
            count = len(self.client.unfinished)
            is_below = self.in_flight_bytes < self.dialogue.meter.window_bytes
            limit = self.next_hop.max_in_flight
            return self.client.can_begin and (
                count < min(MIN_IN_FLIGHT, limit) or (is_below and count < limit)
            )

        await self._wait_for(has_room)

    async def _wait_for(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self.progress.clear()
            await self.progress.wait()

    async def _send_one(
        self,
        consignment: Consignment,
        outgoing: Outgoing,
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        flight = _Flight(consignment)
        transaction = self._transaction(consignment, outgoing.size_bytes, flight)
        try:
            self.client.begin(transaction)
        except LocalProtocolError as error:
            await report(self._refused(consignment, permanent(str(error), "5.1.3", 553)))
            return
        flight.sent = self.dialogue.meter.send(outgoing.size_bytes, self.dialogue.clock())
        self.in_flight_bytes += outgoing.size_bytes
        await self._wait_for_go(transaction)
        if self.client.wants_content:
            await self._send_content(transaction, outgoing)

    def _transaction(
        self, consignment: Consignment, size_bytes: int, flight: _Flight
    ) -> Transaction:
        envelope = consignment.delivery.message.envelope
        paths = [
            type(recipient.forward_path)(
                address,
                recipient.forward_path.notify,
                recipient.forward_path.orcpt,
            )
            for recipient, address in zip(
                consignment.delivery.recipients, consignment.addresses, strict=True
            )
        ]
        return Transaction(
            tag=flight,
            reverse_path=self._reverse_path(envelope.reverse_path),
            recipients=paths,
            size_bytes=size_bytes,
            is_8bit=envelope.body == "8BITMIME",
            smtputf8=envelope.smtputf8 or _needs_utf8(consignment),
            ret=envelope.ret,
            envid=envelope.envid,
        )

    def _reverse_path(self, path: str) -> str:
        role, mailer = Role.ENVELOPE_SENDER, self.next_hop.mailer
        return rewrite.rewrite(self.masquerade, path, role, mailer=mailer).result

    async def _wait_for_go(self, transaction: Transaction) -> None:
        """Without CHUNKING: wait for 354, or for the end of the transaction without it."""
        if not self.client.wants_content:
            await self.dialogue.write()
            await self._wait_for(
                lambda: (
                    self.client.wants_content
                    or transaction.is_finished
                    or transaction.is_content_sent
                )
            )

    async def _send_content(self, transaction: Transaction, outgoing: Outgoing) -> None:
        try:
            for piece in outgoing.pieces():
                for start in range(0, len(piece), WRITE_BYTES):
                    self.client.send_content(piece[start : start + WRITE_BYTES])
                    if start + WRITE_BYTES < len(piece):
                        await self.dialogue.write()
        except StoreError as error:
            # Only an end of the line takes back what was announced; what went before it is
            # answered first, or it would be in doubt.
            await self._wait_for(lambda: not set(self.client.unfinished) - {transaction})
            self.dialogue.stream.abort()
            raise LineLost(f"the session had to be ended: {error}") from error
        self.client.end_content()
        await self.dialogue.write()

    # --- receiving

    async def _receive(self, report: Callable[[Sequence[Attempt]], Awaitable[None]]) -> None:
        while True:
            try:
                events = await self.dialogue.read()
            except WireError:
                if self.client.state is State.CLOSED and not self.client.unfinished:
                    return  # it did not wait to answer QUIT
                raise
            finished = [event for event in events if isinstance(event, Finished)]
            if finished:
                await report([a for event in finished for a in self._finish(event.transaction)])
            # In LOCKSTEP mode a reply releases the next command.
            await self.dialogue.write()
            self.progress.set()
            self.client.check()
            for event in events:
                if isinstance(event, Bye):
                    return
                if isinstance(event, ServerClosing):
                    self.closing = event.status
                    return

    def _finish(self, transaction: Transaction) -> list[Attempt]:
        assert isinstance(transaction.tag, _Flight)
        if transaction.tag.sent is not None:
            self.dialogue.meter.acknowledge(transaction.tag.sent, self.dialogue.clock())
        self.in_flight_bytes -= transaction.size_bytes
        return self._attempts(transaction, temporary("no status", "4.0.0"))


def _needs_utf8(consignment: Consignment) -> bool:
    """Does the envelope need RFC 6531?"""
    reverse_path = consignment.delivery.message.envelope.reverse_path
    return not all(map(str.isascii, (reverse_path, *consignment.addresses)))
