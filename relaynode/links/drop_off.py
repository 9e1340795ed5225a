"""Fetched mail that an account hands to a server or a program of its own, whatever the tables say.

It passes the queue as any mail does, so what cannot be handed over waits. Its recipients keep the
account's name; where the mail goes is read from the account at each try, so that a changed
configuration moves what waits.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from relaynode.links.next_hops import FAR_CONNECT_SECONDS, opener
from relaynode.mail.address import join, split
from relaynode.mail.status import temporary
from relaynode.mailers.mda import MdaMailer
from relaynode.mailers.same_for_all import SameForAll
from relaynode.mailers.smtp_hop import NextHop
from relaynode.polls.fetched import DROP_OFF
from relaynode.wire import tls, unix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.config.drop_off import DropOff
    from relaynode.config.schema import AccountSection, LocalSection
    from relaynode.mailers.mailer import Mailer
    from relaynode.mailers.users import Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.servers import Servers
    from relaynode.wire.meter import ByteCount
    from relaynode.wire.stream import Stream

__all__ = ("DROP_OFF", "address_maker", "hops", "program", "told")

_SMTP_PORT = 25


def address_maker(section: AccountSection) -> Callable[[str], str] | None:
    """How the drop-off of an account is told a recipient; None if it has none.

    A local name is completed with smtp_address, else for SMTP with the host's name; a program and
    an LMTP server are told the name alone. smtp_name stands for everybody.
    """
    if not section.drop_off and section.mda is None:
        return None
    domain = section.smtp_address or (_domain(section.drop_off[0]) if section.drop_off else "")

    def address(text: str) -> str:
        if section.smtp_name is not None:
            return section.smtp_name
        return text if split(text)[1] else join(text, domain)

    return address


def _domain(first: DropOff) -> str:
    if first.protocol == "lmtp" or first.where is None:
        return ""
    try:
        address = ipaddress.ip_address(first.where.host)
    except ValueError:
        return first.where.host
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"  # RFC 5321 4.1.3


def told(account: str, section: AccountSection | None) -> str:
    """Where an account's mail goes, for people."""
    if section is not None and section.drop_off:
        where = ", then ".join(map(str, section.drop_off))
    elif section is not None and section.mda is not None:
        where = f"program {section.mda}"
    else:
        where = "it has none any more"
    return f"drop-off of account {account} ({where})"


def program(
    account: str,
    section: AccountSection | None,
    local: LocalSection,
    users: Users,
    masquerade: Masquerade,
) -> Mailer | None:
    """The mailer of an account whose mail a program gets, or that hands it over no more; None if
    `hops` knows whom to call."""
    if section is not None and section.drop_off:
        return None
    if section is None or section.mda is None:
        text = f"[account.{account}] has no drop_off and no mda any more"
        return SameForAll(temporary(text, "4.3.5"))
    return MdaMailer(
        users,
        command=section.mda.words,
        masquerade=masquerade,
        timeout_seconds=local.program_timeout_seconds,
        default_user=local.default_user or "",
    )


def hops(section: AccountSection, count: ByteCount, servers: Servers) -> list[NextHop]:
    """The servers of an account's drop-off, in the order in which they are tried."""
    return [_hop(one, section.timeout_seconds, count, servers) for one in section.drop_off]


def _hop(where: DropOff, timeout_seconds: float, count: ByteCount, servers: Servers) -> NextHop:
    is_lmtp = where.protocol == "lmtp"
    port = _SMTP_PORT if where.where is None else where.where.with_default(_SMTP_PORT)[1]
    return NextHop(
        name=str(where.path) if where.where is None else where.where.host,
        open=_opener(where, count),
        mailer="local" if is_lmtp else "relay",
        tls="none" if is_lmtp else "opportunistic",
        tls_context=lambda: tls.client_context(verify=False),
        timeout_seconds=timeout_seconds,
        port=port,
        is_lmtp=is_lmtp,
        servers=servers,
    )


def _opener(where: DropOff, count: ByteCount) -> Callable[[], Awaitable[Stream]]:
    if where.where is not None:
        return opener(where.where, _SMTP_PORT, count)
    path = where.path

    async def connect() -> Stream:
        assert path is not None, "one of the two"
        return await unix.connect(path, timeout=FAR_CONNECT_SECONDS)

    return connect
