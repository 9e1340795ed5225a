"""Which hosts take mail for a domain, in the order in which they are tried (RFC 5321 section 5.1).

What the DNS said comes in as plain values, what comes out is a list of hosts, or the status that
the mail gets because there can be none. Nothing is asked here, and no address is connected to.

    MX 10 b.example.    ->  1. a.example or b.example, as the dice fall
    MX 10 a.example.        2. c.example
    MX 20 c.example.
    none                ->  the domain itself, by its address records (5.1)
    MX 0 .              ->  takes no mail: 5.1.10 (RFC 7505)
    MX 10 we, MX 20 d   ->  we are the best and do not know the domain: 4.3.5

sendmail returns mail whose MX list ends at itself (554 5.3.5). Here it waits: either the domain
lacks in our local_domains, a mistake of the administrator's, which never bounces mail here, or it
is the domain's, and is returned when its days are over.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from relaynode.mail.status import Status, permanent, temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MAX_HOSTS = 8
"""Hosts that are looked up for one domain, the best ones: nobody needs more, and each costs time on
the line. sendmail stops at 100."""

MAX_ADDRESSES = 4
"""Addresses that are tried of one host ..."""

MAX_TARGETS = 10
"""... and of all hosts of a domain, in one session."""

_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
"""What can be a host's name: letters, digits, hyphens, and the underscores that some have."""


@dataclass(frozen=True, slots=True)
class MailHost:
    """A host of a list. `preference`: less is better. `name`: lower case, no dot at its end."""

    preference: int
    name: str


@dataclass(frozen=True, slots=True)
class Target:
    """An address to connect to, and the host that it is of."""

    host: str
    address: str


def mail_hosts(
    domain: str,
    records: Iterable[tuple[int, str]],
    *,
    exists: bool,
    is_our_name: Callable[[str], bool],
    shuffle: Callable[[list[MailHost]], None],
) -> list[MailHost] | Status:
    """The hosts for `domain`, the best first; or why there are none.

    `records`: the MX records, preference and host, as they came. `exists`: false if the DNS knows
    no such name. `shuffle`: brings a list of equals into some order, in place.
    """
    if not exists:
        return permanent(f"{domain}: there is no such domain", "5.1.2", 550)
    found = [MailHost(preference, host.lower().rstrip(".")) for preference, host in records]
    if not found:
        return [MailHost(0, domain)]
    if all(host.name == "" for host in found):
        # RFC 7505 section 4.1: the domain takes no mail, and this is the code for it.
        return permanent(f"{domain} takes no mail (null MX)", "5.1.10", 556)
    usable = [host for host in found if _HOST.fullmatch(host.name)]
    if not usable:
        return permanent(f"{domain}: no MX record names a host", "5.4.4", 550)
    ordered = _ordered(usable, shuffle)
    ours = [host.preference for host in ordered if is_our_name(host.name)]
    return _better_than_us(domain, ordered, min(ours, default=None))


def _ordered(
    hosts: Iterable[MailHost], shuffle: Callable[[list[MailHost]], None]
) -> list[MailHost]:
    by_preference: dict[int, list[MailHost]] = defaultdict(list)
    for host in dict.fromkeys(hosts):
        by_preference[host.preference].append(host)
    for equals in by_preference.values():
        shuffle(equals)
    return [host for preference in sorted(by_preference) for host in by_preference[preference]]


def _better_than_us(
    domain: str, hosts: Sequence[MailHost], our_preference: int | None
) -> list[MailHost] | Status:
    """RFC 5321 section 5.1: what is no better than we are must not get it, or mail would loop."""
    if our_preference is None:
        return list(hosts[:MAX_HOSTS])
    better = [host for host in hosts if host.preference < our_preference]
    if better:
        return better[:MAX_HOSTS]
    text = f"MX list for {domain} points back to us: it is not among our local domains"
    return temporary(text, "4.3.5")


def targets(
    domain: str,
    hosts: Sequence[MailHost],
    found: Mapping[str, Sequence[str]],
    *,
    failed: Sequence[str] = (),
    is_our_address: Callable[[str], bool],
) -> list[Target] | Status:
    """The addresses to try, in order; or why there are none.

    `found`: the addresses of each host. `failed`: what the DNS could not tell about hosts, for
    people; as long as there is something, nothing is for ever.
    """
    ours = [host.preference for host in hosts if any(map(is_our_address, found.get(host.name, ())))]
    remaining = _better_than_us(domain, hosts, min(ours, default=None))
    if isinstance(remaining, Status):
        return remaining
    all_targets = [
        Target(host.name, address)
        for host in remaining
        for address in balanced(found.get(host.name, ()))[:MAX_ADDRESSES]
    ]
    if all_targets:
        return all_targets[:MAX_TARGETS]
    if failed:
        return temporary("; ".join(failed), "4.4.3")
    if [host.name for host in remaining] == [domain]:
        return permanent(f"{domain} has neither MX nor address", "5.1.2", 550)
    return permanent(f"{domain}: no host of its MX list has an address", "5.4.4", 550)


def balanced(addresses: Iterable[str]) -> list[str]:
    """IPv6 and IPv4 in turn, so that neither kind can crowd out the other."""
    every = list(dict.fromkeys(addresses))
    six = [address for address in every if ":" in address]
    four = [address for address in every if ":" not in address]
    return [one for one in chain.from_iterable(zip_longest(six, four)) if one is not None]
