"""The lists of [quota]: whose allowance is another than everybody's."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BYTES = re.compile(r"[0-9](?:_?[0-9]){0,17}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many bytes in a day, 0 for any number. `whose`: a sender's address or "@domain", or a
    link."""

    whose: str
    bytes_per_day: int

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """`WHOSE BYTES`. Raises: ValueError."""
        words = text.split()
        if len(words) != 2 or not _BYTES.match(words[1]):
            raise ValueError(f'"{text}" is no name and number: write "isp 50_000_000"')
        return cls(words[0], int(words[1]))

    def __str__(self) -> str:
        return f"{self.whose} {self.bytes_per_day}"
