"""What we are called and which domains are special: sendmail's classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.policy.tokens import Tokens, join, tokenise

if TYPE_CHECKING:
    from collections.abc import Set


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Domains in lower case, without a trailing dot; address literals in their brackets.

    `hostname`: our own name ($j).
    `local`: domains whose mail is ours (class w); `hostname` always is one.
    `virtual`: domains that the virtusertable is asked about beside those (VIRTUSER_DOMAIN), with
    all below them if `virtual_entire_domain`.
    `masqueraded`: domains to hide (MASQUERADE_DOMAIN), with all below if `masqueraded_entire`.
    `generic`: domains that the genericstable is asked about (GENERICS_DOMAIN), likewise.
    `bang_paths`: whether `host!user` means a neighbour (it does unless FEATURE(nouucp)).
    `uucp_nodes`: whose mail goes by UUCP, in lower case; None if there is a relay for all.
    """

    hostname: str
    local: Set[str] = frozenset()
    virtual: Set[str] = frozenset()
    virtual_entire_domain: bool = False
    masqueraded: Set[str] = frozenset()
    masqueraded_entire: bool = False
    generic: Set[str] = frozenset()
    generic_entire_domain: bool = False
    bang_paths: bool = True
    uucp_nodes: Set[str] | None = frozenset()
    own_tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_tokens", tokenise(self.hostname))
        if self.hostname.lower() not in self.local:
            object.__setattr__(self, "local", self.local | {self.hostname.lower()})

    @property
    def parent_domain(self) -> str:
        """The domain our host is in ($m)."""
        return self.hostname.partition(".")[2]

    @property
    def separators(self) -> frozenset[str]:
        """What in a local part means that the address leads on (class O)."""
        return frozenset("@%!") if self.bang_paths else frozenset("@%")

    def is_local(self, host: Tokens) -> bool:
        """Is this domain, without a final dot, ours?"""
        return join(host).lower() in self.local

    def is_uucp_node(self, node: Tokens) -> bool:
        """Is it known that `node.UUCP` is reached by UUCP?"""
        return self.uucp_nodes is None or join(node).lower() in self.uucp_nodes

    def is_virtual(self, host: Tokens) -> bool:
        """Is the virtusertable asked about this domain, were it not ours?"""
        return _contains(self.virtual, host, self.virtual_entire_domain)

    def is_masqueraded(self, host: Tokens) -> bool:
        """Is this a further domain to hide?"""
        return _contains(self.masqueraded, host, self.masqueraded_entire)

    def is_generic(self, host: Tokens) -> bool:
        """Is the genericstable asked about this domain?"""
        return _contains(self.generic, host, self.generic_entire_domain)


def ends_in(names: Set[str], host: Tokens) -> bool:
    """Is the host one of `names`, or below one?"""
    return any(join(host[start:]).lower() in names for start in range(len(host)))


def _contains(names: Set[str], host: Tokens, with_all_below: bool) -> bool:
    if not names:
        return False
    return ends_in(names, host) if with_all_below else join(host).lower() in names
