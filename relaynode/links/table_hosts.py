"""The hosts that a route names, and how they are written.

relay.example.net       its mail exchangers, or else its addresses
relay.example.net:2525  the same, on another port (an extension)
[relay.example.net]     its addresses, whatever its MX records say
[192.0.2.1]:2525        this address
h1.example:h2.example   one after the other
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from relaynode.config.values import HostPort
from relaynode.wire.resolver import literal

_HOST_LIST = re.compile(r"[^:]*[^0-9:][^:]*(?::[^:]*[^0-9:][^:]*)+")
"""Hosts with colons in between: a last part of digits only is a port."""

_LITERAL = "ipv6:"
"""What an IPv6 address begins with in a mail address: RFC 5321 section 4.1.3."""


@dataclass(frozen=True, slots=True)
class TableHost:
    """One of them. `has_brackets`: its MX records do not count."""

    where: HostPort
    has_brackets: bool


def table_hosts(text: str) -> list[TableHost]:
    """The hosts of a route, in the order in which they are tried. Raises: ValueError."""
    if _HOST_LIST.fullmatch(text):
        return [_table_host(host) for host in text.split(":")]
    return [_table_host(text)]


def _table_host(text: str) -> TableHost:
    if not text.startswith("["):
        return TableHost(HostPort.parse(text), has_brackets=False)
    inner, bracket, port = text[1:].partition("]")
    if not bracket:
        raise ValueError(f'"{text}" lacks its second bracket')
    if inner.lower().startswith(_LITERAL):
        inner = inner[len(_LITERAL) :]
    if ":" in inner:
        return TableHost(HostPort.parse(f"[{inner}]{port}"), has_brackets=True)
    return TableHost(HostPort.parse(inner + port), has_brackets=True)


def far_way(text: str) -> str:
    """How the hosts of a route are found, for people."""
    try:
        hosts = table_hosts(text)
    except ValueError as error:
        return str(error)
    return ", then ".join(map(_found_by, hosts))


def _found_by(one: TableHost) -> str:
    if literal(one.where.host) is not None:
        return f"address {one.where}"
    if one.has_brackets:
        return f"host {one.where} by its addresses"
    return f"MX of {one.where}, asked at delivery"
