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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.lines import ToCrlf
from relaynode.pop3.maildrop import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = "relaynode.pop3.lock"
PIECE_BYTES = 64 * 1024
PARTS = ("new", "cur")

_UID = re.compile(r"[!-~]{1,70}")
"""RFC 1939 section 7."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
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
        """The messages, oldest name first; none if there is no Maildir. Raises: OSError."""
        found: dict[str, StoredMessage] = {}
        for part in PARTS:
            for name in self._names(part):
                # What goes between the listing and this was taken by another reader. A reader that
                # moves it to cur/ may show it in both.
                with contextlib.suppress(FileNotFoundError, NotAMessage):
                    size_bytes = sum(map(len, self._pieces(part, name)))
                    found[base_name(name)] = StoredMessage(part, name, size_bytes)
        return [found[name] for name in sorted(found)]

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
        """A folder (O_DIRECTORY) or regular file of the user's. Raises: NotAMessage, OSError."""
        flags |= os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(name, flags, dir_fd=within)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotAMessage(error.errno, "is a link", name) from error
            raise
        try:
            found = os.fstat(descriptor)
            is_folder = bool(flags & os.O_DIRECTORY)
            if found.st_uid != self._owner or not (is_folder or stat.S_ISREG(found.st_mode)):
                raise NotAMessage(errno.EPERM, "does not belong to the user", name)
            yield descriptor
        finally:
            os.close(descriptor)


class NotAMessage(PermissionError):
    """Something that is not the user's own, or neither file nor folder."""


def base_name(name: str) -> str:
    """A message's name without the flags that readers add."""
    return name.partition(":")[0]
