"""A client's IP address as it counts: without a zone, and without IPv6 clothes over IPv4."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_PREFIX_BITS = 64
"""Of an IPv6 network out of which one machine can take any address."""


@lru_cache(maxsize=1024)
def parsed_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address in IPv6 clothes (::ffff:192.0.2.1) without them. Raises: ValueError."""
    where = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(where, ipaddress.IPv6Address) and where.ipv4_mapped is not None:
        return where.ipv4_mapped
    return where


@lru_cache(maxsize=1024)
def plain_address(address: str) -> str:
    """The same as a text. Raises: ValueError."""
    return str(parsed_address(address))


@lru_cache(maxsize=1024)
def client_key(address: str) -> str:
    """What counts as one client: an IPv4 address, or a whole /64. Raises: ValueError."""
    where = parsed_address(address)
    if isinstance(where, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(where), _PREFIX_BITS), strict=False))
    return str(where)
