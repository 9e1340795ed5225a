"""The messages of one folder, from the server into the queue, the line kept full.

The order that nothing may change: a message is committed together with its mark; then it is
deleted at the server. Both go on at once for different messages: while the answers to a few FETCH
commands come in, further ones and the deletions of what was committed go out.

A large message is asked for from where we have it: what has come of it stays in the spool over a
cut. So a cut costs the part of a small message that had come, and of a large one nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.imap import events as imap
from relaynode.mail.lines import ToCrlf
from relaynode.polls.choice import Left
from relaynode.polls.imap_removal import Removal
from relaynode.sources.intake import Rejected
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.polls.choice import Choice, Waiting
    from relaynode.polls.fetched import Fetched
    from relaynode.polls.imap_folder import Folder
    from relaynode.polls.notice import Notices
    from relaynode.polls.poll import Poll
    from relaynode.queue.partials import Partial, Partials
    from relaynode.sources.intake import Collector

PART_BYTES = 64 * 1024
"""From here on a message is large. One command more for each is nothing beside its size."""

WINDOW_BYTES = 512 * 1024
"""Content asked for ahead. What has not crossed the line yet costs nothing when it drops."""

BATCH_BYTES = 64 * 1024
MAX_BATCH = 100
"""One FETCH: a window has several, so that deletions come in between."""


MAX_HEADER_BYTES = 256 * 1024
"""A header that is longer than this is none."""


@dataclass(slots=True)
class Transfer:
    """`is_last`: the session ends with this folder. `on_progress`: the figures have changed.
    `count`: asked before a message is."""

    folder: Folder
    fetched: Fetched
    partials: Partials
    result: Poll
    on_progress: Callable[[], None]
    removal: Removal
    notices: Notices
    is_last: bool = True
    count: ByteCount = field(default_factory=ByteCount)
    headers: deque[int] = field(default_factory=deque)
    small: deque[Waiting[int]] = field(default_factory=deque)
    large: deque[Waiting[int]] = field(default_factory=deque)
    asked: dict[int, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    """What `count` was asked for and has not ended: UIDs."""
    offered: set[int] = field(default_factory=set)
    commands: dict[str, set[int]] = field(default_factory=dict)
    parts: dict[int, Partial] = field(default_factory=dict)
    collector: Collector | None = None
    header: bytearray | None = None
    into: Partial | None = None
    line_ends: ToCrlf = field(default_factory=ToCrlf)
    _has_logged_out: bool = False
    _is_idle: bool = False

    def plan(self, choice: Choice[int]) -> None:
        """Take what was chosen."""
        for one in choice.delete:
            self.removal.taken(one.key)
        self.headers.extend(one.key for one in choice.headers)
        for one in choice.fetch:
            (self.large if one.size_bytes > PART_BYTES else self.small).append(one)

    async def run(self) -> None:
        """Fetch, commit, delete, until nothing is left to ask for and nothing is owed.

        Raises: WireError, RefusedError, RemoteProtocolError, StoreError, TableError.
        """
        session = self.folder.session
        while True:
            if not session.has_event:
                self._ask()
            if self._is_idle:
                # Nothing hangs on the answer to LOGOUT: it is not worth a round trip.
                await session.hang_up()
                return
            if not session.client.outstanding and not session.has_event:
                return
            await self._act_on(await session.event())

    def discard(self) -> None:
        """Nothing more will come: keep what is of use at the next visit."""
        for uid in list(self.taken):
            self._is_over(uid)
        for part in self.parts.values():
            part.close()
        self.parts.clear()
        if self.collector is not None:
            self.collector.discard()
            self.collector = None

    # --- asking

    def _ask(self) -> None:
        while self._has_room() and (self.headers or self.small or self.large):
            if self.headers:
                self._ask_headers()
            elif self.small:
                self._ask_small()
            else:
                self._ask_large(self.large.popleft())
        self.removal.ask(at_once=not self.commands)
        has_all = not (self.headers or self.small or self.large or self.commands)
        if has_all and self._is_removed() and self.is_last and not self._has_logged_out:
            self._has_logged_out = True
            self._is_idle = not self.folder.session.client.outstanding
            self.folder.session.client.logout()

    def _is_removed(self) -> bool:
        """All deletions were asked for, if not answered."""
        if not self.removal.has_asked_all:
            return False
        self.removal.finish()
        return True

    def _has_room(self) -> bool:
        return sum(self.asked.values()) < WINDOW_BYTES

    def _ask_headers(self) -> None:
        uids = [self.headers.popleft() for _ in range(min(MAX_BATCH, len(self.headers)))]
        self.asked.update(dict.fromkeys(uids, 0))
        self.commands[self.folder.session.client.fetch_header(uids)] = set(uids)
        self.offered.update(uids)

    def _ask_small(self) -> None:
        size_bytes = 0
        uids: list[int] = []
        while self.small and len(uids) < MAX_BATCH and size_bytes < BATCH_BYTES:
            if uids and self.small[0].key < uids[-1]:
                break  # servers answer in their own order: the smaller ones shall not wait
            one = self.small.popleft()
            if not self._takes(one.key, one.size_bytes):
                continue
            uids.append(one.key)
            self.asked[one.key] = one.size_bytes
            size_bytes += one.size_bytes
        if uids:
            self.commands[self.folder.session.client.fetch(uids)] = set(uids)

    def _takes(self, uid: int, size_bytes: int) -> bool:
        """May so much of a message be asked for? Else it stays there."""
        if self.count.takes(size_bytes, is_inward=True):
            self.taken.add(uid)
            return True
        self.count.passed_over(1)
        left = self.result.left
        left[Left.BUDGET] = left.get(Left.BUDGET, 0) + 1
        return False

    def _is_over(self, uid: int) -> None:
        """It is asked for no more."""
        self.asked.pop(uid, None)
        if uid in self.taken:
            self.taken.remove(uid)
            self.count.ended(is_inward=True)

    def _ask_large(self, one: Waiting[int]) -> None:
        part = self.partials.open(
            self.fetched.account.name, self.folder.mark_of(one.key), one.size_bytes
        )
        if not self._takes(one.key, max(one.size_bytes - (part.size_bytes if part else 0), 0)):
            if part is not None:
                part.close()
            return
        if part is None:  # another visit has it open: do without
            self.asked[one.key] = one.size_bytes
            self.commands[self.folder.session.client.fetch([one.key])] = {one.key}
            return
        self.parts[one.key] = part
        self._ask_part(one.key, part, one.size_bytes)

    def _ask_part(self, uid: int, part: Partial, listed_bytes: int) -> None:
        """All that is missing. More is asked for than is listed: sizes are often wrong."""
        have = part.size_bytes
        self.asked[uid] = max(listed_bytes - have, 1)
        most = max(self.fetched.account.wishes.max_message_bytes + 1 - have, 1)
        self.commands[self.folder.session.client.fetch_part(uid, have, most)] = {uid}

    # --- what comes

    async def _act_on(self, event: imap.Event) -> None:
        match event:
            case imap.MessageStart():
                self._begin(event)
            case imap.MessageData(data):
                self._take(data)
            case imap.MessageEnd(uid):
                if self.header is not None:
                    await self._offer(uid)
                else:
                    await self._complete(uid, event.size_bytes)
            case imap.NotThere(uid):
                await self._is_not_there(uid)
            case imap.Item():
                self._note(event)
            case imap.Done() | imap.Refused():
                self._answered(event)

    def _begin(self, start: imap.MessageStart) -> None:
        uid = self._next_part() if start.uid is None else start.uid
        part = self.parts.get(uid)
        if start.uid is not None and start.uid not in self.asked:
            raise self._broken("sends content that nobody asked for")
        if start.section == "HEADER" and self.offered and start.size_bytes <= MAX_HEADER_BYTES:
            self.header = bytearray()
            return
        if start.section or uid in self.offered:
            raise self._broken("sends content that nobody asked for")
        if start.origin != (part.size_bytes if part else 0):
            raise self._broken("sends a message from another place than was asked for")
        limit = self.fetched.account.wishes.max_message_bytes
        if start.origin + start.size_bytes > limit:
            raise self._broken(f"sends a message of more than {limit} bytes")
        self.into = part
        if part is None:
            self.collector, self.line_ends = self.fetched.collector(), ToCrlf()

    def _next_part(self) -> int:
        """Whose content comes if the server says it only behind it: answers come in order."""
        uids = next(iter(self.commands.values()), set())
        return min(uids, default=0) if len(uids) == 1 else 0

    def _take(self, data: bytes) -> None:
        if self.header is not None:
            self.header += data
            return
        if self.into is not None:
            self.into.write(data)
            return
        assert self.collector is not None
        self.collector.write(self.line_ends.feed(data))

    async def _complete(self, uid: int, came_bytes: int) -> None:
        collector, self.collector = self.collector, None
        into, self.into = self.into, None
        try:
            if into is not None and self.parts.get(uid) is not into:
                into.cut_off(came_bytes)
                raise self._broken("sends the messages in an order that cannot be followed")
            if uid not in self.asked:
                raise self._broken("sends content that nobody asked for")
            listed_bytes = self._listed_bytes(uid)
            part = self.parts.get(uid)
            if part is None:
                assert collector is not None
                await self._commit(uid, collector)
                collector = None
                return
            if collector is not None:
                raise self._broken("sends the messages in an order that cannot be followed")
            if came_bytes and part.size_bytes < listed_bytes:
                self.asked.pop(uid)
                self._ask_part(uid, part, listed_bytes)
                return
            await self._commit_part(uid, part)
        finally:
            if collector is not None:
                collector.discard()

    async def _offer(self, uid: int) -> None:
        """The header has come: tell the user, once."""
        header, self.header = bytes(self.header or b""), None
        if uid not in self.offered or uid not in self.asked:
            raise self._broken("sends content that nobody asked for")
        del self.asked[uid]
        try:
            await self.notices.offer(self.folder.mark_of(uid), self._listed_bytes(uid), header)
        except Rejected as error:
            self._problem(uid, str(error.status))
            return
        self.result.offered += 1

    def _listed_bytes(self, uid: int) -> int:
        item = self.folder.items.get(uid)
        return (item.size_bytes or 0) if item else 0

    async def _is_not_there(self, uid: int) -> None:
        """NIL: the message is gone; behind the end of one, it is whole."""
        part = self.parts.get(uid)
        if part is not None and uid in self.asked and part.size_bytes:
            await self._commit_part(uid, part)
        else:
            self._is_over(uid)

    async def _commit_part(self, uid: int, part: Partial) -> None:
        collector = self.fetched.collector()
        try:
            await asyncio.to_thread(_copy, part, collector)
        except BaseException:
            collector.discard()
            raise
        del self.parts[uid]
        try:
            is_queued = await self._commit(uid, collector)
        except BaseException:
            part.close()
            raise
        if is_queued:
            part.remove()
        else:
            part.close()

    async def _commit(self, uid: int, collector: Collector) -> bool:
        """Queue the message and mark it in one transaction; only then may it be deleted."""
        self._is_over(uid)
        size_bytes = collector.size_bytes
        try:
            is_new = await self.fetched.queue(
                collector,
                uid=self.folder.mark_of(uid),
                peer=self.folder.session.stream.peer,
                listed_bytes=self._listed_bytes(uid),
            )
        except Rejected as error:
            self._problem(uid, str(error.status))
            return False
        if is_new:
            self.result.fetched += 1
            self.result.fetched_bytes += size_bytes
        else:
            self.result.known_again += 1
        if self.fetched.account.keep:
            self.removal.read(uid)
        else:
            self.removal.taken(uid)
        self.on_progress()
        return True

    def _note(self, item: imap.Item) -> None:
        r"""Somebody else may mark messages \Deleted meanwhile."""
        self.folder.note(item)
        if "\\deleted" in (item.flags or ()) and not self.removal.has_flagged(item.uid):
            self.removal.others_are_doomed = True

    def _answered(self, event: imap.Done | imap.Refused) -> None:
        if self.removal.answered(event):
            for text in self.removal.problems:
                self.result.problems.append(f"{self.folder.name}: {text}")
            self.removal.problems.clear()
            return
        uids = self.commands.pop(event.tag, set())
        for uid in uids & set(self.asked):
            if any(uid in others for others in self.commands.values()):
                continue  # the rest of it was asked for
            # It was not sent: somebody has deleted it meanwhile, or the server cannot read it.
            self._is_over(uid)
            if (part := self.parts.pop(uid, None)) is not None:
                part.close()
            if isinstance(event, imap.Refused):
                self._problem(uid, f"{event.command} refused: {event.status}")

    def _problem(self, uid: int, text: str) -> None:
        """A message that stays at the server, and why."""
        server = self.fetched.account.server
        self.result.problems.append(
            f"message {uid} of {self.folder.name} stays at {server}: {text}"
        )

    def _broken(self, text: str) -> RemoteProtocolError:
        return RemoteProtocolError(f"{self.folder.session.stream.peer}: {text}")


def _copy(part: Partial, collector: Collector) -> None:
    line_ends = ToCrlf()
    for piece in part.pieces():
        collector.write(line_ends.feed(piece))
