"""Opens a file that somebody else named, as far as that somebody might open it.

A node may run as root, while a user's .forward says which file to read next. The path is walked
folder by folder, each held open while the next is looked up in it, so that nothing can be put in
its place meanwhile; what the user himself may not read is not read for him, and nothing but a plain
file is opened at all. Folders and files that strangers can write are refused, in the words of
sendmail, whose rules these are (its DontBlameSendmail option unset).
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINKS = 16
"""Symbolic links on the way to one file."""

MAX_BYTES = 1024 * 1024
"""Longest list of addresses that is read."""

_TO_LOOK_UP = getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY))
"""A folder is only searched, so the right to list it is not needed."""

_TEMPORARY = frozenset(
    {
        errno.EINTR,
        errno.EIO,
        errno.ENXIO,
        errno.EAGAIN,
        errno.ENOMEM,
        errno.EBUSY,
        errno.ENODEV,
        errno.ENFILE,
        errno.EMFILE,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOBUFS,
        errno.ETIMEDOUT,
        errno.ESTALE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
    }
)


class Refused(OSError):
    """The file is there and must not be used. str(): the reason."""


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a file is opened. `uid` None: for ourselves, whom the system watches anyway."""

    uid: int | None = None
    groups: frozenset[int] = field(default_factory=frozenset)

    def may(self, found: os.stat_result, bit: int) -> bool:
        """Has the reader the right `bit` (stat.S_IROTH, stat.S_IXOTH) on what was found?"""
        if self.uid is None or self.uid == 0:
            return True
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid in self.groups else 0
        return bool(found.st_mode >> shift & bit)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """What was read, and the file's attributes at that moment."""

    data: bytes
    found: os.stat_result


def is_temporary(error: OSError) -> bool:
    """May the same file be readable later?"""
    return error.errno in _TEMPORARY


def reason(error: OSError) -> str:
    """Why a file could not be read, in the system's words."""
    return str(error) if isinstance(error, Refused) else error.strerror or str(error)


def read_safely(path: str, reader: Reader) -> OpenedFile:
    """The content of a file. Raises: Refused, OSError."""
    if not path.startswith("/"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    walk = _Walk(reader, deque(_parts(path)))
    try:
        return walk.run()
    finally:
        walk.close()


class _Walk:
    """On the way down a path. `folder` is held open, and was found to be safe."""

    def __init__(self, reader: Reader, parts: deque[str]) -> None:
        self._reader = reader
        self._parts = parts
        self._links = 0
        self._folder = -1
        self._found = Path("/").stat()
        self._enter("/")

    def close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def run(self) -> OpenedFile:
        while True:
            if not self._parts:
                raise Refused("Regular files only")
            name = self._parts.popleft()
            if not self._reader.may(self._found, stat.S_IXOTH):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            found = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                self._follow(name, found)
            elif self._parts:
                self._check_folder(is_last=False)
                self._enter(name)
            else:
                self._check_folder(is_last=True)
                return self._read(name, found)

    def _enter(self, name: str) -> None:
        flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | _TO_LOOK_UP
        inner = os.open(name, flags, dir_fd=self._folder if self._folder >= 0 else None)
        self.close()
        self._folder = inner
        self._found = os.fstat(inner)

    def _check_folder(self, *, is_last: bool) -> None:
        """Whoever can write a folder decides what is in it; a sticky one protects what is not
        his, so it may stand on the way."""
        mode = self._found.st_mode
        if mode & stat.S_ISVTX and not is_last:
            return
        if mode & stat.S_IWOTH:
            raise Refused("World writable directory")
        if mode & stat.S_IWGRP:
            raise Refused("Group writable directory")

    def _follow(self, name: str, found: os.stat_result) -> None:
        self._links += 1
        strangers = {0, os.geteuid(), self._reader.uid}
        if self._links > MAX_LINKS or (
            self._found.st_mode & (stat.S_IWOTH | stat.S_IWGRP) and found.st_uid not in strangers
        ):
            raise Refused("Symbolic links not allowed")
        target = os.readlink(name, dir_fd=self._folder)
        if target.startswith("/"):
            self._enter("/")
        self._parts.extendleft(reversed(list(_parts(target))))

    def _read(self, name: str, found: os.stat_result) -> OpenedFile:
        if not stat.S_ISREG(found.st_mode):
            raise Refused("Regular files only")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self._folder)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            self._check_file(found)
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Refused(f"Longer than {MAX_BYTES} bytes")
        return OpenedFile(data, found)

    def _check_file(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise Refused("Regular files only")
        if not self._reader.may(found, stat.S_IROTH):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if found.st_mode & stat.S_IWOTH:
            raise Refused("World writable file")
        if found.st_mode & stat.S_IWGRP:
            raise Refused("Group writable file")


def _parts(path: str) -> Iterator[str]:
    return (part for part in path.split("/") if part and part != ".")
