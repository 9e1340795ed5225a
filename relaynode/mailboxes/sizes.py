"""The sizes of a Maildir's messages, kept beside them, so that each is read for its size once only.

A message in a Maildir never changes, and POP3 counts it with CRLF line ends, which no file system
tells. Who delivers may write the count into the file's name (Maildir++: `,W=`); for names without,
it stands in a file of lines:

    2643 1700000000.M1P1.host

It is written at its end, and begun anew when most of it is of no use. What a crash has torn is no
line, or that of no message. It is never synced: without it the messages are read again.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import TextIO

SIZES_NAME = "relaynode.pop3.sizes"

MAX_BYTES = 128 * 1024 * 1024
"""A million names of usual length. A file beyond is none of ours."""

SPARE_LINES = 1000
"""So many lines of messages that are gone may stand there, or as many as there are messages."""

_MAX_DIGITS = 15
_TOLD = re.compile(r",W=([0-9]+)\n")
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def told_size(name: str) -> int | None:
    """What a file's name, without flags, says at its end of its size with CRLF line ends."""
    _, told, size = name.partition(",W=")
    return int(size) if told and size.isdecimal() else None


def sizes_of(names: Sequence[str], known: Mapping[str, int]) -> list[int | None]:
    """For each name, without flags, the size that it tells, or else the one that is `known`."""
    # All at once, for a mailbox may be big. A name has no line end, or the numbers do not agree.
    joined = "\n".join(names) + "\n"
    marks = joined.count(",W=")
    if not marks:
        return [known.get(name) for name in names]
    told = _TOLD.findall(joined)
    if len(told) == marks == len(names) == joined.count("\n"):
        return [int(size) for size in told]
    each = ((name, told_size(name)) for name in names)
    return [known.get(name) if size is None else size for name, size in each]


class Sizes:
    """The file in a Maildir, for one who holds its lock. Trouble with it is none: OSError is never
    raised. `folder`: a descriptor of the Maildir; `owner`: whose it is (a uid)."""

    def __init__(self, folder: int, owner: int) -> None:
        self._folder = folder
        self._owner = owner
        self._known: dict[str, int] = {}
        self._lines = 0

    def read(self) -> Mapping[str, int]:
        """Sizes by name, flags not counted."""
        with contextlib.suppress(OSError):
            self._read()
        return self._known

    def _read(self) -> None:
        with self._opened() as file:
            for line in file:
                self._lines += 1
                size, _, name = line.partition(" ")
                if name.endswith("\n") and size.isdecimal() and len(size) <= _MAX_DIGITS:
                    self._known[name[:-1]] = int(size)

    def add(self, new: Mapping[str, int], present: Collection[str]) -> None:
        """Write down what it did not know. `present`: the names of all messages there are."""
        with contextlib.suppress(OSError):
            if self._lines > 2 * max(len(present), SPARE_LINES):
                os.unlink(SIZES_NAME, dir_fd=self._folder)
                new = {name: self._known[name] for name in present if name in self._known} | dict(
                    new
                )
            if new:
                self._append(new)

    def _append(self, sizes: Mapping[str, int]) -> None:
        lines = [f"{size} {name}\n" for name, size in sizes.items() if "\n" not in name]
        with self._opened(is_made=True) as file:
            file.write("\n" + "".join(lines))  # what stands before may have been torn

    @contextlib.contextmanager
    def _opened(self, *, is_made: bool = False) -> Iterator[TextIO]:
        """The file, if it is the user's own. Raises: OSError."""
        if is_made:
            with contextlib.suppress(FileExistsError):
                self._make()
        descriptor = os.open(SIZES_NAME, _FLAGS, dir_fd=self._folder)
        with open(
            descriptor, "r+", encoding="utf-8", errors="surrogateescape", newline="\n"
        ) as file:
            found = os.fstat(file.fileno())
            # The user could make a link to somebody else's file of that name, and root writes here.
            is_own = stat.S_ISREG(found.st_mode) and found.st_uid == self._owner
            if not is_own or found.st_nlink != 1 or found.st_size > MAX_BYTES:
                raise PermissionError(SIZES_NAME)
            yield file

    def _make(self) -> None:
        flags = _FLAGS | os.O_CREAT | os.O_EXCL
        descriptor = os.open(SIZES_NAME, flags, 0o600, dir_fd=self._folder)
        try:
            if os.geteuid() == 0:
                os.fchown(descriptor, self._owner, -1)
        finally:
            os.close(descriptor)
