"""Who has a link: one run at a time over each, whatever process it is in.

Two files a link in the spool's `links` folder, each locked with flock(2), which the kernel lets go
of when its holder dies. LINK.lock is the line itself. LINK.ordered is held by a run that somebody
ordered (a hook, cron, a person), from before it waits for the line until it ends: of two of those
the second is turned away. What merely takes along mail that is due (behind `sendmail`, without a
daemon) is waited for, so that it never costs a link-up its run.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from relaynode.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

LOOK_SECONDS = 0.05
"""How often a run that waits for the line looks whether it is free."""


@contextlib.asynccontextmanager
async def line_lock(spool: Path, link: str, *, is_ordered: bool) -> AsyncIterator[None]:
    """Hold the link's line; an ordered run waits for it where mail that is due has it.

    Raises: BusyError when another process has the line, or, for an ordered run, runs by order too.
    """
    with contextlib.ExitStack() as held:
        if is_ordered:
            held.enter_context(_held(_ordered(spool, link), link))
        while True:
            try:
                held.enter_context(_held(_line(spool, link), link))
            except BusyError:
                if not is_ordered:
                    raise
                await asyncio.sleep(LOOK_SECONDS)
            else:
                break
        yield


@contextlib.contextmanager
def dial_lock(spool: Path, link: str) -> Iterator[bool]:
    """Hold a line that we have dialled (LINK.dialled), unless another process does: then False."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_held(spool / "links" / f"{link}.dialled", link))
        except BusyError:
            yield False
        else:
            yield True


def holders(spool: Path, link: str) -> set[int]:
    """The processes that run over a link, or wait to."""
    return set(filter(None, (_holder(_line(spool, link)), _holder(_ordered(spool, link)))))


def _line(spool: Path, link: str) -> Path:
    return spool / "links" / f"{link}.lock"


def _ordered(spool: Path, link: str) -> Path:
    return spool / "links" / f"{link}.ordered"


@contextlib.contextmanager
def _held(path: Path, link: str) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"a run over link {link} is under way") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)  # for `linkdown`
        yield
    finally:
        os.close(descriptor)


def _holder(path: Path) -> int | None:
    try:
        with _held(path, path.stem):
            return None
    except BusyError:
        text = path.read_text().strip()
        return int(text) if text.isdigit() else None
