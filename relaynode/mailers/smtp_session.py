"""The messages over one SMTP connection that is open: sent, answered, reported.

The sender pulls, begins transactions and writes content while the receiver reads replies; neither
waits for the other beyond what the window allows (smtp_window), nor for the reports (smtp_reports).

QUIT goes out behind the last message without waiting for its reply, which saves a round trip. What
has to go out once more then (a server took some of many recipients) needs another connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, LocalProtocolError, StoreError, WireError
from relaynode.mail.reason import Reason, of_status
from relaynode.mail.status import Status, permanent, temporary
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.outgoing import compose
from relaynode.mailers.smtp_reports import Reports
from relaynode.mailers.smtp_transaction import needs_utf8, transaction_of
from relaynode.mailers.smtp_window import Window
from relaynode.queue.finish import finish
from relaynode.smtp.client_events import (
    Bye,
    Finished,
    Mispresumed,
    Mode,
    Ready,
    ServerClosing,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from relaynode.mailers.mailer import Report
    from relaynode.mailers.outgoing import Outgoing
    from relaynode.mailers.smtp_dialogue import Dialogue
    from relaynode.mailers.smtp_hop import NextHop
    from relaynode.mailers.smtp_supply import Supply
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.servers import KnownServer
    from relaynode.smtp.client import Client
    from relaynode.smtp.client_events import Event
    from relaynode.smtp.transaction import Transaction
    from relaynode.wire.meter import Sent

WRITE_BYTES = 16 * 1024
"""Content is handed to the line in pieces of this size."""

USUAL_RECIPIENTS = 1000
"""Recipients of a transaction at most, before a server has told what it takes. RFC 5321 4.5.3.1.8
promises a hundred; but each transaction more carries the content once more."""

SURE_RECIPIENTS = 100
"""Every server takes so many in one transaction."""

LONG_ROUND_TRIP_SECONDS = 0.1
VERY_LONG_ROUND_TRIP_SECONDS = 0.3
"""Where a round trip takes so long, a second connection, or a second and a third, helps whatever
the rate is: to measure it first would take two round trips more."""

UNKNOWN_COMMAND = (500, 502, 503, 504)
"""What a server answers to BDAT that announced CHUNKING and does not know it."""


class Relearned(Exception):
    """The session ended because the server is not what it was taken for: begin another. What was
    not tried went back to the supply."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A consignment on its way: the tag of its transaction. `content_at`: when its content began
    to go out. `ends_at_byte`: how many bytes of the connection have gone when it has."""

    consignment: Consignment
    sent: Sent
    content_at: float = 0.0
    ends_at_byte: int = 0


@dataclass(slots=True)
class Session:
    """One connection, after its opening.

    `known`: what is known of the `server`, as the memory calls it; it grows.
    """

    dialogue: Dialogue
    next_hop: NextHop
    masquerade: Masquerade
    supply: Supply
    report: Report
    server: str
    known: KnownServer
    _window: Window = field(init=False)
    _reports: Reports = field(init=False)
    _closing: Status | None = None
    _in_hand: Consignment | None = None
    _is_relearned: bool = False
    _is_measured: bool = False
    _arrived_bytes: int = 0
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._window = Window(self.dialogue.meter, self.next_hop.max_in_flight)
        self._reports = Reports(self.report)

    @property
    def client(self) -> Client:
        """The protocol's core."""
        return self.dialogue.client

    @property
    def peer(self) -> str:
        """The server, for people and the record."""
        return self.dialogue.peer

    async def run(self) -> None:
        """Send all that comes, then QUIT. Whatever happens, what was begun is reported.

        Raises: Relearned, WireError, RefusedError, ProtocolError.
        """
        self._learn_line()
        sender = asyncio.ensure_future(self._send())
        receiver = asyncio.ensure_future(self._receive(sender))
        try:
            await asyncio.wait((sender, receiver), return_when=asyncio.FIRST_COMPLETED)
            if not sender.done():
                sender.cancel()  # the receiver has failed, or the server is closing
                await asyncio.wait((sender,))
            elif not (sender.cancelled() or isinstance(sender.exception(), LineLost | None)):
                receiver.cancel()
            # Behind a lost line there may be replies that have arrived: they are read to the end.
            await asyncio.wait((receiver,))
        finally:
            receiver.cancel()
            sender.cancel()
            # Also a run that is called off must write down what it knows.
            await finish(self._settle(sender, receiver))
        if self._is_relearned:
            raise Relearned
        for task in (sender, receiver):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        if self._closing is not None and (sender.cancelled() or self.client.unfinished):
            raise self.dialogue.closing(self._closing)

    async def _settle(self, sender: asyncio.Future[None], receiver: asyncio.Future[None]) -> None:
        """Report the transactions that the end of the session left open."""
        await asyncio.gather(sender, receiver, return_exceptions=True)
        if self._in_hand is not None:
            self.supply.give_back(self._in_hand)
        status, reason = self._closing, Reason.CLOSING_421.value
        for task in (sender, receiver):
            if status is None and not task.cancelled() and (error := task.exception()) is not None:
                status = temporary(str(error), "4.4.2")
                reason = getattr(error, "reason", Reason.LOCAL_ERROR)
        if status is None:
            status = temporary("the session was called off", "4.4.2")
            reason = Reason.CALLED_OFF
        attempts = []
        for transaction in reversed(self.client.unfinished):
            if self._is_relearned and not transaction.is_in_doubt:
                self.supply.give_back(_consignment(transaction))
            else:
                attempts += self._attempts(transaction, status, reason=reason)
        self._reports.add(attempts)
        await self._reports.finish()

    def _attempts(
        self,
        transaction: Transaction,
        otherwise: Status,
        besides: Collection[int] = (),
        *,
        reason: str = "",
    ) -> list[Attempt]:
        """One attempt a recipient, but for those at the places `besides`; `otherwise`, for that
        `reason`, for those whose status is not known."""
        delivery = _consignment(transaction).delivery
        statuses = zip(delivery.recipients, transaction.statuses, strict=True)
        return [
            Attempt(
                delivery,
                recipient,
                status or otherwise,
                self.peer,
                in_doubt=status is None and transaction.is_in_doubt,
                reason=of_status(status, transaction.stage_of(place)) if status else reason,
                passes_dsn="DSN" in self.client.extensions,
            )
            for place, (recipient, status) in enumerate(statuses)
            if place not in besides
        ]

    # --- sending

    async def _send(self) -> None:
        while True:
            await self._wait_for(self._has_room, self._window.look_again_seconds)
            self._in_hand = await self._take()
            if self._in_hand is None:
                await self._wait_for(lambda: not self._may_come_back)
                if not self.supply.has_returned:
                    break
                continue
            # The server may have closed meanwhile: then this consignment is not tried.
            await self._wait_for(lambda: self.client.can_begin)
            await self._try(self._in_hand)
        self.client.quit()
        await self.dialogue.write()

    async def _take(self) -> Consignment | None:
        """The next consignment, with no more recipients than the server takes at once."""
        consignment = await self.supply.take()
        told = self.client.max_recipients or USUAL_RECIPIENTS
        most = min(told, self.known.max_recipients or told)
        if consignment is None or len(consignment.addresses) <= most:
            return consignment
        self.supply.give_back(_part(consignment, range(most, len(consignment.addresses))))
        return _part(consignment, range(most))

    @property
    def _may_come_back(self) -> bool:
        """Is something under way that the server may take in part only?"""
        return any(len(one.recipients) > SURE_RECIPIENTS for one in self.client.unfinished)

    async def _try(self, consignment: Consignment) -> None:
        try:
            outgoing = self._compose(consignment)
            if self.client.is_presuming and self._refusal(consignment, outgoing) is not None:
                await self._answered()
                outgoing = self._compose(consignment)  # to what it says now
            refusal, reason = self._refusal(consignment, outgoing), ""
        except StoreError as error:
            refusal, reason = temporary(str(error), "4.3.0"), error.reason
        self._in_hand = None  # from now on it is begun, or reported
        if refusal is None:
            await self._send_one(consignment, outgoing)
        else:
            await self.report(_refused(consignment, refusal, reason))

    def _compose(self, consignment: Consignment) -> Outgoing:
        return compose(
            consignment.delivery,
            self.masquerade,
            mailer=self.next_hop.mailer,
            takes_8bit="8BITMIME" in self.client.extensions,
        )

    def _refusal(self, consignment: Consignment, outgoing: Outgoing) -> Status | None:
        """Why this message must not be sent to this server, if so."""
        limit = self.client.max_size_bytes
        if limit is not None and outgoing.size_bytes > limit:
            text = f"message of {outgoing.size_bytes} bytes, {self.peer} takes {limit}"
            return permanent(text, "5.3.4", 552)
        if needs_utf8(consignment) and "SMTPUTF8" not in self.client.extensions:
            text = f"{self.peer} takes no addresses outside ASCII"
            return permanent(text, "5.6.7", 550)
        return None

    def _has_room(self) -> bool:
        return self.client.can_begin and self._window.has_room(self.dialogue.stream.backlog)

    async def _wait_for(
        self, is_so: Callable[[], bool], again_seconds: float | None = None
    ) -> None:
        """Wait until it is so. Replies may make it so, or the time: then every `again_seconds`."""
        while not is_so():
            self._progress.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(again_seconds):
                    await self._progress.wait()

    async def _send_one(self, consignment: Consignment, outgoing: Outgoing) -> None:
        sent = self.dialogue.meter.send(outgoing.size_bytes, self.dialogue.clock())
        flight = _Flight(consignment, sent)
        transaction = transaction_of(
            consignment,
            outgoing.size_bytes,
            self.masquerade,
            mailer=self.next_hop.mailer,
            hostname=self.client.hostname,
            tag=flight,
        )
        try:
            self.client.begin(transaction)
        except LocalProtocolError as error:
            refusal = permanent(str(error), "5.1.3", 553)
            await self.report(_refused(consignment, refusal, Reason.BAD_ADDRESS))
            return
        self._window.opened(outgoing.size_bytes)
        await self._wait_for_go(transaction)
        if self.client.wants_content:
            flight.content_at = self.dialogue.clock()
            await self._send_content(transaction, outgoing, flight)

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

    async def _send_content(
        self, transaction: Transaction, outgoing: Outgoing, flight: _Flight
    ) -> None:
        try:
            for piece in outgoing.pieces():
                for start in range(0, len(piece), WRITE_BYTES):
                    await self._send_piece(piece[start : start + WRITE_BYTES])
                    if start + WRITE_BYTES < len(piece):
                        await self.dialogue.write()
        except StoreError as error:
            # Only an end of the line takes back what was announced; what went before it is
            # answered first, or it would be in doubt.
            await self._wait_for(lambda: not set(self.client.unfinished) - {transaction})
            self.dialogue.stream.abort()
            raise LineLost(f"the session had to be ended: {error}") from error
        self.client.end_content()
        flight.ends_at_byte = self.dialogue.written_bytes + self.client.unsent_bytes
        await self.dialogue.write()

    async def _send_piece(self, piece: bytes) -> None:
        if not self.client.may_send(piece):
            await self._answered()
        self.client.send_content(piece)

    async def _answered(self) -> None:
        """Wait until the server has said itself what it was presumed to say."""
        await self.dialogue.write()
        await self._wait_for(lambda: not self.client.is_presuming)

    # --- receiving

    async def _receive(self, sender: asyncio.Future[None]) -> None:
        while True:
            try:
                events = await self.dialogue.read()
            except WireError:
                if self.client.state is State.CLOSED and not self.client.unfinished:
                    return  # it did not wait to answer QUIT
                if self.client.is_presuming:  # perhaps it hung up on what came behind EHLO
                    self.known = replace(self.known, insists=True)
                raise
            for event in events:
                if isinstance(event, Finished):
                    self._reports.add(self._finish(event.transaction))
            if self._is_over(events):
                if not self._awaits_replies:
                    return
                sender.cancel()  # it would go on in a way that the server has not offered
                continue
            await self.dialogue.write()  # in LOCKSTEP mode a reply releases the next command
            self._progress.set()
            await self._reports.have_room()
            self.client.check()

    @property
    def _awaits_replies(self) -> bool:
        """The server is not what it was taken for, but it answers what went out: whoever did not
        wait for that would send some of it twice."""
        return self._is_relearned and any(one.is_in_doubt for one in self.client.unfinished)

    def _is_over(self, events: Sequence[Event]) -> bool:
        """Do these events end the session?"""
        for event in events:
            if isinstance(event, Ready):
                self.dialogue.hello_answered()
                self._learn_extensions()
                self._learn_line()
            elif isinstance(event, Mispresumed):
                self._learn_extensions()
                if event.is_refused:
                    self.known = replace(self.known, insists=True)
                self._is_relearned = True
            elif isinstance(event, ServerClosing):
                self._closing = event.status
        if self._is_relearned:
            return True
        return any(isinstance(event, Bye | ServerClosing) for event in events)

    def _finish(self, transaction: Transaction) -> list[Attempt]:
        flight = transaction.tag
        assert isinstance(flight, _Flight)
        now = self.dialogue.clock()
        self.dialogue.meter.acknowledge(flight.sent, now)
        if flight.ends_at_byte:
            size = flight.ends_at_byte - self._arrived_bytes
            self.next_hop.line.carried(size, flight.content_at, now)
            self._arrived_bytes = flight.ends_at_byte
        self._window.closed(transaction.size_bytes)
        if self._cannot_chunk(transaction):
            self._is_relearned = True
            self.known = replace(self.known, broken=self.known.broken | {"CHUNKING"})
            self.supply.give_back(flight.consignment)
            return []
        if flight.content_at:
            self._count_connections(now - flight.content_at)
        left = _too_many(transaction)
        if left:
            self.known = replace(self.known, max_recipients=transaction.accepted)
            self.supply.give_back(_part(flight.consignment, left))
        return self._attempts(transaction, temporary("no status", "4.0.0"), left)

    # --- learning

    def _learn_extensions(self) -> None:
        self.known = replace(self.known, extensions=self.client.extensions)

    def _learn_line(self) -> None:
        trip = self.dialogue.meter.round_trip_seconds
        if trip is not None:
            self.next_hop.line.answered(trip, self.dialogue.hello_bytes)

    def _cannot_chunk(self, transaction: Transaction) -> bool:
        """Was CHUNKING announced in vain? The mail was taken until BDAT came."""
        final = {
            status.code
            for place, status in enumerate(transaction.statuses)
            if status is not None and place not in transaction.refused_rcpts
        }
        is_unknown = bool(final) and final.issubset(UNKNOWN_COMMAND)
        return self.client.mode is Mode.CHUNKED and transaction.accepted > 0 and is_unknown

    async def wants_more_than(self, connections: int) -> None:
        """Wait until more than so many connections would serve this server better."""
        await self._wait_for(
            lambda: self.client.mode is not Mode.CHUNKED and self._wanted > connections
        )

    @property
    def _wanted(self) -> int:
        """How many connections fill the line, as far as is known."""
        round_trip = self.dialogue.meter.round_trip_seconds or 0.0
        is_long = round_trip >= LONG_ROUND_TRIP_SECONDS
        is_very_long = round_trip >= VERY_LONG_ROUND_TRIP_SECONDS
        at_least = 1 if self._is_measured else 1 + is_long + is_very_long
        return max(at_least, self.known.connections)

    def _count_connections(self, content_seconds: float) -> None:
        """Where each message waits for replies, others can use the line meanwhile: as many as
        a message's waiting has room for, and one more, since they do not take turns in order.

        `content_seconds`: from a content's first byte to its reply; of the first message, since
        others would share the line with it.
        """
        round_trip = self.dialogue.meter.round_trip_seconds
        if self._is_measured or round_trip is None or self.client.mode is Mode.CHUNKED:
            return
        self._is_measured = True
        most = self.next_hop.max_connections
        sending = max(content_seconds - round_trip, round_trip / most)
        waits = 1 if self.client.mode is Mode.PIPELINED else 4
        wanted = min(math.ceil((sending + waits * round_trip) / sending) + 1, most)
        self.known = replace(self.known, connections=max(wanted, self.known.connections))


def _consignment(transaction: Transaction) -> Consignment:
    assert isinstance(transaction.tag, _Flight)
    return transaction.tag.consignment


def _part(consignment: Consignment, places: Collection[int]) -> Consignment:
    """The same message for the recipients at these places."""
    delivery = consignment.delivery
    recipients = tuple(delivery.recipients[place] for place in places)
    addresses = tuple(consignment.addresses[place] for place in places)
    return Consignment(replace(delivery, recipients=recipients), addresses)


def _too_many(transaction: Transaction) -> list[int]:
    """The places of recipients that were too many for one transaction: RFC 5321 4.5.3.1.10 has
    452 for that, and 552 for servers of old. Only if others were taken: else it means no end."""
    if not transaction.accepted:
        return []
    return [
        place
        for place, status in enumerate(transaction.statuses)
        if status is not None
        and place in transaction.refused_rcpts
        and status.code in (452, 552)
        and (status.enhanced[1:] == ".5.3" or not status.enhanced)
    ]


def _refused(consignment: Consignment, status: Status, reason: str = "") -> list[Attempt]:
    delivery = consignment.delivery
    return [
        Attempt(delivery, recipient, status, reason=reason) for recipient in delivery.recipients
    ]
