"""One transaction of an SMTP client: what was given so far, and what it would be known again by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.header import find_header_end
from relaynode.mail.trace import count_received
from relaynode.queue.model import OnceMark

if TYPE_CHECKING:
    from collections.abc import Collection

    from relaynode.mail.status import Status
    from relaynode.policy.verdict import Verdict
    from relaynode.sources.intake import Collector


@dataclass(slots=True)
class Transaction:
    """`given`: the forward-paths accepted, as they were given; `expansions`: whom each stands for,
    by identity. `shown`: how each recipient was written first, by the route it has.
    `is_discarded`, `quarantine`: see policy/verdict.py; what holds for one recipient holds for the
    message. `once_id`: what the client calls the message in all its tries, "" if nothing.
    `has_common_id`: it calls all its messages so; then only the content tells two of them apart."""

    reverse_path: str
    body: str
    smtputf8: bool
    once_id: str = ""
    has_common_id: bool = False
    given: list[str] = field(default_factory=list)
    expansions: dict[str, dict[tuple[str, ...], Recipient]] = field(default_factory=dict)
    shown: dict[tuple[str, str, str], str] = field(default_factory=dict)
    collector: Collector | None = None
    failure: Status | None = None
    is_discarded: bool = False
    quarantine: str = ""
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def note(self, verdict: Verdict) -> None:
        """Remember what an accepted client, sender or recipient does to the message."""
        self.is_discarded = self.is_discarded or verdict.is_discarded
        self.quarantine = self.quarantine or verdict.quarantine

    def write(self, data: bytes) -> None:
        """Content, where it is kept. Raises: StoreFull, StoreError."""
        if self.collector is not None:
            self.collector.write(data)
            if self.once_id:
                self._digest.update(data)

    def envelope(self) -> Envelope:
        """Each recipient once, however many of the forward-paths stand for it."""
        recipients: dict[tuple[str, ...], Recipient] = {}
        for expansion in self.expansions.values():
            for identity, recipient in expansion.items():
                recipients.setdefault(identity, recipient)
        return Envelope(self.reverse_path, tuple(recipients.values()), self.body, self.smtputf8)

    def mark(self) -> OnceMark | None:
        """By what the message would be known again, once its content is whole.

        Who sends it and whether it is held are part of what it is: a copy that a stranger slips in
        where it is held does not stand for the one that would not be.
        """
        if not self.once_id or (self.has_common_id and not self._has_trace()):
            return None
        digest = self._digest.copy()
        digest.update(f"\0{self.reverse_path}\0{self.quarantine}".encode())
        return OnceMark(self.once_id, digest.hexdigest(), tuple(dict.fromkeys(self.given)))

    def _has_trace(self) -> bool:
        """Has a server put its own id and time on this message? Then no other is the same."""
        head = b"" if self.collector is None else self.collector.head
        return count_received(head[: find_header_end(head)]) > 0

    def drop(self, paths: Collection[str]) -> None:
        """Forget forward-paths again."""
        self.given = [path for path in self.given if path not in paths]
        for path in paths:
            del self.expansions[path]

    def discard(self) -> None:
        """Forget the content."""
        if self.collector is not None:
            self.collector.discard()
