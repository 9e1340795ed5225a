"""Writes a message into a mailbox or file as the user it is for.

A node that runs as root does it in a process of that user's own (`mailbox.py`): root follows no
path that a user controls.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from relaynode.mail.reason import Reason
from relaynode.mailers.as_others import monitor
from relaynode.mailers.mailbox import deliver_to_file, deliver_to_maildir, deliver_to_mbox, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

    from relaynode.mailers.monitor_words import Request
    from relaynode.mailers.users import User

DELIVER_SECONDS = 120


class CannotCreate(OSError):
    """The path is wrong, or not for this user: no later try will do better."""


def write(
    user: User,
    kind: str,
    path: Path,
    unique: str,
    pieces: Iterator[bytes],
    detail: str = "",
    *,
    may_be_there: bool = True,
    wish: Request,
) -> None:
    """Write as the user. `kind`: "maildir", "mbox" or "file"; `unique`: the message's name for a
    Maildir, its From line for the others; `detail`: a folder of the Maildir, if there is such;
    `may_be_there`: see `deliver_to_maildir`. `wish`: the same for the monitor, if there is one.
    Raises: CannotCreate, OSError, StoreError."""
    steward = None if user.uid in (None, os.geteuid()) else monitor()
    if steward is not None:
        if user.uid == 0:
            raise PermissionError(None, "nothing is delivered as root: give root an alias")
        lent = steward.start(wish)
        assert lent.stdin is not None
        assert lent.stdout is not None
        with lent.stdout:
            _hand_over(lent.stdin, lent.stdout, lent.wait, path, pieces)
    elif user.uid is not None and os.geteuid() == 0 and user.uid != 0:
        which_try = "again" if may_be_there else "first"
        _write_as(user, kind, path, [unique, detail, which_try], pieces)
    elif kind == "maildir":
        deliver_to_maildir(path, unique, pieces, detail, may_be_there=may_be_there)
    elif kind == "mbox":
        deliver_to_mbox(path, os.fsencode(unique), pieces)
    elif not deliver_to_file(path, os.fsencode(unique), pieces):
        raise CannotCreate(None, "Can't create output", str(path))


def disk_reason(error: OSError) -> str:
    """The reason code of a mailbox that cannot be written."""
    full = os.strerror(errno.EDQUOT)
    is_full = error.errno == errno.EDQUOT or full in (error.strerror or "")
    return Reason.MAILBOX_FULL if is_full else Reason.LOCAL_ERROR


def _write_as(user: User, kind: str, path: Path, names: list[str], pieces: Iterator[bytes]) -> None:
    assert user.uid is not None
    assert user.gid is not None
    ids = [user.uid, user.gid, *spool_groups(user, kind, path)]
    command = [sys.executable, "-m", "relaynode.mailers.mailbox", kind, str(path), *names]
    with subprocess.Popen(
        [*command, *map(str, ids)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": ":".join(filter(None, sys.path))},
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        _hand_over(process.stdin, process.stderr, process.wait, path, pieces)


def _hand_over(
    sink: IO[bytes],
    complaints: IO[bytes],
    wait: Callable[[float], int],
    path: Path,
    pieces: Iterator[bytes],
) -> None:
    """Give the message to a process that writes it to `path`. Raises: as `write`."""
    # If it ends early it says why on its standard error, or has the message already. If we do,
    # for want of a piece, it finds its input cut and delivers nothing.
    with contextlib.suppress(BrokenPipeError):
        try:
            for piece in pieces:
                if piece:
                    _write_all(sink, frame(piece))
            _write_all(sink, frame(b""))
        finally:
            with contextlib.suppress(BrokenPipeError):
                sink.close()
    complaint = complaints.read().decode("utf-8", "replace").strip()
    code = wait(DELIVER_SECONDS)
    if code != 0:
        last_line = complaint.splitlines()[-1] if complaint else f"exit {code}"
        kind_of_error = CannotCreate if code == os.EX_CANTCREAT else OSError
        raise kind_of_error(None, last_line, str(path))


def _write_all(sink: IO[bytes], data: bytes) -> None:
    """One that is not buffered need not take all at once."""
    while data:
        data = data[sink.write(data) :]


def spool_groups(user: User, kind: str, path: Path) -> list[int]:
    """The group that may make files in /var/mail. None is lent below the user's home, where the
    user decides what a path leads to, nor for a path that a user or an alias named."""
    if kind != "mbox" or (user.home is not None and path.is_relative_to(user.home)):
        return []
    return [path.parent.stat().st_gid] if path.parent.exists() else []
