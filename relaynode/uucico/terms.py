"""The terms of one session, asked as its questions come: may it, how much, from where."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.uucico.folders import is_allowed
from relaynode.uucico.tree import free_bytes
from relaynode.uucp.commands import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from relaynode.neighbours import Terms

UNTOLD_BYTES = 10_240
"""What is looked for on the disk when the peer does not tell how much it will send, as Taylor
does."""


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """`neighbour`: its name with us. `is_caller`: whether we placed the call. `spool`: the folder
    whose disk must keep room. `grade`: jobs of ours are done down to this one, whatever the
    neighbour asks for; None: as it asks. `clock`: epoch seconds."""

    neighbour: str
    terms: Terms
    is_caller: bool
    spool: Path
    clock: Callable[[], float] = time.time
    local_time: Callable[[float], time.struct_time] = time.localtime
    grade: str | None = None

    @property
    def serves_our_jobs(self) -> bool:
        """Are jobs of ours done in this session?"""
        if self.is_caller:
            return self.terms.is_served_when_calling
        return self.terms.is_served_when_called

    def max_bytes(self, *, by_us: bool) -> int | None:
        """The largest file of jobs that are ours or not, now; None: any."""
        now = self.local_time(self.clock())
        return self.terms.max_bytes(
            when_calling=self.is_caller,
            by_us=by_us,
            weekday=now.tm_wday,
            minute=now.tm_hour * 60 + now.tm_min,
        )

    def refusal_of_size(self, size_bytes: int | None, held_bytes: int, root: Path) -> Code | None:
        """Why a file that will lie below `root` is too large, or None. `held_bytes`: of it are
        here already."""
        most = self.max_bytes(by_us=False)
        if most is not None and size_bytes is not None and size_bytes > most:
            return Code.TOO_LARGE
        wanted = (UNTOLD_BYTES if size_bytes is None else size_bytes) - held_bytes
        for folder in (self.spool, root):
            try:
                left = free_bytes(folder) - self.terms.min_free_bytes
            except OSError:
                return Code.CANNOT_CREATE
            if wanted > left:
                return Code.TOO_LARGE_NOW
        return None

    def reaches(self, components: Sequence[str], folders: Sequence[str]) -> bool:
        """Is a path below the public folder among `folders`?"""
        public = self.terms.public
        return is_allowed(public.joinpath(*components), folders, public)
