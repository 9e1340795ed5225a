"""How long a silent peer is waited for, in protocols that acknowledge nothing on the way (t e f y).

On a slow line the peer is silent for as long as it takes to carry what we have handed over: at
200 bit/s a minute for each KiB that waits in modems and kernels. A fixed time-out gives up there,
and the job runs twice. So the time-out begins when all that may be on its way has arrived, at the
rate at which the line has been seen to carry; until that was seen, at the slowest we know.
"""

from __future__ import annotations

SLOWEST_BYTES_PER_SECOND = 20.0
"""What a 200 bit/s radio line carries."""

CAUTION = 4.0
"""A line that was once seen at some rate may fall to a quarter of that."""

MAX_UNSEEN_BYTES = 256 * 1024
"""So much may wait on the way to the peer; what was sent before that is through."""


class Patience:
    """When to give up.

    `timeout_seconds`: how long the peer may be silent with nothing on its way to it.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._bytes_per_second = SLOWEST_BYTES_PER_SECOND
        self._unseen_bytes = 0
        self._unseen_since = 0.0
        self._last_sign_at = 0.0

    def heard(self, now: float) -> None:
        """Bytes came: the line lives, though the peer may not have our bytes yet."""
        self._last_sign_at = now

    def sent(self, byte_count: int, now: float) -> None:
        """We handed over bytes that the peer is to answer."""
        if not self._unseen_bytes:
            self._unseen_since = now
        self._unseen_bytes += byte_count
        self._last_sign_at = now

    def answered(self, now: float) -> None:
        """The peer has had all of it: that tells what the line carries, at least."""
        elapsed = now - self._unseen_since
        if self._unseen_bytes and elapsed > 0:
            seen = self._unseen_bytes / elapsed / CAUTION
            self._bytes_per_second = max(self._bytes_per_second, seen)
        self._unseen_bytes = 0

    @property
    def ends_at(self) -> float:
        """When the line counts as dead."""
        unseen_bytes = min(self._unseen_bytes, MAX_UNSEEN_BYTES)
        carrying_seconds = unseen_bytes / self._bytes_per_second
        return self._last_sign_at + carrying_seconds + self._timeout_seconds
