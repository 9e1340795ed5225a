"""Masquerading: which address a message shows to the world. Done while a message is sent.

The rules are sendmail's MASQUERADE_AS and its kin. An address plays one of four roles:

    header sender       From, Sender, Reply-To ...   masqueraded
    header recipient    To, Cc, Bcc ...              masqueraded with `all_headers`
    envelope sender     the reverse-path             masqueraded with `envelope`
    envelope recipient  a forward-path               never: the mail would go astray

A name without a domain gets one in any role: the masquerade's where the role is masqueraded, else
our own. `rewrite` decides for one address and tells how; `header` applies the same decision to
the fields of a message and changes no byte beside the addresses.

Not here: genericstable, the bang paths that go to UUCP neighbours, and where mail goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from relaynode.mail.address import join, normalise_domain, scan, split
from relaynode.mail.header import fields


class Role(Enum):
    """What an address is in a message."""

    HEADER_SENDER = "header-sender"
    HEADER_RECIPIENT = "header-recipient"
    ENVELOPE_SENDER = "envelope-sender"
    ENVELOPE_RECIPIENT = "envelope-recipient"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Masquerade:
    """The settings. All domains in lower case, without a trailing dot; users in lower case.

    `hostname`: our own name, always one of ours.
    `as_domain`: what to show instead (MASQUERADE_AS); "" for no masquerading at all.
    `all_headers`: header recipients too (allmasquerade).
    `envelope`: envelope senders too (masquerade_envelope).
    `exposed_users`: names that keep their own host (EXPOSED_USER), whatever else holds.
    `local_domains`: names of ours (class w).
    `masquerade_domains`: further domains to hide (MASQUERADE_DOMAIN), with all below them if
    `entire_domain` (masquerade_entire_domain).
    `exceptions`: domains left alone, with all below them (MASQUERADE_EXCEPTION).
    `uucp_relay`: the host that bang paths are given to (UUCP_RELAY); "" for our own name.
    """

    hostname: str
    as_domain: str = ""
    all_headers: bool = False
    envelope: bool = False
    exposed_users: frozenset[str] = frozenset()
    local_domains: frozenset[str] = frozenset()
    masquerade_domains: frozenset[str] = frozenset()
    entire_domain: bool = False
    exceptions: frozenset[str] = frozenset()
    uucp_relay: str = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """An address as it goes out, and the steps that led there, one sentence each."""

    result: str
    trail: tuple[str, ...]


def rewrite(masq: Masquerade, address: str, role: Role, *, qualify: bool = True) -> Rewrite:
    """What `address` ("local@domain", "local", "") becomes in `role`.

    `qualify` is false for mail to local mailboxes, where a name without a domain stays as it is.
    An address that no rule concerns comes back as it was; only a trailing dot goes. Never raises.
    """
    if address in ("", "<>"):
        return Rewrite(address, ("the null path stays",))
    trail: list[str] = []
    local, domain = _canonical(masq, *split(address), qualify, trail)
    if domain or qualify:
        domain = _outward_domain(masq, local, domain, role, trail)
    else:
        trail.append("a local mailer takes a name without a domain")
    return Rewrite(join(local, domain), tuple(trail))


def envelope_sender(masq: Masquerade, path: str) -> Rewrite:
    """What a reverse-path becomes; the null path stays null."""
    return rewrite(masq, path, Role.ENVELOPE_SENDER)


def envelope_recipient(masq: Masquerade, path: str) -> Rewrite:
    """What a forward-path becomes: it gets our name if it has no domain, nothing else."""
    return rewrite(masq, path, Role.ENVELOPE_RECIPIENT)


def header(masq: Masquerade, header_bytes: bytes, *, qualify: bool = True) -> bytes:
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
        for mailbox in scan(header_bytes[field.value_start : field.end]):
            address = mailbox.address
            result = rewrite(masq, address, role, qualify=qualify).result
            if result != address:
                pieces.append(header_bytes[position : field.value_start + mailbox.start])
                pieces.append(result.encode("utf-8", "surrogateescape"))
                position = field.value_start + mailbox.end
    pieces.append(header_bytes[position:])
    return b"".join(pieces)


def _canonical(
    masq: Masquerade, local: str, domain: str, qualify: bool, trail: list[str]
) -> tuple[str, str]:
    """Other ways to write an address turned into local part and domain."""
    uucp_relay = masq.uucp_relay if qualify else ""
    domain = domain.removesuffix(".")
    if not domain:
        local, domain = _unqualified(local, uucp_relay, trail)
    node, dot, top = domain.rpartition(".")
    if dot and top.lower() == "uucp":
        local, domain = f"{node}!{local}", uucp_relay
        trail.append(f"a UUCP address is written as {local}")
    if normalise_domain(domain) == "localhost":
        domain = masq.hostname
        trail.append(f"localhost is {domain}")
    return local, domain


def _unqualified(local: str, uucp_relay: str, trail: list[str]) -> tuple[str, str]:
    """What a text without a domain means: a bang path, the % form, or just a name."""
    if local.startswith('"'):
        return local, ""
    host, bang, user = local.partition("!")
    if bang and host and user:
        if "." in host:
            trail.append(f"{local} is {user} at {host}")
            return user, host
        if uucp_relay:
            trail.append(f"a bang path is given to {uucp_relay}")
        return local, uucp_relay
    user, percent, host = local.rpartition("%")
    if percent and host and user:
        trail.append(f"{local} is {user} at {host}")
        return user, host
    return local, ""


def _outward_domain(masq: Masquerade, local: str, domain: str, role: Role, trail: list[str]) -> str:
    """The domain to show: the same, our own name, or the masquerade."""
    own = domain or masq.hostname
    if not _masquerades(masq, role):
        trail.append(f"{role.value} addresses are not masqueraded")
    elif domain and _is_below(domain, masq.exceptions):
        trail.append(f"{domain} is an exception")
    elif not _is_hidden(masq, domain):
        trail.append(f"{domain} is not ours")
    elif local.lower() in masq.exposed_users:
        trail.append(f"{local} is an exposed user")
    else:
        trail.append(f"{domain or 'no domain'} is masqueraded as {masq.as_domain}")
        return masq.as_domain
    if not domain:
        trail.append(f"no domain: qualified with {own}")
    return own


def _masquerades(masq: Masquerade, role: Role) -> bool:
    if not masq.as_domain:
        return False
    return (
        role is Role.HEADER_SENDER
        or (role is Role.HEADER_RECIPIENT and masq.all_headers)
        or (role is Role.ENVELOPE_SENDER and masq.envelope)
    )


def _is_hidden(masq: Masquerade, domain: str) -> bool:
    """Whether the masquerade stands for this domain ("" is ours)."""
    name = normalise_domain(domain)
    if name in ("", masq.hostname) or name in masq.local_domains:
        return True
    if masq.entire_domain:
        return _is_below(name, masq.masquerade_domains)
    return name in masq.masquerade_domains


def _is_below(domain: str, ancestors: frozenset[str]) -> bool:
    """Whether the domain is one of `ancestors` or a sub-domain of one."""
    labels = normalise_domain(domain).split(".")
    return any(".".join(labels[i:]) in ancestors for i in range(len(labels)))
