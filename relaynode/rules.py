"""The rules in force: configuration and tables, as the policies want them, at this moment.

Tables are read again when they have changed, so each property is asked for anew where a decision
is taken, and may raise TableError each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from relaynode.mailers.locals import SystemLocals
from relaynode.neighbours import load_neighbours
from relaynode.policy.access_rules import AccessRules, AccessSettings, Delay, RelayFrom
from relaynode.policy.expand import Expander, LocalNameRules
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.policy.order import Order, OrderRule
from relaynode.policy.route import Routing
from relaynode.policy.routing_settings import Relays
from relaynode.tables.loader import Tables
from relaynode.tables.relay_domains import RelayDomains

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.config.loader import Config
    from relaynode.config.schema import OrderSection
    from relaynode.mailers.users import Users
    from relaynode.policy.access_rules import Domains

T = TypeVar("T")

USUAL_MAILER = "uucp-dom"
"""How addresses are written for a neighbour that no list of [routing] names."""


class Rules:
    """The policies of one node."""

    def __init__(self, config: Config, users: Users) -> None:
        self._config = config
        self._users = users
        self.tables = Tables(config.tables, config.aliases)
        self._order = order_of(config.file.order)
        self._made: dict[str, tuple[tuple[Any, ...], Any]] = {}
        self._held: dict[object, tuple[float, Any]] = {}

    def _hold(self, what: object, make: Callable[[], T]) -> T:
        """What `make` gives: asked again as often as tables are looked at again."""
        looking = self.tables.looking
        if not looking.seconds:
            return make()
        now = looking.clock()
        held = self._held.get(what)
        if held is None or now - held[0] >= looking.seconds:
            held = self._held[what] = now, make()
        value: T = held[1]
        return value

    def _from(self, what: str, parts: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What is made of tables: made anew only when one of them was read anew."""
        known = self._made.get(what)
        if known is not None and all(a is b for a, b in zip(known[0], parts, strict=True)):
            made: T = known[1]
            return made
        made = make()
        self._made[what] = parts, made
        return made

    @property
    def order(self) -> Order:
        """In which order mail goes."""
        return self._order

    @property
    def local_domains(self) -> frozenset[str]:
        """Names of ours (class w). Raises: TableError."""
        named = self.tables.local_host_names
        own = self._listed("local_domains", self._config.local_domains)
        return self._from("local", (named, own), lambda: own | named)

    def _listed(self, what: str, entries: list[str] | frozenset[str]) -> frozenset[str]:
        """The names of a list of settings, some of which are files."""
        found = self.tables.listed(entries)
        known = self._made.get(what)
        if known is not None and known[1] == found:
            same: frozenset[str] = known[1]
            return same
        self._made[what] = (), found
        return found

    @property
    def names(self) -> Names:
        """What we are called. Raises: TableError."""
        return self._hold("names", self._names_now)

    def _names_now(self) -> Names:
        masquerade, routing = self._config.file.masquerade, self._config.file.routing
        local = self.local_domains
        virtual = self._listed("virtual", routing.virtual_domains)
        masqueraded = self._listed("masqueraded", masquerade.domains)
        generic = self._listed("generic", masquerade.generics_domains)
        nodes = self._listed(
            "uucp_nodes", [*routing.uucp_old, *routing.uucp_new, *routing.uucp_uudom]
        )
        return self._from(
            "names",
            (local, virtual, masqueraded, generic, nodes),
            lambda: Names(
                hostname=self._config.hostname,
                local=local,
                virtual=virtual,
                virtual_entire_domain=routing.virtual_entire_domain,
                masqueraded=masqueraded,
                masqueraded_entire=masquerade.entire_domain,
                generic=generic,
                generic_entire_domain=masquerade.generics_entire_domain,
                bang_paths=routing.bang_paths == "uucp",
                uucp_nodes=None if routing.uucp_relay else nodes,
            ),
        )

    @property
    def routing(self) -> Routing:
        """Where mail goes. Raises: TableError."""
        return self._hold("routing", self._routing_now)

    def _routing_now(self) -> Routing:
        names, tables = self.names, self.tables
        mailertable, virtusertable = tables.mailertable, tables.virtusertable
        return self._from(
            "routing",
            (names, mailertable, virtusertable),
            lambda: Routing(
                names=names,
                mailertable=mailertable,
                virtusertable=virtusertable,
                relays=self._relays(),
                smart_host_name=self._smart_host_name(),
                neighbours=self._neighbours(),
                uucp_mailer=self._config.file.routing.uucp_mailer,
                local_users=frozenset(u.lower() for u in self._config.file.routing.local_users),
                stickyhost=self._config.file.routing.stickyhost,
            ),
        )

    def _smart_host_name(self) -> str:
        """The [smart_host.NAME] for all that is not routed otherwise."""
        return "" if self._config.file.routing.smart_host else self._config.default_smart_host or ""

    def _relays(self) -> Relays:
        routing = self._config.file.routing
        smart_host = routing.smart_host or ""
        if name := self._smart_host_name():
            # Its address may look like mailer:host ("localhost:2525"), so the mailer is written.
            smart_host = f"relay:{self._config.file.smart_host[name].host}"
        return Relays(
            smart_host=smart_host,
            uucp_relay=routing.uucp_relay or "",
            mail_hub=routing.mail_hub or "",
            local_relay=routing.local_relay or "",
            luser_relay=routing.luser_relay or "",
        )

    def _neighbours(self) -> dict[str, str]:
        routing = self._config.file.routing
        by_mailer = {
            "uucp-old": routing.uucp_old,
            "uucp-new": routing.uucp_new,
            "uucp-uudom": routing.uucp_uudom,
        }
        listed = {
            node.lower(): mailer
            for mailer, nodes in by_mailer.items()
            for node in self.tables.listed(nodes)
        }
        return {**self._called_neighbours(), **listed}

    def _called_neighbours(self) -> dict[str, str]:
        """Systems that we exchange calls with: mail for their UUCP names goes to them."""
        file = self._config.file
        if not file.neighbour and file.uucp.taylor is None:
            return {}
        known = load_neighbours(self._config)
        return {name.lower(): USUAL_MAILER for one in known for name in one.names}

    def access(self, domains: Domains | None = None) -> AccessRules:
        """Whom we take mail from and relay for; `domains` is the DNS. Raises: TableError."""
        return self._hold(("access", domains), lambda: self._access_now(domains))

    def _access_now(self, domains: Domains | None) -> AccessRules:
        names, table = self.names, self.tables.access
        listed = self._listed("relay_domains", self._config.file.access.relay_domains)
        file = self.tables.relay_domains
        return self._from(
            "access",
            (names, table, listed, file, domains),
            lambda: AccessRules(
                names=names,
                table=table,
                relay_domains=RelayDomains(
                    file.file, {**dict.fromkeys(listed | names.virtual, 0), **file.lines}
                ),
                settings=self._access_settings(),
                domains=domains,
            ),
        )

    def _access_settings(self) -> AccessSettings:
        section = self._config.file.access
        return AccessSettings(
            has_dot_domains=section.look_up_dot_domain,
            relay_to_full_address=section.relay_to_full_address,
            relay_entire_domain=section.relay_entire_domain,
            relay_hosts_only=section.relay_hosts_only,
            relay_local_from=section.relay_local_from,
            relay_mail_from=RelayFrom(section.relay_mail_from),
            relay_based_on_mx=section.relay_based_on_mx,
            promiscuous_relay=section.promiscuous_relay,
            loose_relay_check=section.loose_relay_check,
            accept_unresolvable_domains=section.accept_unresolvable_domains,
            accept_unqualified_senders=section.accept_unqualified_senders,
            blocklist_recipients=section.blocklist_recipients,
            delay_checks=Delay(section.delay_checks),
            rejects_bang_paths=self._config.file.routing.bang_paths == "reject",
        )

    @property
    def expander(self) -> Expander:
        """What local names stand for. Raises: TableError."""
        return self._hold("expander", self._expander_now)

    @property
    def locals(self) -> SystemLocals:
        """The users and their files."""
        section = self._config.file.local
        return SystemLocals(
            self._users, self._config.hostname, section.forward, section.default_user or ""
        )

    def _expander_now(self) -> Expander:
        section = self._config.file.local
        return Expander(
            self.routing,
            self.tables.aliases,
            self.locals,
            LocalNameRules(
                preserve_plus_detail=section.preserve_plus_detail,
                has_dash_details=section.dash_details,
                subdomains_of=frozenset(domain.lower() for domain in section.subdomains_of),
            ),
        )

    @property
    def postmaster(self) -> str:
        """Who gets what is for the postmaster: a local name or an address."""
        return self._config.file.node.postmaster

    @property
    def has_subdomains(self) -> bool:
        """May users have domains below ours?"""
        return bool(self._config.file.local.subdomains_of)

    @property
    def masquerade(self) -> Masquerade:
        """What our addresses look like outside. Raises: TableError."""
        section = self._config.file.masquerade
        names, genericstable = self.names, self.tables.genericstable
        exposed = self._listed("exposed", section.exposed_users)
        exceptions = self._listed("exceptions", section.exceptions)
        return self._from(
            "masquerade",
            (names, genericstable, exposed, exceptions),
            lambda: Masquerade(
                names=names,
                as_domain=section.as_domain or "",
                all_headers=section.all,
                envelope=section.envelope,
                local=section.local,
                limited=section.limited,
                exposed_users=exposed,
                exceptions=exceptions,
                genericstable=genericstable,
                always_add_domain=self._config.file.local.always_add_domain,
                uucp_relay=self._config.file.routing.uucp_relay or "",
            ),
        )


def order_of(section: OrderSection) -> Order:
    """The order that [order] asks for."""
    rules = [
        OrderRule(
            one.grade,
            one.sender.lower(),
            one.to.lower(),
            one.larger_than_bytes,
            one.smaller_than_bytes,
            None if one.within_hours is None else one.within_hours * 3600,
        )
        for one in section.rules
    ]
    ageing = section.ageing_hours * 3600 if section.ageing_hours else None
    return Order(tuple(rules), section.use_header, ageing)
