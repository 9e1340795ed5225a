"""Where uux and uucp hand in what a user wishes for: at the daemon, or without one at the queue.

The daemon comes first, as with sendmail: the queue may be closed to who asks, and is not to it.
It takes the user's name from the kernel (daemon/uucp_desk.py). Files are opened here, with the
rights of who runs us; those that go without a copy are read later, with the same rights.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from relaynode.cli.client import DaemonClient
from relaynode.cli.uu_options import Refused, own_user
from relaynode.daemon.control import CALL_SOON, QUEUE_WISHES
from relaynode.errors import EX_NOINPUT, EX_OK, EX_UNAVAILABLE
from relaynode.neighbours import load_neighbours
from relaynode.queue.content import PIECE_BYTES
from relaynode.queue.ids import new_queue_id
from relaynode.uucico.folders import is_allowed
from relaynode.uucico.queueing import queue_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relaynode.config.loader import Config
    from relaynode.neighbours import Neighbour
    from relaynode.queue.content import Content
    from relaynode.queue.store import Store
    from relaynode.uucico.queueing import Wish

_STANDARD_INPUT = ""
"""Stands for it among the files to be copied."""


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file on its way. `source`: its path. `content`: the place of its copy, None for none."""

    source: str
    content: int | None
    mode: int


class Desk:
    """What one command hands in. `unknown`: the exit code for a system that is not known, or a file
    that may not go; `unreadable`: for one that cannot be read."""

    def __init__(
        self, config: Config, *, unknown: int = EX_UNAVAILABLE, unreadable: int = EX_NOINPUT
    ) -> None:
        self.config = config
        self.neighbours = load_neighbours(config)
        self.user = own_user()
        self._unknown = unknown
        self._unreadable = unreadable
        self._to_copy: list[str] = []

    # --- who and what

    def is_us(self, system: str) -> bool:
        """Does the name of a system mean ours?"""
        return system in ("", self.neighbours.our_name)

    def neighbour(self, system: str) -> Neighbour:
        """Raises: Refused."""
        found = self.neighbours.find(system)
        if found is None:
            raise Refused(f"{system}: System not found", self._unknown)
        return found

    def path(self, text: str) -> str:
        """A file of ours as an absolute path, `~` being the public folder; a `/` at its end stays.

        Raises: Refused.
        """
        plain = os.path.normpath(Path.cwd() / self._without_tilde(text))
        return plain + "/" * (text.endswith("/") and plain != "/")

    def _without_tilde(self, text: str) -> Path:
        user, _, rest = text.partition("/")
        if user == "~":
            return self.neighbours.public / rest
        if not user.startswith("~"):
            return Path(text)
        try:
            return Path(user).expanduser() / rest
        except RuntimeError as error:
            raise Refused(f"{user[1:]}: unknown user", self._unreadable) from error

    def check_sending(self, path: str, neighbour: Neighbour) -> None:
        """Raises: Refused if no file of that folder may go to that neighbour."""
        if not any(
            is_allowed(Path(path), one.local_send, one.public) for one in neighbour.all_terms
        ):
            raise Refused(f"Not permitted to send {path}", self._unknown)

    def check_coming(self, path: str, neighbour: Neighbour) -> None:
        """Raises: Refused if that neighbour may not leave a file there."""
        if not any(
            is_allowed(Path(path), one.remote_receive, one.public)
            and Path(path).is_relative_to(one.public)
            for one in neighbour.all_terms
        ):
            raise Refused(f"Not permitted to create {path}", self._unknown)

    # --- contents

    def taken(self, path: str, neighbour: Neighbour, *, copies: bool) -> TakenFile:
        """A file for a neighbour, as it is now or as it will be when it goes. Raises: Refused.

        What not everybody may read is copied in any case: later it is read by this program, which
        may be less than who runs it now.
        """
        found = self.looked_at(path)
        self.check_sending(path, neighbour)
        mode = stat.S_IMODE(found.st_mode) & 0o777
        real = os.path.realpath(path)
        is_same = os.path.basename(real) == os.path.basename(path)  # noqa: PTH119 - texts
        if not copies and is_same and _is_open_to_all(real):
            return TakenFile(real, None, mode)
        return TakenFile(path, self.copied(path), mode)

    def looked_at(self, path: str) -> os.stat_result:
        """Whether a plain file is there that may be read by who runs us. Raises: Refused."""
        descriptor = self._open(path)
        found = os.fstat(descriptor)
        os.close(descriptor)
        if not stat.S_ISREG(found.st_mode):
            what = os.strerror(errno.EISDIR) if stat.S_ISDIR(found.st_mode) else "not a plain file"
            raise Refused(f"{path}: {what}", self._unreadable)
        return found

    def _open(self, path: str) -> int:
        try:
            return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "no name of a file"
            raise Refused(f"{path}: {why}", self._unreadable) from error

    def copied(self, path: str = _STANDARD_INPUT) -> int:
        """Take a copy of a file, or of the standard input, when things are handed in; its place
        among the contents."""
        self._to_copy.append(path)
        return len(self._to_copy) - 1

    def _pieces(self, path: str) -> Iterator[bytes]:
        """Raises: Refused."""
        descriptor = os.dup(0) if path == _STANDARD_INPUT else self._open(path)
        try:
            with open(descriptor, "rb", buffering=0) as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise Refused(f"{path or 'standard input'}: {error.strerror}", 66) from error

    # --- handing in

    def hand_in(self, wishes: Sequence[Wish], *, calls: bool) -> list[str]:
        """Queue what is wished for; the ids that the user knows it by.

        `calls`: the neighbours are to be called, as far as their links and times allow it; nobody
        waits for that. Raises: Refused, StoreError, LineLost.
        """
        daemon = DaemonClient.connect(self.config.control_socket)
        if daemon is None:
            import asyncio  # which takes its time, and need not be where there is a daemon

            from relaynode.cli.rights import step_down

            step_down(self.config)
            ids = asyncio.run(self._queue(wishes))
            if calls:
                self._begin_calls(wishes)
            return ids
        contents = (self._pieces(path) for path in self._to_copy)
        asked = msgspec.json.encode(wishes).decode()
        arguments = [asked, *([CALL_SOON] if calls else [])]
        answer = daemon.hand_over(QUEUE_WISHES, arguments, contents)
        if answer["exit"] != EX_OK:
            raise Refused(answer["text"], answer["exit"])
        return [str(one) for one in answer["ids"]]

    async def _queue(self, wishes: Sequence[Wish]) -> list[str]:
        from relaynode.queue.sqlite import SqliteStore

        config = self.config
        room = config.file.queue.min_free_bytes
        store = SqliteStore(config.spool, clock=time.time, min_free_bytes=room)
        try:
            contents = [self._copy(path, store) for path in self._to_copy]
            return await queue_all(store, self.neighbours, wishes, contents, time.time())
        finally:
            await store.close()

    def _copy(self, path: str, store: Store) -> Content:
        draft = store.draft(new_queue_id())
        try:
            for piece in self._pieces(path):
                draft.write(piece)
            return draft.finish()
        except BaseException:
            draft.discard()
            raise

    def _begin_calls(self, wishes: Sequence[Wish]) -> None:
        """Leave a program behind that calls."""
        names = dict.fromkeys(wish.neighbour for wish in wishes)
        path = self.config.path
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "relaynode.cli.uu_calling"),
                *(str(path.resolve()) if path is not None else "", *names),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        process.returncode = EX_OK  # nobody waits for it


def _is_open_to_all(path: str) -> bool:
    """May everybody read that file?"""
    try:
        may_pass = all(folder.stat().st_mode & stat.S_IXOTH for folder in Path(path).parents)
        return may_pass and bool(Path(path).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
