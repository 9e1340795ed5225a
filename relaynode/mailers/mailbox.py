"""Writes one message into a Maildir or an mbox so that it is there whole, for good, or not at all.

Also a program of its own (`python -m relaynode.mailers.mailbox KIND PATH UNIQUE DETAIL TRY UID GID
GROUP...`, TRY is `first` or `again`), which a node that runs as root starts, and which becomes the
user the mail is for before it does anything else. The message comes on standard input in pieces,
each behind its length (`frame`), so that the end of the node is never taken for the message's end.

Maildir: written and synced in tmp/, linked into new/, the folder synced. The name is made from the
queue id and the recipient, so that a message delivered again after a crash is found to be there.
Readers move it and add flags, so to find it means to list the folder, which takes long in a big
mailbox: it is looked for only where an earlier try may have put it there. Behind the name stand
the sizes of the file and of the message with CRLF line ends (`,S=`, `,W=`), which saves those who
read it from counting.

mbox: dot-lock and fcntl lock, as the readers of /var/mail expect; appended, synced, and cut off at
the old length if anything fails.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.mail.lines import WireSize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

_LOCK_TRIES = 3
_NEVER = frozenset(
    {
        errno.EACCES,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.EPERM,
        errno.EROFS,
    }
)
"""A file that cannot be written for one of these is the wrong file; for others there is a later."""

_FOLDER = re.compile(r"(?!\.)(?!.*\.\.)[^/\x00-\x1f\x7f]{1,200}(?<!\.)")
"""Details that can be the name of a folder; a dot in it stands between a folder and one inside."""

_FROM_LINE = re.compile(rb"(\n>*+)From ")
_CUT_FROM_LINE = re.compile(rb"\n>*+(?P<held>F(?:r(?:om?)?)?)?\Z")


class MailboxBusy(OSError):
    """Somebody else holds the lock: try again later."""


def deliver_to_maildir(
    maildir: Path,
    unique: str,
    pieces: Iterable[bytes],
    detail: str = "",
    *,
    may_be_there: bool = True,
) -> bool:
    """Put a message (LF line ends) into the Maildir. False if `unique` was delivered before.

    `unique`: what the message's name begins with, the same whenever this delivery is repeated; no
    slashes, colons, commas. `detail`: the folder to put it into, if there is one of that name.
    `may_be_there`: an earlier try may have got that far; False only where none can have.
    Makes the Maildir if it is missing. Raises: OSError; then the next try may find it there.
    """
    _make_maildir(maildir)
    folder = _folder_for(maildir, detail)
    temporary = folder / "tmp" / f"{unique}.{secrets.token_hex(4)}"
    try:
        sizes = _write_file(temporary, pieces)
        if may_be_there and _was_delivered(folder, unique):
            return False
        try:
            os.link(temporary, folder / "new" / f"{unique}{sizes}")
        except FileExistsError:
            return False
        _sync(folder / "new")
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _make_maildir(folder: Path) -> None:
    is_new = not (folder / "new").is_dir()
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_new:
        _sync(folder)
        _sync(folder.parent)


def _folder_for(maildir: Path, detail: str) -> Path:
    """The Maildir++ folder `.detail`, in whatever case, if there is one; else the inbox."""
    if _FOLDER.fullmatch(detail):
        wanted = f".{detail.lower()}"
        found = sorted(path for path in maildir.iterdir() if path.name.lower() == wanted)
        if found and (found[0] / "new").is_dir():
            return found[0]
    return maildir


def _was_delivered(folder: Path, unique: str) -> bool:
    """A reader may have moved it to cur/ and added flags behind a colon meanwhile."""
    begins = (f"{unique},", f"{unique}:")
    for part in ("new", "cur"):
        with os.scandir(folder / part) as entries:
            if any(entry.name.startswith(begins) or entry.name == unique for entry in entries):
                return True
    return False


def _write_file(path: Path, pieces: Iterable[bytes]) -> str:
    """The file's sizes, as they stand in its name."""
    wire = WireSize()
    with open(path, "xb", opener=_private) as file:
        for piece in pieces:
            file.write(piece)
            wire.feed(piece)
        file.flush()
        os.fsync(file.fileno())
        return f",S={file.tell()},W={wire.bytes}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def deliver_to_mbox(path: Path, from_line: bytes, pieces: Iterable[bytes]) -> None:
    """Append a message (LF line ends) to the mbox, lines that begin with "From " escaped.

    `from_line`: "From SENDER DATE" without line end. Raises: MailboxBusy, OSError, with the file
    as it was before.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _dot_lock(path), _opened_mbox(path) as descriptor:
        before = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            _write_all(descriptor, _gap(descriptor, before) + from_line + b"\n")
            for piece in _escaped(pieces):
                _write_all(descriptor, piece)
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, before)
            raise
        if before == 0:
            _sync(path.parent)


def deliver_to_file(path: Path, from_line: bytes, pieces: Iterable[bytes]) -> bool:
    """`deliver_to_mbox` for a file that an alias or a .forward names. False if it cannot be one.

    Makes no folders, and touches no programs: a file that can be executed is none to write to.
    Raises: MailboxBusy, OSError.
    """
    try:
        if path.exists() and path.stat().st_mode & 0o111:
            return False
        path.parent.stat()
        deliver_to_mbox(path, from_line, pieces)
    except OSError as error:
        if error.errno in _NEVER:
            return False
        raise
    return True


def _gap(descriptor: int, size: int) -> bytes:
    """What lacks of the blank line before a message, should others have left the end without."""
    end = os.pread(descriptor, 2, max(size - 2, 0))
    if not end or end.endswith(b"\n\n"):
        return b""
    return b"\n" if end.endswith(b"\n") else b"\n\n"


def _write_all(descriptor: int, data: bytes) -> None:
    """Unbuffered: what was not written when the disk was full must not be written later."""
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def _opened_mbox(path: Path) -> Iterator[int]:
    """The mbox, locked; never a link and nothing but a file of one name (as mail.local checks)."""
    descriptor = os.open(
        path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600
    )
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(errno.EPERM, "the mailbox is no regular file of one name", str(path))
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MailboxBusy(errno.EAGAIN, "the mailbox is locked", str(path)) from error
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _dot_lock(path: Path) -> Iterator[None]:
    """`path`.lock, made with O_EXCL. In a folder where we may not make one, fcntl has to do."""
    lock = path.with_name(path.name + ".lock")
    for _ in range(_LOCK_TRIES):
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            break
        except FileExistsError:
            if not _remove_stale(lock):
                raise MailboxBusy(errno.EAGAIN, "the mailbox is locked", str(lock)) from None
        except PermissionError:
            yield
            return
    else:
        raise MailboxBusy(errno.EAGAIN, "the mailbox is locked", str(lock))
    try:
        with open(descriptor, "wb") as file:
            file.write(f"{os.getpid()}\n".encode())
        yield
    finally:
        lock.unlink(missing_ok=True)


def _remove_stale(lock: Path) -> bool:
    """Remove a lock whose process is gone. True if it is worth another try."""
    try:
        holder = int(lock.read_text().strip() or "0")
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    if holder <= 0 or not _is_gone(holder):
        return False
    lock.unlink(missing_ok=True)
    return True


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _escaped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """`>` before "From " where that begins a line, or stands behind nothing but `>`.

    At the end the last line is ended, if it was not, and a blank line follows. `before` stands for
    what was given already: a line end as long as the line is nothing but `>`.
    """
    before, held, last = b"\n", b"", b"\n"
    for piece in pieces:
        text = before + held + piece
        last = piece[-1:] or last
        line_end = text.rfind(b"\n")
        cut = _CUT_FROM_LINE.match(text, line_end) if line_end >= 0 else None
        held = (cut["held"] or b"") if cut else b""
        before = b"\n" if cut else b"x"
        yield _FROM_LINE.sub(rb"\1>From ", text[: len(text) - len(held)])[1:]
    yield held + (b"\n" if last == b"\n" else b"\n\n")


def frame(piece: bytes) -> bytes:
    """A piece as it goes to the program below; an empty one ends the message."""
    return len(piece).to_bytes(4, "big") + piece


def _unframed(source: BinaryIO) -> Iterator[bytes]:
    while size := int.from_bytes(_exactly(source, 4), "big"):
        yield _exactly(source, size)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise OSError(errno.EPIPE, "the message ended in its middle")
    return data


def _main(arguments: list[str]) -> int:
    kind, path, unique, detail, which_try, *ids = arguments
    if ids:
        become(*map(int, ids))
    return deliver(kind, Path(path), unique, detail, may_be_there=which_try != "first")


def deliver(kind: str, path: Path, unique: str, detail: str, *, may_be_there: bool = True) -> int:
    """Deliver the framed message of the standard input, as who we are; an exit code, and what went
    wrong on the standard error."""
    with open(0, "rb", closefd=False) as source:
        pieces = _unframed(source)
        return _deliver(kind, path, unique, detail, pieces, may_be_there=may_be_there)


def _deliver(
    kind: str,
    path: Path,
    unique: str,
    detail: str,
    pieces: Iterator[bytes],
    *,
    may_be_there: bool,
) -> int:
    try:
        if kind == "maildir":
            deliver_to_maildir(path, unique, pieces, detail, may_be_there=may_be_there)
        elif kind == "mbox":
            deliver_to_mbox(path, os.fsencode(unique), pieces)
        elif not deliver_to_file(path, os.fsencode(unique), pieces):
            print("Can't create output", file=sys.stderr)
            return os.EX_CANTCREAT
    except OSError as error:
        print(f"{error.filename or path}: {error.strerror}", file=sys.stderr)
        return os.EX_TEMPFAIL
    return os.EX_OK


def become(uid: int, gid: int, *groups: int) -> None:
    """Give up root's rights for good, in these groups and no others. Raises: OSError."""
    # Not left to the parent: what Python itself is made of may be root's alone to read.
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)
    os.umask(0o077)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
