"""POP-before-SMTP: from where somebody has logged in to a mailbox lately.

For mail programs that cannot log in to send: whoever has just fetched mail may relay from the same
address, for some minutes. In memory: after a restart they fetch once more.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.mail.ip_address import plain_address

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ADDRESSES = 10_000
"""Of more, those seen longest ago are forgotten."""


@dataclass(slots=True)
class RecentLogins:
    """`seconds`: how long an address counts, 0 for not at all. `clock`: monotonic seconds."""

    seconds: float
    clock: Callable[[], float]
    _seen: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def note(self, address: str) -> None:
        """Somebody has logged in from there."""
        if not self.seconds:
            return
        key = plain_address(address)
        self._seen.pop(key, None)
        if len(self._seen) >= MAX_ADDRESSES:
            self._seen.popitem(last=False)
        self._seen[key] = self.clock()

    def __contains__(self, address: object) -> bool:
        """Was that lately?"""
        key = plain_address(str(address))
        seen = self._seen.get(key)
        if seen is None:
            return False
        if self.clock() - seen >= self.seconds:
            del self._seen[key]
            return False
        return True
