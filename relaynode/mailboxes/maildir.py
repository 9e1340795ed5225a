"""A Maildir as a maildrop: which messages it holds, their content in wire form, their removal.

Works with the rights of the daemon in folders that belong to users. So nothing is touched unless
it belongs to the user whose Maildir it is: a link to somebody else's file is no message.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from relaynode.mail.lines import ToCrlf, WireSize
from relaynode.mailboxes.sizes import Sizes, told_size
from relaynode.pop3.maildrop import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = "relaynode.pop3.lock"
PIECE_BYTES = 64 * 1024
PARTS = ("new", "cur")

_UID = re.compile(r"[!-~]{1,70}")
"""RFC 1939 section 7."""


class StoredMessage(NamedTuple):
    """One message. `uid` stays the same when a reader moves the file and adds flags."""

    part: str
    name: str
    size_bytes: int

    @property
    def uid(self) -> str:
        """The file's name without flags, or, where POP3 would not have that, its hash."""
        name = base_name(self.name)
        return name if _UID.fullmatch(name) else hashlib.sha256(os.fsencode(name)).hexdigest()

    @property
    def entry(self) -> Entry:
        """What POP3 tells of it."""
        return Entry(self.size_bytes, self.uid)


class Maildir:
    """The Maildir of the user `owner` (a uid)."""

    def __init__(self, folder: Path, owner: int) -> None:
        self._folder = folder
        self._owner = owner

    def lock(self) -> int | None:
        """The descriptor of a lock that closing it gives back; None if there is no Maildir.

        Raises: BlockingIOError if another session has it; OSError.
        """
        try:
            with self._opened(str(self._folder), os.O_DIRECTORY) as folder:
                flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
                lock = os.open(LOCK_NAME, flags, 0o600, dir_fd=folder)
        except FileNotFoundError:
            return None
        try:
            if os.geteuid() == 0:
                os.fchown(lock, self._owner, -1)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        return lock

    def messages(self) -> list[StoredMessage]:
        """The messages, oldest name first; none if there is no Maildir. For who holds the lock.
        Raises: OSError."""
        try:
            with self._opened(str(self._folder), os.O_DIRECTORY) as folder:
                return self._listed(Sizes(folder, self._owner))
        except FileNotFoundError:
            return []

    def _listed(self, sizes: Sizes) -> list[StoredMessage]:
        known, new = sizes.read(), dict[str, int]()
        found: dict[str, StoredMessage] = {}
        buffer = bytearray(PIECE_BYTES)
        for part in PARTS:
            with contextlib.suppress(FileNotFoundError), self._part(part) as folder:
                unknown = []
                for name, inode in _files(folder):
                    base = base_name(name)
                    size_bytes = told_size(base)
                    if size_bytes is None:
                        size_bytes = known.get(base)
                    if size_bytes is None:
                        unknown.append((inode, name))
                    else:
                        # A reader that moves it to cur/ may show it in both.
                        found[base] = StoredMessage(part, name, size_bytes)
                # In the order of the disk.
                for _, name in sorted(unknown):
                    # What goes meanwhile was taken by another reader.
                    with contextlib.suppress(FileNotFoundError, NotAMessage):
                        new[base_name(name)] = size_bytes = self._measured(folder, name, buffer)
                        found[base_name(name)] = StoredMessage(part, name, size_bytes)
        sizes.add(new, found)
        return [found[name] for name in sorted(found)]

    def _measured(self, folder: int, name: str, buffer: bytearray) -> int:
        """The size with CRLF line ends. Raises: NotAMessage, OSError."""
        descriptor = self._open(name, os.O_NOFOLLOW, folder)
        try:
            count = os.readv(descriptor, (buffer,))
            if count < len(buffer):  # the whole file, as most are
                return count + buffer.count(b"\n", 0, count) - buffer.count(b"\r\n", 0, count)
            size = WireSize()
            while count:
                size.feed(bytes(buffer[:count]))
                count = os.readv(descriptor, (buffer,))
            return size.bytes
        finally:
            os.close(descriptor)

    def pieces(self, message: StoredMessage) -> Iterator[bytes]:
        """The content, CRLF line ends. Raises: OSError."""
        try:
            yield from self._pieces(message.part, message.name)
        except FileNotFoundError:
            yield from self._pieces(*self._moved(message))

    def remove(self, messages: list[StoredMessage]) -> bool:
        """Remove them for good. False if any is still there."""
        is_done = True
        for message in messages:
            try:
                self._remove(message)
            except OSError:
                is_done = False
        for part in PARTS:
            with contextlib.suppress(FileNotFoundError), self._part(part) as folder:
                os.fsync(folder)
        return is_done

    def _remove(self, message: StoredMessage) -> None:
        with contextlib.suppress(FileNotFoundError):  # gone already
            try:
                self._unlink(message.part, message.name)
            except FileNotFoundError:
                self._unlink(*self._moved(message))

    def _unlink(self, part: str, name: str) -> None:
        with self._part(part) as folder:
            os.unlink(name, dir_fd=folder)

    def _moved(self, message: StoredMessage) -> tuple[str, str]:
        """Where another reader has put it, under the same name with other flags."""
        for name in self._names("cur"):
            if base_name(name) == base_name(message.name):
                return "cur", name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), message.name)

    def _names(self, part: str) -> list[str]:
        try:
            with self._part(part) as folder, os.scandir(folder) as entries:
                return [entry.name for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            return []

    def _pieces(self, part: str, name: str) -> Iterator[bytes]:
        to_crlf = ToCrlf()
        with self._part(part) as folder, self._opened(name, os.O_NOFOLLOW, folder) as file:
            while piece := os.read(file, PIECE_BYTES):
                yield to_crlf.feed(piece)

    @contextlib.contextmanager
    def _part(self, part: str) -> Iterator[int]:
        with (
            self._opened(str(self._folder), os.O_DIRECTORY) as folder,
            self._opened(part, os.O_DIRECTORY, folder) as descriptor,
        ):
            yield descriptor

    @contextlib.contextmanager
    def _opened(self, name: str, flags: int, within: int | None = None) -> Iterator[int]:
        """`_open`, and closed at the end."""
        descriptor = self._open(name, flags, within)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, name: str, flags: int, within: int | None) -> int:
        """A folder (O_DIRECTORY) or regular file of the user's. Raises: NotAMessage, OSError."""
        flags |= os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(name, flags, dir_fd=within)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotAMessage(error.errno, "is a link", name) from error
            raise
        found = os.fstat(descriptor)
        is_right = bool(flags & os.O_DIRECTORY) or stat.S_ISREG(found.st_mode)
        if found.st_uid != self._owner or not is_right:
            os.close(descriptor)
            raise NotAMessage(errno.EPERM, "does not belong to the user", name)
        return descriptor


def _files(folder: int) -> Iterator[tuple[str, int]]:
    """Names and inodes of what may be messages. Whose they are is seen when they are opened."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name[0] != "." and entry.is_file(follow_symlinks=False):
                yield name, entry.inode()


class NotAMessage(PermissionError):
    """Something that is not the user's own, or neither file nor folder."""


def base_name(name: str) -> str:
    """A message's name without the flags that readers add."""
    return name.partition(":")[0]
