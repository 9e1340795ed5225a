"""The grammar that all of Taylor UUCP's configuration files share: lines of words.

    keyword argument argument ...      # and a remark

Leading blanks do not count, nor do empty lines. `#` begins a remark wherever it stands, unless a
backslash stands before it, which is then taken away. A backslash at the end of a line joins the
next line to it, with nothing between, also at the end of a remark. Blanks cannot be quoted.

What the keywords mean is told in the modules for each file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Of one file. Real ones have some kilobytes."""

_REMARK = re.compile(r"(?<!\\)#.*", re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Line:
    """One line that says something. `number`: of its first physical line, from 1."""

    number: int
    words: tuple[str, ...]

    @property
    def keyword(self) -> str:
        """The first word; case does not matter."""
        return self.words[0].lower()

    @property
    def arguments(self) -> tuple[str, ...]:
        """The other words."""
        return self.words[1:]

    def __repr__(self) -> str:
        """The keyword only: the rest may be a password."""
        return f"Line({self.number}, {self.words[0]!r}, ...)"


def lines_of(text: str) -> Iterator[Line]:
    """The lines of a file that say something."""
    first, joined = 1, ""
    physical = text.split("\n")
    for number, line in enumerate(physical, start=1):
        line = line.removesuffix("\r")
        if line.endswith("\\") and number < len(physical):
            joined += line[:-1]
            continue
        words = _REMARK.sub("", joined + line).replace("\\#", "#").split()
        if words:
            yield Line(first, tuple(words))
        first, joined = number + 1, ""


def boolean(word: str) -> bool:
    """y, yes, t, true; n, no, f, false: the first letter counts. Raises: ValueError."""
    if word[:1] in tuple("yYtT"):
        return True
    if word[:1] in tuple("nNfF"):
        return False
    raise ValueError(f'"{word}" is neither yes nor no')


def number(word: str) -> int:
    """A whole decimal number, 0 or more. Raises: ValueError."""
    if not _NUMBER.fullmatch(word):
        raise ValueError(f'"{word}" is no number')
    if word.startswith("-"):
        raise ValueError(f"{word} is less than nothing")
    return int(word)
