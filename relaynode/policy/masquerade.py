"""What hides our hosts: the genericstable, then the masquerade (sendmail's MasqHdr, MasqEnv)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.policy.canonify import LOCAL, Focus, canonify
from relaynode.policy.known import Known
from relaynode.policy.names import Names, ends_in
from relaynode.policy.tokens import Tokens, join, key_of, tokenise
from relaynode.tables.genericstable import Genericstable

if TYPE_CHECKING:
    from collections.abc import Callable, Set

    from relaynode.policy.role import Role
    from relaynode.policy.trail import Trail


@dataclass(frozen=True, slots=True, kw_only=True)
class Masquerade:
    """The settings. Domains and users in lower case, domains without a trailing dot.

    `names`: what we are called, and MASQUERADE_DOMAIN and GENERICS_DOMAIN.
    `as_domain`: what to show instead (MASQUERADE_AS); "" for no masquerading at all.
    `all_headers`: header recipients too (allmasquerade).
    `envelope`: envelope senders too (masquerade_envelope).
    `local`: in local mailboxes too (unless local_no_masquerade).
    `limited`: only the domains of MASQUERADE_DOMAIN (limited_masquerade).
    `exposed_users`: names that keep their own host (EXPOSED_USER), whatever else holds.
    `exceptions`: domains left alone, with all below them (MASQUERADE_EXCEPTION).
    `genericstable`: addresses that have another of their own.
    `always_add_domain`: names in local mailboxes get a domain.
    `uucp_relay`: the host that bang paths are given to (UUCP_RELAY); "" for our own name.
    `known`, `known_fields`: what was written lately under these settings (`rewrite`).
    """

    names: Names
    as_domain: str = ""
    all_headers: bool = False
    envelope: bool = False
    local: bool = True
    limited: bool = False
    exposed_users: Set[str] = frozenset()
    exceptions: Set[str] = frozenset()
    genericstable: Genericstable = field(default_factory=lambda: Genericstable("genericstable", {}))
    always_add_domain: bool = False
    uucp_relay: str = ""
    known: Known[tuple[str, Role, str, str], str] = field(
        default_factory=lambda: Known(1024), compare=False, repr=False
    )
    known_fields: Known[tuple[bytes, Role, str, str], bytes] = field(
        default_factory=lambda: Known(1024), compare=False, repr=False
    )


def hide(masq: Masquerade, address: Focus, trail: Trail) -> Focus:
    """The address to show for `address` (MasqHdr)."""
    trail.enter("MasqHdr", address.tokens)
    found = _hide(masq, address, trail)
    trail.leave("MasqHdr", found.tokens)
    return found


def hide_in_envelope(masq: Masquerade, address: Focus, trail: Trail) -> Focus:
    """The same for an envelope sender, which is hidden only with masquerade_envelope (MasqEnv)."""
    trail.enter("MasqEnv", address.tokens)
    found = hide(masq, address, trail) if masq.envelope else _qualify(masq, address, trail)
    trail.leave("MasqEnv", found.tokens)
    return found


def _hide(masq: Masquerade, address: Focus, trail: Trail) -> Focus:
    if not address.user or address.rest:
        return address
    generic = _generic(masq, address, trail)
    if generic is not None:
        if "@" in generic:
            return canonify(masq.names, generic, trail)
        address = canonify(masq.names, (*generic, "@", *LOCAL), trail)
    return _masquerade(masq, address, trail)


def _masquerade(masq: Masquerade, address: Focus, trail: Trail) -> Focus:
    host = address.bare_host
    domain = join(host)
    if address.host is None:
        return address
    if address.host != LOCAL:
        if not address.is_final or not _is_ours(masq, host):
            trail.note(f"hide {domain}", "not ours")
            return address
        if masq.exceptions and ends_in(masq.exceptions, host):
            trail.note(f"hide {domain}", "an exception")
            return address
    if not masq.as_domain:
        return _qualify(masq, address, trail)
    user = join(address.user)
    if user.lower() in masq.exposed_users:
        trail.note(f"hide {user}", "an exposed user")
        return _qualify(masq, address, trail)
    shown = "no domain" if address.host == LOCAL else domain
    trail.note(f"hide {shown}", f"masqueraded as {masq.as_domain}")
    return address.at((*tokenise(masq.as_domain), "."))


def _qualify(masq: Masquerade, address: Focus, trail: Trail) -> Focus:
    if address.host != LOCAL:
        return address
    trail.note("no domain", f"qualified with {masq.names.hostname}")
    return address.at((*masq.names.own_tokens, "."))


def _is_ours(masq: Masquerade, host: Tokens) -> bool:
    """Whether the masquerade stands for this domain."""
    if masq.names.is_masqueraded(host):
        return True
    return not masq.limited and masq.names.is_local(host)


def _generic(masq: Masquerade, address: Focus, trail: Trail) -> Tokens | None:
    """What the genericstable says about a sender of ours, or None."""
    is_local = address.host == LOCAL
    host = address.bare_host
    if not masq.genericstable.entries:
        return None
    if not is_local and not (address.is_final and masq.names.is_generic(host)):
        return None
    table = masq.genericstable
    domain = masq.names.hostname if is_local else key_of(host)
    keys = (
        table.keys(*_parts(address.user, text), domain, is_qualified=not is_local)
        for text in (key_of, join)
    )
    for (key, _), (_, arguments) in zip(*keys, strict=True):  # values keep quotes, keys do not
        entry = table.entries.get(key.lower())
        trail.look_up("genericstable", table.file, key, entry)
        if entry is not None:
            return tokenise(table.result(key, entry, arguments))
    return None


def _parts(user: Tokens, text: Callable[[Tokens], str]) -> tuple[str, str | None]:
    """User and detail; the detail is None where there is no plus sign."""
    plus = user.index("+", 1) if "+" in user[1:] else None
    return text(user[:plus]), None if plus is None else text(user[plus + 1 :])
