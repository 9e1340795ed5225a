"""Mail for a UUCP neighbour made into jobs: one `rmail` a message, or batches for `rsmtp` and kin.

A job's file is written to the store as it will be sent, so that every try offers the same bytes and
the neighbour can know it again. What cannot go is reported instead. Not here: which mail it is, and
what becomes of the jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import MessageBroke
from relaynode.mail.bsmtp import BatchMessage, BatchRecipient, batch
from relaynode.mail.packing import pack
from relaynode.mail.status import Status, permanent, temporary
from relaynode.mailers.mailer import Attempt
from relaynode.mailers.outgoing import carefully
from relaynode.mailers.uucp_form import jobs, why_not
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import JobKind, MailJob, NewJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from relaynode.mailers.mailer import Consignment
    from relaynode.mailers.uucp_form import UucpForm
    from relaynode.queue.content import Content, Draft
    from relaynode.queue.model import Delivery, QueuedRecipient

USER = "mail"
"""On whose behalf the neighbour sees our mail come."""

OWN_COMMAND = "rzsmtp"
"""Only relaynodes know it, and they understand all of an envelope."""

_NOT_IN_A_LINE = frozenset("<>\r\n\0")


@dataclass(frozen=True, slots=True)
class Load:
    """A job, and what it carries: messages with those of their recipients."""

    job: NewJob
    parts: tuple[tuple[Delivery, tuple[QueuedRecipient, ...]], ...]

    @property
    def mail_job(self) -> MailJob:
        """As the store wants it."""
        return MailJob(
            self.job, tuple(one.id for _, recipients in self.parts for one in recipients)
        )


@dataclass(frozen=True, slots=True)
class _Passed:
    """A message, and the recipients that may go, with their addresses."""

    delivery: Delivery
    sender: str
    recipients: list[tuple[QueuedRecipient, str]]

    @property
    def queue_id(self) -> str:
        return self.delivery.message.queue_id

    @property
    def is_from_nobody(self) -> bool:
        return not self.delivery.message.envelope.reverse_path

    @property
    def part(self) -> tuple[Delivery, tuple[QueuedRecipient, ...]]:
        return self.delivery, tuple(recipient for recipient, _ in self.recipients)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMaker:
    """`command`: that takes batches, "" for rmail. `batch_bytes`: of messages in a batch. `hello`:
    our name in a batch. `draft`: a place for a file of the store. `clock`: epoch seconds."""

    form: UucpForm
    grade: str
    hello: str
    draft: Callable[[str], Draft]
    clock: Callable[[], float]
    command: str = ""
    batch_bytes: int = 0

    def make(self, consignments: Sequence[Consignment]) -> tuple[list[Load], list[Attempt]]:
        """Jobs of messages in their order, and what cannot go. It waits for the disk.

        Raises: StoreError, but for a message that breaks us: that one is reported.
        """
        refused: list[Attempt] = []
        passed = []
        for consignment in consignments:
            try:
                with carefully(consignment.delivery):
                    passed.append(self._passed(consignment, refused))
            except MessageBroke as error:
                refused += _broken(consignment.delivery, error, consignment.delivery.recipients)
        passed = [one for one in passed if one.recipients]
        while True:
            loads: list[Load] = []
            try:
                for load in self._batches(passed) if self.command else self._singles(passed):
                    loads.append(load)
            except MessageBroke as error:
                for load in loads:
                    assert load.job.content is not None  # mail is never without
                    load.job.content.discard()
                passed = self._without(error, passed, refused)
                continue
            return loads, refused

    @staticmethod
    def _without(
        error: MessageBroke, passed: Sequence[_Passed], refused: list[Attempt]
    ) -> list[_Passed]:
        """The messages but for the one that broke us."""
        for one in passed:
            if one.queue_id == error.queue_id:
                refused += _broken(one.delivery, error, [to for to, _ in one.recipients])
        return [one for one in passed if one.queue_id != error.queue_id]

    def _passed(self, consignment: Consignment, refused: list[Attempt]) -> _Passed:
        delivery = consignment.delivery
        sender = self.form.sender(delivery)
        why_none = self.form.why_none(delivery, sender)
        judge = _why_not_in_batch if self.command else why_not
        passed = _Passed(delivery, sender, [])
        for recipient, address in zip(delivery.recipients, consignment.addresses, strict=True):
            reason = why_none or judge(address)
            if reason is None:
                passed.recipients.append((recipient, address))
            else:
                refused.append(Attempt(delivery, recipient, reason))
        return passed

    # --- one job a message

    def _singles(self, passed: Iterable[_Passed]) -> Iterator[Load]:
        for one in passed:
            for job in jobs(one.recipients, self.form.max_recipients):
                some = _Passed(one.delivery, one.sender, job)
                command = " ".join(["rmail", *(address for _, address in job)])
                content = self._content(self.form.pieces(one.delivery, one.sender))
                answer = ("N", "") if one.is_from_nobody else ("R", one.sender)
                yield Load(self._job(command, content, *answer), (some.part,))

    # --- batches

    def _batches(self, passed: Sequence[_Passed]) -> Iterator[Load]:
        for group in _groups(passed, self.batch_bytes):
            line_end = b"\r\n" if self.command == OWN_COMMAND else b"\n"
            written = batch(self.hello, map(self._message, group), line_end=line_end)
            content = self._content(pack(self.command, written))
            job = self._job(self.command, content, "R", "postmaster")
            yield Load(job, tuple(one.part for one in group))

    def _message(self, one: _Passed) -> tuple[BatchMessage, Iterable[bytes]]:
        envelope = one.delivery.message.envelope
        path = "" if one.is_from_nobody else one.sender
        if self.command != OWN_COMMAND:
            plain = tuple(BatchRecipient(address) for _, address in one.recipients)
            message = BatchMessage(path, plain)
        else:
            recipients = tuple(
                BatchRecipient(address, to.forward_path.notify, to.forward_path.orcpt)
                for to, address in one.recipients
            )
            message = BatchMessage(
                path,
                recipients,
                body=envelope.body,
                smtputf8=envelope.smtputf8,
                ret=envelope.ret,
                envid=envelope.envid,
            )
        return message, self.form.outgoing(one.delivery).pieces()

    # --- both

    def _content(self, pieces: Iterable[bytes]) -> Content:
        draft = self.draft(new_queue_id())
        try:
            for piece in pieces:
                draft.write(piece)
            return draft.finish()
        except BaseException:
            draft.discard()
            raise

    def _job(self, command: str, content: Content, options: str, notify: str) -> NewJob:
        return NewJob(
            new_queue_id(),
            self.form.neighbour,
            JobKind.MAIL,
            USER,
            self.clock(),
            grade=self.grade,
            options=options,
            notify=notify,
            command=command,
            content=content,
        )


def _broken(
    delivery: Delivery, error: MessageBroke, recipients: Iterable[QueuedRecipient]
) -> list[Attempt]:
    status = temporary(str(error), "4.3.0")
    return [Attempt(delivery, one, status, reason=error.reason) for one in recipients]


def _groups(passed: Sequence[_Passed], most_bytes: int) -> Iterator[list[_Passed]]:
    """Neighbours in the order that make at most so many bytes together, or are alone."""
    group: list[_Passed] = []
    size_bytes = 0
    for one in passed:
        size_bytes += one.delivery.message.size_bytes
        if group and size_bytes > most_bytes:
            yield group
            group, size_bytes = [], one.delivery.message.size_bytes
        group.append(one)
    if group:
        yield group


def _why_not_in_batch(address: str) -> Status | None:
    """Why an address cannot stand in a batch, or None."""
    if not address.isascii():
        return permanent("An address by UUCP must be plain ASCII", "5.6.7", 553)
    if not address or _NOT_IN_A_LINE.intersection(address):
        return permanent("This address cannot go in a batch", "5.1.3", 553)
    return None
