"""Header addresses that lack a domain, completed: `To: ann` at pop.example.net is
`To: ann@pop.example.net` anywhere else.

A mailbox's server knows what it calls its own users, a message on its way must say it. Only these
addresses are touched; lines without any stay byte for byte. (fetchmail calls it rewrite.)
"""

from __future__ import annotations

from relaynode.mail.address import scan
from relaynode.mail.header import fields

ADDRESS_FIELDS = frozenset(
    (
        *(b"from", b"to", b"cc", b"bcc", b"sender", b"reply-to", b"apparently-to"),
        *(b"resent-from", b"resent-to", b"resent-cc", b"resent-bcc", b"resent-sender"),
        b"resent-reply-to",
    )
)


def complete(header: bytes, domain: str) -> bytes:
    """The header with `@domain` behind each address that has none."""
    end = b"@" + domain.encode("ascii", "replace")
    kept: list[bytes] = []
    position = 0
    for field in fields(header):
        if field.name.lower() not in ADDRESS_FIELDS:
            continue
        value = header[field.value_start : field.end]
        for mailbox in scan(value):
            if not mailbox.domain and _is_name(value[mailbox.start : mailbox.end]):
                place = field.value_start + mailbox.end
                kept += [header[position:place], end]
                position = place
    kept.append(header[position:])
    return b"".join(kept)


def _is_name(text: bytes) -> bool:
    """Bang paths and what was broken off at its "@" are none."""
    return b"!" not in text and b"@" not in text
