"""How much room a disk has, without asking it for each of a thousand messages a second."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLENTY_BYTES = 1 << 30
"""So much more than is wanted is not used up before the next look."""

LOOK_SECONDS = 0.2


@dataclass(slots=True)
class FreeRoom:
    """The disk that `folder` is on. `clock`: monotonic seconds."""

    folder: Path
    clock: Callable[[], float] = time.monotonic
    _looked_at: float = -math.inf
    _free_bytes: int = 0

    def has(self, size_bytes: int) -> bool:
        """Are so many bytes free? Looked at anew each time, unless there is plenty. Raises:
        OSError."""
        now = self.clock()
        is_fresh = now - self._looked_at < LOOK_SECONDS
        if is_fresh and self._free_bytes >= size_bytes + PLENTY_BYTES:
            return True
        found = os.statvfs(self.folder)
        self._looked_at, self._free_bytes = now, found.f_bavail * found.f_frsize
        return self._free_bytes >= size_bytes
