"""The messages of one session: numbered, listed and marked (RFC 1939 sections 5 and 6).

A value in memory. It removes nothing; what is marked is told to the driver at QUIT.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar, overload

from relaynode.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

# RFC 1939 7: "one to 70 characters in the range 0x21 to 0x7E". Clients may be as strict as this.
Value = TypeVar("Value")

_UID = re.compile(r"[!-~]{1,70}")
_UID_MAX = 70
_UID_BYTES = bytes(range(0x21, 0x7F))


class Entry(NamedTuple):
    """One message of a maildrop: size of its content in wire form in bytes, and its unique-id."""

    size: int
    uid: str


class Entries(Sequence[Entry]):
    """Many messages in little room: sizes and unique-ids, in their order."""

    def __init__(self, sizes: Sequence[int], uids: Sequence[str]) -> None:
        self.sizes = sizes
        self.uids = uids

    @cached_property
    def have_uids(self) -> bool:
        """Is each of the unique-ids one, and do they differ?"""
        return are_uids(self.uids)

    def __len__(self) -> int:
        return len(self.uids)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Entries: ...
    def __getitem__(self, index: int | slice) -> Entry | Entries:
        if isinstance(index, slice):
            return Entries(self.sizes[index], self.uids[index])
        return Entry(self.sizes[index], self.uids[index])

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry, self.sizes, self.uids)


def are_uids(texts: Sequence[str]) -> bool:
    """May all of them be unique-ids, and do they differ?"""
    # All at once, for a mailbox may be big.
    joined = "".join(texts)
    if not joined.isascii() or joined.encode().translate(None, _UID_BYTES):
        return False
    lengths = set(map(len, texts)) or {1}
    return min(lengths) >= 1 and max(lengths) <= _UID_MAX and len(set(texts)) == len(texts)


class Maildrop:
    """Messages by number, from 1, without those that are marked.

    Raises: LocalProtocolError for a negative size, a unique-id that RFC 1939 forbids, or one that
        two messages share.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        if not isinstance(entries, Entries):
            entries = Entries([one.size for one in entries], [one.uid for one in entries])
        self._entries = entries
        self._whole_size = sum(entries.sizes)
        self._deleted: set[int] = set()
        _check(entries)

    @property
    def deleted(self) -> tuple[int, ...]:
        """The numbers of the marked messages, in order."""
        return tuple(sorted(self._deleted))

    @property
    def count(self) -> int:
        return len(self._entries) - len(self._deleted)

    @property
    def size(self) -> int:
        """The size of all messages together, in bytes."""
        return self._whole_size - sum(self._entries.sizes[number - 1] for number in self._deleted)

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        """Numbers and messages in order."""
        return self._numbered(self._entries)

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Numbers and sizes in order."""
        return self._numbered(self._entries.sizes)

    def uids(self) -> Iterator[tuple[int, str]]:
        """Numbers and unique-ids in order."""
        return self._numbered(self._entries.uids)

    def _numbered(self, values: Sequence[Value]) -> Iterator[tuple[int, Value]]:
        pairs = enumerate(values, start=1)
        if not self._deleted:
            return pairs
        return (pair for pair in pairs if pair[0] not in self._deleted)

    def get(self, number: int) -> Entry | None:
        """The message, or None if there is none of that number or it is marked."""
        if not 1 <= number <= len(self._entries) or number in self._deleted:
            return None
        return self._entries[number - 1]

    def delete(self, number: int) -> None:
        """Mark a message that get() gives."""
        self._deleted.add(number)

    def reset(self) -> None:
        """Take all marks back."""
        self._deleted.clear()


def _check(entries: Entries) -> None:
    if min(entries.sizes, default=0) < 0:
        raise LocalProtocolError("a message cannot have a size below 0")
    if entries.have_uids:
        return
    for uid in entries.uids:
        if not _UID.fullmatch(uid):
            raise LocalProtocolError(f"{uid!r} is no unique-id in the sense of RFC 1939")
    twice = next(uid for uid in entries.uids if entries.uids.count(uid) > 1)
    raise LocalProtocolError(f"two messages have the unique-id {twice!r}")
