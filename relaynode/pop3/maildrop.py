"""The messages of one session: numbered, listed and marked (RFC 1939 sections 5 and 6).

A value in memory. It removes nothing; what is marked is told to the driver at QUIT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# RFC 1939 7: "one to 70 characters in the range 0x21 to 0x7E". Clients may be as strict as this.
_UID = re.compile(r"[!-~]{1,70}")


@dataclass(frozen=True, slots=True)
class Entry:
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
        return sum(entry.size for _, entry in self)

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
    seen: set[str] = set()
    for entry in entries:
        if entry.size < 0:
            raise LocalProtocolError(f"a message cannot have {entry.size} bytes")
        if not _UID.fullmatch(entry.uid):
            raise LocalProtocolError(f"{entry.uid!r} is no unique-id in the sense of RFC 1939")
        if entry.uid in seen:
            raise LocalProtocolError(f"two messages have the unique-id {entry.uid!r}")
        seen.add(entry.uid)
