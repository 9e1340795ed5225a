"""What the checks of clients, senders and recipients go by: settings, tables, names, the DNS."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from relaynode.policy.access_lookup import AccessLookup
from relaynode.policy.canonify import Focus, canonify_text, final
from relaynode.policy.known import Known
from relaynode.policy.syntax import BadAddress, resolve_local
from relaynode.policy.tokens import dequote, join
from relaynode.policy.trail import Trail

if TYPE_CHECKING:
    from relaynode.policy.client import Client
    from relaynode.policy.names import Names
    from relaynode.policy.verdict import Verdict
    from relaynode.tables.access import Access
    from relaynode.tables.relay_domains import RelayDomains


class RelayFrom(Enum):
    """Whether a `From: RELAY` entry lets mail pass: no, for an address, or for a domain too."""

    NO = "no"
    ADDRESS = "address"
    DOMAIN = "domain"


class Delay(Enum):
    """Whether client and sender are checked at each recipient: no, always, unless the recipient
    is a FRIEND, or only if it is a HATER."""

    NO = "no"
    YES = "yes"
    FRIEND = "friend"
    HATER = "hater"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """sendmail's FEATUREs of the same names, with our defaults (see config/schema.py).

    `has_dot_domains`, `relay_to_full_address`: the arguments lookupdotdomain and relaytofulladdress
    of FEATURE(access_db). `rejects_bang_paths`: a name with a `!` in it is nobody of ours
    (FEATURE(nouucp, reject)).
    """

    has_dot_domains: bool = False
    relay_to_full_address: bool = False
    relay_entire_domain: bool = False
    relay_hosts_only: bool = False
    relay_local_from: bool = False
    relay_mail_from: RelayFrom = RelayFrom.NO
    relay_based_on_mx: bool = False
    promiscuous_relay: bool = False
    loose_relay_check: bool = False
    accept_unresolvable_domains: bool = True
    accept_unqualified_senders: bool = True
    blocklist_recipients: bool = True
    delay_checks: Delay = Delay.NO
    rejects_bang_paths: bool = False

    @property
    def needs_dns(self) -> bool:
        """May a check have to ask the DNS?"""
        return not self.accept_unresolvable_domains or self.relay_based_on_mx


class Existence(Enum):
    """What the DNS says of a domain."""

    EXISTS = "exists"
    MISSING = "does not exist"
    UNKNOWN = "cannot be looked up now"


class Domains(Protocol):
    """The DNS, as far as the checks need it. Whoever asks waits for the answer."""

    def existence(self, domain: str) -> Existence:
        """Is there a domain of that name, or a host of that [address]?"""
        ...

    def mail_exchangers(self, domain: str) -> tuple[str, ...] | None:
        """The hosts of its MX records in lower case; None if they cannot be looked up now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """All that stands fixed while a session is checked. `domains` is None where nobody asks.

    `known`: what was found lately under these rules.
    """

    names: Names
    table: Access
    relay_domains: RelayDomains
    settings: AccessSettings = AccessSettings()
    domains: Domains | None = None
    known: Known[tuple[Client, str | None, str | None], Verdict] = field(
        default_factory=lambda: Known(4096), compare=False, repr=False
    )


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One check under way: the rules, who asks, and the trail so far."""

    rules: AccessRules
    client: Client
    trail: Trail = field(default_factory=Trail)

    @property
    def settings(self) -> AccessSettings:
        """The rules' settings."""
        return self.rules.settings

    @property
    def names(self) -> Names:
        """The rules' names."""
        return self.rules.names

    @property
    def lookup(self) -> AccessLookup:
        """Look-ups in the access table."""
        return AccessLookup(self.rules.table, self.trail, self.settings.has_dot_domains)

    def parsed(self, address: str) -> Focus | BadAddress:
        """An address in canonical form, with what our own host hides unpacked; no final dot."""
        return self.resolved(canonify_text(self.names, address, Trail()))

    def resolved(self, address: Focus) -> Focus | BadAddress:
        """The same for an address whose host is in focus already."""
        found = resolve_local(self.names, address, Trail())
        if isinstance(found, BadAddress) or found.host is None:
            return found
        return Focus(found.user, found.bare_host)

    def outside(self, address: str) -> str:
        """An address as texts quote it (sendmail's $f)."""
        tokens = final(canonify_text(self.names, address, Trail()))
        return join(tuple(dequote(token) for token in tokens))
