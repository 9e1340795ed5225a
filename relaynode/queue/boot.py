"""Which life of the machine this is: what a process has written outlives it, not a power cut."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def boot() -> str:
    """A word for the time since the machine was started; "" where that cannot be known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
