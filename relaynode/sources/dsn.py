"""The DSN source: what the sender of a message that failed is sent (RFC 3464).

Whom it goes to: the reverse-path; for mail that has none, the postmaster, so that nothing ends
unseen; and a DSN to the postmaster that fails makes no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import TableError
from relaynode.mail import dsn, trace
from relaynode.mail.address import split
from relaynode.mail.envelope import NULL_PATH, Envelope, Recipient
from relaynode.mail.header import find_header_end
from relaynode.queue.content import INLINE_BYTES, Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.model import Delivery, NewMessage, QueuedRecipient
from relaynode.sources.intake import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.mail.status import Status
    from relaynode.rules import Rules


@dataclass(frozen=True, slots=True)
class Failed:
    """One recipient for whom trying is over."""

    recipient: QueuedRecipient
    status: Status
    relay: str
    dialogue: tuple[str, ...] = ()


class DsnSource:
    """Makes DSNs. `postmaster`: a local name or an address."""

    def __init__(
        self,
        rules: Rules,
        *,
        hostname: str,
        postmaster: str,
        utc_offset_minutes: Callable[[float], int],
    ) -> None:
        self._rules = rules
        self._hostname = hostname
        self._postmaster = postmaster
        self._utc_offset_minutes = utc_offset_minutes

    def notice(self, delivery: Delivery, failed: Sequence[Failed], now: float) -> NewMessage | None:
        """The DSN for the recipients of a delivery that failed, or None if nobody is to be told.

        Raises: StoreError when the content cannot be read.
        """
        wanted = [one for one in failed if self._is_wanted(one)]
        reverse_path = delivery.message.envelope.reverse_path
        told = reverse_path or self._postmaster
        if not wanted or (not reverse_path and self._concerns_postmaster(wanted)):
            return None
        queue_id = new_queue_id()
        original, is_complete = self._original(delivery)
        report = dsn.build(
            [self._failure(one, now) for one in wanted],
            reporting_mta=self._hostname,
            queue_id=queue_id,
            arrived_at=delivery.message.arrived_at,
            envid=delivery.message.envelope.envid,
            original=original,
            original_is_complete=is_complete,
            reverse_path=told,
            from_text=f"from {delivery.message.source}",
            now=now,
            utc_offset_minutes=self._utc_offset_minutes(now),
            for_postmaster=not reverse_path,
        )
        received = trace.received(
            trace.own_origin(),
            by=self._hostname,
            program=PROGRAM,
            queue_id=queue_id,
            now=now,
            utc_offset_minutes=self._utc_offset_minutes(now),
        )
        envelope = Envelope(
            NULL_PATH,
            self._recipients(told),
            body="8BITMIME" if report.is_8bit else "",
            smtputf8=not told.isascii(),
        )
        content = Content.of(report.content)
        body = report.content[find_header_end(report.content) :]
        return NewMessage(
            queue_id,
            envelope,
            received,
            content,
            "DSN",
            now,
            lines=report.content.count(b"\n"),
            body_bytes=len(body) - body.count(b"\n"),
        )

    @staticmethod
    def _is_wanted(failed: Failed) -> bool:
        """RFC 3461 4.1: NEVER, or a list without FAILURE, asks for silence."""
        notify = failed.recipient.forward_path.notify
        return not notify or "FAILURE" in notify.split(",")

    def _concerns_postmaster(self, failed: Sequence[Failed]) -> bool:
        names = {split(self._postmaster)[0].lower(), "postmaster"}
        return any(
            split(path)[0].lower() in names
            for one in failed
            for path in (
                one.recipient.forward_path.address,
                one.recipient.forward_path.expanded_from,
            )
        )

    @staticmethod
    def _failure(failed: Failed, now: float) -> dsn.Failure:
        path = failed.recipient.forward_path
        remote = failed.relay.partition(" ")[0] if "[" in failed.relay else ""
        return dsn.Failure(
            address=path.address,
            status=failed.status,
            attempted_at=now,
            expanded_from=path.expanded_from,
            orcpt=path.orcpt,
            remote_mta=remote.strip("[]"),
            dialogue=failed.dialogue,
        )

    @staticmethod
    def _original(delivery: Delivery) -> tuple[bytes, bool]:
        """The message to return: all of a short one unless RET=HDRS, the start of a long one."""
        envelope, content = delivery.message.envelope, delivery.content
        is_complete = envelope.ret != "HDRS" and content.size_bytes <= INLINE_BYTES
        return delivery.trace + content.head(INLINE_BYTES), is_complete

    def _recipients(self, told: str) -> tuple[Recipient, ...]:
        """Whom the DSN goes to: aliases expanded, and the name as it is where that fails."""
        try:
            expansion = self._rules.expander.expand(told)
        except TableError:
            return (Recipient(told),)
        return expansion.recipients or (Recipient(told),)
