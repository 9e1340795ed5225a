"""A consignment as a transaction: what MAIL and RCPT say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.policy import rewrite
from relaynode.policy.role import Role
from relaynode.queue.ids import once_id
from relaynode.smtp.transaction import Transaction

if TYPE_CHECKING:
    from relaynode.mailers.mailer import Consignment
    from relaynode.policy.masquerade import Masquerade


def transaction_of(
    consignment: Consignment,
    size_bytes: int,
    masquerade: Masquerade,
    *,
    mailer: str,
    hostname: str,
    tag: object = None,
) -> Transaction:
    """What a session sends. `size_bytes`: of the content as it goes out. `mailer`: for the form of
    addresses. `hostname`: ours. `tag`: see Transaction."""
    message = consignment.delivery.message
    envelope = message.envelope
    paths = [
        type(recipient.forward_path)(
            address,
            recipient.forward_path.notify,
            recipient.forward_path.orcpt,
        )
        for recipient, address in zip(
            consignment.delivery.recipients, consignment.addresses, strict=True
        )
    ]
    role = Role.ENVELOPE_SENDER
    return Transaction(
        tag=tag,
        reverse_path=rewrite.rewritten(masquerade, envelope.reverse_path, role, mailer=mailer),
        recipients=paths,
        size_bytes=size_bytes,
        is_8bit=envelope.body == "8BITMIME",
        smtputf8=envelope.smtputf8 or needs_utf8(consignment),
        ret=envelope.ret,
        envid=envelope.envid,
        once_id=once_id(message.queue_id, hostname),
    )


def needs_utf8(consignment: Consignment) -> bool:
    """Does the envelope need RFC 6531?"""
    reverse_path = consignment.delivery.message.envelope.reverse_path
    return not all(map(str.isascii, (reverse_path, *consignment.addresses)))
