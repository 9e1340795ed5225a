"""Addresses in which nothing but the domain can matter: what is found for one of a domain holds for
all of them. A queue is full of such, and the rules are long.
"""

from __future__ import annotations

import re

PROBE = "somebody"
"""A name that no rule or table knows; it stands for all others."""

_ORDINARY = re.compile(r"[a-z0-9]+(?:[._][a-z0-9]+)*@([a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.ASCII)


def ordinary(address: str) -> str | None:
    """The domain of `local@domain` in lower case, without quotes, routes, details or a literal;
    None for any other address."""
    found = _ORDINARY.fullmatch(address) if len(address) <= 254 else None
    return None if found is None else found[1]
