"""The messages of one session: numbered, listed and marked (RFC 1939 sections 5 and 6).

A value in memory. It removes nothing; what is marked is told to the driver at QUIT.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from relaynode.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# RFC 1939 7: "one to 70 characters in the range 0x21 to 0x7E". Clients may be as strict as this.
_UID = re.compile(r"[!-~]{1,70}")


class Entry(NamedTuple):
    """One message of a maildrop: size of its content in wire form in bytes, and its unique-id."""

    size: int
    uid: str


class Maildrop:
    """Messages by number, from 1, without those that are marked.

    Raises: LocalProtocolError for a negative size, a unique-id that RFC 1939 forbids, or one that
        two messages share.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = tuple(entries)
        self._whole_size = sum(entry.size for entry in self._entries)
        self._deleted: set[int] = set()
        _check(self._entries)

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
        return self._whole_size - sum(self._entries[number - 1].size for number in self._deleted)

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        """Numbers and messages in order."""
        for number, entry in enumerate(self._entries, start=1):
            if number not in self._deleted:
                yield number, entry

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


def _check(entries: tuple[Entry, ...]) -> None:
    uids = [entry.uid for entry in entries]
    for uid, matched in zip(uids, map(_UID.fullmatch, uids), strict=True):
        if matched is None:
            raise LocalProtocolError(f"{uid!r} is no unique-id in the sense of RFC 1939")
    if any(entry.size < 0 for entry in entries):
        raise LocalProtocolError("a message cannot have a size below 0")
    if len(set(uids)) < len(uids):
        twice = next(uid for uid in uids if uids.count(uid) > 1)
        raise LocalProtocolError(f"two messages have the unique-id {twice!r}")
