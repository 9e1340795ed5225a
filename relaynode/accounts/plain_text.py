"""Where a password may be said on a line that others can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relaynode.mail.ip_address import parsed_address

if TYPE_CHECKING:
    from collections.abc import Container, Sequence


def may_log_in_plainly(address: str, networks: Sequence[Container[Any]]) -> bool:
    """May a client at this IP address log in without TLS? This machine may, and who is in one of
    the networks that were named for it."""
    where = parsed_address(address)
    return where.is_loopback or any(where in network for network in networks)
