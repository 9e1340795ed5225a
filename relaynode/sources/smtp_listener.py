"""The SMTP source: drives `smtp.server.Session` for each client of the LAN, and for servers that we
have called and that turned the session round (`odmr.py`).

Who may send what is decided in `policy/access.py`, asked through `smtp_gate.py`; the replies are
sendmail's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relaynode.errors import LineLost, RelaynodeError, StoreError, StoreFull, TableError, WireError
from relaynode.mail import trace
from relaynode.mail.status import Status, ok, temporary
from relaynode.policy.client import NameState
from relaynode.policy.expand import known_route
from relaynode.policy.verdict import addressed, refusal_of
from relaynode.queue.ids import new_queue_id
from relaynode.smtp import events, server
from relaynode.sources.intake import Arrival, Collector, Intake, Rejected
from relaynode.sources.smtp_door import Door, Entering, cipher_of, tls_of
from relaynode.sources.smtp_filtering import Filtering
from relaynode.sources.smtp_gate import Gatekeeper
from relaynode.sources.smtp_transaction import Transaction

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

COMMAND_SECONDS = 300.0
"""RFC 5321 4.5.3.2.7: how long a client may think."""

log = logging.getLogger("relaynode")

_FULL = Status(452, "4.3.1", "Insufficient disk space; try again later")
_OUR_FAULT = temporary("Local error; try again later", "4.3.0")


class SmtpSource:
    """Serves SMTP connections. `networks`: who may relay besides this machine.

    `looks_up_clients`: whether clients' names are looked up, in `dns` (the system's by default).
    `knows_again`: whether clients may mark a message so that it is queued once (smtp/once.py).
    `common_id`: the id of messages that come without one; see `Transaction`. `on_taken`: told the
    size of each message that is queued. `command_seconds`: how long a client may think.
    `filters`: who is asked about each step, None if nobody. `door`: TLS and logins; there are none
    without.
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
        command_seconds: float = COMMAND_SECONDS,
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
        self.command_seconds = command_seconds
        self._filters = filters
        self.gate = Gatekeeper(rules, networks, looks_up_clients, *([dns] if dns else []))

    async def serve(self, stream: Stream, client: str, *, trusted_user: str = "") -> None:
        """Talk to one client until it leaves. Never raises but CancelledError.

        `client`: its IP address. `trusted_user`: for SMTP on standard input, the user who calls.
        """
        try:
            with contextlib.suppress(WireError):  # it went away; what it was told stays true
                if self.door.is_private:  # before anything is waited for: the client speaks at once
                    await self.door.start_tls(stream)
                known = await self.gate.identify(client, trusted_user)
                await self._talk(await self._meet(stream, known, trusted_user))
        finally:
            await stream.close()

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
        filters = None if verdict.status is not None else self._filters
        filtering = Filtering.of(filters, self._intake, self._max_size_bytes)
        denial = verdict.status or await filtering.connect(client, stream)
        session = server.Session(
            self._hostname,
            max_size_bytes=self._max_size_bytes,
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

    def begin(self, mail: events.Mail) -> Transaction:
        """A transaction that the client has been allowed."""
        once_id = mail.once_id or self._common_id
        transaction = Transaction(mail.reverse_path, mail.body, mail.smtputf8)
        transaction.once_id = once_id if self._knows_again else ""
        transaction.has_common_id = not mail.once_id
        return transaction

    def route(self, address: str) -> Route:
        """Where mail for an address would go now. Raises: Rejected (`error:`), TableError."""
        route = known_route(self._rules.routing, address)
        refusal = refusal_of(route)
        if refusal is not None:
            raise Rejected(refusal)
        return route

    def expand(self, address: str) -> dict[tuple[str, ...], Recipient]:
        """Whom an address stands for, by identity. Raises: Rejected, TableError."""
        return {self._intake.identity(one): one for one in self._intake.expand([address])}

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

    @property
    def doubt(self) -> str:
        """What is unsure if the line is lost now, for an error's text."""
        if not self.unconfirmed:
            return ""
        return f"; it may not have heard that we have {self.unconfirmed}, which may come again"

    async def run(self) -> None:
        while True:
            event = self.session.next_event()
            if not isinstance(event, events.NeedData):
                # One that waits for answers has heard the last; of one that does not, nothing is
                # known, but most of what it brings again is recognised (`Transaction.mark`).
                self.unconfirmed = ""
            match event:
                case events.NeedData():
                    await self._send()
                    data = await self.stream.read(self.source.command_seconds)
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

    async def _send(self) -> None:
        await self.stream.write(self.session.data_to_send(), self.source.command_seconds)

    def reset(self) -> None:
        if self.transaction is not None:
            self.transaction.discard()
            self.transaction = None
        self.filtering.end_message()

    async def _mail(self, event: events.Mail) -> None:
        self.reset()
        path = event.reverse_path
        try:
            # Whom nobody may write to may not write either.
            route = self.source.route(path) if path else None
            self._check_own_sender(path)
            verdict = _accepted(await self.source.gate.check_mail(self.client, path))
        except (Rejected, TableError) as error:
            self.session.reply(_refusal(error, path, event.given))
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
        try:
            route = self.source.route(path)
            gate, sender = self.source.gate, transaction.reverse_path
            transaction.note(_accepted(await gate.check_rcpt(self.client, sender, path)))
            if not transaction.is_discarded:
                transaction.expansions[path] = self.source.expand(path)
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
