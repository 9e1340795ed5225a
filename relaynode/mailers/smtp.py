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

from relaynode import sasl
from relaynode.errors import (
    LineLost,
    LocalProtocolError,
    LoginRefused,
    RefusedError,
    StoreError,
    TimedOut,
    TlsFailed,
    WireError,
)
from relaynode.mail.status import Status, permanent, temporary
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.outgoing import compose
from relaynode.policy import rewrite
from relaynode.policy.mailer_forms import Role
from relaynode.queue.finish import finish
from relaynode.smtp import client as smtp
from relaynode.wire.meter import PipeMeter, Sent

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from relaynode.config.values import Password
    from relaynode.mailers.outgoing import Outgoing
    from relaynode.policy.masquerade import Masquerade
    from relaynode.wire.stream import Stream

MIN_IN_FLIGHT = 2
"""Transactions under way whatever the meter says: one being sent, one being answered."""

SLOWEST_BYTES_PER_SECOND = 16
"""A line slower than HF at its worst (200 bit/s is 25) counts as dead."""

WRITE_BYTES = 16 * 1024
"""Content is handed to the line in pieces of this size."""


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a session goes and how it is opened. `tls`: "none", "starttls" or "tls".

    `mailer`: which of the SMTP mailers this is, for the form of addresses. `open`: makes the
    connection. `tls_context` is needed unless `tls` is "none".
    """

    name: str
    open: Callable[[], Awaitable[Stream]]
    mailer: str = "esmtp"
    tls: str = "none"
    tls_context: Callable[[], ssl.SSLContext] | None = None
    user: str | None = None
    password: Password | None = None
    timeout_seconds: float = 300.0
    max_in_flight: int = 64


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
        session = _Session(self._next_hop, stream, self._hostname, self._masquerade, self._clock)
        try:
            await session.open()
            await session.run(consignments, report)
        finally:
            stream.abort()


@dataclass(slots=True)
class _Session:
    """One connection."""

    next_hop: NextHop
    stream: Stream
    hostname: str
    masquerade: Masquerade
    clock: Callable[[], float]
    client: smtp.Client = field(init=False)
    meter: PipeMeter = field(init=False)
    in_flight_bytes: int = 0
    is_private: bool = False
    closing: Status | None = None
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.client = smtp.Client(self.hostname)
        self.meter = PipeMeter(self.clock())

    # --- opening

    async def open(self) -> None:
        """Greeting, EHLO, TLS, AUTH. Raises: WireError, RefusedError, ProtocolError."""
        if self.next_hop.tls == "tls":
            await self._start_tls()
        await self._until(smtp.Greeted)
        await self._hello()
        if self.next_hop.tls == "starttls":
            if "STARTTLS" not in self.client.extensions:
                raise TlsFailed(
                    f'{self.stream.peer}: offers no STARTTLS; tls = "none" goes without'
                )
            self.client.starttls()
            await self._until(smtp.TlsAccepted)
            await self._start_tls()
            self.client.after_tls()
            await self._hello()
        if self.next_hop.user is not None:
            await self._log_in(self.next_hop.user)

    async def _start_tls(self) -> None:
        assert self.next_hop.tls_context is not None
        context = self.next_hop.tls_context()
        await self.stream.start_tls(context, self.next_hop.name, self.next_hop.timeout_seconds)
        self.is_private = True

    async def _hello(self) -> None:
        self.client.hello()
        asked_at = self.clock()
        await self._until(smtp.Ready)
        self.meter.round_trip(self.clock() - asked_at)

    async def _log_in(self, user: str) -> None:
        assert self.next_hop.password is not None
        password = self.next_hop.password.reveal()
        mechanism = sasl.choose(self.client.mechanisms, user, password, is_private=self.is_private)
        if mechanism is None:
            offered = " ".join(self.client.mechanisms) or "nothing"
            status = temporary(f"no way to log in: the server offers {offered}", "4.7.4", 454)
            raise LoginRefused(status, self.stream.peer)
        self.client.authenticate(mechanism)
        await self._until(smtp.Ready)

    async def _until(self, wanted: type[smtp.Event]) -> None:
        """Talk until the event that opening the session waits for."""
        while True:
            await self._write(self.client.data_to_send())
            events = await self._read()
            for event in events:
                if isinstance(event, smtp.Refused) and event.status.code != 421:
                    kind = LoginRefused if event.what == "AUTH" else RefusedError
                    raise kind(event.status, f"{self.stream.peer}: {event.what} refused")
                if isinstance(event, smtp.ServerClosing):
                    raise self._closing(event.status)
            self.client.check()
            if any(isinstance(event, wanted) for event in events):
                return

    def _closing(self, status: Status) -> RefusedError:
        return RefusedError(status, f"{self.stream.peer}: closing")

    async def _read(self) -> list[smtp.Event]:
        """The next events; [] when only time has passed while what we sent was moving."""
        backlog = self.stream.backlog()
        try:
            data = await self.stream.read(self.next_hop.timeout_seconds)
        except TimedOut:
            # On a slow line an answer may be long in coming because what it answers is still
            # on its way: as long as that moves, nobody is silent.
            if self.client.wants_content or self.stream.backlog() < backlog:
                return []
            raise
        if not data:
            self.client.peer_closed()
            raise LineLost(f"{self.stream.peer}: closed the connection")
        return self.client.receive(data)

    async def _write(self, data: bytes) -> None:
        timeout = self.next_hop.timeout_seconds + len(data) / SLOWEST_BYTES_PER_SECOND
        await self.stream.write(data, timeout)

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
            raise self._closing(self.closing)

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

    def _attempts(self, transaction: smtp.Transaction, otherwise: Status) -> list[Attempt]:
        """One attempt a recipient; `otherwise` for those whose status is not known."""
        assert isinstance(transaction.tag, _Flight)
        delivery = transaction.tag.consignment.delivery
        return [
            Attempt(
                delivery,
                recipient,
                status or otherwise,
                self.stream.peer,
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
        await self._write(self.client.data_to_send())

    def _refusal(self, consignment: Consignment, outgoing: Outgoing) -> Status | None:
        """Why this message must not be sent to this server, if so."""
        limit = self.client.max_size_bytes
        if limit is not None and outgoing.size_bytes > limit:
            text = f"message of {outgoing.size_bytes} bytes, {self.stream.peer} takes {limit}"
            return permanent(text, "5.3.4", 552)
        if _needs_utf8(consignment) and "SMTPUTF8" not in self.client.extensions:
            text = f"{self.stream.peer} takes no addresses outside ASCII"
            return permanent(text, "5.6.7", 550)
        return None

    def _refused(self, consignment: Consignment, status: Status) -> list[Attempt]:
        delivery = consignment.delivery
        return [Attempt(delivery, recipient, status) for recipient in delivery.recipients]

    async def _room(self) -> None:
        """Wait until the window has room for one more message."""

        def has_room() -> bool:
            count = len(self.client.unfinished)
            is_below = self.in_flight_bytes < self.meter.window_bytes
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
        flight.sent = self.meter.send(outgoing.size_bytes, self.clock())
        self.in_flight_bytes += outgoing.size_bytes
        await self._wait_for_go(transaction)
        if self.client.wants_content:
            await self._send_content(transaction, outgoing)

    def _transaction(
        self, consignment: Consignment, size_bytes: int, flight: _Flight
    ) -> smtp.Transaction:
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
        return smtp.Transaction(
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

    async def _wait_for_go(self, transaction: smtp.Transaction) -> None:
        """Without CHUNKING: wait for 354, or for the end of the transaction without it."""
        if not self.client.wants_content:
            await self._write(self.client.data_to_send())
            await self._wait_for(
                lambda: (
                    self.client.wants_content
                    or transaction.is_finished
                    or transaction.is_content_sent
                )
            )

    async def _send_content(self, transaction: smtp.Transaction, outgoing: Outgoing) -> None:
        try:
            for piece in outgoing.pieces():
                for start in range(0, len(piece), WRITE_BYTES):
                    self.client.send_content(piece[start : start + WRITE_BYTES])
                    if start + WRITE_BYTES < len(piece):
                        await self._write(self.client.data_to_send())
        except StoreError as error:
            # Only an end of the line takes back what was announced; what went before it is
            # answered first, or it would be in doubt.
            await self._wait_for(lambda: not set(self.client.unfinished) - {transaction})
            self.stream.abort()
            raise LineLost(f"the session had to be ended: {error}") from error
        self.client.end_content()
        await self._write(self.client.data_to_send())

    # --- receiving

    async def _receive(self, report: Callable[[Sequence[Attempt]], Awaitable[None]]) -> None:
        while True:
            try:
                events = await self._read()
            except WireError:
                if self.client.state is smtp.State.CLOSED and not self.client.unfinished:
                    return  # it did not wait to answer QUIT
                raise
            finished = [event for event in events if isinstance(event, smtp.Finished)]
            if finished:
                await report([a for event in finished for a in self._finish(event.transaction)])
            # In LOCKSTEP mode a reply releases the next command.
            await self._write(self.client.data_to_send())
            self.progress.set()
            self.client.check()
            for event in events:
                if isinstance(event, smtp.Bye):
                    return
                if isinstance(event, smtp.ServerClosing):
                    self.closing = event.status
                    return

    def _finish(self, transaction: smtp.Transaction) -> list[Attempt]:
        assert isinstance(transaction.tag, _Flight)
        if transaction.tag.sent is not None:
            self.meter.acknowledge(transaction.tag.sent, self.clock())
        self.in_flight_bytes -= transaction.size_bytes
        return self._attempts(transaction, temporary("no status", "4.0.0"))


def _needs_utf8(consignment: Consignment) -> bool:
    """Does the envelope need RFC 6531?"""
    reverse_path = consignment.delivery.message.envelope.reverse_path
    return not all(map(str.isascii, (reverse_path, *consignment.addresses)))
