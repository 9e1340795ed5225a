"""Who is at the other end of an SMTP session, as far as it is known."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum

from relaynode.mail.ip_address import parsed_address


class NameState(Enum):
    """How the look-up of a client's name ended."""

    NOT_ASKED = "not asked"
    VERIFIED = "its name leads back to it"
    NONE = "it has no name"
    FORGED = "its name leads elsewhere"
    UNRESOLVED = "its name could not be looked up now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An SMTP client. `address`: its IP address, as ipaddress reads it.

    `name`: what DNS calls it. `is_trusted`: it is in a network that this node serves.
    `is_authenticated`: it has proved who it is. `is_local_user`: it is a program of this machine
    that speaks SMTP on standard input, and has no address at all. `is_called`: we have called it,
    for what it has for us; it relays nothing, wherever it is.
    """

    address: str
    name: str = ""
    name_state: NameState = NameState.NOT_ASKED
    is_trusted: bool = False
    is_authenticated: bool = False
    is_local_user: bool = False
    is_called: bool = False

    @property
    def is_here(self) -> bool:
        """Is it this machine?"""
        is_loopback = parsed_address(self.address).is_loopback
        return self.is_local_user or (is_loopback and not self.is_called)

    @property
    def key(self) -> str:
        """The address as access tables and relay-domains write it."""
        where = parsed_address(self.address)
        if isinstance(where, ipaddress.IPv4Address):
            return str(where)
        groups = (f"{int(group, 16):x}" for group in where.exploded.split(":"))
        return "IPv6:" + ":".join(groups)

    @property
    def literal(self) -> str:
        """The address in brackets."""
        return f"[{self.key}]"

    @property
    def verified_name(self) -> str:
        """Its name if that leads back to it, else its address in brackets."""
        return self.name if self.name_state is NameState.VERIFIED else self.literal
