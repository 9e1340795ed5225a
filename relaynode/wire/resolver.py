"""Asking name servers without waiting in a thread: MX, addresses, TLSA (RFC 1035, RFC 6698).

A `Resolver` is made anew for each session: it reads /etc/resolv.conf once, and a line that comes up
may have changed that. Where [dns] names servers, those are asked instead. Every question has a
limit in time, all servers and repetitions together. What an answer means for mail is not decided
here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from relaynode.errors import NameServerFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dns.asyncresolver import Resolver as AsyncResolver
    from dns.resolver import Answer as DnsAnswer

    from relaynode.config.values import HostPort

T = TypeVar("T")

DNS_PORT = 53

TRY_SECONDS = 5.0
"""For one try at one server. A line by satellite or radio needs seconds for the way alone."""

MAX_ALIASES = 16
"""CNAMEs that lead from one name to another, one after the other."""

MAX_RECORDS = 100
"""Of an answer as many are read, whatever a server sends."""

_EDNS_BYTES = 1232
"""What fits into one packet everywhere; longer answers are fetched over TCP."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What the DNS says. `exists`: false if there is no such name, of whatever type.

    `name`: where the aliases led to. `is_secure`: the server has validated all of it (AD), and the
    configuration says that it may be believed.
    """

    records: tuple[T, ...]
    name: str
    exists: bool = True
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """[dns]. `servers`: to be asked; those of /etc/resolv.conf if empty. `seconds`: for a question.

    `validates`: the servers validate, and the way to them is safe.
    """

    servers: tuple[HostPort, ...] = ()
    validates: bool = False
    seconds: float = 20.0


class Resolver:
    """Name servers as they are now."""

    def __init__(self, settings: Settings = Settings()) -> None:
        """Raises: NameServerFailed if the system's settings cannot be understood."""
        self._settings = settings
        self._servers = _servers(settings)

    async def mail_exchangers(self, domain: str) -> Answer[tuple[int, str]]:
        """Preference and host of the MX records, as they came. Raises: NameServerFailed."""
        return await self._ask(domain, "MX", lambda one: (int(one.preference), _text(one.exchange)))

    async def tlsa(self, host: str, port: int) -> Answer[tuple[int, int, int, bytes]]:
        """Usage, selector, matching type and data of the TLSA records. Raises: NameServerFailed."""
        return await self._ask(
            f"_{port}._tcp.{host}",
            "TLSA",
            lambda one: (int(one.usage), int(one.selector), int(one.mtype), bytes(one.cert)),
        )

    async def addresses(self, host: str) -> Answer[str]:
        """The IPv6 and IPv4 addresses of a host. Without any name server, as the system finds them.

        Raises: NameServerFailed, if it is so for both kinds, or for one while the other has none.
        """
        if self._servers is None:
            return await system_addresses(host)
        asked = [self._ask(host, kind, lambda one: str(one.address)) for kind in ("AAAA", "A")]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = [answer for answer in answers if isinstance(answer, Answer)]
        for answer in answers:
            if isinstance(answer, NameServerFailed) and not any(one.records for one in found):
                raise answer
            if isinstance(answer, BaseException) and not isinstance(answer, NameServerFailed):
                raise answer
        return Answer(
            tuple(record for answer in found for record in answer.records),
            found[0].name,
            any(answer.exists for answer in found),
            all(answer.is_secure for answer in found),
        )

    async def _ask(self, name: str, kind: str, read: Callable[[Any], T]) -> Answer[T]:
        if self._servers is None:  # this machine has none: as sendmail without DNS
            return Answer((), name)
        from dns import exception

        is_secure = self._settings.validates
        seen: set[str] = set()
        what = f"{kind} of {name}"
        try:
            async with asyncio.timeout(self._settings.seconds):
                while True:
                    answer = await self._question(self._servers, name, kind, read)
                    is_secure &= answer.is_secure
                    seen.add(name)
                    if answer.records or answer.name in seen or not answer.exists:
                        break
                    name = answer.name  # a server that does not follow aliases itself
                    if len(seen) > MAX_ALIASES:
                        raise NameServerFailed(f"{what}: a chain of CNAMEs that does not end")
        except TimeoutError:
            seconds = self._settings.seconds
            text = f"{what}: no name server answers within {seconds:g} s"
            raise NameServerFailed(text, is_silent=True) from None
        except (exception.DNSException, OSError, UnicodeError) as error:
            reason, is_silent = _reason(error)
            raise NameServerFailed(f"{what}: {reason}", is_silent=is_silent) from error
        if answer.name in seen and answer.name != name:
            raise NameServerFailed(f"{what}: its CNAMEs lead in a circle")
        return Answer(answer.records, answer.name, answer.exists, is_secure)

    async def _question(
        self, servers: AsyncResolver, name: str, kind: str, read: Callable[[Any], T]
    ) -> Answer[T]:
        from dns import flags, resolver
        from dns import name as names

        try:
            found = await servers.resolve(
                names.from_text(name),
                kind,
                search=False,
                raise_on_no_answer=False,
                lifetime=self._settings.seconds,
            )
        except resolver.NXDOMAIN as error:
            said = error.kwargs["responses"].values()
            is_secure = all(bool(one.flags & flags.AD) for one in said)
            return Answer((), name, exists=False, is_secure=is_secure)
        is_secure = bool(found.response.flags & flags.AD)
        return Answer(_records(found, read), _text(found.canonical_name), is_secure=is_secure)


def _records(found: DnsAnswer, read: Callable[[Any], T]) -> tuple[T, ...]:
    return tuple(read(record) for record in list(found.rrset or ())[:MAX_RECORDS])


def _text(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower().rstrip(".")


def _reason(error: Exception) -> tuple[str, bool]:
    """Why, without each server's address twice; and whether nobody has said anything."""
    from dns import message, resolver

    if isinstance(error, resolver.LifetimeTimeout | resolver.NoNameservers):
        tried = [(one[3], one[4]) for one in error.kwargs.get("errors", ())]
        causes = [cause for cause, _ in tried]
        if any(isinstance(cause, message.ChainTooLong) for cause in causes):
            return "a chain of CNAMEs that does not end", False
        is_silent = all(response is None for _, response in tried)
        told = ", ".join(dict.fromkeys(str(cause) for cause in causes if str(cause)))
        return f"no name server answers: {told}" if told else "no name server answers", is_silent
    return str(error) or type(error).__name__, isinstance(error, OSError)


def _servers(settings: Settings) -> AsyncResolver | None:
    """None if this machine has no name servers at all."""
    from dns import asyncresolver, exception, flags, resolver  # they are large, and few nodes ask

    if settings.servers:
        servers = asyncresolver.Resolver(configure=False)
        servers.nameservers = _listed(settings.servers)
    else:
        try:
            servers = asyncresolver.Resolver()
        except resolver.NoResolverConfiguration:
            return None
        except (ValueError, exception.DNSException) as error:  # UnicodeError is one, too
            raise NameServerFailed(f"/etc/resolv.conf: {error}") from error
    # Each of them has its turn, whatever the others do.
    servers.timeout = min(TRY_SECONDS, settings.seconds / (len(servers.nameservers) + 1))
    servers.lifetime = settings.seconds
    servers.use_edns(0, 0, _EDNS_BYTES)
    # RFC 6840 section 5.7: AD in the question asks for AD in the answer.
    servers.set_flags(flags.RD | flags.AD)
    return servers


def _listed(servers: Sequence[HostPort]) -> list[Any]:
    from dns import nameserver

    return [nameserver.Do53Nameserver(*one.with_default(DNS_PORT)) for one in servers]


async def system_addresses(host: str) -> Answer[str]:
    """The addresses of a host as the system finds them: the hosts file counts, too.

    Raises: NameServerFailed.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
            raise NameServerFailed(f"{host}: {error.strerror}") from error
        return Answer((), host, exists=False)
    except (OSError, UnicodeError):  # a label that DNS cannot hold
        return Answer((), host, exists=False)
    addresses = dict.fromkeys(str(where[4][0]).partition("%")[0] for where in found)
    return Answer(tuple(addresses), host)


def literal(host: str) -> str | None:
    """The address that a host's name is already, also as "IPv6:..."; None if it is a name."""
    bare = host[5:] if host[:5].lower() == "ipv6:" else host
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None
