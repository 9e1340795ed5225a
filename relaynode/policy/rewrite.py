"""Which address a message shows to the world. Done while a message is sent.

An address plays one of four roles:

    header sender       From, Sender, Reply-To ...   masqueraded
    header recipient    To, Cc, Bcc ...              masqueraded with `all_headers`
    envelope sender     the reverse-path             masqueraded with `envelope`
    envelope recipient  a forward-path               never: the mail would go astray

`rewrite` decides for one address and one mailer, and tells how; `header` applies the same decision
to the fields of a message and changes no byte beside the addresses. What is hidden is decided in
`masquerade.py`, how each mailer writes an address in `forms.py` and `mailer_forms.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from relaynode.mail.address import scan
from relaynode.mail.header import fields
from relaynode.policy.canonify import canonify
from relaynode.policy.forms import Place, written
from relaynode.policy.mailer_forms import form
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.ordinary import PROBE, ordinary
from relaynode.policy.role import SENDERS, Role
from relaynode.policy.tokens import MAX_ADDRESS_CHARS, join, tokenise
from relaynode.policy.trail import Passage, Step, Trail

MAX_KNOWN_FIELD_BYTES = 256
"""Longer fields are not kept in mind."""

# The fields that sendmail marks as naming senders and recipients. Return-Path is not among them:
# it is a trace field, written by the final mailer.
_ROLE_OF_FIELD = {
    b"from": Role.HEADER_SENDER,
    b"sender": Role.HEADER_SENDER,
    b"reply-to": Role.HEADER_SENDER,
    b"errors-to": Role.HEADER_SENDER,
    b"disposition-notification-to": Role.HEADER_SENDER,
    b"resent-from": Role.HEADER_SENDER,
    b"resent-sender": Role.HEADER_SENDER,
    b"resent-reply-to": Role.HEADER_SENDER,
    b"to": Role.HEADER_RECIPIENT,
    b"cc": Role.HEADER_RECIPIENT,
    b"bcc": Role.HEADER_RECIPIENT,
    b"apparently-to": Role.HEADER_RECIPIENT,
    b"resent-to": Role.HEADER_RECIPIENT,
    b"resent-cc": Role.HEADER_RECIPIENT,
    b"resent-bcc": Role.HEADER_RECIPIENT,
}


@dataclass(frozen=True, slots=True)
class Rewrite:
    """An address as it goes out, and what led there."""

    result: str
    trail: tuple[Step, ...]
    passages: tuple[Passage, ...] = ()


def rewrite(
    masq: Masquerade, address: str, role: Role, *, mailer: str = "esmtp", host: str = ""
) -> Rewrite:
    """What `address` ("local@domain", "local", "") becomes in `role`.

    `mailer`: a name of `mailer_forms.KINDS`. `host`: the next hop it is to reach: a UUCP neighbour
    is not told its own name. The null path stays, and what no address can be. Never raises.
    """
    trail = Trail()
    if address in ("", "<>"):
        trail.note("the null path", "stays")
        return Rewrite(address, tuple(trail.steps))
    if len(address) > MAX_ADDRESS_CHARS:
        trail.note("too long for an address", "stays")
        return Rewrite(address, tuple(trail.steps))
    place = Place(masq.names, host, masq.uucp_relay, masq.always_add_domain, trail)
    focus = canonify(masq.names, tokenise(address), trail)
    common = "1" if role in SENDERS else "2"  # sendmail's rulesets for all mailers; empty ones
    trail.enter(common, focus.tokens)
    trail.leave(common, focus.tokens)
    row = written(form(masq, mailer, role, focus, place), place)
    return Rewrite(join(row), tuple(trail.steps), tuple(trail.passages))


def rewritten(
    masq: Masquerade, address: str, role: Role, *, mailer: str = "esmtp", host: str = ""
) -> str:
    """The result of `rewrite`. What was asked for lately is known: in a queue the same senders come
    again and again."""
    key = (address, role, mailer, host)
    known = masq.known.get(key)
    if known is None:
        if _stays(masq, address, role, mailer, host):
            return address
        known = masq.known.note(key, rewrite(masq, address, role, mailer=mailer, host=host).result)
    return known


def _stays(masq: Masquerade, address: str, role: Role, mailer: str, host: str) -> bool:
    """Is this an ordinary address of a domain whose addresses are left as they are, whoever it is?

    Without a genericstable only the domain decides. Users that are exposed keep their domain, as
    all do where it stays.
    """
    found = ordinary(address)
    if found is None or masq.genericstable.entries:
        return False
    key = ("@" + found, role, mailer, host)
    known = masq.known.get(key)
    if known is None:
        probe = f"{PROBE}@{found}"
        known = masq.known.note(key, rewrite(masq, probe, role, mailer=mailer, host=host).result)
    return known == f"{PROBE}@{found}"


def header(
    masq: Masquerade, header_bytes: bytes, *, mailer: str = "esmtp", host: str = ""
) -> bytes:
    """Rewrite the addresses in all fields that name senders or recipients.

    `header_bytes`: whole fields in wire form; what follows the header, if anything, is left alone.
    Phrases, comments, groups, folding and spacing stay byte for byte. Never raises.
    """
    pieces: list[bytes] = []
    position = 0
    for field in fields(header_bytes):
        role = _ROLE_OF_FIELD.get(field.name.lower())
        if role is None:
            continue
        value = header_bytes[field.value_start : field.end]
        written = _field(masq, value, role, mailer, host)
        if written != value:
            pieces += (header_bytes[position : field.value_start], written)
            position = field.end
    pieces.append(header_bytes[position:])
    return b"".join(pieces)


def _field(masq: Masquerade, value: bytes, role: Role, mailer: str, host: str) -> bytes:
    """A field's value with its addresses rewritten. Short ones are kept in mind: the same people
    write again and again."""
    key = (value, role, mailer, host)
    known = masq.known_fields.get(key)
    if known is None:
        known = _rewritten_field(masq, value, role, mailer, host)
        if len(value) <= MAX_KNOWN_FIELD_BYTES:
            masq.known_fields.note(key, known)
    return known


def _rewritten_field(masq: Masquerade, value: bytes, role: Role, mailer: str, host: str) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for mailbox in scan(value):
        address = mailbox.address
        result = rewritten(masq, address, role, mailer=mailer, host=host)
        if result != address:
            pieces += (value[position : mailbox.start], result.encode("utf-8", "surrogateescape"))
            position = mailbox.end
    pieces.append(value[position:])
    return b"".join(pieces)
