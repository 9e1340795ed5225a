"""The DSN source: what the sender of a message is sent about it (RFC 3464), when RFC 3461 wants it.

    failed     to the reverse-path, unless NOTIFY is NEVER or a list without FAILURE
    delayed    to the reverse-path, unless NOTIFY is NEVER or a list without DELAY
    delivered, to the reverse-path if NOTIFY has SUCCESS
    relayed

Mail without a reverse-path (DSNs have none) is told of only when it fails, and then the postmaster
is, so that nothing ends unseen: a double bounce. A double bounce that fails is dropped with a line
in the log, so there is no loop.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import TableError
from relaynode.mail import dsn, trace
from relaynode.mail.address import split
from relaynode.mail.dsn_words import LANGUAGES
from relaynode.mail.envelope import NULL_PATH, Envelope, Recipient
from relaynode.mail.header import find_header_end
from relaynode.mail.lines import count_lines
from relaynode.mail.logline import clean
from relaynode.queue.content import INLINE_BYTES, Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.model import Delivery, NewMessage, QueuedRecipient
from relaynode.sources.intake import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.mail.status import Status
    from relaynode.queue.model import QueuedMessage
    from relaynode.rules import Rules

log = logging.getLogger("relaynode")

DSN = "DSN"
DOUBLE_BOUNCE = "double bounce"
"""Sources of the messages that are made here, as the queue tells them."""

_WANTED = {"failed": "FAILURE", "delayed": "DELAY", "delivered": "SUCCESS", "relayed": "SUCCESS"}
_UNASKED = frozenset(("FAILURE", "DELAY"))
"""What a sender is told of who does not say what it wants (RFC 3461 4.1 leaves DELAY to us)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one recipient. `relay`: who said so."""

    recipient: QueuedRecipient
    status: Status
    relay: str
    dialogue: tuple[str, ...] = ()


class DsnSource:
    """Makes DSNs. `postmaster`: a local name or an address. `language`: of the text for people, one
    of mail/dsn_words."""

    def __init__(
        self,
        rules: Rules,
        *,
        hostname: str,
        postmaster: str,
        utc_offset_minutes: Callable[[float], int],
        language: str = "en",
    ) -> None:
        self._rules = rules
        self._hostname = hostname
        self._postmaster = postmaster
        self._utc_offset_minutes = utc_offset_minutes
        self._language = language
        self._words = LANGUAGES[language]

    def notice(
        self,
        delivery: Delivery,
        told: Sequence[Told],
        now: float,
        action: dsn.Action = "failed",
        retry_until: float | None = None,
    ) -> NewMessage | None:
        """The DSN for recipients of a delivery that share an action; None if nobody is to be told.

        `retry_until`: for "delayed", when we shall give up, epoch seconds. Raises: StoreError when
        the content cannot be read.
        """
        message = delivery.message
        reverse_path = message.envelope.reverse_path
        wanted = [one for one in told if is_wanted(one.recipient, action)]
        if not wanted or (not reverse_path and not self._is_double_bounce(message, wanted, action)):
            return None
        to = reverse_path or self._postmaster
        queue_id = new_queue_id()
        original, is_complete = self._original(delivery)
        report = dsn.build(
            [self._failure(one, now) for one in wanted],
            reporting_mta=self._hostname,
            queue_id=queue_id,
            arrived_at=message.arrived_at,
            envid=message.envelope.envid,
            original=original,
            original_is_complete=is_complete and action == "failed",  # RFC 3461 4.3
            reverse_path=to,
            from_text=self._words.source.format(source=message.source),
            now=now,
            utc_offset_minutes=self._utc_offset_minutes(now),
            action=action,
            retry_until=retry_until,
            for_postmaster=not reverse_path,
            language=self._language,
        )
        source = DSN if reverse_path else DOUBLE_BOUNCE
        return self._message(
            queue_id, to, report.content, now, is_8bit=report.is_8bit, source=source
        )

    def poison(self, message: QueuedMessage, now: float) -> NewMessage:
        """The letter to the postmaster about a message that was set aside."""
        queue_id = new_queue_id()
        sender = f"<{message.envelope.reverse_path}>"
        values = {"queue_id": message.queue_id, "sender": sender}
        words = self._words
        lines = [
            f"Date: {trace.rfc5322_date(now, self._utc_offset_minutes(now))}",
            f"From: Mail Delivery Subsystem <MAILER-DAEMON@{self._hostname}>",
            f"Message-Id: <{trace.moment(now):%Y%m%d%H%M}.{queue_id}@{self._hostname}>",
            f"To: {self._postmaster}",
            f"Subject: {dsn.encoded_words(words.poison_subject.format(**values))}",
            "Auto-Submitted: auto-generated (postmaster-notification)",
            "MIME-Version: 1.0",
        ]
        header = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
        text = dsn.text_part(line.format(**values) for line in words.poison)
        return self._message(queue_id, self._postmaster, header + text, now, source=DOUBLE_BOUNCE)

    def _message(
        self, queue_id: str, to: str, data: bytes, now: float, *, source: str, is_8bit: bool = False
    ) -> NewMessage:
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
            self._recipients(to),
            body="8BITMIME" if is_8bit else "",
            smtputf8=not to.isascii(),
        )
        body = data[find_header_end(data) :]
        return NewMessage(
            queue_id,
            envelope,
            received,
            Content.of(data),
            source,
            now,
            lines=count_lines(data),
            body_bytes=len(body) - count_lines(body),
        )

    def _is_double_bounce(
        self, message: QueuedMessage, failed: Sequence[Told], action: dsn.Action
    ) -> bool:
        """Is the postmaster to be told of mail that nobody sent?"""
        if action != "failed":
            return False
        if message.source == DOUBLE_BOUNCE or self._concerns_postmaster(failed):
            whom = ", ".join(one.recipient.forward_path.address for one in failed)
            log.error(
                "%s: dropped: it has no sender, and not even the postmaster can be told: %s: %s",
                message.queue_id,
                clean(whom),
                clean(str(failed[0].status)),
            )
            return False
        return True

    def _concerns_postmaster(self, failed: Sequence[Told]) -> bool:
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
    def _failure(failed: Told, now: float) -> dsn.Failure:
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


def is_wanted(recipient: QueuedRecipient, action: dsn.Action) -> bool:
    """RFC 3461 4.1: does the sender want to hear of this?"""
    notify = recipient.forward_path.notify
    return _WANTED[action] in (notify.split(",") if notify else _UNASKED)
