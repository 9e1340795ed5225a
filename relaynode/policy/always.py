"""Names that mail is always taken for: postmaster (RFC 5321 4.5.1) and abuse (RFC 2142 section 4).

Who has trouble with us must be able to say so. So no entry of the access table refuses mail for
them in our own domains, and where nobody has the name the node's postmaster gets it. A client or a
sender that is refused as such is refused before, as in sendmail; with `delay_checks` it is heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.mail.address import normalise_domain, split

if TYPE_CHECKING:
    from relaynode.policy.route import Routing

NAMES = frozenset(("postmaster", "abuse"))


def is_postmaster(user: str) -> bool:
    """Is this local part one of these names?"""
    return user.strip('"').lower() in NAMES


def is_our_postmaster(routing: Routing, address: str) -> bool:
    """Is the address one of these names, in a domain of ours or in none?"""
    local, domain = split(address)
    if not is_postmaster(local):
        return False
    is_virtual = normalise_domain(domain) in routing.names.virtual
    return not domain or is_virtual or routing.is_local(domain)
