"""The SMTP source: drives `smtp.server.Session` for each client of the LAN.

Serves this machine and the networks the configuration names, takes mail for local users from
whoever can connect, and relays for nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.errors import RelaynodeError, StoreError, StoreFull, TableError, WireError
from relaynode.mail import trace
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import Status, ok, temporary
from relaynode.policy.relay import may_relay
from relaynode.smtp import events, server
from relaynode.sources.intake import Arrival, Collector, Intake, Rejected

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from relaynode.rules import Rules
    from relaynode.wire.stream import Stream

COMMAND_SECONDS = 300.0
"""RFC 5321 4.5.3.2.7: how long a client may think."""

_FULL = Status(452, "4.3.1", "Insufficient disk space; try again later")
_OUR_FAULT = temporary("Local error; try again later", "4.3.0")


@dataclass(slots=True)
class _Transaction:
    reverse_path: str
    body: str
    smtputf8: bool
    given: list[str] = field(default_factory=list)
    recipients: dict[tuple[str, str], Recipient] = field(default_factory=dict)
    collector: Collector | None = None
    failure: Status | None = None

    def envelope(self) -> Envelope:
        recipients = tuple(self.recipients.values())
        return Envelope(self.reverse_path, recipients, self.body, self.smtputf8)

    def discard(self) -> None:
        if self.collector is not None:
            self.collector.discard()


class SmtpSource:
    """Serves SMTP connections. `networks`: who may relay besides this machine."""

    def __init__(
        self,
        intake: Intake,
        rules: Rules,
        *,
        hostname: str,
        networks: Sequence[Container[Any]],
        max_size_bytes: int,
    ) -> None:
        self._intake = intake
        self._rules = rules
        self._hostname = hostname
        self._networks = networks
        self._max_size_bytes = max_size_bytes

    async def serve(self, stream: Stream, client: str, *, trusted_user: str = "") -> None:
        """Talk to one client until it leaves. Never raises but CancelledError.

        `client`: its IP address. `trusted_user`: for SMTP on standard input, the user who calls.
        """
        session = server.Session(self._hostname, max_size_bytes=self._max_size_bytes)
        dialogue = _Dialogue(self, session, stream, client, trusted_user)
        try:
            await dialogue.run()
        except WireError:
            pass  # the client went away or fell asleep; what it was told stays true
        except asyncio.CancelledError:
            session.shut_down("closing")
            with contextlib.suppress(WireError):
                await stream.write(session.data_to_send(), timeout=1)
            raise
        finally:
            dialogue.reset()
            await stream.close()

    def permit(self, client: str, address: str, trusted_user: str) -> Status | None:
        """Why `client` may not send to `address`, or None. Raises: TableError."""
        if trusted_user:
            return None
        permission = may_relay(client, self._networks, address, self._rules.routing)
        if permission.is_allowed:
            return None
        return Status(550, "5.7.1", f"<{address}>... Relaying denied")

    def route_refusal(self, address: str) -> Status | None:
        """What the mailertable says against an address (`error:`). Raises: TableError."""
        return self._rules.routing.route(address).route.status

    def expand(self, address: str) -> dict[tuple[str, str], Recipient]:
        """Whom an address stands for, by identity. Raises: Rejected, TableError."""
        return {self._intake.identity(one): one for one in self._intake.expand([address])}

    def collector(self) -> Collector:
        """A place for content."""
        return self._intake.collector()

    async def accept(self, transaction: _Transaction, arrival: Arrival) -> str:
        """Queue it. Raises: Rejected, StoreError."""
        assert transaction.collector is not None
        return await self._intake.accept(
            transaction.collector, transaction.envelope(), arrival, given=transaction.given
        )


@dataclass(slots=True)
class _Dialogue:
    """One client."""

    source: SmtpSource
    session: server.Session
    stream: Stream
    client: str
    trusted_user: str
    transaction: _Transaction | None = None

    async def run(self) -> None:
        while True:
            event = self.session.next_event()
            match event:
                case events.NeedData():
                    await self._send()
                    data = await self.stream.read(COMMAND_SECONDS)
                    if not data:
                        return
                    self.session.receive(data)
                case events.Mail():
                    self._mail(event)
                case events.Rcpt():
                    self._rcpt(event)
                case events.ContentStart():
                    self._content_start()
                case events.ContentData():
                    self._content_data(event.data)
                case events.ContentEnd():
                    await self._answer_content()
                case events.Hello() | events.TransactionReset() | events.ContentRefused():
                    self.reset()
                case events.Closed():
                    await self._send()
                    return

    async def _answer_content(self) -> None:
        """A commit cannot be called off: a daemon that ends still tells the client how it went,
        or the client would send the mail again."""
        commit = asyncio.ensure_future(self._content_end())
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:
            self.session.reply(await commit)
            await self._send()
            raise
        self.session.reply(commit.result())

    async def _send(self) -> None:
        await self.stream.write(self.session.data_to_send(), COMMAND_SECONDS)

    def reset(self) -> None:
        if self.transaction is not None:
            self.transaction.discard()
            self.transaction = None

    def _mail(self, event: events.Mail) -> None:
        self.reset()
        self.transaction = _Transaction(event.reverse_path, event.body, event.smtputf8)
        self.session.reply(ok(f"<{event.reverse_path}>... Sender ok", "2.1.0"))

    def _rcpt(self, event: events.Rcpt) -> None:
        transaction = self.transaction
        assert transaction is not None
        address = event.forward_path
        try:
            refusal = self.source.permit(self.client, address, self.trusted_user)
            refusal = refusal or self.source.route_refusal(address)
            recipients = {} if refusal is not None else self.source.expand(address)
        except Rejected as error:
            refusal = error.status
        except TableError as error:
            refusal = temporary(str(error), "4.3.5")
        if refusal is not None:
            self.session.reply(refusal)
            return
        if not address.isascii() and not transaction.smtputf8:
            self.session.reply(Status(553, "5.6.7", "Address outside ASCII without SMTPUTF8"))
            return
        transaction.given.append(address)
        for identity, recipient in recipients.items():
            transaction.recipients.setdefault(identity, recipient)
        self.session.reply(ok(f"<{address}>... Recipient ok", "2.1.5"))

    def _content_start(self) -> None:
        assert self.transaction is not None
        self.transaction.collector = self.source.collector()

    def _content_data(self, data: bytes) -> None:
        transaction = self.transaction
        assert transaction is not None
        if transaction.failure is None and transaction.collector is not None:
            try:
                transaction.collector.write(data)
            except StoreFull:
                transaction.failure = _FULL
            except StoreError:
                transaction.failure = _OUR_FAULT

    async def _content_end(self) -> Status:
        """The answer to the message: 250 only after the commit."""
        transaction = self.transaction
        assert transaction is not None
        if transaction.failure is not None:
            self.reset()
            return transaction.failure
        try:
            queue_id = await self.source.accept(transaction, self._arrival())
        except Rejected as error:
            return error.status
        except StoreFull:
            return _FULL
        except RelaynodeError:
            return _OUR_FAULT
        finally:
            self.transaction = None
        return ok(f"{queue_id} Message accepted for delivery")

    def _arrival(self) -> Arrival:
        if self.trusted_user:
            origin, source = trace.user_origin(self.trusted_user), f"local {self.trusted_user}"
        else:
            origin = trace.smtp_origin(self.session.hello_name, "", self.client)
            source = f"smtp {self.client}"
        return Arrival(origin, "ESMTP" if self.session.is_extended else "SMTP", source)


def unmapped(address: str) -> str:
    """An IPv4 client of a dual-stack socket under its own address."""
    return address.removeprefix("::ffff:") if address.startswith("::ffff:") else address
