"""The file that holds a refresh token: its first line.

A server that rotates refresh tokens takes the old one back when it gives the new one, so the new
one must be on the disk before anything else happens. The order that nothing may change:

    lock            who else refreshes waits, and then reads what we wrote
    read            the token as it is now, not as it was when we began
    make room       the temporary file is there before the token is spent: a folder that cannot be
                    written to is noticed while the old token is still good
    (fetch)
    write, fsync, rename, fsync the folder

A crash anywhere leaves the old token or the new one, whole; never a part, never nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from relaynode.config.replacing import sync_folder
from relaynode.config.secrets import read_password
from relaynode.logins.login import no_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


LOCK_RETRY_SECONDS = 0.05
LOCK_TRIES = 2000
"""A refresh takes a minute at most (token_server.py); whoever holds the lock longer is stuck."""


class TokenFile:
    """A refresh token on disk. Blocks: for threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = path.with_name(f".{path.name}.new")
        self._lock = path.with_name(f".{path.name}.lock")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Alone with the file, waiting for others if need be. Raises: NoSecret."""
        try:
            descriptor = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise no_secret(str(self._lock), error.strerror or "cannot be made") from None
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOCK_RETRY_SECONDS)
            else:
                return
        raise no_secret(str(self._lock), "another process holds it and does not end")

    def read(self) -> str:
        """The token. Raises: NoSecret if there is none or others can read it."""
        try:
            return read_password(self._path).reveal()
        except ValueError as error:
            raise no_secret("refresh token", str(error)) from None

    def make_room(self) -> None:
        """See to it that `replace` will find a place. Raises: NoSecret."""
        try:
            descriptor = self._open_new()
            try:
                os.write(descriptor, b"\n" * 4096)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise no_secret(str(self._new), f"cannot be written: {error.strerror}") from None

    def replace(self, token: str) -> None:
        """Write `token` in place of the one that is there. Raises: NoSecret."""
        try:
            descriptor = self._open_new()
            try:
                _write_all(descriptor, token.encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._new.rename(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            text = f"the new refresh token cannot be kept: {error.strerror}"
            raise no_secret(str(self._path), text) from None

    def tidy(self) -> None:
        """Remove the room that was not needed."""
        with contextlib.suppress(OSError):
            self._new.unlink()

    def _open_new(self) -> int:
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._new, flags, 0o600)
        os.fchmod(descriptor, 0o600)
        return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
