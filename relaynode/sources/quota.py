"""How much those whom this node serves may send in a day: refused when it is brought, never dropped
later.

Counted is what the queue remembers of the last 24 hours, so that commands, the daemon and a restart
all see the same: for a sender, who is whom the reverse-path says, and for a link, what was to go
over it when it was queued. Mail of strangers to us, DSNs and mail between people here count for no
link, mail without a sender for no sender.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.mail.status import Status
from relaynode.policy.by_sender import sender_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from relaynode.config.schema import QuotaSection
    from relaynode.mail.envelope import Envelope
    from relaynode.queue.store import Store

DAY = 86400.0


def _no_links(envelope: Envelope) -> Collection[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes in a day, 0 for any. `senders` (keys as in policy/by_sender.py), `links`: for whom
    something else holds."""

    of_each_sender: int = 0
    of_each_link: int = 0
    senders: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, section: QuotaSection) -> Limits:
        """What [quota] says."""
        return cls(
            section.sender_bytes_per_day,
            section.link_bytes_per_day,
            {one.whose.lower(): one.bytes_per_day for one in section.senders},
            {one.whose: one.bytes_per_day for one in section.links},
        )

    def of_sender(self, sender: str) -> int:
        """What holds for a reverse-path."""
        keys = (sender.lower(), *sender_keys(sender)) if self.senders else ()
        return next((self.senders[key] for key in keys if key in self.senders), self.of_each_sender)

    def of_link(self, link: str) -> int:
        """What holds for a link."""
        return self.links.get(link, self.of_each_link)

    @property
    def has_links(self) -> bool:
        """Is there a link that has a limit?"""
        return bool(self.of_each_link) or any(self.links.values())


@dataclass(frozen=True, slots=True)
class Quota:
    """`clock`: epoch seconds. `ask_links`: the links that the mail of an envelope would go over;
    raises TableError."""

    store: Store
    limits: Limits
    clock: Callable[[], float]
    ask_links: Callable[[Envelope], Collection[str]] = _no_links

    def links_of(self, envelope: Envelope) -> tuple[str, ...]:
        """The links that mail counts for. Raises: TableError."""
        return tuple(sorted(self.ask_links(envelope))) if self.limits.has_links else ()

    async def refusal(self, sender: str, size_bytes: int) -> Status | None:
        """Why a message of this size cannot be taken from a sender, or None. Raises: StoreError."""
        limit = self.limits.of_sender(sender)
        if not limit or not sender:
            return None
        if size_bytes > limit:
            text = f"{sender} may send {limit} bytes in a day, and this message alone has more"
            return Status(552, "5.2.2", text)
        sent = await self.store.sent_bytes(sender, self.clock() - DAY)
        if sent + size_bytes <= limit:
            return None
        text = f"{sender} has sent {sent} of {limit} bytes within 24 hours; try again later"
        return Status(452, "4.2.2", text)

    async def link_refusal(self, envelope: Envelope, size_bytes: int) -> Status | None:
        """Why a message of this size cannot be taken for its recipients, or None.

        Raises: StoreError, TableError.
        """
        for link in self.links_of(envelope):
            limit = self.limits.of_link(link)
            if limit and size_bytes > limit:
                text = (
                    f"link {link} may carry {limit} bytes in a day, and this message alone has more"
                )
                return Status(552, "5.3.4", text)
            taken = await self.store.link_bytes(link, self.clock() - DAY) if limit else 0
            if limit and taken + size_bytes > limit:
                text = f"link {link} was given {taken} of {limit} bytes within 24 hours"
                return Status(452, "4.4.5", f"{text}; try again later")
        return None
