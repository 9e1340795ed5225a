"""Messages of mailboxes elsewhere that have come in part: what came is kept over a cut.

    partial/<account>/<message>.<boot>    being written; survives a crash of ours, as the system
                                          keeps what was written to it
    partial/<account>/<message>.kept      synced: survives a power cut, too

A partial is only a memory that saves line time. What it begins is queued as any other message, and
taken away then. A file of another boot is not believed: its end may be zeros.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from hashlib import sha256
from typing import TYPE_CHECKING

from relaynode.queue.boot import boot
from relaynode.queue.content import PIECE_BYTES, store_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_KEPT = "kept"


class Partial:
    """One message. `size_bytes`: so much is there. Use `close`, or `remove` when it is queued."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.size_bytes = os.fstat(descriptor).st_size

    def write(self, piece: bytes) -> None:
        """Append a piece. Raises: StoreFull, StoreError."""
        try:
            written = 0
            while written < len(piece):
                written += os.pwrite(self._descriptor, piece[written:], self.size_bytes + written)
        except OSError as error:
            raise store_error(error, "spool") from error
        self.size_bytes += len(piece)

    def cut_off(self, size_bytes: int) -> None:
        """Forget the last bytes that were written. Raises: StoreError."""
        self.size_bytes -= size_bytes
        try:
            os.ftruncate(self._descriptor, self.size_bytes)
        except OSError as error:
            raise store_error(error, "spool") from error

    def pieces(self) -> Iterator[bytes]:
        """All of it. Raises: StoreError."""
        place = 0
        try:
            while piece := os.pread(self._descriptor, PIECE_BYTES, place):
                place += len(piece)
                yield piece
        except OSError as error:
            raise store_error(error, "spool") from error

    def close(self) -> None:
        """Keep it for the next visit. Never raises."""
        with contextlib.suppress(OSError):
            if self.size_bytes:
                os.fsync(self._descriptor)
                self._path.rename(self._path.with_suffix(f".{_KEPT}"))
            else:
                self._path.unlink()
        os.close(self._descriptor)

    def remove(self) -> None:
        """The message is in the queue, or will be fetched anew."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


class Partials:
    """All partials below a folder, which is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, account: str, mark: str, listed_bytes: int) -> Partial | None:
        """What has come of a message, perhaps nothing; None if another visit has it open.

        `listed_bytes`: a message of another size is another message. Raises: StoreFull, StoreError.
        """
        folder = self._folder_of(account)
        name = _name(mark, listed_bytes)
        path = folder / f"{name}.{boot() or os.getpid()}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (folder / f"{name}.{_KEPT}").rename(path)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise store_error(error, "spool") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return Partial(path, descriptor)

    def sweep(self, account: str, wanted: Collection[tuple[str, int]]) -> None:
        """Take away all of an account but those of these messages (mark and listed bytes)."""
        names = {_name(mark, listed_bytes) for mark, listed_bytes in wanted}
        with contextlib.suppress(OSError):
            for path in self._folder_of(account).iterdir():
                if path.stem not in names:
                    path.unlink(missing_ok=True)

    def _folder_of(self, account: str) -> Path:
        return self._folder / sha256(account.encode()).hexdigest()[:16]


def _name(mark: str, listed_bytes: int) -> str:
    return sha256(f"{listed_bytes} {mark}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
