"""What all clients of one SMTP source have in common: whom they may write to and as whom, what they
are offered, and the way into the queue. Who is talking to us, and what he has said so far, is not
known here (`smtp_dialogue.py`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from relaynode.errors import TableError
from relaynode.mail.ip_address import parsed_address
from relaynode.mail.status import Status, ok, temporary
from relaynode.policy.always import is_our_postmaster
from relaynode.policy.expand import known_route
from relaynode.policy.verdict import refusal_of
from relaynode.queue.ids import new_queue_id
from relaynode.smtp import events
from relaynode.sources import smtp_questions
from relaynode.sources.intake import Arrival, Collector, Intake, Rejected
from relaynode.sources.smtp_door import Door
from relaynode.sources.smtp_filtering import Filtering
from relaynode.sources.smtp_gate import Gatekeeper
from relaynode.sources.smtp_guard import Guard
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

log = logging.getLogger("relaynode")

FULL = Status(452, "4.3.1", "Insufficient disk space; try again later")


class SmtpDesk:
    """The settings of a source, and the questions that its dialogues ask.

    `networks`: who may relay besides this machine. `looks_up_clients`: whether clients' names are
    looked up, in `dns` (the system's by default). `knows_again`: whether clients may mark a message
    so that it is queued once (smtp/once.py). `common_id`: the id of messages that come without one;
    see `Transaction`. `on_taken`: told the size of each message that is queued. `guard`: what is
    offered, and borne. `recent`: addresses from which somebody has just logged in to a mailbox.
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
        guard: Guard | None = None,
        recent: Container[str] = (),
        filters: Filters | None = None,
        door: Door | None = None,
    ) -> None:
        self.door = door or Door()
        self._intake = intake
        self._rules = rules
        self.hostname = hostname
        self.max_size_bytes = max_size_bytes
        self.knows_again = knows_again
        self._common_id = common_id
        self._on_taken = on_taken
        self._filters = filters
        self.guard = guard or Guard()
        asked = {"dns": dns} if dns else {}
        self.gate = Gatekeeper(rules, networks, looks_up_clients, recent=recent, **asked)

    def is_exempt(self, client: Client) -> bool:
        """Is this client one that is not counted?"""
        if client.is_local_user or client.is_called:
            return True
        return self.is_near(client.address)

    def is_near(self, address: str) -> bool:
        """Is this the address of one that is not counted?"""
        return self.guard.is_exempt_network and self.gate.serves(address)

    def filtering(self, welcome: Verdict) -> Filtering:
        """What the filters have to do with a session; nothing if the client is refused anyhow."""
        filters = None if welcome.status is not None else self._filters
        return Filtering.of(filters, self._intake, self.max_size_bytes)

    def is_proxy(self, client: Client) -> bool:
        """May this client say for whom it speaks (XCLIENT)?"""
        is_elsewhere = client.is_local_user or client.is_called
        hosts = self.guard.xclient_hosts
        return not is_elsewhere and parsed_address(client.address) in hosts

    def answer(self, asked: events.Verify) -> tuple[Status, tuple[str, ...]]:
        """What is said to VRFY and EXPN."""
        try:
            return smtp_questions.answer(self._rules.expander, asked, self.hostname)
        except TableError as error:
            return temporary(str(error), "4.3.5"), ()

    def has_no_room(self, mail: events.Mail) -> Status | None:
        """Why a message of this size cannot be taken now."""
        if mail.size_bytes is not None and not self.guard.has_room(mail.size_bytes):
            return FULL
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
        transaction.once_id = once_id if self.knows_again else ""
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
            return self._intake.by_identity([address])
        except Rejected:
            if not is_our_postmaster(self._rules.routing, address):
                raise
            return self._intake.by_identity([self._rules.postmaster])

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


def _taken(queue_id: str) -> Status:
    return ok(f"{queue_id} Message accepted for delivery")
