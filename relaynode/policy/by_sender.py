"""Which sender's entry holds for a message: the keys that are looked up, the most exact first.

    user+tag@example.net   the whole address
    user@example.net       without its detail
    @example.net           its domain

A sender has two faces: the reverse-path as it goes out, after masquerading, and as it was queued.
Each key is looked up for the first, then for the second. The null reverse-path is nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def sender_keys(*addresses: str) -> Iterator[str]:
    """The keys for reverse-paths, in lower case."""
    split = [address.lower().rpartition("@") for address in addresses if "@" in address]
    whole = [f"{user}@{domain}" for user, _, domain in split]
    plain = [f"{user.partition('+')[0]}@{domain}" for user, _, domain in split if user[:1] != "+"]
    domains = [f"@{domain}" for _, _, domain in split]
    yield from dict.fromkeys((*whole, *plain, *domains))
