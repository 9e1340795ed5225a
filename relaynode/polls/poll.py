"""One visit to an account: how it is going, and at its end how it went."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Poll:
    """Sizes are the server's until fetched. What a server does not tell beforehand counts as
    waiting when it comes. `reason`: the code of the error that ended it (mail/reason.py)."""

    account: str
    waiting: int = 0
    waiting_bytes: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    deleted: int = 0
    problems: list[str] = field(default_factory=list)
    reason: str = ""

    def take(self, size_bytes: int) -> None:
        """A message came that nothing had announced."""
        self.waiting += 1
        self.waiting_bytes += size_bytes
        self.fetched += 1
        self.fetched_bytes += size_bytes
