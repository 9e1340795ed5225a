"""How much damage g, G and v bear before they give a line up."""

from __future__ import annotations

from relaynode.errors import LineLost

_USUAL_BYTES = 64


class Errors:
    """Counts errors: more than `most` end the call. One is forgiven for each `decay` packets of 64
    bytes that arrive well, or what carries as much; for none if that is 0.
    """

    def __init__(self, most: int, decay: int) -> None:
        self._most = most
        self._bytes_for_one = decay * _USUAL_BYTES
        self._count = 0
        self._good_bytes = 0

    def one_more(self) -> None:
        """Raises: LineLost."""
        self._count += 1
        if self._count > self._most:
            raise LineLost(f"there were more than {self._most} errors on the line")

    def forgive(self, size_bytes: int) -> None:
        """So much has arrived well, in one packet."""
        if not size_bytes or not self._bytes_for_one:
            return
        self._good_bytes += max(size_bytes, _USUAL_BYTES)
        forgiven, self._good_bytes = divmod(self._good_bytes, self._bytes_for_one)
        self._count = max(0, self._count - forgiven)
