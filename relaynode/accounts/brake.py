"""Who fails to log in waits, longer each time; who fails often is not heard for a while.

Guessing shall not pay, and whoever shares an address with a guesser shall be served again soon. An
IPv6 client has a whole network to come from, so that is what is counted. Time is an argument.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from relaynode.mail.ip_address import client_key

WINDOW_SECONDS = 600.0
"""Failures are forgotten when none has come for so long."""

FIRST_SECONDS, MOST_SECONDS = 1.0, 8.0
"""What the first failure costs, and each after some; twice as much each time between."""

MAX_FAILURES = 30
"""After so many a client is not asked for its password any more."""

MAX_CLIENTS = 10_000
"""Clients whose failures are remembered; the oldest are forgotten first."""


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Brake:
    """What is remembered of clients that have failed. `address`: an IP address; "" for none."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, _Failures] = OrderedDict()

    def failed(self, address: str, now: float) -> float:
        """A login has failed: how many seconds its answer shall wait."""
        key = _key(address)
        count = self._count(key, now) + 1
        self._clients[key] = _Failures(count, now)
        self._clients.move_to_end(key)
        while len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return float(min(FIRST_SECONDS * 2 ** min(count - 1, 10), MOST_SECONDS))

    def passed(self, address: str) -> None:
        """A login was right: a person who had mistyped is forgiven, one who guesses at other
        accounts from one of his own is not."""
        found = self._clients.get(_key(address))
        if found is not None and found.count < MAX_FAILURES // 2:
            del self._clients[_key(address)]

    def has_failed(self, address: str, now: float) -> bool:
        """Has it failed lately?"""
        return self._count(_key(address), now) > 0

    def is_shut(self, address: str, now: float) -> bool:
        """Has it failed so often that it is not heard? This machine always is."""
        if not address or ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            return False
        return self._count(_key(address), now) >= MAX_FAILURES

    def _count(self, key: str, now: float) -> int:
        found = self._clients.get(key)
        return found.count if found is not None and now - found.last < WINDOW_SECONDS else 0


def _key(address: str) -> str:
    return client_key(address) if address else ""
