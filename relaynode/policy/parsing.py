"""From a canonical address to the triple of mailer, host and user: sendmail's ruleset 0.

1. What is no address is refused; a local name that holds an address is that address.
2. An address literal: straight there, or to the smart host.
3. The virtusertable, for domains of ours; what it gives starts again.
4. A domain of ours, or none: mailer local.
5. The mailertable, which is never asked about domains of ours.
6. UUCP: neighbours we know, then UUCP_RELAY.
7. The smart host, if there is one.
8. SMTP to the domain itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode.policy.by_mailertable import MailertableSearch
from relaynode.policy.canonify import NULL, Focus, canonify, is_literal, is_uucp, uucp_host
from relaynode.policy.syntax import BadAddress, resolve_local
from relaynode.policy.tokens import Tokens, join, tokenise
from relaynode.policy.triple import Triple, error, names_mailer, triple
from relaynode.policy.virtual import virtual

if TYPE_CHECKING:
    from relaynode.policy.routing_settings import RoutingSettings
    from relaynode.policy.trail import Trail

MAX_DEPTH = 12
"""How often an address may turn out to stand for another."""


@dataclass(frozen=True, slots=True)
class Parsing:
    """One address on its way. `depth`: how many led to it."""

    routing: RoutingSettings
    trail: Trail
    depth: int = 0

    def parse(self, address: Focus) -> Triple:
        """The triple for a canonical address."""
        self.trail.enter("parse", address.tokens)
        found = self._parse(address)
        self.trail.leave("parse", found.tokens)
        return found

    def recurse(self, row: Tokens) -> Triple:
        """The triple for an address that another turned out to be."""
        self.trail.enter("Recurse", row)
        address = canonify(self.routing.names, row, self.trail)
        found = replace(self, depth=self.depth + 1).parse(address)
        self.trail.leave("Recurse", found.tokens)
        return found

    def _parse(self, address: Focus) -> Triple:
        resolved = resolve_local(self.routing.names, address, self.trail)
        if isinstance(resolved, BadAddress):
            return error(tokenise(resolved.code), (f'"{resolved.text}"',))
        if resolved == NULL:
            return Triple("local", (), NULL)
        self.trail.enter("Parse1", resolved.tokens)
        found = self._resolve(resolved)
        self.trail.leave("Parse1", found.tokens)
        return found

    def _resolve(self, address: Focus) -> Triple:
        host, names = address.host, self.routing.names
        if host is None:
            self.trail.note("domain", "none")
            return self._local(address)
        if is_literal(host):
            return self._literal(address, host)
        recurse = self.recurse if self.depth < MAX_DEPTH else None
        found = virtual(names, self.routing.virtusertable, address, self.trail, recurse)
        if found is not None:
            return found
        is_ours = address.is_final and names.is_local(address.bare_host)
        self.trail.note(f"is {join(address.bare_host)} ours", "yes" if is_ours else "no")
        return self._at_home(address) if is_ours else self._elsewhere(address, host)

    def _elsewhere(self, address: Focus, host: Tokens) -> Triple:
        table = self.routing.mailertable
        search = MailertableSearch(
            table, address, self.trail, lambda value: self._triple(value, address)
        )
        found = search.run()
        if isinstance(found, Focus) and is_uucp(address):
            found = self._by_uucp(address)
        if isinstance(found, Focus):
            found = self._by_smart_host(address)
        return found if isinstance(found, Triple) else Triple("esmtp", host, address, "domain")

    def _triple(self, value: Tokens, address: Focus) -> Triple | Focus:
        return triple(self.routing.names, value, address, self.trail, self.recurse)

    # --- ours

    def _local(self, address: Focus) -> Triple:
        if join(address.user).lower() in self.routing.local_users:
            return Triple("local", (), _staying(address))
        return Triple("local", (), Focus(address.user))

    def _at_home(self, address: Focus) -> Triple:
        """A name at one of our hosts. With stickyhost such a name goes to the hub, if there is
        one, before it is expanded."""
        if not self.routing.stickyhost:
            return self._local(address)
        if self.routing.relays.mail_hub:
            found = self._triple(tokenise(self.routing.relays.mail_hub), address)
            if isinstance(found, Triple):
                return found
        if "+" in address.user[1:]:
            return Triple("local", (), Focus(address.user))
        return Triple("local", (), _staying(address))

    # --- elsewhere

    def _literal(self, address: Focus, host: Tokens) -> Triple:
        """An address literal; the mailertable never sees it."""
        smart_host = tokenise(self.routing.relays.smart_host)
        if not smart_host or self.routing.names.is_local(smart_host):
            self.trail.note(join(host), "an address: straight there")
            return Triple("esmtp", host, address, "domain")
        value = self.routing.relays.smart_host
        self.trail.note(join(host), f"an address: by the smart host {value}")
        if not names_mailer(smart_host):
            return Triple("esmtp", smart_host, address, "smart host")
        if "@" not in smart_host and smart_host[0].lower() not in ("local", "error"):
            return Triple(smart_host[0].lower(), smart_host[2:], address, "smart host")
        found = self._triple(smart_host, address)
        return found if isinstance(found, Triple) else Triple("esmtp", host, address, "domain")

    def _by_uucp(self, address: Focus) -> Triple | Focus:
        routing, node = self.routing, address.bare_host[:-2]
        address = address.at(uucp_host(node))
        mailer = routing.neighbours.get(join(node).lower())
        if mailer is not None:
            self.trail.note(f"UUCP neighbour {join(node)}", mailer)
            return Triple(mailer, node, address)
        if routing.relays.uucp_relay:
            self.trail.note("UUCP relay", routing.relays.uucp_relay)
            return self._triple(tokenise(routing.relays.uucp_relay), address)
        if routing.uucp_mailer and routing.names.bang_paths:
            self.trail.note(f"UUCP node {join(node)}", "called directly")
            return Triple("uucp-old", node, address)
        return address

    def _by_smart_host(self, address: Focus) -> Triple | Focus:
        value, name = self.routing.relays.smart_host, self.routing.smart_host_name
        named = f"{name} ({value.partition(':')[2]})" if name else value
        self.trail.note("smart host", named or "none")
        found = self._triple(tokenise(value), address)
        return replace(found, by="smart host") if isinstance(found, Triple) else found


def _staying(address: Focus) -> Focus:
    """A name that is given to no hub: sendmail writes an @ before it."""
    return Focus(("@", *address.user))
