"""The SMTP source's way to the checks of `policy/access.py`: who the client is, and the DNS.

A DNS question may take its time, and may bring a paid line up: names are looked up only where the
configuration wants it, in threads of their own, so that other clients are served meanwhile. A
table that cannot be read is a temporary refusal, never leave to pass.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from relaynode.errors import ConnectFailed, TableError
from relaynode.mail.ip_address import parsed_address, plain_address
from relaynode.policy.access import Gate
from relaynode.policy.access_rules import Existence
from relaynode.policy.client import Client, NameState
from relaynode.policy.verdict import ACCEPTED, Verdict, refused
from relaynode.wire.dns import Dns

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from typing import Any

    from relaynode.policy.access_rules import AccessRules, Domains
    from relaynode.rules import Rules
    from relaynode.smtp.xclient import Identity

T = TypeVar("T")

LOOK_UP_SECONDS = 20.0
"""How long a client waits for an answer of the DNS, at most."""

LOOK_UP_THREADS = 8
"""Questions under way at once; the next wait for their turn within LOOK_UP_SECONDS."""

UNKNOWN = "0.0.0.0"
"""Stands for the address of a client whose address a proxy does not know: nobody's."""

log = logging.getLogger("relaynode")

_NO_ANSWER = refused(451, "4.4.3", "The DNS does not answer; try again later")
_UNREADABLE = refused(451, "4.3.0", "Temporary system failure. Please try again later.")


class NameServer(Protocol):
    """What `wire.dns.Dns` promises."""

    def name_of(self, address: str) -> str | None: ...
    def addresses(self, name: str) -> frozenset[str]: ...
    def mail_exchangers(self, domain: str) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class AskedDomains:
    """`policy.access_rules.Domains`, asked of a name server."""

    dns: NameServer

    def existence(self, domain: str) -> Existence:
        """Is there a host or a mail domain of that name?"""
        try:
            if domain.startswith("["):
                is_there = self.dns.name_of(domain[1:-1]) is not None
            else:
                is_there = bool(self.dns.addresses(domain) or self.dns.mail_exchangers(domain))
        except ConnectFailed:
            return Existence.UNKNOWN
        return Existence.EXISTS if is_there else Existence.MISSING

    def mail_exchangers(self, domain: str) -> tuple[str, ...] | None:
        """The hosts of its MX records; None if they cannot be looked up now."""
        try:
            return self.dns.mail_exchangers(domain)
        except ConnectFailed:
            return None


@dataclass(slots=True)
class Gatekeeper:
    """Asks the policy for each step of a session. `networks`: who may relay, beside this machine.

    `looks_up_clients`: whether clients' names are looked up. `recent`: addresses from which
    somebody has just logged in to a mailbox, and may relay.
    """

    rules: Rules
    networks: Sequence[Container[Any]]
    looks_up_clients: bool = False
    dns: NameServer = field(default_factory=Dns)
    recent: Container[str] = ()
    _threads: ThreadPoolExecutor = field(init=False)
    _domains: Domains = field(init=False)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOK_UP_THREADS, "names")
        self._domains = AskedDomains(self.dns)

    async def identify(self, address: str, trusted_user: str) -> Client:
        """What is known of a client, or of the local user who speaks SMTP on standard input."""
        if trusted_user:
            return Client(address=address, is_local_user=True)
        where = plain_address(address)
        is_trusted = self._is_trusted(where)
        name, state = "", NameState.NOT_ASKED
        if self.looks_up_clients:
            try:
                name, state = await self._in_thread(lambda: client_name(self.dns, where))
            except TimeoutError:
                state = NameState.UNRESOLVED
        return Client(address=where, name=name, name_state=state, is_trusted=is_trusted)

    def serves(self, address: str) -> bool:
        """Is the client this machine, or in a network that we serve?"""
        where = parsed_address(address)
        return where.is_loopback or any(where in network for network in self.networks)

    def _is_trusted(self, address: str) -> bool:
        where = parsed_address(address)
        return any(where in network for network in self.networks) or address in self.recent

    def introduced(self, proxy: Client, identity: Identity) -> Client:
        """The client that a proxy speaks for; what it does not tell is as it was."""
        address = proxy.address if identity.address is None else identity.address or UNKNOWN
        client = replace(proxy, address=address, is_trusted=self._is_trusted(address))
        if identity.name is not None:
            state = NameState.VERIFIED if identity.name else NameState.NONE
            state = NameState.UNRESOLVED if identity.is_name_unknown else state
            client = replace(client, name=identity.name, name_state=state)
        if identity.login is not None:
            client = replace(client, is_authenticated=bool(identity.login))
        return client

    async def check_relay(self, client: Client) -> Verdict:
        """See Gate."""
        return await self._check(client, lambda gate: gate.check_relay())

    async def check_mail(self, client: Client, sender: str) -> Verdict:
        """See Gate."""
        return await self._check(client, lambda gate: gate.check_mail(sender))

    async def check_rcpt(self, client: Client, sender: str, recipient: str) -> Verdict:
        """See Gate. Somebody at a sub-domain of a user's own is that user."""
        whose = recipient
        if self.rules.has_subdomains:
            try:
                whose = self.rules.expander.of_subdomain(recipient)
            except TableError as error:
                log.error("%s", error)
                return _UNREADABLE
        return await self._check(client, lambda gate: gate.check_rcpt(sender, whose))

    async def may_ask_for(self, client: Client, domain: str) -> bool:
        """May the client have the mail for a domain sent now (ETRN)?"""
        answers: list[bool] = []

        def check(gate: Gate) -> Verdict:
            answers.append(gate.check_etrn(domain))
            return ACCEPTED

        await self._check(client, check)
        return answers == [True]

    async def _check(self, client: Client, check: Callable[[Gate], Verdict]) -> Verdict:
        try:
            rules: AccessRules = self.rules.access(self._domains)
        except TableError as error:
            log.error("%s", error)
            return _UNREADABLE
        gate = Gate(rules, client)
        if not rules.settings.needs_dns:
            return check(gate)
        try:
            return await self._in_thread(lambda: check(gate))
        except TimeoutError:
            return _NO_ANSWER

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Raises: TimeoutError; the thread then ends when the DNS lets it."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LOOK_UP_SECONDS):
            return await loop.run_in_executor(self._threads, work)


def client_name(dns: NameServer, address: str) -> tuple[str, NameState]:
    """The name of an IP address, and whether it leads back there."""
    try:
        name = dns.name_of(address)
        if name is None:
            return "", NameState.NONE
        leads_back = any(same(address, other) for other in dns.addresses(name))
    except ConnectFailed:
        return "", NameState.UNRESOLVED
    return name, NameState.VERIFIED if leads_back else NameState.FORGED


def same(address: str, other: str) -> bool:
    """Are two IP addresses one, however they are written?"""
    return ipaddress.ip_address(address) == ipaddress.ip_address(unmapped(other))


def unmapped(address: str) -> str:
    """An IPv4 client of a dual-stack socket under its own address."""
    where = ipaddress.ip_address(address.partition("%")[0])
    mapped = where.ipv4_mapped if isinstance(where, ipaddress.IPv6Address) else None
    return address if mapped is None else str(mapped)
