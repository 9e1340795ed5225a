"""The virtusertable asked about an address of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.policy.refusal import broken
from relaynode.policy.tokens import Tokens, dequote, join, key_of, tokenise
from relaynode.policy.triple import Triple, error

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.canonify import Focus
    from relaynode.policy.names import Names
    from relaynode.policy.trail import Trail
    from relaynode.tables.virtusertable import Virtusertable


def virtual(
    names: Names,
    table: Virtusertable,
    address: Focus,
    trail: Trail,
    recurse: Callable[[Tokens], Triple] | None,
) -> Triple | None:
    """What the table makes of an address, or None if it says nothing of it.

    `recurse` resolves the address that it stands for; None if that has gone on for too long.
    """
    domain = address.bare_host
    if not (address.is_final and (names.is_local(domain) or names.is_virtual(domain))):
        return None
    user = address.user
    plus = user.index("+", 1) if "+" in user[1:] else None
    detail = None if plus is None else key_of(user[plus + 1 :])
    for place, key in enumerate(table.keys(key_of(user[:plus]), detail, key_of(domain))):
        entry = table.entries.get(key.lower())
        trail.look_up("virtusertable", table.file, key, entry)
        if entry is None:
            continue
        if recurse is None:
            return broken(f"virtusertable: {key} leads back to itself")
        value = tokenise(table.result(key, entry, _arguments(user, plus if place else None)))
        return _refusal(value) or recurse(value)
    return None


def _arguments(user: Tokens, plus: int | None) -> tuple[str, ...]:
    """%1, %2, %3: user, detail, and the detail with its plus sign."""
    if plus is None:
        return (join(user),)
    detail = join(user[plus + 1 :])
    return join(user[:plus]), detail, f"+{detail}"


def _refusal(value: Tokens) -> Triple | None:
    """`error:D.S.N:text` or `error:keyword text`."""
    if value[:2] != ("error", ":"):
        return None
    rest = value[2:]
    if len(rest) > 6 and rest[1] == rest[3] == "." and rest[5] == ":":
        return error(rest[:5], rest[6:])
    return error((dequote(rest[0]),), rest[1:]) if len(rest) > 1 else None
