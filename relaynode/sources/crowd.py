"""Who is connected now, and how often each client has come and sent lately.

In memory, bounded, and with the time given: nothing here waits. A client is its IPv4 address, or
the /64 of its IPv6 address, out of which one machine can take any.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.mail.ip_address import client_key
from relaynode.mail.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = 60.0

MAX_REMEMBERED = 10_000
"""Clients of the last minute; of more, those who came first are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdLimits:
    """0 is no limit. `connections`: of all clients at once."""

    connections: int = 0
    connections_per_client: int = 0
    connections_per_minute: int = 0
    messages_per_minute: int = 0
    recipients_per_minute: int = 0


@dataclass(slots=True)
class _Minute:
    """What a client has done since `began`."""

    began: float
    connections: int = 0
    messages: int = 0
    recipients: int = 0


@dataclass(slots=True)
class Crowd:
    """All clients of the listeners. `clock`: monotonic seconds."""

    limits: CrowdLimits
    clock: Callable[[], float]
    _present: dict[str, int] = field(default_factory=dict)
    _minutes: OrderedDict[str, _Minute] = field(default_factory=OrderedDict)
    total: int = 0

    def enter(self, address: str, *, is_exempt: bool = False) -> Status | None:
        """A client has come: why it must go again, or None; then `leave` is owed.

        `is_exempt`: only the number of all clients counts.
        """
        if 0 < self.limits.connections <= self.total:
            return Status(421, "4.3.2", "Too many open connections; try again later")
        if not is_exempt and (refusal := self._judge_arrival(client_key(address))) is not None:
            return refusal
        self.total += 1
        if not is_exempt:
            key = client_key(address)
            self._present[key] = self._present.get(key, 0) + 1
        return None

    def _judge_arrival(self, key: str) -> Status | None:
        limits = self.limits
        if 0 < limits.connections_per_client <= self._present.get(key, 0):
            return Status(421, "4.7.0", f"Too many connections from {key}")
        if limits.connections_per_minute:
            minute = self._minute(key)
            minute.connections += 1
            if minute.connections > limits.connections_per_minute:
                return Status(421, "4.7.0", f"Connection rate limit exceeded for {key}")
        return None

    def leave(self, address: str, *, is_exempt: bool = False) -> None:
        """It has gone."""
        self.total -= 1
        if is_exempt:
            return
        key = client_key(address)
        self._present[key] -= 1
        if not self._present[key]:
            del self._present[key]

    def may_send(self, address: str) -> Status | None:
        """A client begins a message: why not now, or None."""
        if not self.limits.messages_per_minute:
            return None
        key = client_key(address)
        minute = self._minute(key)
        minute.messages += 1
        if minute.messages > self.limits.messages_per_minute:
            return Status(450, "4.7.1", f"Too much mail from {key}; try again later")
        return None

    def may_name(self, address: str) -> Status | None:
        """A client names a recipient: why not now, or None."""
        if not self.limits.recipients_per_minute:
            return None
        key = client_key(address)
        minute = self._minute(key)
        minute.recipients += 1
        if minute.recipients > self.limits.recipients_per_minute:
            return Status(450, "4.7.1", f"Too many recipients from {key}; try again later")
        return None

    def _minute(self, key: str) -> _Minute:
        now = self.clock()
        self._forget(now)
        minute = self._minutes.get(key)
        if minute is None:
            if len(self._minutes) >= MAX_REMEMBERED:
                self._minutes.popitem(last=False)
            minute = self._minutes[key] = _Minute(now)
        return minute

    def _forget(self, now: float) -> None:
        """They are in the order in which their minutes began."""
        while self._minutes:
            first = next(iter(self._minutes.values()))
            if now - first.began < MINUTE:
                return
            self._minutes.popitem(last=False)
