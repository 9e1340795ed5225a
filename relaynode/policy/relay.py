"""Who may send where: mail for us from anybody, mail for others from our own networks only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relaynode.mail.address import split
from relaynode.policy.trail import Step

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from relaynode.policy.route import Routing


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a client may send to an address, and why."""

    is_allowed: bool
    trail: tuple[Step, ...]


def may_relay(
    client: str, networks: Sequence[Container[Any]], address: str, routing: Routing
) -> Permission:
    """May `client` (an IP address) send to `address`?

    `networks`: what is allowed to relay; this machine always is.
    """
    _, domain = split(address)
    if routing.is_local(domain):
        # user%other@ours and other!user@ours are local names, and unknown ones: nothing unpacks
        # them, so nothing relays through them.
        return Permission(True, (Step(f"is {domain or 'no domain'} ours", "yes"),))
    where = ipaddress.ip_address(client.partition("%")[0])
    if isinstance(where, ipaddress.IPv6Address) and where.ipv4_mapped is not None:
        where = where.ipv4_mapped
    if where.is_loopback:
        return Permission(True, (Step(f"client {client}", "this machine"),))
    for network in networks:
        if where in network:
            return Permission(True, (Step(f"client {client}", "in a network we serve"),))
    return Permission(False, (Step(f"client {client}", "in no network we serve"),))
