"""The way from a route to a mailer, and the link it leads over."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.config.values import HostPort
from relaynode.errors import TableError, WireError
from relaynode.logins import Logins
from relaynode.mail.status import Status, ok, permanent
from relaynode.mailers.file import FileMailer
from relaynode.mailers.local import LocalMailer
from relaynode.mailers.program import ProgramMailer
from relaynode.mailers.same_for_all import SameForAll
from relaynode.mailers.smtp import SmtpMailer
from relaynode.mailers.smtp_hop import NextHop
from relaynode.mailers.uux import UuxMailer
from relaynode.policy.mailer_forms import KINDS
from relaynode.wire import tcp
from relaynode.wire.client_contexts import ClientContexts, ClientSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from relaynode.config.loader import Config
    from relaynode.config.schema import RemoteSection, SmartHostSection
    from relaynode.mailers.mailer import Mailer
    from relaynode.mailers.users import Users
    from relaynode.neighbours import Neighbours
    from relaynode.policy.route import Route
    from relaynode.queue.servers import Servers
    from relaynode.rules import Rules
    from relaynode.wire.meter import ByteCount
    from relaynode.wire.stream import Stream

CONNECT_SECONDS = 60.0
"""A thin line answers a call within seconds or not at all; RFC 5321 would allow five minutes."""

_HOST_LIST = re.compile(r"[^:]*[^0-9:][^:]*(?::[^:]*[^0-9:][^:]*)+")
"""Hosts with colons in between: a last part of digits only is a port."""

_USUAL_PORTS = {"none": 25, "starttls": 25, "tls": 465}


@dataclass(frozen=True, slots=True)
class Way:
    """A next hop: recipients with equal ways share a session.

    `kind`: "local", "prog", "*file*", "error", "discard", "neighbour" (a UUCP system that we call
    or that calls us), "uucp" (one that the system's uux has the jobs for) or "smtp". `name`: the
    smart host's name, the UUCP system's, or the host as written. `mailer`: the route's, where it
    tells how addresses are written.
    """

    kind: str
    name: str = ""
    mailer: str = ""
    status: Status | None = None

    def __str__(self) -> str:
        return self.name or self.kind

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
    ) -> None:
        """`clock`: monotonic seconds. `servers`: what is known of those that mail goes to."""
        self._config = config
        self._neighbours = neighbours
        self._rules = rules
        self._users = users
        self._clock = clock
        self._servers = servers
        self.logins = Logins(config, lambda *server: rules.tables.auth_info(*server), clock)
        self.contexts = ClientContexts()

    def way_of(self, route: Route) -> Way:
        """The way that a route takes."""
        if route.mailer in ("local", "error", "discard", "prog", "*file*"):
            return Way(route.mailer, status=route.status)
        host = route.host.removesuffix(".")
        if route.mailer in KINDS and KINDS[route.mailer].is_uucp:
            neighbour = self._neighbours.find_like(host)
            if neighbour is None or neighbour.mail.is_taylors:
                return Way("uucp", host, route.mailer)
            return Way("neighbour", neighbour.name, route.mailer)
        return Way("smtp", route.smart_host or self._named_like(host) or host, route.mailer)

    def host_of(self, way: Way) -> str:
        """The next hop's name as `hoststat` shows it; "" for a way that leads nowhere."""
        if way.kind in ("uucp", "neighbour"):
            return way.name
        if way.kind != "smtp":
            return "local" if way.kind == "local" else ""
        section = self._config.file.smart_host.get(way.name)
        return way.name if section is None else section.host.host

    def link_of(self, way: Way) -> str | None:
        """The link a way leads over; None for what stays on this machine."""
        neighbour = self._neighbours.find(way.name) if way.kind == "neighbour" else None
        if neighbour is not None:
            return neighbour.link
        if way.kind != "smtp":
            return None
        section = self._config.file.smart_host.get(way.name)
        if section is not None:
            return self._config.link_of(section)
        return self._config.world_link

    def mailer(self, way: Way, count: ByteCount) -> Mailer:
        """A mailer for one session on a way. `count` sees what crosses the line.

        Not for a neighbour: its mail goes in calls (`calling.py`). Raises: TableError.
        """
        if way.kind == "error":
            return SameForAll(way.status or permanent("Mail for this domain is refused"))
        if way.kind == "discard":
            return SameForAll(ok("discarded"), "discard")
        masquerade = self._rules.masquerade
        hostname = self._config.hostname
        if way.kind == "local":
            return LocalMailer(self._users, hostname=hostname, masquerade=masquerade)
        local = self._config.file.local
        default_user = local.default_user or ""
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
        return SmtpMailer(
            self._next_hop(way, count),
            hostname=hostname,
            masquerade=masquerade,
            clock=self._clock,
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

    def _next_hop(self, way: Way, count: ByteCount) -> NextHop:
        section = self._config.file.smart_host.get(way.name)
        if section is None:
            try:
                hosts = _hosts(way.name)
            except ValueError as error:  # the mailertable has it so; `check` names the line
                raise TableError(f"next hop {way.name}: {error}") from error
            openers = [opener(where, 25, count) for where in hosts]
            return NextHop(
                way.name,
                _first_that_answers(openers),
                way.mailer,
                login=self.logins.of_tables,
                port=hosts[0].with_default(25)[1],
                servers=self._servers,
            )
        return self._smart_host(way, section, count)

    def _smart_host(self, way: Way, section: SmartHostSection, count: ByteCount) -> NextHop:
        return NextHop(
            name=section.host.host,
            open=opener(section.host, _USUAL_PORTS[section.tls], count),
            mailer=way.mailer,
            tls=section.tls,
            tls_context=context_maker(self._config, section, self.contexts),
            login=self.logins.of("smart_host", way.name, section) or self.logins.of_tables,
            timeout_seconds=section.timeout_seconds,
            max_in_flight=section.max_in_flight,
            max_connections=section.max_connections,
            port=section.host.with_default(_USUAL_PORTS[section.tls])[1],
            servers=self._servers,
        )


def _hosts(text: str) -> list[HostPort]:
    """The hosts of a table's value, in the order in which they are tried: `h1:h2`, or one host,
    with a port. Raises: ValueError."""
    if _HOST_LIST.fullmatch(text):
        return [_host_port(host) for host in text.split(":")]
    return [_host_port(text)]


def _first_that_answers(
    openers: list[Callable[[], Awaitable[Stream]]],
) -> Callable[[], Awaitable[Stream]]:
    """Something that connects to the first of several hosts that can be reached."""

    async def connect() -> Stream:
        for open_one in openers[:-1]:
            with contextlib.suppress(WireError):
                return await open_one()
        return await openers[-1]()

    return connect


def _host_port(text: str) -> HostPort:
    """`host`, `[host]`, `[host]:port` or `host:port` of a table. Raises: ValueError."""
    if text.startswith("[") and ":" not in text.partition("]")[0]:
        inner, _, port = text[1:].partition("]")
        return HostPort.parse(inner + port)
    return HostPort.parse(text)


def opener(where: HostPort, usual_port: int, count: ByteCount) -> Callable[[], Awaitable[Stream]]:
    """Something that connects to `where` when it is called."""
    host, port = where.with_default(usual_port)

    async def connect() -> Stream:
        return await tcp.connect(host, port, timeout=CONNECT_SECONDS, count=count)

    return connect


def context_maker(
    config: Config, section: RemoteSection, contexts: ClientContexts
) -> Callable[[], ssl.SSLContext]:
    """Something that gives the TLS context of a smart host or account when it is called."""

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else config.absolute(path)

    certificate, key = absolute(section.certificate), absolute(section.key)
    settings = ClientSettings(
        server=str(section.host),
        ca_file=absolute(section.ca_file),
        verify=section.verify,
        fingerprints=frozenset(one.digits for one in section.fingerprints),
        is_old=section.old_tls,
        own=None if certificate is None or key is None else (certificate, key),
    )
    return lambda: contexts.get(settings)
