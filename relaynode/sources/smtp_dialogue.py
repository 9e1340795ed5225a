"""One client of the SMTP source: what its events lead to, and what it is told.

What holds for all clients is in `smtp_desk.py`; here is what one has said so far.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import RelaynodeError, StoreError, StoreFull, TableError, TimedOut
from relaynode.mail import trace
from relaynode.mail.status import Status, ok, temporary
from relaynode.policy.client import NameState
from relaynode.policy.verdict import addressed
from relaynode.smtp import atrn, etrn, events
from relaynode.smtp.xclient import Identity
from relaynode.sources.intake import Arrival, Rejected
from relaynode.sources.smtp_desk import FULL
from relaynode.sources.smtp_door import Entering, cipher_of, tls_of
from relaynode.sources.smtp_guard import LONG_HEADER, has_endless_header
from relaynode.sources.smtp_transaction import Transaction, with_wishes

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.client import Client
    from relaynode.policy.route import Route
    from relaynode.policy.verdict import Verdict
    from relaynode.smtp import server
    from relaynode.sources.smtp_desk import SmtpDesk
    from relaynode.sources.smtp_filtering import Filtering
    from relaynode.wire.stream import Stream

log = logging.getLogger("relaynode")

_OUR_FAULT = temporary("Local error; try again later", "4.3.0")


@dataclass(slots=True)
class Dialogue:
    """One client. `welcome`: what the access table said of it. `entering`: its logins. `told`: what
    a proxy says of it. `unconfirmed`: the queue id of what was accepted last, until a command shows
    that the client has heard of it."""

    source: SmtpDesk
    session: server.Session
    stream: Stream
    client: Client
    trusted_user: str
    welcome: Verdict
    filtering: Filtering
    entering: Entering
    transaction: Transaction | None = None
    unconfirmed: str = ""
    told: Identity = field(default_factory=Identity)
    _is_exempt: bool = field(init=False)
    _is_ours: bool = field(init=False)

    def __post_init__(self) -> None:
        self._look_at_client()

    def _look_at_client(self) -> None:
        client = self.client
        self._is_exempt = self.source.is_exempt(client)
        self._is_ours = client.is_here or client.is_trusted or client.is_authenticated

    @property
    def doubt(self) -> str:
        """What is unsure if the line is lost now, for an error's text."""
        if not self.unconfirmed:
            return ""
        return f"; it may not have heard that we have {self.unconfirmed}, which may come again"

    async def run(self) -> None:
        patience = self.source.guard.patience()
        while True:
            event = self.session.next_event()
            if not isinstance(event, events.NeedData):
                # One that waits for answers has heard the last; of one that does not, nothing is
                # known, but most of what it brings again is recognised (`Transaction.mark`).
                self.unconfirmed = ""
            match event:
                case events.NeedData():
                    await self._send()
                    seconds = patience.seconds(self.session.commands, self.session.content_bytes)
                    data = await self._read(seconds)
                    if not data:
                        return
                    self.session.receive(data)
                case events.Mail():
                    await self._mail(event)
                case events.Rcpt():
                    await self._rcpt(event)
                case events.ContentStart():
                    await self._content_start()
                case events.ContentData():
                    self._content_data(event.data)
                case events.ContentEnd():
                    await self._answer_content()
                case events.Verify():
                    self.session.reply(*self.source.answer(event))
                case events.SendNow():
                    self.session.reply(await self._send_now(event))
                case events.TurnWanted():
                    if await self._turn(event):
                        return
                case events.Introduced():
                    await self._introduce(event)
                case events.Hello():
                    self.reset()
                    await self.filtering.hello(
                        self._hello_name, self.session, cipher_of(self.stream)
                    )
                case events.TransactionReset() | events.ContentRefused():
                    self.reset()
                case events.StartTls():
                    await self._start_tls()
                case events.AuthStart():
                    await self.entering.begin(event.mechanism, event.initial)
                    self._note_login()
                case events.AuthResponse():
                    await self.entering.go_on(event.data)
                    self._note_login()
                case events.AuthCancelled():
                    self.entering.cancel()
                case events.Closed():
                    await self._send()
                    return

    async def _start_tls(self) -> None:
        self.reset()
        await self._send()
        await self.source.door.start_tls(self.stream)
        self.session.tls_started()

    def _note_login(self) -> None:
        if self.entering.user:
            self.client = replace(self.client, is_authenticated=True)
            self._look_at_client()

    async def _answer_content(self) -> None:
        """A commit cannot be called off: a daemon that ends still tells the client how it went,
        or the client would send the mail again."""
        assert self.transaction is not None
        refusal = await self.filtering.content(
            self.transaction, lambda: self._arrival(None), self.source.expand
        )
        if refusal is not None:
            self.reset()
            self._refuse(refusal)
            return
        commit = asyncio.create_task(self._content_end())
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:
            self.session.reply(await commit)
            await self._send()
            raise
        status = commit.result()
        self.session.reply(status)
        if status.is_success:
            self.unconfirmed = status.text.partition(" ")[0]

    async def _read(self, seconds: float) -> bytes:
        """What the client sends. Raises: TimedOut, when it has been told so; LineLost."""
        try:
            return await self.stream.read(seconds)
        except TimedOut:
            self.session.shut_down("timeout exceeded", "4.4.2")
            await self.stream.write(self.session.data_to_send(), timeout=1)
            raise

    async def _send(self) -> None:
        await self.stream.write(self.session.data_to_send(), self.source.guard.command_seconds)

    async def _turn(self, asked: events.TurnWanted) -> bool:
        """Has it come to that, and is it over?"""
        user = self.entering.user
        try:
            found = await self.source.guard.turn(user, asked.domains)
        except StoreError as error:
            log.error("ATRN: %s", error)
            found = atrn.UNABLE
        self.session.reply(found if isinstance(found, Status) else atrn.TURNING)
        if isinstance(found, Status):
            return False
        await self._send()
        await self.filtering.close()
        await found(self.stream)
        return True

    async def _send_now(self, asked: events.SendNow) -> Status:
        if not await self.source.gate.may_ask_for(self.client, asked.domain):
            return etrn.not_allowed(asked.domain)
        try:
            return await self.source.guard.send_now(asked)
        except StoreError as error:
            log.error("ETRN %s: %s", asked.domain, error)
            return etrn.unable(asked.domain)

    async def _introduce(self, event: events.Introduced) -> None:
        """From now on it is the client that the proxy speaks for."""
        self.reset()
        self.told = self.told.later(event.identity)
        self.client = self.source.gate.introduced(self.client, event.identity)
        self._look_at_client()
        door, was_private = self.source.door, self.session.security.is_private
        security = await door.security(self.client.address)
        self.session.security = security.under_tls() if was_private else security
        self.entering.cancel()
        self.entering = Entering(door, self.session, self.client.address)
        self.welcome = await self.source.gate.check_relay(self.client)
        await self.filtering.close()
        self.filtering = self.source.filtering(self.welcome)
        denial = self.welcome.status or await self.filtering.connect(self.client, self.stream)
        self.session.introduce(denial)

    def reset(self) -> None:
        if self.transaction is not None:
            self.transaction.discard()
            self.transaction = None
        self.filtering.end_message()

    async def _mail(self, event: events.Mail) -> None:
        self.reset()
        path = event.reverse_path
        refusal = self._too_often(self.source.guard.crowd.may_send)
        refusal = refusal or self.source.has_no_room(event)
        if refusal is not None:
            self._refuse(refusal)
            return
        try:
            # Whom nobody may write to may not write either.
            route = self.source.route(path) if path else None
            self._check_own_sender(path)
            verdict = _accepted(await self.source.gate.check_mail(self.client, path))
            if self._is_ours:
                await self.source.check_quota(event)
        except (Rejected, TableError) as error:
            self.session.reply(_refusal(error, path, event.given))
            return
        except StoreError:
            self.session.reply(_OUR_FAULT)
            return
        self.transaction = transaction = self.source.begin(event)
        transaction.note(self.welcome)
        transaction.note(verdict)
        refusal = await self.filtering.mail(
            event, route, transaction, self.entering.user, self.entering.mechanism
        )
        if refusal is not None:
            self.reset()
            self._refuse(refusal)
            return
        self.session.reply(ok(f"{event.given}... Sender ok", "2.1.0"))

    def _check_own_sender(self, path: str) -> None:
        """Of those who are served here, not of this machine's programs. Raises: Rejected."""
        client, user = self.client, self.entering.user
        if user or (client.is_trusted and not client.is_here):
            refusal = self.source.refusal_of_sender(path, user)
            if refusal is not None:
                raise Rejected(refusal)

    async def _rcpt(self, event: events.Rcpt) -> None:
        transaction = self.transaction
        assert transaction is not None
        path = event.forward_path
        if not path.isascii() and not transaction.smtputf8:
            self.session.reply(Status(553, "5.6.7", "Address outside ASCII without SMTPUTF8"))
            return
        if (refusal := self._too_often(self.source.guard.crowd.may_name)) is not None:
            self._refuse(refusal)
            return
        try:
            route = self.source.route(path)
            gate, sender = self.source.gate, transaction.reverse_path
            transaction.note(_accepted(await gate.check_rcpt(self.client, sender, path)))
            if not transaction.is_discarded:
                found = self.source.expand(path)
                transaction.expansions[path] = with_wishes(found, event.notify, event.orcpt)
        except (Rejected, TableError) as error:
            self.session.reply(_refusal(error, path, event.given))
            return
        refusal = await self.filtering.rcpt(path, route, transaction)
        if refusal is not None:
            self._refuse(refusal)
            return
        transaction.given.append(path)
        shown = transaction.shown.setdefault(_sameness(route), event.given)
        self.session.reply(ok(f"{shown}... Recipient ok", "2.1.5"))

    def _refuse(self, status: Status) -> None:
        """What a filter or a limit says; with 421 it means the whole session (RFC 5321 3.8). An
        entry of the access table means the one command, as in sendmail."""
        self.session.reply(status)
        if status.code == 421:
            self.session.hang_up()

    def _too_often(self, ask: Callable[[str], Status | None]) -> Status | None:
        return None if self._is_exempt else ask(self.client.address)

    async def _content_start(self) -> None:
        transaction = self.transaction
        assert transaction is not None
        await self.filtering.begin_content(transaction)
        if not transaction.is_discarded:
            transaction.collector = self.source.collector(transaction.queue_id)

    def _content_data(self, data: bytes) -> None:
        transaction = self.transaction
        assert transaction is not None
        if transaction.failure is None:
            try:
                transaction.write(data)
            except StoreFull:
                transaction.failure = FULL
            except StoreError:
                transaction.failure = _OUR_FAULT

    async def _content_end(self) -> Status:
        """The answer to the message: 250 only after the commit."""
        transaction = self.transaction
        assert transaction is not None
        if transaction.failure is not None:
            self.reset()
            return transaction.failure
        if transaction.collector is not None and has_endless_header(transaction.collector.header):
            self.reset()
            return LONG_HEADER
        try:
            return await self.source.accept(transaction, self._arrival(transaction))
        except Rejected as error:
            return error.status
        except StoreFull:
            return FULL
        except RelaynodeError:
            return _OUR_FAULT
        finally:
            self.transaction = None
            self.filtering.end_message()

    def _arrival(self, transaction: Transaction | None) -> Arrival:
        """How the message came. `transaction`: None while filters may still change it."""
        client, hello = self.client, self._hello_name
        warnings: tuple[str, ...] = ()
        if user := self.trusted_user:
            origin, source = trace.user_origin(user, hello), f"local {user}"
            if not self.source.trusts(user):
                warnings = (f"{user} owned process doing -bs",)
        else:
            is_forged = client.name_state is NameState.FORGED
            origin = trace.smtp_origin(
                hello,
                client.name,
                client.address,
                may_be_forged=is_forged,
                is_authenticated=client.is_authenticated,
            )
            source = f"smtp {client.address}"
        return Arrival(
            origin,
            self._protocol,
            source,
            warnings=warnings,
            hold_reason="" if transaction is None else transaction.quarantine,
            above=b"" if transaction is None else transaction.above,
            below=None if transaction is None else transaction.below,
            tls=tls_of(self.stream),
            is_from_us=self._is_ours,
        )

    @property
    def _hello_name(self) -> str:
        """What the client calls itself."""
        return self.told.helo or self.session.hello_name

    @property
    def _protocol(self) -> str:
        """RFC 3848; what a proxy says of its client goes before what the proxy speaks itself."""
        own = "ESMTP" if self.session.is_extended else "SMTP"
        if (self.told.protocol or own) == "SMTP":
            return "SMTP"
        tls = "S" if self.session.security.is_private else ""
        return f"ESMTP{tls}{'A' if self.client.is_authenticated else ''}"


def _accepted(verdict: Verdict) -> Verdict:
    """Raises: Rejected."""
    if verdict.status is not None:
        raise Rejected(verdict.status)
    return verdict


def _refusal(error: Rejected | TableError, address: str, given: str) -> Status:
    """What is said to MAIL or RCPT; `given` is the address as it was typed there."""
    if isinstance(error, TableError):
        return temporary(str(error), "4.3.5")
    text = error.status.text.removeprefix(f"<{address}>... ")
    return addressed(replace(error.status, text=text), given)


def _sameness(route: Route) -> tuple[str, str, str]:
    """What two ways to write one recipient have in common."""
    is_local = route.mailer == "local"
    user = route.user.lower() if is_local else route.user
    return route.mailer, route.host, user
