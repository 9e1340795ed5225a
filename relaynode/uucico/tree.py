"""Files below a folder, found without leaving it: no symbolic link is followed on the way.

The folder is opened once; each step below it is taken in the folder before, which is held open
meanwhile, so nothing can be put in its place. Used with the public folder, which everybody can
write, and with paths that users name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.queue.content import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from relaynode.mailers.safe_open import Reader
    from relaynode.queue.content import Content

FOLDER_MODE = 0o755
FILE_MODE = 0o644
PROGRAM_MODE = 0o755
"""Of what is put into a public folder, whatever the umask is: local users are to read it. Taylor's
are writable for all, which nobody needs who replaces files instead of writing into them."""

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Placing:
    """How a file is put below a folder.

    `components`: the path below it. `name_within`: what the file is called if the path is a folder,
    "" if it must not be one. `mode`: as the sender has it; only that it can be executed is kept.
    `makes_folders`: those that lack are made, else it is refused.
    """

    components: tuple[str, ...]
    name_within: str = ""
    is_folder: bool = False
    mode: int = 0o666
    makes_folders: bool = True

    @property
    def file_mode(self) -> int:
        """What it gets here."""
        return PROGRAM_MODE if self.mode & 0o111 else FILE_MODE


@contextmanager
def folder_at(
    root: Path, components: Sequence[str], *, makes: bool = False, reader: Reader | None = None
) -> Iterator[int]:
    """A descriptor of the folder that lies there below `root`, open for the time of the block.

    `makes`: folders that lack are made. `reader`: who must be allowed to search each folder.
    Raises: OSError (ELOOP or ENOTDIR for a symbolic link).
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check_search(descriptor, reader)
        for name in components:
            inner = _step(descriptor, name, makes=makes)
            os.close(descriptor)
            descriptor = inner
            _check_search(descriptor, reader)
        yield descriptor
    finally:
        os.close(descriptor)


def _step(folder: int, name: str, *, makes: bool) -> int:
    _check_name(name)
    if makes:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, FOLDER_MODE, dir_fd=folder)
            os.fsync(folder)
    return os.open(name, _FOLDER_FLAGS, dir_fd=folder)


def _check_name(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise PermissionError(errno.EPERM, "no name of a file", name)


def _check_search(folder: int, reader: Reader | None) -> None:
    if reader is not None and not reader.may(os.fstat(folder), stat.S_IXOTH):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def open_public(root: Path, components: Sequence[str]) -> tuple[int, os.stat_result]:
    """Open a file below `root` that all the world may read. Raises: OSError."""
    descriptor, found = _open_file(root, components, None)
    if not found.st_mode & stat.S_IROTH:
        os.close(descriptor)
        raise PermissionError(errno.EACCES, "not readable for all")
    return descriptor, found


def open_as(path: Path, reader: Reader) -> tuple[int, os.stat_result]:
    """Open a file that `reader` may read, at an absolute path without symbolic links.

    Raises: OSError.
    """
    if not path.is_absolute():
        raise PermissionError(errno.EPERM, "not an absolute path", str(path))
    root, *components = path.parts
    descriptor, found = _open_file(type(path)(root), components, reader)
    if not reader.may(found, stat.S_IROTH):
        os.close(descriptor)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return descriptor, found


def _open_file(
    root: Path, components: Sequence[str], reader: Reader | None
) -> tuple[int, os.stat_result]:
    if not components:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(root))
    *folders, name = components
    _check_name(name)
    with folder_at(root, folders, reader=reader) as folder:
        descriptor = os.open(name, _FILE_FLAGS, dir_fd=folder)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "not a plain file")
    return descriptor, found


def place(root: Path, placing: Placing, content: Content) -> tuple[str, ...]:
    """Put content below `root`, for good; the components of the file as it was placed.

    A file or symbolic link that is there is replaced: whoever looks sees the old one or the new
    one, whole. Raises: OSError, StoreError when the content cannot be read.
    """
    components = _resolved(root, placing)
    *folders, name = components
    _check_name(name)
    with folder_at(root, folders, makes=placing.makes_folders) as folder:
        temporary = f".{secrets.token_hex(8)}.uucp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            with open(descriptor, "wb", buffering=PIECE_BYTES) as file:
                for piece in content.pieces():
                    file.write(piece)
                file.flush()
                os.fchmod(file.fileno(), placing.file_mode)
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)
    return components


def _resolved(root: Path, placing: Placing) -> tuple[str, ...]:
    """The file's components: below the path if that is a folder."""
    path = placing.components
    if placing.is_folder or _is_folder(root, path):
        if not placing.name_within:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "/".join(path))
        return (*path, placing.name_within)
    return path


def _is_folder(root: Path, components: Sequence[str]) -> bool:
    try:
        with folder_at(root, components):
            return True
    except OSError:
        return False


def free_bytes(folder: Path) -> int:
    """How much can be written there. Raises: OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
