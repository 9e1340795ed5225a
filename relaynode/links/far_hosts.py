"""The hosts for mail that no smart host takes: the DNS is asked, and its answers are made into
addresses to call, in order.

What the answers mean is decided in `policy/exchangers.py` and `policy/dane.py`. Names that a table
gives are the administrator's: that there is no such host makes their mail wait. A recipient's
domain is the sender's word: if it does not exist, that is final.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import NameServerFailed, TableError
from relaynode.links.table_hosts import table_hosts
from relaynode.mail.status import Status, permanent, temporary
from relaynode.policy.dane import AUTHORITY, Tlsa
from relaynode.policy.exchangers import MailHost, mail_hosts, targets
from relaynode.wire.authority import can_vouch
from relaynode.wire.resolver import Answer, literal, system_addresses

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.links.table_hosts import TableHost
    from relaynode.wire.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Dane:
    """What the DNS says of a host's certificate. `records`: those that can be used; if there are
    none, TLS is demanded, whoever it is with. `names`: what the certificate may be for."""

    records: tuple[Tlsa, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FarHost:
    """An address to call. `name`: the host it is of. `port`: None is the usual one."""

    name: str
    address: str
    port: int | None = None
    dane: Dane | None = None


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found about a host. `failure`: what could not be found, for people."""

    addresses: tuple[str, ...] = ()
    dane: Dane | None = None
    failure: str = ""
    is_silence: bool = False


@dataclass(frozen=True, slots=True)
class FarHosts:
    """For one session. `port`: the usual one. `is_our_address`: is it we who answer there, on that
    port? `asks_dns_for_hosts`: a host that a table names is looked up like any other; else as the
    system does it, with its hosts file.
    """

    resolver: Resolver
    port: int
    is_our_name: Callable[[str], bool]
    is_our_address: Callable[[str, int], bool]
    shuffle: Callable[[list[MailHost]], None]
    asks_dns_for_hosts: bool = False
    failures: list[NameServerFailed] = field(default_factory=list)

    async def find(self, text: str, *, is_domain: bool) -> list[FarHost] | Status:
        """The addresses for what a route names as its host, or why there are none.

        `is_domain`: it is the recipient's own. Raises: TableError, NameServerFailed.
        """
        try:
            named = table_hosts(text)
        except ValueError as error:  # the mailertable has it so; `check` names the line
            if is_domain:
                return permanent(f"{text} names no host", "5.1.2", 550)
            raise TableError(f"next hop {text}: {error}") from error
        found: list[FarHost] = []
        statuses: list[Status] = []
        for one in named:
            try:
                hosts = await self._find(one, is_domain=is_domain)
            except NameServerFailed as error:
                self.failures.append(error)
                continue
            if isinstance(hosts, Status):
                statuses.append(hosts)
            else:
                found += hosts
        if found:
            return found
        if self.failures:
            raise self.failures[-1]
        return statuses[-1] if is_domain else _as_mistake(statuses[-1])

    async def _find(self, one: TableHost, *, is_domain: bool) -> list[FarHost] | Status:
        host, port = one.where.host.lower().rstrip("."), one.where.port
        if (address := literal(host)) is not None:
            return [FarHost(host, address, port)]
        if one.has_brackets or _is_localhost(host):
            return await self._by_addresses(host, port)
        answer = await self.resolver.mail_exchangers(host)
        hosts = mail_hosts(
            host,
            answer.records,
            exists=answer.exists or not is_domain,
            is_our_name=self.is_our_name if answer.records else lambda name: False,
            shuffle=self.shuffle,
        )
        if isinstance(hosts, Status):
            return hosts
        if not answer.records and not is_domain:
            return await self._by_addresses(host, port)
        return await self._by_exchangers(host, port, hosts, is_secure=answer.is_secure)

    async def _by_addresses(self, host: str, port: int | None) -> list[FarHost] | Status:
        if self.asks_dns_for_hosts and not _is_localhost(host):
            answer = await self.resolver.addresses(host)
        else:
            answer = await system_addresses(host)
        found = targets(
            host,
            [MailHost(0, host)],
            {host: answer.records},
            is_our_address=self._is_ours(port),
        )
        if isinstance(found, Status):
            return found
        return [FarHost(one.host, one.address, port) for one in found]

    async def _by_exchangers(
        self, domain: str, port: int | None, hosts: list[MailHost], *, is_secure: bool
    ) -> list[FarHost] | Status:
        looks = [self._look(host.name, port, domain, is_secure=is_secure) for host in hosts]
        looked = dict(zip((one.name for one in hosts), await asyncio.gather(*looks), strict=True))
        found = targets(
            domain,
            hosts,
            {name: look.addresses for name, look in looked.items()},
            failed=[look.failure for look in looked.values() if look.failure],
            is_our_address=self._is_ours(port),
        )
        if isinstance(found, Status) and found.enhanced == "4.4.3":
            is_silence = all(look.is_silence for look in looked.values() if look.failure)
            raise NameServerFailed(found.text, is_silent=is_silence)
        if isinstance(found, Status):
            return found
        return [FarHost(one.host, one.address, port, looked[one.host].dane) for one in found]

    def _is_ours(self, port: int | None) -> Callable[[str], bool]:
        return lambda address: self.is_our_address(address, port or self.port)

    async def _look(self, host: str, port: int | None, domain: str, *, is_secure: bool) -> _Looked:
        """A host's addresses, and what is said of its certificate if that can be believed."""
        if (address := literal(host)) is not None:  # against RFC 1035, and not rare
            return _Looked((address,))
        try:
            answer = await self.resolver.addresses(host)
            if not (is_secure and answer.is_secure and answer.records):
                return _Looked(answer.records)
            # RFC 7672 section 2.1.2: if that fails, somebody may be in the way: not this host.
            dane = await self._dane(host, port or self.port, answer, domain)
        except NameServerFailed as error:
            return _Looked(failure=str(error), is_silence=error.is_silent)
        return _Looked(answer.records, dane)

    async def _dane(self, host: str, port: int, found: Answer[str], domain: str) -> Dane | None:
        """RFC 7672 section 2.2.3: asked for where the host's aliases end, then for itself."""
        for base in dict.fromkeys((found.name, host)):
            answer = await self.resolver.tlsa(base, port)
            if answer.records and answer.is_secure:
                records = tuple(Tlsa(*record) for record in answer.records)
                usable = tuple(one for one in records if _is_usable(one))
                return Dane(usable, tuple(dict.fromkeys((base, host, domain))))
        return None


def _is_usable(record: Tlsa) -> bool:
    return record.is_usable and (record.usage != AUTHORITY or can_vouch())


def _is_localhost(host: str) -> bool:
    """RFC 6761 section 6.3: no name server is asked for it."""
    return host == "localhost" or host.endswith(".localhost")


def _as_mistake(status: Status) -> Status:
    """What would be for ever, if it were not the administrator who has to mend it."""
    return temporary(status.text, "4.4.4") if status.is_permanent else status
