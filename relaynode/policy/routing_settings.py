"""What routing goes by: tables, relays, neighbours, and names that never leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.tables.mailertable import Mailertable
from relaynode.tables.virtusertable import Virtusertable

if TYPE_CHECKING:
    from collections.abc import Set

    from relaynode.policy.names import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Relays:
    """Values of the relay settings, written as in a mailertable; "" for none."""

    smart_host: str = ""
    uucp_relay: str = ""
    mail_hub: str = ""
    local_relay: str = ""
    luser_relay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingSettings:
    """`smart_host_name`: the [smart_host.NAME] behind the smart host, or "". `neighbours`: the UUCP
    mailer by node name, in lower case. `uucp_mailer`: UUCP nodes that nobody else takes are called
    directly. `local_users`: names that never leave this host (LOCAL_USER). `stickyhost`: see
    sendmail's FEATURE of that name.
    """

    names: Names
    mailertable: Mailertable = field(default_factory=lambda: Mailertable("mailertable", {}))
    virtusertable: Virtusertable = field(default_factory=lambda: Virtusertable("virtusertable", {}))
    relays: Relays = Relays()
    smart_host_name: str = ""
    neighbours: dict[str, str] = field(default_factory=dict)
    uucp_mailer: bool = False
    local_users: Set[str] = frozenset()
    stickyhost: bool = False
