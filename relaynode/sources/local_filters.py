"""Filters for mail that no SMTP client brings (Postfix: non_smtpd_milters): what programs of this
machine submit, what UUCP neighbours bring, and what was fetched from mailboxes.

They are shown a session such as Postfix makes up for it: a client localhost, all steps at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode.policy.client import Client
from relaynode.smtp.events import Mail
from relaynode.sources.intake import Parcel, Rejected
from relaynode.sources.letter import Letter
from relaynode.sources.smtp_transaction import Transaction, apply_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relaynode.mail.envelope import Envelope, Recipient
    from relaynode.mail.status import Status
    from relaynode.policy.verdict import Verdict
    from relaynode.sources.filters import Filters, FilterSession
    from relaynode.sources.intake import Intake


async def filter_local(intake: Intake, filters: Filters, parcel: Parcel) -> Parcel | None:
    """What filters make of a message; None if it is not to be queued. Its content is discarded
    then, and if anything is raised. Raises: Rejected, StoreError, TableError."""
    filtering = _LocalFiltering(intake, filters, parcel)
    is_left = False
    try:
        is_left = await filtering.run()
    finally:
        if not is_left:
            filtering.parcel.collector.discard()
    return filtering.parcel if is_left else None


async def filter_taken(
    intake: Intake,
    filters: Filters,
    parcel: Parcel,
    refused: Callable[[Parcel, Status], Parcel],
) -> Parcel | None:
    """The same for mail that somebody else has taken before, so that nobody is there to be refused.

    `refused`: what is queued instead of mail that a filter refuses for good. Raises: Rejected for
    one that shall come again later, StoreError, TableError; its content is discarded then.
    """
    filtering = _LocalFiltering(intake, filters, parcel)
    left: Parcel | None = None
    try:
        if await filtering.run():
            left = filtering.parcel
    except Rejected as error:
        if not error.status.is_permanent:
            raise
        left = refused(filtering.parcel, error.status)
    finally:
        if left is None:
            filtering.parcel.collector.discard()
    return left


def held(parcel: Parcel, status: Status) -> Parcel:
    """For `filter_taken`: it is held for the operator."""
    return replace(parcel, arrival=replace(parcel.arrival, hold_reason=f"refused: {status}"))


@dataclass(slots=True)
class _LocalFiltering:
    """One message on its way through the filters. `parcel`: as it is by now; its collector is the
    one to discard."""

    intake: Intake
    filters: Filters
    parcel: Parcel

    async def run(self) -> bool:
        """Whether anything is left to be queued. Raises: Rejected, StoreError, TableError."""
        session = self.filters.begin()
        try:
            return await self._ask(session)
        finally:
            await session.close()

    async def _ask(self, session: FilterSession) -> bool:
        transaction = self._transaction()
        collector, envelope = self.parcel.collector, self.parcel.envelope
        client = Client(address="127.0.0.1", is_local_user=True)
        mail = Mail(envelope.reverse_path, collector.size_bytes, envelope.body, envelope.smtputf8)
        self._note(transaction, await session.connect(client))
        self._note(transaction, await session.hello(self.filters.hostname, {}))
        self._note(transaction, await session.mail(mail, None, collector.queue_id, {}))
        for path, expansion in transaction.expansions.items():
            if not transaction.is_discarded and not _is_refused(expansion.values()):
                self._note(transaction, await session.rcpt(path, None))
        if not transaction.is_discarded:
            self._note(transaction, await session.data())
        if not transaction.is_discarded:
            await self._content(session, transaction)
        return not transaction.is_discarded

    def _note(self, transaction: Transaction, verdict: Verdict) -> None:
        """There is nobody to come again for one recipient: a refusal is one of the message."""
        if verdict.status is not None:
            raise Rejected(verdict.status)
        transaction.note(verdict)

    async def _content(self, session: FilterSession, transaction: Transaction) -> None:
        parcel = self.parcel
        below = self.intake.lines_below(parcel)
        letter = Letter(self.intake, parcel.collector, below, self.filters.max_size_bytes)
        try:
            verdict = await session.content(letter)
        finally:
            self.parcel = replace(parcel, collector=letter.collector)
        self._note(transaction, verdict)
        apply_changes(letter, transaction, self._expand)
        made = transaction.envelope()
        self.parcel = replace(
            self.parcel,
            envelope=_changed(parcel.envelope, made),
            arrival=replace(
                parcel.arrival,
                above=transaction.above,
                below=transaction.below,
                hold_reason=transaction.quarantine,
            ),
        )

    def _transaction(self) -> Transaction:
        """Recipients that were expanded before, each for himself."""
        envelope = self.parcel.envelope
        transaction = Transaction(envelope.reverse_path, envelope.body, envelope.smtputf8)
        for one in envelope.recipients:
            path = one.expanded_from or one.address
            transaction.expansions.setdefault(path, {})[self.intake.identity(one)] = one
        return transaction

    def _expand(self, address: str) -> dict[tuple[str, ...], Recipient]:
        return self.intake.by_identity([address])


def _is_refused(recipients: Iterable[Recipient]) -> bool:
    """Was somebody refused here already, so that a DSN goes out?"""
    return all(one.mailer == "error" for one in recipients)


def _changed(envelope: Envelope, made: Envelope) -> Envelope:
    return replace(envelope, reverse_path=made.reverse_path, recipients=made.recipients)
