"""One folder of an IMAP mailbox: what is in it, and what of that is wanted.

Each message is known by folder, UIDVALIDITY and UID (RFC 3501 section 2.3.1.1). Where few are
marked, all are listed; where many were kept, only those behind the last mark are, and a SEARCH
says which of the others are still there, in the same flight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError, RemoteProtocolError
from relaynode.imap import events as imap
from relaynode.imap import writing
from relaynode.imap.limits import MAX_LISTING_ITEMS
from relaynode.polls.choice import Choice, Waiting, choose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaynode.polls.choice import Decision, Wishes
    from relaynode.polls.imap_session import Session
    from relaynode.polls.marks import Marks
    from relaynode.queue.model import SeenMark

FEW_MARKS = 30
"""To list so many messages again costs less than what SEARCH says of them."""

SEEN = "\\seen"
DELETED = "\\deleted"


class FolderRefused(RefusedError):
    """This folder cannot be opened; others may."""


@dataclass(slots=True)
class Folder:
    """`marks`: the account's. Use `ask`, then `learn`, then `choice`."""

    name: str
    session: Session
    marks: Marks
    validity: int | None = None
    items: dict[int, imap.Item] = field(default_factory=dict)
    marked: dict[int, SeenMark] = field(default_factory=dict)
    doomed: set[int] = field(default_factory=set)
    _exists: int = 0
    _found: set[int] = field(default_factory=set)
    _expected: int = 0
    _tags: list[str] = field(default_factory=list)

    # --- unique-ids

    def mark_of(self, uid: int) -> str:
        """The unique-id of a message. `validity` must be known."""
        return f"{self.name}/{self.validity}/{uid}"

    def listed(self) -> set[str]:
        """The unique-ids of all that the folder holds."""
        return {self.mark_of(uid) for uid in self._found | set(self.items)}

    def own_marks(self) -> set[str]:
        """Those of the account's marks that are of this folder, whatever UIDVALIDITY it had."""
        return {mark for mark in self.marks.all() if self.is_own(mark)}

    def is_own(self, mark: str) -> bool:
        """Is it the unique-id of a message of this folder?"""
        return _parts(mark)[0] == self.name

    # --- asking

    def ask(self) -> None:
        """Queue all that tells what is there: one flight, together with what was queued before."""
        client = self.session.client
        latest = [_parts(mark) for mark in self.own_marks()]
        self._expected = max((validity for _, validity, _ in latest), default=0)
        known = [uid for _, validity, uid in latest if validity == self._expected]
        self._tags = [client.select(self.name)]
        if len(known) <= FEW_MARKS:
            self._expected = 0
            self._tags.append(client.fetch_items(b"1:*"))
        else:
            self._tags.append(client.search())
            self._tags.append(client.fetch_items(b"%d:*" % (max(known) + 1)))

    async def learn(self) -> None:
        """Read the answers, and ask again for what they leave open.

        Raises: FolderRefused, WireError, RefusedError, RemoteProtocolError.
        """
        for tag in self._tags:
            await self._until(tag)
        if self.validity is None:
            text = (
                f"{self._peer}: gives {self.name} no UIDVALIDITY, so no message can be known again"
            )
            raise RemoteProtocolError(text)
        if self._expected and self._expected != self.validity:
            self._found.clear()
            await self._until(self.session.client.fetch_items(b"1:*"))
        for mark in self.own_marks():
            _, validity, uid = _parts(mark)
            if validity == self.validity:
                self.marked[uid] = self.marks.all()[mark]
        for uids in writing.sets(self._found - set(self.marked) - set(self.items)):
            await self._until(self.session.client.fetch_items(uids))

    @property
    def _peer(self) -> str:
        return self.session.stream.peer

    async def _until(self, tag: str) -> None:
        while True:
            event = await self.session.event()
            match event:
                case imap.Item():
                    self.note(event)
                case imap.Exists(count):
                    self._exists = count
                case imap.Validity(number):
                    self.validity = number
                case imap.Found(first, last):
                    self._found.update(range(first, last + 1))
                case imap.Done() if event.tag == tag:
                    return
                case imap.Refused() if event.tag == tag:
                    await self._refused(event)
                    return
                case imap.MessageStart():
                    raise RemoteProtocolError(f"{self._peer}: sends content before it is asked to")

    def note(self, item: imap.Item) -> None:
        """What the server says of a message, asked for or not."""
        known = self.items.get(item.uid)
        size = known.size_bytes if known and item.size_bytes is None else item.size_bytes
        flags = known.flags if known and item.flags is None else item.flags
        if known is None and size is None:
            return  # of a message that is new since the listing: it comes at the next visit
        if len(self.items) >= MAX_LISTING_ITEMS:
            raise RemoteProtocolError(f"{self._peer}: lists more than {MAX_LISTING_ITEMS} messages")
        self.items[item.uid] = imap.Item(item.uid, size, flags)

    async def _refused(self, refused: imap.Refused) -> None:
        text = f"{self._peer}: {refused.command} of {self.name} refused"
        if refused.tag == self._tags[0]:
            for tag in self._tags[1:]:
                await self.session.answer(tag)
            raise FolderRefused(refused.status, text)
        # RFC 3501 leaves open whether 1:* may be asked for where nothing is.
        if self._exists:
            raise RefusedError(refused.status, text)

    # --- choosing

    def choice(self, wishes: Wishes, now: float, decisions: Mapping[str, Decision]) -> Choice[int]:
        r"""What is to be done. What somebody else has marked \Deleted is not touched.

        `now`: epoch seconds. `decisions`: on what was offered, by unique-id.
        """
        self.doomed = {
            uid
            for uid, item in self.items.items()
            if DELETED in (item.flags or ()) and uid not in self.marked
        }
        uids = sorted((set(self.items) | (self._found & set(self.marked))) - self.doomed)
        return choose([self._waiting(uid, decisions) for uid in uids], wishes, now)

    def _waiting(self, uid: int, decisions: Mapping[str, Decision]) -> Waiting[int]:
        item, mark, name = self.items.get(uid), self.marked.get(uid), self.mark_of(uid)
        size = item.size_bytes if item else None
        if size is None:
            size = mark.listed_bytes if mark else 0
        return Waiting(
            uid,
            size,
            taken_at=self.marks.taken_at(name, size),
            is_read=mark is None and item is not None and SEEN in (item.flags or ()),
            decision=decisions.get(name),
        )


def _parts(mark: str) -> tuple[str, int, int]:
    """Folder, UIDVALIDITY and UID; nonsense for a mark of another protocol."""
    folder, _, numbers = mark.rpartition("/")
    folder, _, validity = folder.rpartition("/")
    if not (validity.isdigit() and numbers.isdigit()):
        return "", 0, 0
    return folder, int(validity), int(numbers)
