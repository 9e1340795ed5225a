"""The two journals of UUCP work, in the form of Taylor UUCP's: what `uulog` shows.

    Log     uucico beta uucp (2026-11-21 16:12:00.12 1234) Sending rmail bob (D.0001) (72 bytes)
            program, system, user, (time and process), text; `-` for what is not known
    Stats   uucp beta (2026-11-21 16:12:29.08) sent 2500 bytes in 0.107 seconds (23364 bytes/sec)
            on port TCP                                                    (one line, of one file)

Each line is one write at the end of the file, so that several programs may write at once, and a
file that was moved away is made anew. A journal is for people: what cannot be written is missed,
and no call fails for it. Not here: what the store remembers of jobs and sessions.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.uucp.commands import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger(__name__)

MAX_TEXT_BYTES = 2000
"""Of what a line tells: a neighbour says how long the names are in it."""

_MODE = 0o640
_LOG_LINE = re.compile(r"\S+ (\S+) (\S+) \(")
_STATS_LINE = re.compile(r"(\S+) (\S+) \(")


class _File:
    """Lines at the end of one file. It stays open until another file, or none, has its name."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = -1
        self._is_failing = False

    def append(self, line: str) -> None:
        """Never raises OSError: it is told once that lines are missing."""
        if self._path is None:
            return
        try:
            self._reopen(self._path)
            os.write(self._descriptor, line.encode("utf-8", "replace") + b"\n")
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                _log.warning("%s: %s", self._path, error.strerror)
            self._is_failing = True

    def _reopen(self, path: Path) -> None:
        if self._descriptor >= 0 and self._is_still(path):
            return
        self.close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, flags, _MODE)

    def _is_still(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            return os.path.samestat(path.stat(), os.fstat(self._descriptor))
        return False

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


class Journal:
    """`log`, `stats`: the files; None: nothing is kept. `clock`: epoch seconds."""

    def __init__(
        self,
        log: Path | None = None,
        stats: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        local_time: Callable[[float], time.struct_time] = time.localtime,
    ) -> None:
        self._log = _File(log)
        self._stats = _File(stats)
        self._clock = clock
        self._local_time = local_time

    def note(self, program: str, system: str, user: str, text: str) -> None:
        """A line of the Log. `program`: uucico, uuxqt, uux or uucp."""
        head = f"{program} {_word(system)} {_word(user)} ({self._when()} {os.getpid()})"
        self._log.append(f"{head} {printable(text)[:MAX_TEXT_BYTES]}")

    def note_file(self, system: str, user: str, moved: FileFigures) -> None:
        """A line of the Stats: a file went, or a part of it."""
        verb = "sent" if moved.is_sent else "received"
        failed = "failed after " if moved.is_broken else ""
        rate = int(moved.size_bytes / moved.seconds) if moved.seconds > 0 else moved.size_bytes
        self._stats.append(
            f"{_word(user)} {_word(system)} ({self._when()}) {failed}{verb} {moved.size_bytes}"
            f" bytes in {moved.seconds:.3f} seconds ({rate} bytes/sec) on port {_word(moved.port)}"
        )

    def _when(self) -> str:
        now = self._clock()
        moment = time.strftime("%Y-%m-%d %H:%M:%S", self._local_time(now))
        return f"{moment}.{int(now * 100) % 100:02d}"


@dataclass(frozen=True, slots=True)
class FileFigures:
    """How a file moved. `is_sent`: by us. `is_broken`: not to its end. `port`: over which line."""

    is_sent: bool
    size_bytes: int
    seconds: float
    port: str
    is_broken: bool = False


def _word(text: str) -> str:
    """One word of a line, `-` for none."""
    return printable(text)[:100].replace(" ", "_") or "-"


def is_about(line: str, system: str, user: str, *, is_stats: bool = False) -> bool:
    """Is a line of a journal about that system and that user? "" stands for any."""
    if is_stats:
        found = _STATS_LINE.match(line)
        names = (found[2], found[1]) if found else ("", "")
    else:
        found = _LOG_LINE.match(line)
        names = (found[1], found[2]) if found else ("", "")
    wanted = ((system, names[0]), (user, names[1]))
    return all(name in ("", given) for name, given in wanted)
