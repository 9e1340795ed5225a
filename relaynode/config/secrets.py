"""Passwords in files, refused when others could read them (as fetchmail refuses its own)."""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING

from relaynode.config.values import Password

if TYPE_CHECKING:
    from pathlib import Path

MAX_PASSWORD_BYTES = 4096


def read_password(path: Path, node_uid: int | None = None) -> Password:
    """The first line of the file. `node_uid`: the user whose it may be, beside us and root.

    Raises: ValueError with the remedy in its text.
    """
    try:
        # O_NONBLOCK: a named pipe is refused below, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check_is_private(path, os.fstat(descriptor), node_uid)
            data = os.read(descriptor, MAX_PASSWORD_BYTES)
        finally:
            os.close(descriptor)
    except PermissionError as error:
        whose = f"it must be readable by {_own_name()} alone"
        raise ValueError(f"{path}: {error.strerror}; {whose}") from error
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    line = data.partition(b"\n")[0].removesuffix(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    if not text or "\0" in text:
        raise ValueError(f"{path} holds no password in its first line")
    return Password(text)


def _check_is_private(path: Path, found: os.stat_result, node_uid: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is no regular file")
    if found.st_uid not in (0, os.geteuid(), node_uid):
        raise ValueError(f"{path} belongs to another user; it must be yours or root's")
    if stat.S_IMODE(found.st_mode) & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise ValueError(f"{path} can be read by others (mode {mode:04o}); say: chmod 600 {path}")


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
