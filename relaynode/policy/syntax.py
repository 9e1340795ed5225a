"""What no address may be, and local names that lead on: the first half of parsing.

`joe@` is joe. A name at one of our hosts that itself holds an address (`x%y@us`, `h!u@us`,
`"x@y"@us`) is that address. Works on what `canonify` gives; this is sendmail's Parse0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from relaynode.policy.canonify import NULL, Focus, canonify
from relaynode.policy.tokens import Tokens, dequote, tokenise

if TYPE_CHECKING:
    from relaynode.policy.names import Names
    from relaynode.policy.trail import Trail

MAX_DEPTH = 50
"""How often an address may turn out to hold another (sendmail's MaxRuleRecursion)."""


@dataclass(frozen=True, slots=True)
class BadAddress:
    """Why an address is refused: enhanced status code and text, which begins with a reply code."""

    code: str
    text: str

    @property
    def tokens(self) -> Tokens:
        """As the address test mode shows it."""
        return ("$#", "error", "$@", *tokenise(self.code), "$:", f'"{self.text}"')


def resolve_local(names: Names, address: Focus, trail: Trail, depth: int = 0) -> Focus | BadAddress:
    """The address with our own host resolved as far as its name leads, or why it is none."""
    trail.enter("Parse0", address.tokens)
    found = _resolve(names, address, trail, depth)
    trail.leave("Parse0", found.tokens)
    return found


def _resolve(names: Names, address: Focus, trail: Trail, depth: int) -> Focus | BadAddress:
    if address == NULL:
        return address
    problem = _problem(address) or _list_problem(names, address)
    if problem is not None:
        return problem
    if depth < MAX_DEPTH:
        inner = _inner(names, address)
        if inner is not None:
            return resolve_local(names, canonify(names, inner, trail), trail, depth + 1)
    return _plain(names, address)


def _inner(names: Names, address: Focus) -> Tokens | None:
    """The address that a local one holds, or None."""
    host = address.host
    if host == ():
        return (*address.user, *address.rest)
    if host is None:
        if len(address.user) != 1:
            return None
    elif not (address.is_final and names.is_local(address.bare_host)):
        return None
    user = _dequoted(address.user)
    if any(token in names.separators for token in user[1:-1]):
        return (*user, *address.rest)
    return None


def _plain(names: Names, address: Focus) -> Focus | BadAddress:
    if address.host is None:
        user = _dequoted(address.user)
        return Focus(user) if user else BadAddress("5.1.3", "553 User address required")
    if address.is_final and names.is_local(address.bare_host):
        return Focus(_dequoted(address.user), address.host, address.rest)
    return address


def _dequoted(user: Tokens) -> Tokens:
    return tokenise(dequote(user[0])) if len(user) == 1 else user


def _problem(address: Focus) -> BadAddress | None:
    user, host = address.user, address.host
    if host is None:
        return None
    if host == () and ":" in user and user[-1] == ";":
        return BadAddress("5.1.3", "553 List:; syntax illegal for recipient addresses")
    if host == () and user:
        return BadAddress("5.1.3", "553 Hostname required") if not address.rest else None
    if user in ((), ("@",)):
        return BadAddress("5.1.3", "553 User address required")
    problem = _host_problem(host)
    if problem is None and "@" in user:
        return BadAddress("5.1.3", "553 Invalid route address")
    return problem


def _host_problem(host: Tokens) -> BadAddress | None:
    if host[:1] == ("[",) and "]" in host:
        behind = host[host.index("]") + 1 :]
        if behind and behind[0] not in (":", ","):
            return BadAddress("5.1.2", "553 Invalid address")
    elif ":" in host:
        return BadAddress("5.1.3", "553 Colon illegal in host name part")
    if host[:1] == (".",) or any(a == b == "." for a, b in pairwise(host)):
        return BadAddress("5.1.2", "553 Invalid host name")
    if host[-1:] == ("@",):
        return BadAddress("5.1.2", "553 Invalid route address")
    return None


def _list_problem(names: Names, address: Focus) -> BadAddress | None:
    """One address and not several: a comma is followed by nothing, or by what leads on."""
    row = address.tokens
    for comma, behind in pairwise(row):
        if comma == "," and behind not in names.separators:
            return BadAddress("5.1.3", "553 Invalid route address")
    return None
