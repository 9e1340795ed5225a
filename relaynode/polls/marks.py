"""An account's seen-list during one visit, whatever the protocol: which messages are queued here.

A unique-id alone is not trusted: a server that uses one again for another message would make us
delete what nobody has read. If the sizes that the server lists differ, the message is fetched, and
its content decides. A message whose id is new may be an old one under a new name (a server that was
rebuilt, or has no unique-ids): its content is compared with what has vanished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from relaynode.queue.mailboxes import Mailboxes
    from relaynode.queue.model import SeenMark

NAMELESS = "sha256:"
"""Begins the unique-id, made of its content, of a message to which the server gave none."""


@dataclass(slots=True)
class Marks:
    """The marks of `account`. Load them, then tell what is listed; then ask. Raises: StoreError."""

    account: str
    mailboxes: Mailboxes
    _marks: dict[str, SeenMark] = field(default_factory=dict)
    _by_digest: dict[str, SeenMark] = field(default_factory=dict)

    async def load(self) -> None:
        """Read what is known."""
        self._marks = await self.mailboxes.marks(self.account)

    def all(self) -> Mapping[str, SeenMark]:
        """All marks by unique-id, as they were loaded."""
        return self._marks

    @property
    def oldest(self) -> float:
        """When the first of what is still listed was queued; infinity if there is nothing."""
        listed = (mark.taken_at for mark in self._marks.values() if mark.gone_at is None)
        return min(listed, default=float("inf"))

    async def note_listed(self, uids: Collection[str], now: float) -> None:
        """The mailbox lists these messages, and no others. `now`: epoch seconds."""
        marks = self._marks.values()
        back = [one.uid for one in marks if one.gone_at is not None and one.uid in uids]
        gone = [
            one.uid
            for one in marks
            if one.gone_at is None and one.uid not in uids and not one.uid.startswith(NAMELESS)
        ]
        offered = [one.uid for one in await self.mailboxes.offers(self.account)]
        gone += [uid for uid in offered if uid not in uids]
        if back or gone or any(one.gone_at is not None for one in marks):
            await self.mailboxes.note_listed(self.account, back, gone, now)
        vanished = {*gone} | {one.uid for one in marks if one.gone_at is not None} - {*back}
        self._by_digest = {
            mark.digest: mark
            for mark in marks
            if mark.digest and (mark.uid in vanished or mark.uid.startswith(NAMELESS))
        }

    def taken_at(self, uid: str, listed_bytes: int) -> float | None:
        """When this message was queued here; None if it was not, or if that is in doubt."""
        mark = self._marks.get(uid)
        if mark is None:
            return None
        if 0 in (mark.listed_bytes, listed_bytes) or mark.listed_bytes == listed_bytes:
            return mark.taken_at
        if mark.digest:
            self._by_digest.setdefault(mark.digest, mark)
        return None

    def known(self, digest: str) -> SeenMark | None:
        """The mark of a message that was queued here with this content, under another name."""
        return self._by_digest.get(digest)

    async def settle(self, mark: SeenMark, uid: str) -> None:
        """What `mark` was about lies in the mailbox as `uid` now, and is marked so."""
        if mark.uid.startswith(NAMELESS) or mark.uid == uid:
            return
        self._by_digest.pop(mark.digest, None)
        await self.mailboxes.forget(self.account, [mark.uid])

    async def note_deleted(self, uids: Collection[str], now: float) -> None:
        """The server has confirmed that these are deleted. `now`: epoch seconds.

        A mark stays nonetheless: there are servers that say so and list the message again.
        """
        if uids:
            await self.mailboxes.note_deleted(self.account, uids, now)
            nameless = [uid for uid in uids if uid.startswith(NAMELESS)]
            await self.mailboxes.forget(self.account, nameless)
