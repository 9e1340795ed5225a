"""Reason codes: why a recipient waits, failed or is done, in one word that scripts can rely on.

A code is kept with the recipient's last status and shown by `relaynode why`; docs/why.md explains
each. Codes are never renamed; a new cause is a new code. Errors carry them as plain strings
(`errors.py` lies below this file).

What a server's reply means is read from its enhanced code (RFC 3463, RFC 5248, RFC 7505), else from
its code (RFC 5321 4.2) and the command that it answered. Only greylisting has no code of its own
(RFC 6647 2.5), so its name is looked for in the text.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from relaynode.mail.status import Status

Stage = Literal["", "MAIL", "RCPT", "DATA"]
"""What a reply answered; DATA stands for the content and its end."""


class Reason(StrEnum):
    """Every code there is."""

    # nothing is wrong
    DELIVERED = "delivered"
    WAITING = "waiting"
    BEING_DELIVERED = "being-delivered"
    WAITS_TO_BE_ASKED = "waits-to-be-asked"
    DISCARDED = "discarded"
    # somebody here keeps or took it
    HELD = "held"
    QUARANTINED = "quarantined"
    POISON = "poison"
    REMOVED = "removed"
    # the line and the way to the host
    LINK_DOWN = "link-down"
    NO_NETWORK = "no-network"
    NO_ROUTE = "no-route"
    CALL_FAILED = "call-failed"
    DNS_NO_SUCH_HOST = "dns-no-such-host"
    DNS_TEMPORARY = "dns-temporary"
    DNSSEC_BOGUS = "dnssec-bogus"
    NULL_MX = "null-mx"
    MAIL_LOOP = "mail-loop"
    CONNECT_FAILED = "connect-failed"
    CONNECT_REFUSED = "connect-refused"
    CONNECT_TIMEOUT = "connect-timeout"
    LINE_LOST = "line-lost"
    TIMED_OUT = "timed-out"
    MAY_HAVE_BEEN_ACCEPTED = "may-have-been-accepted"
    PROTOCOL_ERROR = "protocol-error"
    CALLED_OFF = "called-off"
    BUDGET = "budget"
    # the session
    GREETING_REFUSED = "greeting-refused"
    HELLO_REFUSED = "hello-refused"
    CLOSING_421 = "closing-421"
    TLS_NOT_OFFERED = "tls-not-offered"
    TLS_REFUSED = "tls-refused"
    TLS_CERTIFICATE = "tls-certificate"
    TLS_FAILED = "tls-failed"
    DANE_FAILED = "dane-failed"
    AUTH_REFUSED = "auth-refused"
    AUTH_NO_MECHANISM = "auth-no-mechanism"
    AUTH_REQUIRED = "auth-required"
    SERVER_NOT_PROVEN = "server-not-proven"
    SECRET_UNAVAILABLE = "secret-unavailable"
    REFUSED = "refused"
    # this message, this recipient
    REJECTED_SENDER = "rejected-sender"
    REJECTED_RECIPIENT = "rejected-recipient"
    REJECTED_CONTENT = "rejected-content"
    REJECTED_BY_TABLE = "rejected-by-table"
    MAILBOX_FULL = "mailbox-full"
    SERVER_FULL = "server-full"
    TOO_LARGE = "too-large"
    NO_SMTPUTF8 = "no-smtputf8"
    BAD_ADDRESS = "bad-address"
    GREYLISTED = "greylisted"
    DEFERRED_BY_SERVER = "deferred-by-server"
    PROGRAM_FAILED = "program-failed"
    EXPIRED = "expired"
    # our own side
    TABLE_UNREADABLE = "table-unreadable"
    CONFIGURATION = "configuration"
    LOCAL_ERROR = "local-error"
    MESSAGE_BROKE = "message-broke"


_GREYLISTED = re.compile(r"gr[ae]y[- ]?list", re.IGNORECASE)

_BY_ENHANCED: dict[str, Reason] = {
    "1.0": Reason.REJECTED_RECIPIENT,
    "1.1": Reason.REJECTED_RECIPIENT,
    "1.2": Reason.REJECTED_RECIPIENT,
    "1.3": Reason.REJECTED_RECIPIENT,
    "1.4": Reason.REJECTED_RECIPIENT,
    "1.6": Reason.REJECTED_RECIPIENT,
    "1.7": Reason.REJECTED_SENDER,
    "1.8": Reason.REJECTED_SENDER,
    "1.10": Reason.NULL_MX,
    "2.1": Reason.REJECTED_RECIPIENT,
    "2.2": Reason.MAILBOX_FULL,
    "2.3": Reason.TOO_LARGE,
    "3.1": Reason.SERVER_FULL,
    "3.4": Reason.TOO_LARGE,
    "4.6": Reason.MAIL_LOOP,
    "5.1": Reason.PROTOCOL_ERROR,
    "5.2": Reason.PROTOCOL_ERROR,
    "5.4": Reason.PROTOCOL_ERROR,
    "6.7": Reason.NO_SMTPUTF8,
    "7.8": Reason.AUTH_REFUSED,
    "7.27": Reason.REJECTED_SENDER,
}
"""Subject and detail of RFC 3463 that say by themselves what is the matter."""

_TEMPORARY = frozenset((Reason.MAILBOX_FULL, Reason.SERVER_FULL, Reason.TOO_LARGE))
"""What a reply that may pass is told apart by; for the rest it is enough that the server waits."""

_BY_STAGE: dict[Stage, Reason] = {
    "MAIL": Reason.REJECTED_SENDER,
    "RCPT": Reason.REJECTED_RECIPIENT,
    "DATA": Reason.REJECTED_CONTENT,
}


def of_status(status: Status, stage: Stage = "") -> Reason:
    """What a reply, or a status in its form, means for a recipient."""
    if status.is_success:
        return Reason.DELIVERED
    if status.code == 421:
        return Reason.CLOSING_421
    if status.code == 530:  # RFC 4954 6: authentication required
        return Reason.AUTH_REQUIRED
    found = _BY_ENHANCED.get(status.enhanced.partition(".")[2])
    if status.is_temporary:
        return _of_temporary(status, found, stage)
    if found is None and status.code == 552:
        # RFC 5321 4.2.3: storage exceeded; RFC 1870 6.1 uses the same for the size of a message.
        return Reason.MAILBOX_FULL if stage == "RCPT" else Reason.TOO_LARGE
    return found or _BY_STAGE.get(stage, Reason.REFUSED)


def _of_temporary(status: Status, found: Reason | None, stage: Stage) -> Reason:
    if _GREYLISTED.search(status.text):
        return Reason.GREYLISTED
    if found in _TEMPORARY:
        return found
    if not status.enhanced and status.code == 452 and stage != "RCPT":
        return Reason.SERVER_FULL  # RFC 5321 4.2.3; to RCPT it also means too many (4.5.3.1.10)
    return Reason.DEFERRED_BY_SERVER
