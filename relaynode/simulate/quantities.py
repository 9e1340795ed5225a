"""Sizes, durations and rates as people write them: `14k`, `2k..40k`, `1000ms`, `9600`, `33.6k`."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,6})?)"
_DURATION = re.compile(_NUMBER + r"(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SIZE = re.compile(_NUMBER + r"(k|m)?", re.IGNORECASE)
_BYTES = {"": 1, "k": 1024, "m": 1024 * 1024}
_RATE = re.compile(_NUMBER + r"(k|m)?", re.IGNORECASE)
_BITS = {"": 1, "k": 1000, "m": 1_000_000}
_SHARE = re.compile(_NUMBER + "%")

LARGEST_BYTES = 1024**3


def duration(text: str) -> float | None:
    """Seconds, of `90s`, `35m`, `1.5h`; None if it is no such thing, as with all of these."""
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _SECONDS[found[2]] if found else None


def rate(text: str) -> float | None:
    """Bits per second, of `9600`, `33.6k`, `2m`."""
    found = _RATE.fullmatch(text)
    bits = float(found[1]) * _BITS[(found[2] or "").lower()] if found else 0
    return bits or None


def share(text: str) -> float | None:
    """Of `5%`, 0.05; all of it is none."""
    found = _SHARE.fullmatch(text)
    part = float(found[1]) / 100 if found else 1
    return part if part < 1 else None


def size(text: str) -> int | None:
    """Bytes, of `14k`."""
    found = _SIZE.fullmatch(text)
    count = round(float(found[1]) * _BYTES[(found[2] or "").lower()]) if found else 0
    return count if 0 < count <= LARGEST_BYTES else None


class Sizes:
    """One size, or a range of which small ones are drawn as often as large ones of ten times."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    @classmethod
    def parse(cls, text: str) -> Sizes | None:
        """`14k` or `2k..40k`."""
        first, _, last = text.partition("..")
        least, most = size(first), size(last or first)
        return None if least is None or most is None or least > most else cls(least, most)

    def draw(self, chance: Random) -> int:
        """One of them, in bytes."""
        if self._least == self._most:
            return self._least
        return round(math.exp(chance.uniform(math.log(self._least), math.log(self._most))))
