"""The way from a route to a mailer, and the link it leads over."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from relaynode.links import drop_off
from relaynode.links.drop_off import DROP_OFF
from relaynode.links.far_hosts import FarHosts
from relaynode.links.next_hops import (
    LMTP_PORT,
    USUAL_PORTS,
    context_maker,
    far_hop,
    local_hop,
    opener,
)
from relaynode.links.table_hosts import far_way, table_hosts
from relaynode.logins import Logins
from relaynode.mail.reason import Reason
from relaynode.mail.status import Status, ok, permanent
from relaynode.mailers.command import CommandMailer
from relaynode.mailers.file import FileMailer
from relaynode.mailers.first_that_takes import FirstThatTakes
from relaynode.mailers.local import LocalMailer
from relaynode.mailers.program import ProgramMailer
from relaynode.mailers.same_for_all import SameForAll
from relaynode.mailers.smtp import SmtpMailer
from relaynode.mailers.smtp_hop import NextHop
from relaynode.mailers.uux import UuxMailer
from relaynode.policy.by_sender import sender_keys
from relaynode.policy.expand import final_route
from relaynode.policy.mailer_forms import KINDS
from relaynode.policy.rewrite import rewrite
from relaynode.policy.role import Role
from relaynode.wire.client_contexts import ClientContexts
from relaynode.wire.own_address import is_own_address
from relaynode.wire.resolver import Resolver, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from relaynode.config.loader import Config
    from relaynode.config.values import HostPort
    from relaynode.mail.envelope import Envelope
    from relaynode.mailers.mailer import Mailer
    from relaynode.mailers.users import Users
    from relaynode.neighbours import Neighbours
    from relaynode.policy.route import Route, Routing
    from relaynode.queue.servers import Servers
    from relaynode.rules import Rules
    from relaynode.wire.meter import ByteCount

SMTP_PORT = 25


@dataclass(frozen=True, slots=True)
class Way:
    """A next hop: recipients with equal ways share a session.

    `kind`: "local", "prog", "*file*", "error", "discard", "neighbour" (a UUCP system that we call
    or that calls us), "uucp" (one that the system's uux has the jobs for), "drop-off" (of an
    account) or "smtp". `name`: the smart host's name, the UUCP system's, the account's, or the host
    as written. `mailer`: the route's, where it
    tells how addresses are written. `smart_hosts`: those to try, in order, if it is such.
    `is_domain`: the host is the recipient's own domain, and no table's.
    """

    kind: str
    name: str = ""
    mailer: str = ""
    status: Status | None = None
    smart_hosts: tuple[str, ...] = ()
    is_domain: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.kind == DROP_OFF else self.name or self.kind

    @property
    def waits_to_be_asked(self) -> bool:
        """Is its mail sent only when somebody asks for it by recipient (mailer dsmtp)?"""
        return self.mailer == "dsmtp"


class Ways:
    """Turns routes into ways, ways into links and mailers."""

    def __init__(
        self,
        config: Config,
        rules: Rules,
        users: Users,
        neighbours: Neighbours,
        clock: Callable[[], float],
        servers: Servers,
        *,
        smtp_port: int = SMTP_PORT,
    ) -> None:
        """`clock`: monotonic seconds. `servers`: what is known of those that mail goes to.
        `smtp_port`: where hosts listen that name none themselves.
        """
        self._config = config
        self._neighbours = neighbours
        self._rules = rules
        self._users = users
        self._clock = clock
        self._servers = servers
        self.logins = Logins(config, lambda *server: rules.tables.auth_info(*server), clock)
        self.contexts = ClientContexts()
        self._smtp_port = smtp_port
        self._links_up: frozenset[str] | None = None

    def note_links(self, are_up: Iterable[str]) -> None:
        """These links are up now, others are not. Until this is said, all are taken to be."""
        self._links_up = frozenset(are_up)

    def way_of(self, route: Route, reverse_path: str = "") -> Way:
        """The way that a route takes; for mail of a sender, if it has one of its own."""
        if route.mailer in ("local", "error", "discard", "prog", "*file*"):
            return Way(route.mailer, status=route.status)
        if route.mailer == DROP_OFF:
            return Way(route.mailer, route.host)
        host = route.host.removesuffix(".")
        if route.mailer in KINDS and KINDS[route.mailer].is_uucp:
            neighbour = self._neighbours.find_like(host)
            if neighbour is None or neighbour.mail.is_taylors:
                return Way("uucp", host, route.mailer)
            return Way("neighbour", neighbour.name, route.mailer)
        names = self._smart_hosts(route, reverse_path, host)
        if names:
            names = tuple(name for name in names if self._is_up(name)) or names[:1]
            return Way("smtp", names[0], route.mailer, smart_hosts=names)
        return Way("smtp", host, route.mailer, is_domain=route.by == "domain")

    def _smart_hosts(self, route: Route, reverse_path: str, host: str) -> tuple[str, ...]:
        """The [smart_host.NAME]s for a route, the best first; none if it leads elsewhere."""
        by_sender = self._by_sender(route, reverse_path) if route.by else ()
        if by_sender:
            return by_sender
        if route.smart_host and route.by:
            return tuple(self._config.default_smart_hosts)
        name = route.smart_host or self._named_like(host)
        return (name,) if name else ()

    def _by_sender(self, route: Route, reverse_path: str) -> tuple[str, ...]:
        senders = self._senders
        if not senders or not reverse_path:
            return ()
        role, mailer = Role.ENVELOPE_SENDER, route.mailer
        outside = rewrite(self._rules.masquerade, reverse_path, role, mailer=mailer).result
        found = (senders[key] for key in sender_keys(outside, reverse_path) if key in senders)
        return next(found, ())

    def _is_up(self, smart_host: str) -> bool:
        link = self._config.link_of(self._config.file.smart_host[smart_host])
        return self._links_up is None or link in self._links_up

    def host_of(self, way: Way) -> str:
        """The next hop's name as `hoststat` shows it; "" for a way that leads nowhere."""
        if way.kind in ("uucp", "neighbour"):
            return way.name
        if way.kind != "smtp":
            return "local" if way.kind == "local" else ""
        if way.smart_hosts:
            return self._config.file.smart_host[way.name].host.host
        return way.name

    def link_of(self, way: Way) -> str | None:
        """The link a way leads over; None for what stays on this machine."""
        neighbour = self._neighbours.find(way.name) if way.kind == "neighbour" else None
        if neighbour is not None:
            return neighbour.link
        if way.kind != "smtp":
            return None
        if way.smart_hosts:
            return self._config.link_of(self._config.file.smart_host[way.name])
        return self._config.world_link

    def links_of(self, envelope: Envelope, routing: Routing) -> frozenset[str]:
        """The links that mail would go over now. Raises: TableError."""
        routes = (final_route(routing, one) for one in envelope.recipients)
        links = (self.link_of(self.way_of(one, envelope.reverse_path)) for one in routes)
        return frozenset(link for link in links if link is not None)

    def stays_here(self, envelope: Envelope, routing: Routing) -> bool:
        """Is there a recipient whose mail needs no link? Raises: TableError."""
        routes = (final_route(routing, one) for one in envelope.recipients)
        return any(self.link_of(self.way_of(one, envelope.reverse_path)) is None for one in routes)

    def told(self, way: Way) -> str:
        """Where mail on a way goes, for people; nothing is asked for it."""
        if way.kind == DROP_OFF:
            return drop_off.told(way.name, self._config.file.account.get(way.name))
        if way.smart_hosts:
            named = [(name, self._config.file.smart_host[name]) for name in way.smart_hosts]
            return ", then ".join(
                f"smart host {name} ({', '.join(map(str, section.host.all))})"
                for name, section in named
            )
        return far_way(way.name) if way.kind == "smtp" else ""

    def is_always_up(self, way: Way) -> bool:
        """Does a way need no line, or one that is there whenever nobody says otherwise?"""
        link = self.link_of(way)
        return link is None or self._config.links[link].kind == "always"

    def mailer(self, way: Way, count: ByteCount) -> Mailer:
        """A mailer for one session on a way. `count` sees what crosses the line.

        Not for a neighbour: its mail goes in calls (`calling.py`). Raises: TableError.
        """
        if way.kind == "error":
            status = way.status or permanent("Mail for this domain is refused")
            return SameForAll(status, reason=Reason.REJECTED_BY_TABLE)
        if way.kind == "discard":
            return SameForAll(ok("discarded"), "discard", reason=Reason.DISCARDED)
        masquerade = self._rules.masquerade
        hostname = self._config.hostname
        local = self._config.file.local
        if way.kind == "local" and local.lmtp is not None:
            seconds = local.program_timeout_seconds
            hop = local_hop(local.lmtp, seconds, self._servers)
            return SmtpMailer(hop, hostname=hostname, masquerade=masquerade, clock=self._clock)
        default_user = local.default_user or ""
        if way.kind == "local" and local.command is not None:
            return CommandMailer(
                self._users,
                command=local.command.words,
                masquerade=masquerade,
                timeout_seconds=local.program_timeout_seconds,
                default_user=default_user,
                has_from_line=local.command_from_line,
            )
        if way.kind == "local":
            uses_folders = local.detail == "folder"
            return LocalMailer(
                self._users, hostname=hostname, masquerade=masquerade, uses_folders=uses_folders
            )
        if way.kind == "*file*":
            return FileMailer(self._users, masquerade=masquerade, default_user=default_user)
        if way.kind == "prog":
            return ProgramMailer(
                self._users,
                masquerade=masquerade,
                default_user=default_user,
                timeout_seconds=local.program_timeout_seconds,
            )
        if way.kind == "uucp":
            return self._uux(way)
        if way.kind == DROP_OFF:
            section = self._config.file.account.get(way.name)
            program = drop_off.program(way.name, section, local, self._users, masquerade)
            if program is not None:
                return program
        return FirstThatTakes(
            lambda: self._next_hops(way, count),
            lambda hop: SmtpMailer(
                hop, hostname=hostname, masquerade=masquerade, clock=self._clock
            ),
        )

    def _uux(self, way: Way) -> UuxMailer:
        local, uux = self._config.file.local, self._config.uux
        return UuxMailer(
            way.name,
            mailer=way.mailer,
            users=self._users,
            masquerade=self._rules.masquerade,
            max_size_bytes=self._config.file.routing.uucp_max_size_bytes,
            timeout_seconds=local.program_timeout_seconds,
            default_user=local.default_user or "",
            uux=str(uux or ""),
        )

    def _named_like(self, host: str) -> str:
        """The smart host that a table names by its address: it has a login and a link."""
        try:
            where = _host_port(host).with_default(25)
        except ValueError:
            return ""
        for name, section in self._config.file.smart_host.items():
            if section.host.with_default(where[1]) == where:
                return name
        return ""

    async def _next_hops(self, way: Way, count: ByteCount) -> Sequence[NextHop] | Status:
        """What to connect to, in order. Raises: TableError, NameServerFailed."""
        if way.kind == DROP_OFF:
            return drop_off.hops(self._config.file.account[way.name], count, self._servers)
        if way.smart_hosts:
            return [
                hop for name in way.smart_hosts for hop in self._smart_host(name, way.mailer, count)
            ]
        local_domains = self._rules.local_domains
        dns = self._config.file.dns
        far_hosts = FarHosts(
            Resolver(Settings(tuple(dns.servers), dns.validates, dns.timeout_seconds)),
            self._smtp_port,
            lambda name: name in local_domains,
            self._is_our_address,
            random.shuffle,
            asks_dns_for_hosts=bool(dns.servers),
        )
        found = await far_hosts.find(way.name, is_domain=way.is_domain)
        if isinstance(found, Status):
            return found
        sources = self._config.source_addresses(self._config.world_link)
        hops = [far_hop(one, self._smtp_port, way.mailer, count, sources) for one in found]
        # A domain is anybody's: only hosts that a table names are shown what tables have for them.
        login = None if way.is_domain else self.logins.of_tables
        return [replace(hop, login=login, servers=self._servers) for hop in hops]

    def _smart_host(self, name: str, mailer: str, count: ByteCount) -> Iterator[NextHop]:
        """The hosts of a [smart_host.NAME], in order."""
        section = self._config.file.smart_host[name]
        sources = self._config.source_addresses(self._config.link_of(section))
        is_lmtp = section.protocol == "lmtp"
        usual_port = LMTP_PORT if is_lmtp else USUAL_PORTS[section.tls]
        for host in section.host.all:
            yield NextHop(
                name=host.host,
                open=opener(host, usual_port, count, sources),
                mailer=mailer,
                tls=section.tls,
                tls_context=context_maker(self._config, section, self.contexts, host),
                login=self.logins.of("smart_host", name, section) or self.logins.of_tables,
                timeout_seconds=section.timeout_seconds,
                max_in_flight=section.max_in_flight,
                max_connections=section.max_connections,
                port=host.with_default(usual_port)[1],
                is_lmtp=is_lmtp,
                servers=self._servers,
                line=count.line,
            )

    def _is_our_address(self, address: str, port: int) -> bool:
        """Is it one of our own listeners that would answer there?"""
        here = ipaddress.ip_address(address)
        for section in self._config.file.listen.values():
            for where in section.smtp:
                if where.port != port or where.address.version != here.version:
                    continue
                if where.address == here or (
                    where.address.is_unspecified and is_own_address(address)
                ):
                    return True
        return False

    @cached_property
    def _senders(self) -> dict[str, tuple[str, ...]]:
        """[sender.ADDRESS], keys in lower case."""
        return {
            key.lower(): section.smart_host.names
            for key, section in self._config.file.sender.items()
        }


def _host_port(text: str) -> HostPort:
    """Raises: ValueError."""
    (host,) = table_hosts(text)
    return host.where
