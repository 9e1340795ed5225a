"""A message's content: in memory while short, a file in the spool when long.

Nothing here ever holds more than INLINE_BYTES plus one piece of a message in memory. A file is
written under `incoming`, flushed and synced, renamed into `content`, and the folder is synced;
only then may the row that names it be committed (and only then may anybody say 250).
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.errors import StoreError, StoreFull
from relaynode.queue.free_room import FreeRoom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

INLINE_BYTES = 68 * 1024
"""Up to here content lies in the row: a body of 64 KiB with its header. A file costs more than the
row's second copy in the log: it has to be made, synced and taken away."""

PIECE_BYTES = 64 * 1024
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def store_error(error: OSError, what: str) -> StoreError:
    """Our own error for an operating system's refusal to write."""
    kind = StoreFull if error.errno in _NO_ROOM else StoreError
    return kind(f"{what}: {error.strerror or error}")


@dataclass(frozen=True, slots=True)
class Content:
    """Content that is complete. Either `inline` or `path` is set."""

    size_bytes: int
    inline: bytes | None = None
    path: Path | None = None

    @classmethod
    def of(cls, data: bytes) -> Content:
        """Content that is already in memory (DSNs, tests)."""
        return cls(len(data), inline=data)

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from offset `start`, at most PIECE_BYTES at a time.

        Raises: StoreError when the file cannot be read or is shorter than it was.
        """
        if self.inline is not None:
            if start < len(self.inline):
                yield self.inline[start:]
            return
        assert self.path is not None
        left = self.size_bytes - start
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                while left > 0:
                    piece = file.read(min(PIECE_BYTES, left))
                    if not piece:
                        raise StoreError(f"{self.path}: shorter than its queue entry says")
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise store_error(error, str(self.path)) from error

    def discard(self) -> None:
        """Forget content that no row names."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def head(self, limit: int) -> bytes:
        """The first `limit` bytes, or all there are."""
        collected = b""
        for piece in self.pieces():
            collected += piece
            if len(collected) >= limit:
                break
        return collected[:limit]


class Draft:
    """Content that is still coming in. Use `write`, then `finish`; or `discard`."""

    def __init__(self, spool: ContentSpool, queue_id: str) -> None:
        self._spool = spool
        self._name = f"{queue_id}.{spool.owner_token}"
        self._memory = bytearray()
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self.size_bytes = 0

    def write(self, piece: bytes) -> None:
        """Append a piece. Raises: StoreFull, StoreError."""
        self.size_bytes += len(piece)
        if self._file is None and len(self._memory) + len(piece) <= INLINE_BYTES:
            self._memory += piece
            return
        try:
            if self._file is None:
                self._path = self._spool.incoming / self._name
                self._file = open(self._path, "xb", buffering=PIECE_BYTES)  # noqa: SIM115
                self._file.write(self._memory)
                self._memory.clear()
            self._file.write(piece)
        except OSError as error:
            raise store_error(error, "spool") from error

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """What has been written, from offset `start` on, at most PIECE_BYTES at a time. Nothing may
        be written meanwhile. Raises: StoreFull, StoreError."""
        if self._file is None:
            written = bytes(self._memory[start:])
            yield from (written,) if written else ()
            return
        assert self._path is not None
        try:
            self._file.flush()
        except OSError as error:
            raise store_error(error, "spool") from error
        yield from Content(self.size_bytes, path=self._path).pieces(start)

    @property
    def is_in_file(self) -> bool:
        """`finish` will wait for the disk: call it off the event loop."""
        return self._file is not None

    def finish(self) -> Content:
        """The content, on the disk for good if it is long. Raises: StoreFull, StoreError."""
        if self._file is None:
            return Content(self.size_bytes, inline=bytes(self._memory))
        assert self._path is not None
        final = self._spool.folder / self._name
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(final)
            sync_folder(self._spool.folder)
        except OSError as error:
            raise store_error(error, "spool") from error
        self._path = final
        return Content(self.size_bytes, path=final)

    def discard(self) -> None:
        """Forget it all, also after `finish` when the row could not be committed."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()  # a full disk refuses the last flush; the file goes anyway
            assert self._path is not None
            self._path.unlink(missing_ok=True)


class ContentSpool:
    """The folders `incoming` and `content` of one spool."""

    def __init__(self, spool: Path, owner_token: str) -> None:
        self.incoming = spool / "incoming"
        self.folder = spool / "content"
        self.owner_token = owner_token
        self._room = FreeRoom(self.folder)
        for folder in (self.incoming, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def require_room(self, size_bytes: int) -> None:
        """Raises: StoreFull when the disk has less than that left for us."""
        if not self._room.has(size_bytes):
            raise StoreFull(f"{self.folder}: less than {size_bytes} bytes are free")

    def path_of(self, name: str) -> Path:
        """Where the content file that a row calls `name` lies."""
        return self.folder / name

    def twin(self, content: Content, queue_id: str) -> Content:
        """The same content for another message: a second name of its file, so nothing is copied.

        Each message deletes its own name. Raises: StoreFull, StoreError.
        """
        if content.path is None:
            return content
        path = self.folder / f"{queue_id}.{self.owner_token}"
        try:
            os.link(content.path, path)
            sync_folder(self.folder)
        except OSError as error:
            raise store_error(error, "spool") from error
        return Content(content.size_bytes, path=path)

    def remove(self, names: list[str]) -> None:
        """Delete content files whose rows no longer need them."""
        for name in names:
            self.path_of(name).unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """All files, finished or not. Their suffix is the token of the owner that wrote them."""
        return [path for folder in (self.incoming, self.folder) for path in folder.iterdir()]


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut (fsync(2), NOTES)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
