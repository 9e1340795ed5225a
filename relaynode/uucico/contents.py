"""What a session reads files from: a `Source` for content of the queue and for open files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relaynode.errors import StoreError
from relaynode.queue.content import store_error

if TYPE_CHECKING:
    from relaynode.queue.content import Content


class FileSource:
    """An open file. It owns the descriptor; `size_bytes` is what the file had at first."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._descriptor = descriptor

    def read(self, position: int, size_bytes: int) -> bytes:
        """At most so many bytes from `position` on; less only at the end.

        Raises: StoreError if the file has become shorter meanwhile.
        """
        wanted = max(0, min(size_bytes, self.size_bytes - position))
        data = b""
        try:
            while len(data) < wanted:
                piece = os.pread(self._descriptor, wanted - len(data), position + len(data))
                if not piece:
                    raise StoreError("a file became shorter while it was sent")
                data += piece
        except OSError as error:
            raise store_error(error, "a file that is sent") from error
        return data

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class MemorySource:
    """Content that is short."""

    def __init__(self, data: bytes) -> None:
        self.size_bytes = len(data)
        self._data = data

    def read(self, position: int, size_bytes: int) -> bytes:
        """At most so many bytes from `position` on; less only at the end."""
        return self._data[position : position + size_bytes]

    def close(self) -> None:
        """Nothing to give back."""


def source_of(content: Content) -> FileSource | MemorySource:
    """Content of the queue as a source. Raises: StoreError."""
    if content.path is None:
        return MemorySource(content.inline or b"")
    try:
        descriptor = os.open(content.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise store_error(error, str(content.path)) from error
    return FileSource(descriptor, content.size_bytes)
