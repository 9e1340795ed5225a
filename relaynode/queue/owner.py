"""Who holds a claim: a living process, proved by a lock that the kernel drops when it dies.

An `Owner` is a file in the spool's `owners` folder, locked with flock(2) for the life of the
process. Whoever can lock the file of another owner knows that owner to be dead: no timers, no
process numbers that come round again. The file tells what the owner has in hand (`in_hand.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

from relaynode.queue.in_hand import InHand, found_in_hand


class Owner:
    """A living owner. `token` is what claims and content files carry. `in_hand`: what it is working
    on."""

    def __init__(self, token: str, path: Path, descriptor: int) -> None:
        self.token = token
        self._path = path
        self._descriptor = descriptor
        self.in_hand = InHand(descriptor)

    @classmethod
    def register(cls, folder: Path) -> Owner:
        """A new owner in `folder`, alive until `close` or the end of the process."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            token = f"{os.getpid()}-{secrets.token_hex(6)}"
            path = folder / token
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return cls(token, path, descriptor)
            # Between our open and our lock somebody took the file for a dead owner's.
            os.close(descriptor)

    def close(self) -> None:
        """Give up ownership. Claims still held are free for everybody."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def bury_dead_owners(folder: Path, living: str) -> dict[str, list[str]]:
    """Tokens of owners that died, with the queue ids of what each had in hand. Their files are gone
    after this; `living` is never among them."""
    dead = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name != living and (in_hand := _bury(path)) is not None:
            dead[path.name] = in_hand
    return dead


def living_owners(folder: Path) -> set[str]:
    """Tokens of the owners that have not been buried."""
    return {path.name for path in folder.iterdir()}


def _bury(path: Path) -> list[str] | None:
    """What a dead owner had in hand; None if it lives."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None  # it closed in order, or another process buries it
    try:
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            in_hand = found_in_hand(descriptor)
            path.unlink()  # whoever does this counts what was in hand
            return in_hand
        return None
    finally:
        os.close(descriptor)
