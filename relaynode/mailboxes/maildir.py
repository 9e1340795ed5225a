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
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from relaynode.mail.lines import ToCrlf, WireSize
from relaynode.mailboxes.sizes import Sizes, sizes_of
from relaynode.pop3.maildrop import Entries, are_uids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

LOCK_NAME = "relaynode.pop3.lock"
PIECE_BYTES = 64 * 1024
PARTS = ("new", "cur")

_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class StoredMessage(NamedTuple):
    """One message. `uid` stays the same when a reader moves the file and adds flags."""

    part: str
    name: str
    size_bytes: int
    uid: str


class Listing(Sequence[StoredMessage]):
    """The messages of a Maildir, in little room. `entries`: what POP3 tells of them."""

    def __init__(self, parts: Mapping[str, Mapping[str, str]], sizes: Mapping[str, int]) -> None:
        """`parts`: of each the file names, by names without flags. `sizes`: by the latter."""
        self._parts = parts
        self._names = sorted(sizes)
        self.entries = _entries([sizes[name] for name in self._names], self._names)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> StoredMessage: ...
    @overload
    def __getitem__(self, index: slice) -> list[StoredMessage]: ...
    def __getitem__(self, index: int | slice) -> StoredMessage | list[StoredMessage]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        name = self._names[index]
        # A reader that moves it to cur/ may show it in both.
        part = next(part for part in reversed(PARTS) if name in self._parts.get(part, ()))
        return StoredMessage(part, self._parts[part][name], *self.entries[index])


def _entries(sizes: list[int], names: list[str]) -> Entries:
    """With the names as unique-ids, or, where POP3 would not have such, their hashes."""
    entries = Entries(sizes, names)
    if entries.have_uids:
        return entries
    uids = [
        name if are_uids([name]) else hashlib.sha256(os.fsencode(name)).hexdigest()
        for name in names
    ]
    return Entries(sizes, uids)


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

    def messages(self) -> Listing:
        """The messages, oldest name first; none if there is no Maildir. For who holds the lock.
        Raises: OSError."""
        try:
            with self._opened(str(self._folder), os.O_DIRECTORY) as folder:
                return self._listed(Sizes(folder, self._owner))
        except FileNotFoundError:
            return Listing({}, {})

    def _listed(self, kept: Sizes) -> Listing:
        known, new = kept.read(), dict[str, int]()
        parts, sizes = dict[str, dict[str, str]](), dict[str, int]()
        for part in PARTS:
            with contextlib.suppress(FileNotFoundError), self._part(part) as folder:
                parts[part], found = self._sized(folder, known, new)
                sizes |= found
        kept.add(new, sizes)
        return Listing(parts, sizes)

    def _sized(
        self, folder: int, known: Mapping[str, int], new: dict[str, int]
    ) -> tuple[dict[str, str], dict[str, int]]:
        """File names and sizes, by names without flags. What had to be read is put into `new`.

        List by list: for a big mailbox that takes half as long as message by message.
        """
        names = _files(folder)
        bases = [name.partition(":")[0] for name in names]
        told = sizes_of(bases, known)
        files = dict(zip(bases, names, strict=True))
        sizes = {base: size for base, size in zip(bases, told, strict=True) if size is not None}
        if len(sizes) < len(files):
            unknown = {name for base, name in files.items() if base not in sizes}
            measured = {base_name(name): size for name, size in self._measured(folder, unknown)}
            new |= measured
            sizes |= measured
            files = {base: name for base, name in files.items() if base in sizes}
        return files, sizes

    def _measured(self, folder: int, names: Collection[str]) -> Iterator[tuple[str, int]]:
        """The sizes with CRLF line ends, of those that are messages."""
        buffer = bytearray(PIECE_BYTES)
        with os.scandir(folder) as entries:
            files = [(entry.inode(), entry.name) for entry in entries if entry.name in names]
        for _, name in sorted(files):  # in the order of the disk
            try:
                descriptor = self._open(name, os.O_NOFOLLOW, folder)
            except (FileNotFoundError, NotAMessage):
                continue  # what goes meanwhile was taken by another reader
            try:
                yield name, _wire_size(descriptor, buffer)
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
        flags |= _READING
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


def _wire_size(file: int, buffer: bytearray) -> int:
    count = os.readv(file, (buffer,))
    if count < len(buffer):  # the whole file, as most are
        bare = buffer.count(b"\n", 0, count)
        if buffer.find(b"\r", 0, count) >= 0:  # which most have not, and two bytes are found slowly
            bare -= buffer.count(b"\r\n", 0, count)
        return count + bare
    size = WireSize()
    while count:
        size.feed(bytes(buffer[:count]))
        count = os.readv(file, (buffer,))
    return size.bytes


def _files(folder: int) -> list[str]:
    """The names of what may be messages. Whose they are is seen when they are opened."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name[0] != "." and entry.is_file(follow_symlinks=False)
        ]
    # So that what is made of them lies in memory in the order in which it is used.
    names.sort()
    return names


class NotAMessage(PermissionError):
    """Something that is not the user's own, or neither file nor folder."""


def base_name(name: str) -> str:
    """A message's name without the flags that readers add."""
    return name.partition(":")[0]
