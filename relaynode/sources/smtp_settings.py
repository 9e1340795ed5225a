"""The guard of a listener's SMTP source, out of the configuration."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relaynode.queue.free_room import FreeRoom
from relaynode.smtp.terms import Terms
from relaynode.sources.crowd import Crowd, CrowdLimits
from relaynode.sources.smtp_guard import Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from relaynode.config.loader import Config
    from relaynode.config.schema import ListenSection
    from relaynode.config.values import Network
    from relaynode.mail.status import Status
    from relaynode.smtp.events import SendNow


def crowd_of(config: Config) -> Crowd:
    """One for all listeners: a client that comes to two ports is one."""
    limits = config.file.limits
    return Crowd(
        CrowdLimits(
            connections=limits.connections,
            connections_per_client=limits.connections_per_client,
            connections_per_minute=limits.connections_per_minute,
            messages_per_minute=limits.messages_per_minute,
            recipients_per_minute=limits.recipients_per_minute,
        ),
        time.monotonic,
    )


def guard_of(
    config: Config,
    section: ListenSection,
    crowd: Crowd,
    send_now: Callable[[SendNow], Awaitable[Status]],
) -> Guard:
    """What a listener's clients are offered, and what is borne from them."""
    limits = config.file.limits
    return Guard(
        terms=_terms(config, section),
        crowd=crowd,
        is_exempt_network=limits.exempt_networks,
        command_seconds=float(limits.command_seconds),
        slowest_bytes_per_second=limits.slowest_bytes_per_second,
        greeting_delay_seconds=float(limits.greeting_delay_seconds),
        xclient_hosts=Hosts(section.xclient_hosts),
        has_room=Room(FreeRoom(config.spool), config.file.queue.min_free_bytes).has,
        send_now=send_now,
    )


def _terms(config: Config, section: ListenSection) -> Terms:
    limits, access = config.file.limits, config.file.access
    return Terms(
        max_recipients=limits.recipients_per_message,
        max_messages=limits.messages_per_connection,
        max_errors=limits.wrong_commands,
        max_refusals=limits.refused_commands,
        max_idle_commands=limits.idle_commands,
        verifies=access.vrfy,
        expands=access.expn,
        takes_etrn=access.etrn,
        takes_xclient=bool(section.xclient_hosts),
        is_strict=limits.pipelining == "strict",
    )


@dataclass(frozen=True, slots=True)
class Hosts:
    """Addresses in any of some networks."""

    networks: Sequence[Network]

    def __contains__(self, address: object) -> bool:
        where: Any = address
        return any(where in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Room:
    """What is free of a disk. `kept_free_bytes`: what mail must leave."""

    disk: FreeRoom
    kept_free_bytes: int

    def has(self, size_bytes: int) -> bool:
        """Is there room for a message? Where that cannot be told, its content will show it."""
        try:
            return self.disk.has(size_bytes + self.kept_free_bytes)
        except OSError:
            return True
