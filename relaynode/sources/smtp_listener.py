"""The SMTP source: drives `smtp.server.Session` for each client of the LAN, and for servers that we
have called and that turned the session round (`odmr.py`).

Who may send what is decided in `policy/access.py`, asked through `smtp_gate.py`; the replies are
sendmail's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from relaynode.errors import (
    LineLost,
    RelaynodeError,
    StoreError,
    StoreFull,
    TableError,
    TimedOut,
    WireError,
)
from relaynode.mail import trace
from relaynode.mail.status import Status, ok, temporary
from relaynode.policy.always import is_our_postmaster
from relaynode.policy.client import NameState
from relaynode.policy.expand import known_route
from relaynode.policy.verdict import addressed, refusal_of
from relaynode.queue.ids import new_queue_id
from relaynode.smtp import etrn, events, server
from relaynode.smtp.reply import encode
from relaynode.sources import smtp_questions
from relaynode.sources.intake import Arrival, Collector, Intake, Rejected
from relaynode.sources.smtp_door import Door, Entering, cipher_of, tls_of
from relaynode.sources.smtp_filtering import Filtering
from relaynode.sources.smtp_gate import Gatekeeper
from relaynode.sources.smtp_guard import EARLY, LONG_HEADER, Guard, has_endless_header
from relaynode.sources.smtp_transaction import Transaction, with_wishes

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from relaynode.mail.envelope import Recipient
    from relaynode.policy.client import Client
    from relaynode.policy.route import Route
    from relaynode.policy.verdict import Verdict
    from relaynode.rules import Rules
    from relaynode.sources.filters import Filters
    from relaynode.sources.smtp_gate import NameServer
    from relaynode.wire.stream import Stream

log = logging.getLogger("relaynode")

_FULL = Status(452, "4.3.1", "Insufficient disk space; try again later")
_OUR_FAULT = temporary("Local error; try again later", "4.3.0")


class SmtpSource:
    """Serves SMTP connections. `networks`: who may relay besides this machine.

    `looks_up_clients`: whether clients' names are looked up, in `dns` (the system's by default).
    `knows_again`: whether clients may mark a message so that it is queued once (smtp/once.py).
    `common_id`: the id of messages that come without one; see `Transaction`. `on_taken`: told the
    size of each message that is queued. `guard`: what is offered, and borne. `recent`: addresses
    from which somebody has just logged in to a mailbox. `filters`: who is asked about each step,
    None if nobody. `door`: TLS and logins; there are none without.
    """

    def __init__(
        self,
        intake: Intake,
        rules: Rules,
        *,
        hostname: str,
        networks: Sequence[Container[Any]],
        max_size_bytes: int,
        looks_up_clients: bool = False,
        dns: NameServer | None = None,
        knows_again: bool = False,
        common_id: str = "",
        on_taken: Callable[[int], None] = lambda size_bytes: None,
        guard: Guard | None = None,
        recent: Container[str] = (),
        filters: Filters | None = None,
        door: Door | None = None,
    ) -> None:
        self.door = door or Door()
        self._intake = intake
        self._rules = rules
        self._hostname = hostname
        self._max_size_bytes = max_size_bytes
        self._knows_again = knows_again
        self._common_id = common_id
        self._on_taken = on_taken
        self._filters = filters
        self.guard = guard or Guard()
        asked = {"dns": dns} if dns else {}
        self.gate = Gatekeeper(rules, networks, looks_up_clients, recent=recent, **asked)

    async def serve(self, stream: Stream, client: str, *, trusted_user: str = "") -> None:
        """Talk to one client until it leaves. Never raises but CancelledError.

        `client`: its IP address. `trusted_user`: for SMTP on standard input, the user who calls.
        """
        crowd = self.guard.crowd
        is_exempt = bool(trusted_user) or self._is_near(client)
        try:
            refusal = crowd.enter(client, is_exempt=is_exempt)
            if refusal is not None:
                await self._turn_away(stream, refusal)
                return
            try:
                with contextlib.suppress(WireError):  # it went away; what it was told stays true
                    if (
                        self.door.is_private
                    ):  # before anything is awaited: the client speaks at once
                        await self.door.start_tls(stream)
                    known = await self.gate.identify(client, trusted_user)
                    if not (is_exempt or self.door.is_private) and await self.guard.is_early(
                        stream
                    ):
                        await self._turn_away(stream, EARLY)
                        return
                    await self._talk(await self._meet(stream, known, trusted_user))
            finally:
                crowd.leave(client, is_exempt=is_exempt)
        finally:
            await stream.close()

    def is_exempt(self, client: Client) -> bool:
        """Is this client one that is not counted?"""
        if client.is_local_user or client.is_called:
            return True
        return self._is_near(client.address)

    def _is_near(self, address: str) -> bool:
        return self.guard.is_exempt_network and self.gate.serves(address)

    async def _turn_away(self, stream: Stream, status: Status) -> None:
        with contextlib.suppress(WireError):
            await stream.write(encode(status), timeout=1)

    async def serve_called(self, stream: Stream, server: Client) -> None:
        """Take what a server has for us that we have called, until it leaves.

        Raises: WireError, also when it leaves without a word.
        """
        dialogue = await self._meet(stream, server)
        try:
            await self._talk(dialogue)
        except WireError as error:
            if not dialogue.session.has_quit:  # else it need not wait for our goodbye
                raise LineLost(f"{error}{dialogue.doubt}") from error
        if not dialogue.session.has_quit:
            raise LineLost(f"{stream.peer}: left in the middle of the session{dialogue.doubt}")

    async def _meet(self, stream: Stream, client: Client, trusted_user: str = "") -> _Dialogue:
        verdict = await self.gate.check_relay(client)
        filtering = self.filtering(verdict)
        denial = verdict.status or await filtering.connect(client, stream)
        terms = self.guard.terms
        if terms.takes_xclient and not self._is_proxy(client):
            terms = replace(terms, takes_xclient=False)
        session = server.Session(
            self._hostname,
            max_size_bytes=self._max_size_bytes,
            terms=terms,
            denial=denial,
            knows_again=self._knows_again,
            security=await self.door.security(client.address),
        )
        entering = Entering(self.door, session, client.address)
        return _Dialogue(self, session, stream, client, trusted_user, verdict, filtering, entering)

    async def _talk(self, dialogue: _Dialogue) -> None:
        try:
            await dialogue.run()
        except asyncio.CancelledError:
            dialogue.session.shut_down("closing")
            with contextlib.suppress(WireError):
                await dialogue.stream.write(dialogue.session.data_to_send(), timeout=1)
            raise
        finally:
            dialogue.reset()
            dialogue.entering.cancel()
            await dialogue.filtering.close()

    def filtering(self, welcome: Verdict) -> Filtering:
        """What the filters have to do with a session; nothing if the client is refused anyhow."""
        filters = None if welcome.status is not None else self._filters
        return Filtering.of(filters, self._intake, self._max_size_bytes)

    def _is_proxy(self, client: Client) -> bool:
        is_elsewhere = client.is_local_user or client.is_called
        return not is_elsewhere and ipaddress.ip_address(client.address) in self.guard.xclient_hosts

    def answer(self, asked: events.Verify) -> tuple[Status, tuple[str, ...]]:
        """What is said to VRFY and EXPN."""
        try:
            return smtp_questions.answer(self._rules.expander, asked, self._hostname)
        except TableError as error:
            return temporary(str(error), "4.3.5"), ()

    def has_no_room(self, mail: events.Mail) -> Status | None:
        """Why a message of this size cannot be taken now."""
        if mail.size_bytes is not None and not self.guard.has_room(mail.size_bytes):
            return _FULL
        return None

    async def check_quota(self, mail: events.Mail) -> None:
        """May the sender send a message of this size today? Raises: Rejected, StoreError."""
        if mail.size_bytes is not None:
            refusal = await self._intake.quota.refusal(mail.reverse_path, mail.size_bytes)
            if refusal is not None:
                raise Rejected(refusal)

    def begin(self, mail: events.Mail) -> Transaction:
        """A transaction that the client has been allowed."""
        once_id = mail.once_id or self._common_id
        transaction = Transaction(
            mail.reverse_path, mail.body, mail.smtputf8, ret=mail.ret, envid=mail.envid
        )
        transaction.once_id = once_id if self._knows_again else ""
        transaction.has_common_id = not mail.once_id
        return transaction

    def route(self, address: str) -> Route:
        """Where mail for an address would go now. Raises: Rejected (`error:`), TableError."""
        routing = self._rules.routing
        route = known_route(routing, address)
        refusal = refusal_of(route)
        if refusal is not None and not is_our_postmaster(routing, address):
            raise Rejected(refusal)
        return route

    def expand(self, address: str) -> dict[tuple[str, ...], Recipient]:
        """Whom an address stands for, by identity. Raises: Rejected, TableError."""
        try:
            found = self._intake.expand([address])
        except Rejected:
            if not is_our_postmaster(self._rules.routing, address):
                raise
            found = self._intake.expand([self._rules.postmaster])
        return {self._intake.identity(one): one for one in found}

    def collector(self, queue_id: str = "") -> Collector:
        """A place for content. `queue_id`: if the message has one already."""
        return self._intake.collector(queue_id)

    def refusal_of_sender(self, path: str, user: str) -> Status | None:
        """What somebody of ours is told who may not write so; `user` if he has logged in.

        Raises: Rejected, TableError.
        """
        rule = self.door.senders
        refuses = rule.refuses(
            self._rules.names,
            path,
            user,
            lambda: (one.address for one in self.expand(path).values()),
        )
        return rule.refusal if refuses else None

    def trusts(self, user: str) -> bool:
        """May this user bring mail of others without a warning? Raises: TableError."""
        return self._intake.trusts(user)

    async def accept(self, transaction: Transaction, arrival: Arrival) -> Status:
        """Queue it, or throw it away if the access table says so; what to tell the client.

        Raises: Rejected, StoreError.
        """
        if transaction.is_discarded:
            sender, recipients = transaction.reverse_path, ", ".join(transaction.given)
            log.info("discarded: from <%s> to %s (%s)", sender, recipients, arrival.source)
            transaction.discard()
            return _taken(new_queue_id())
        mark = transaction.mark()
        known = {} if mark is None else await self._intake.taken(mark)
        for path, queue_id in known.items():
            log.info("not queued again: %s to <%s> (%s)", queue_id, path, arrival.source)
        transaction.drop(known)
        if known and not transaction.given:
            transaction.discard()
            return ok(f"{next(iter(known.values()))} Message was accepted before")
        assert transaction.collector is not None
        queue_id = await self._intake.accept(
            transaction.collector,
            transaction.envelope(),
            arrival,
            given=transaction.given,
            once=None if mark is None else mark.without(known),
        )
        self._on_taken(transaction.collector.size_bytes)
        return _taken(queue_id)


@dataclass(slots=True)
class _Dialogue:
    """One client. `welcome`: what the access table said of it. `entering`: its logins.
    `unconfirmed`: the queue id of what was accepted last, until a command shows that the client has
    heard of it."""

    source: SmtpSource
    session: server.Session
    stream: Stream
    client: Client
    trusted_user: str
    welcome: Verdict
    filtering: Filtering
    entering: Entering
    transaction: Transaction | None = None
    unconfirmed: str = ""
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
                case events.Verify():
                    self.session.reply(*self.source.answer(event))
                case events.SendNow():
                    self.session.reply(await self._send_now(event))
                case events.Introduced():
                    await self._introduce(event)
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
                case events.Hello():
                    self.reset()
                    await self.filtering.hello(event.name, self.session, cipher_of(self.stream))
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
            self.transaction, lambda: self._arrival(""), self.source.expand
        )
        if refusal is not None:
            self.reset()
            self.session.reply(refusal)
            return
        commit = asyncio.ensure_future(self._content_end())
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
        self.client = self.source.gate.introduced(self.client, event.identity)
        self._look_at_client()
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
            self.session.reply(refusal)
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
            self.session.reply(refusal)
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
            self.session.reply(refusal)
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
            self.session.reply(refusal)
            return
        transaction.given.append(path)
        shown = transaction.shown.setdefault(_sameness(route), event.given)
        self.session.reply(ok(f"{shown}... Recipient ok", "2.1.5"))

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
        if transaction.collector is not None and has_endless_header(transaction.collector.head):
            self.reset()
            return LONG_HEADER
        try:
            arrival = self._arrival(transaction.quarantine)
            arrival = replace(arrival, above=transaction.above, below=transaction.below)
            return await self.source.accept(transaction, arrival)
        except Rejected as error:
            return error.status
        except StoreFull:
            return _FULL
        except RelaynodeError:
            return _OUR_FAULT
        finally:
            self.transaction = None
            self.filtering.end_message()

    def _arrival(self, hold_reason: str) -> Arrival:
        client, hello = self.client, self.session.hello_name
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
            hold_reason=hold_reason,
            tls=tls_of(self.stream),
            is_from_us=self._is_ours,
        )

    @property
    def _protocol(self) -> str:
        """RFC 3848."""
        if not self.session.is_extended:
            return "SMTP"
        tls = "S" if self.session.security.is_private else ""
        return f"ESMTP{tls}{'A' if self.client.is_authenticated else ''}"


def _taken(queue_id: str) -> Status:
    return ok(f"{queue_id} Message accepted for delivery")


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
