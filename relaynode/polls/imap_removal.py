r"""What becomes of messages at an IMAP server once they are queued here: deleted, moved, or read.

    delete          UID STORE \Deleted, UID EXPUNGE (UIDPLUS), in one flight
    without UIDPLUS EXPUNGE at the end, but only if nobody else has marked anything \Deleted: it
                    would take that away, too. Else ours stay marked, and whoever expunges next
                    takes them away.
    move_to         UID MOVE; without MOVE a copy, and the deletion when that is granted
    keep            UID STORE \Seen

Nothing here waits: answers come as events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.imap import events as imap

if TYPE_CHECKING:
    from relaynode.imap.client import Client

BATCH = 20
"""Messages that are enough for a command while content is still coming."""

MAX_BATCH = 300


@dataclass(slots=True)
class Removal:
    """`others_are_doomed`: somebody else has marked messages \\Deleted in this folder. `gone`: UIDs
    that are gone for certain. `problems`: what was refused."""

    client: Client
    move_to: str = ""
    others_are_doomed: bool = False
    gone: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _taken: list[int] = field(default_factory=list)
    _unwanted: list[int] = field(default_factory=list)
    _read: list[int] = field(default_factory=list)
    _under_way: dict[str, list[int]] = field(default_factory=dict)
    _copies: dict[str, list[int]] = field(default_factory=dict)
    _flagged: list[int] = field(default_factory=list)
    _doomed: set[int] = field(default_factory=set)
    _has_expunged: bool = False

    def taken(self, uid: int) -> None:
        """It is in our queue: take it away, or to where the user wants it."""
        (self._taken if self.move_to else self._unwanted).append(uid)

    def delete(self, uid: int) -> None:
        """Take it away."""
        self._unwanted.append(uid)

    def read(self, uid: int) -> None:
        """It stays, and was read."""
        self._read.append(uid)

    @property
    def has_asked_all(self) -> bool:
        """All is asked for, if not answered; but copies are waited for, as deletion follows."""
        return not (self._taken or self._unwanted or self._read or self._copies)

    def has_flagged(self, uid: int) -> bool:
        r"""Was it us who marked a message \Deleted?"""
        return uid in self._doomed

    def ask(self, *, at_once: bool) -> None:
        """Queue what is due; small lots only if `at_once`."""
        if (self._under_way or self._copies) and not at_once:
            return
        waiting = len(self._taken) + len(self._unwanted) + len(self._read)
        if waiting < (1 if at_once else BATCH):
            return
        while self._taken:
            self._move()
        while self._unwanted:
            self._delete()
        while self._read:
            self._under_way[self.client.add_flag(_take(self._read), b"\\Seen")] = []

    def finish(self) -> None:
        """Queue the one EXPUNGE of a server without UIDPLUS, if it is due."""
        if self._flagged and not self._has_expunged and not self.others_are_doomed:
            self._has_expunged = True
            self._under_way[self.client.expunge()] = self._flagged

    def answered(self, event: imap.Done | imap.Refused) -> bool:
        """An answer, if it is one of ours; then True."""
        if event.tag in self._copies:
            uids = self._copies.pop(event.tag)
            if isinstance(event, imap.Done):
                self._unwanted += uids
            else:
                self._refused(event)
            return True
        if event.tag not in self._under_way:
            return False
        uids = self._under_way.pop(event.tag)
        if isinstance(event, imap.Done):
            self.gone += uids
        else:
            self._refused(event)
        return True

    def _refused(self, event: imap.Refused) -> None:
        self.problems.append(f"{event.command} refused: {event.status}")

    def _move(self) -> None:
        uids = _take(self._taken)
        if self.client.can("MOVE"):
            self._under_way[self.client.move(uids, self.move_to)] = uids
        else:
            self._copies[self.client.copy(uids, self.move_to)] = uids

    def _delete(self) -> None:
        uids = _take(self._unwanted)
        tag = self.client.add_flag(uids, b"\\Deleted")
        self._under_way[tag] = []
        self._doomed.update(uids)
        if self.client.can("UIDPLUS"):
            self._under_way[self.client.expunge(uids)] = uids
        else:
            self._flagged += uids


def _take(uids: list[int]) -> list[int]:
    taken = uids[:MAX_BATCH]
    del uids[:MAX_BATCH]
    return taken
