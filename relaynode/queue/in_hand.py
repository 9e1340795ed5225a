"""Which message a process is working on: written down before, wiped out after.

A message that kills the process (it runs out of memory, a library crashes) cannot be caught by an
`except`. So its queue id stands in the owner's file (`owner.py`) for as long as it is in hand, and
whoever buries a dead owner finds there what it died of.

    life of the machine, 64 bytes | queue id or zeros, 64 bytes | queue id or zeros, 64 bytes ...

Writing is one system call and no fsync: the file outlives the process, which is all that is asked
of it. What was in hand when the power failed proves nothing, hence the first record.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

from relaynode.queue.boot import boot

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD_BYTES = 64


class InHand:
    """The records of one living owner. `descriptor`: of its file. Several threads may use it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._taken: set[int] = set()
        self._write(0, boot())

    @contextlib.contextmanager
    def holding(self, queue_id: str) -> Iterator[None]:
        """While this goes on, the message is in hand."""
        with self._lock:
            place = next(n for n in range(1, len(self._taken) + 2) if n not in self._taken)
            self._taken.add(place)
        try:
            self._write(place, queue_id)
            yield
        finally:
            self._write(place, "")
            with self._lock:
                self._taken.discard(place)

    def _write(self, place: int, text: str) -> None:
        record = text.encode("ascii", "replace")[:RECORD_BYTES].ljust(RECORD_BYTES, b"\0")
        with contextlib.suppress(OSError):  # a full disk must not stop what is going well
            os.pwrite(self._descriptor, record, place * RECORD_BYTES)


def found_in_hand(descriptor: int) -> list[str]:
    """The queue ids in a dead owner's file; none if it died with the machine."""
    with contextlib.suppress(OSError):
        data = os.pread(descriptor, 1024 * RECORD_BYTES, 0)
        records = [data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES)]
        texts = [record.rstrip(b"\0").decode("ascii", "replace") for record in records]
        if texts and texts[0] == boot():
            return [text for text in texts[1:] if text]
    return []
