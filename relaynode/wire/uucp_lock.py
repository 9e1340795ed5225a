"""Lock files that UUCP programs, getty, cu and pppd share: `LCK..ttyS0`, `LCK..SYSTEM`.

    LCK..ttyS0     the process that has the line, as HDB UUCP writes it: "      1570\\n", 10 digits
                   right-justified; four binary bytes in V2. Other lines behind it do not count.

A file with our process is made under another name and linked to the lock's: link(2) fails if there
is one, on every kind of file system. A lock whose process is gone is stale and is taken away.

A lock of a process that another system or another user owns is one, too: whoever it is, it is
there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.errors import BusyError, ConnectFailed

if TYPE_CHECKING:
    from types import TracebackType

MODE = 0o644
"""Others must read whose it is."""

MAX_LOCK_BYTES = 256

_TRIES = 50
"""Stale locks that may turn up, one after the other, before we give up."""

_HOW_TO_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_V2_BYTES = 4
_NUMBER = re.compile(rb"[ \t]*([0-9]{1,10})[ \t]*(?:[\r\n\0]|\Z)")


def device_lock(device: str) -> str:
    """The name of a line's lock file: of the base name, as all others have it."""
    return f"LCK..{Path(device).name}"


def system_lock(name: str) -> str:
    """The name of a neighbour's lock file. `name` must be one of a system: no slash."""
    assert "/" not in name
    return f"LCK..{name}"


class UucpLock:
    """One lock. It is held from `take` to `release`, or between the two ends of a `with`."""

    def __init__(self, folder: Path, name: str, *, process: int | None = None) -> None:
        self.path = folder / name
        self._process = os.getpid() if process is None else process
        self._is_ours = False

    def take(self) -> None:
        """Raises: BusyError if somebody has it; ConnectFailed if there can be no locks here."""
        new = self.path.with_name(f"LTMP.{self._process:010}.{id(self):x}")
        try:
            _write(new, f"{self._process:10}\n".encode())
            try:
                self._link(new)
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            raise ConnectFailed(f"{self.path}: {error.strerror or error}") from error
        self._is_ours = True

    def _link(self, new: Path) -> None:
        for _ in range(_TRIES):
            try:
                os.link(new, self.path)
                return
            except FileExistsError:
                pass
            self._take_away_if_stale()
        raise BusyError(f"{self.path}: cannot be had, it is made anew all the time")

    def _take_away_if_stale(self) -> None:
        """Returns if it is worth another try. Raises: BusyError."""
        try:
            descriptor = os.open(self.path, _HOW_TO_READ)
        except FileNotFoundError:
            return
        try:
            self._check_is_stale(os.read(descriptor, MAX_LOCK_BYTES))
            self._take_away(descriptor)
        finally:
            os.close(descriptor)

    def _check_is_stale(self, content: bytes) -> None:
        owner = owner_of(content)
        if owner is None:
            raise BusyError(f"{self.path}: is taken, and does not say by whom")
        if owner == self._process:
            raise BusyError(f"{self.path}: is taken by ourselves")
        if is_alive(owner):
            raise BusyError(f"{self.path}: is taken by process {owner}")

    def _take_away(self, descriptor: int) -> None:
        """Remove this very file, and none that another relaynode has put in its place meanwhile:
        who removes a stale lock has it locked."""
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), self.path.lstat()):
                self.path.unlink()

    def release(self) -> None:
        """Give it back, if it is still ours. Never raises."""
        if not self._is_ours:
            return
        self._is_ours = False
        with contextlib.suppress(OSError):
            if owner_of(_read(self.path)) == self._process:
                self.path.unlink()

    def __enter__(self) -> UucpLock:
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def owner_of(content: bytes) -> int | None:
    """The process that a lock file names; None if it names none."""
    found = _NUMBER.match(content)
    if found is not None:
        return int(found[1]) or None
    if len(content) == _V2_BYTES:
        return int.from_bytes(content, sys.byteorder) or None
    return None


def is_alive(process: int) -> bool:
    """Is there such a process?"""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OverflowError:  # no process has such a number
        return False
    except PermissionError:
        return True
    return True


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # of a process of ours that was killed here
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    try:
        os.fchmod(descriptor, MODE)
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, _HOW_TO_READ)
    try:
        return os.read(descriptor, MAX_LOCK_BYTES)
    finally:
        os.close(descriptor)
