"""Lists of addresses: the value of an alias, and the lines of .forward and :include: files.

    alice, Bob <bob>, "|/usr/bin/vacation alice", :include:/etc/mail/staff

Members stand behind commas that are in no quotes, brackets or comments. In a file each line is
such a list, and a `#` in column 1 begins a comment (aliases(5)). Nothing here knows what a member
means: that is for `policy/`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BLANKS = " \t\r\n"
_JUNET_COMMENT = re.compile(r"[ \t]+#@#(?:[ \t].*)?\Z")
"""` #@# ` begins a comment anywhere in a line, for character sets in which # is half a letter."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+*-]+:")


class ListLine(NamedTuple):
    """One line of a file that is neither empty nor a comment; `number` counts from 1."""

    number: int
    text: str


def split_list(text: str, delimiter: str = ",") -> list[str]:
    """The members as they are written: blanks in front are dropped, those behind are kept.

    `delimiter`: "," or, for old-fashioned lists, " ".
    """
    members = []
    start = _skip(text, 0)
    while start < len(text):
        end = _member_end(text, start, delimiter)
        members.append(text[start:end])
        start = _skip(text, end)
    return members


def lines_of(text: str) -> list[ListLine]:
    """The lines of a .forward or :include: file that hold addresses."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if line and not line.startswith("#"):
            line = _JUNET_COMMENT.sub("", line)
        if line and not line.startswith("#"):
            found.append(ListLine(number, line))
    return found


def name_end(text: str) -> int | None:
    """Where the colon behind an alias's name stands, None without one."""
    plain = _PLAIN_NAME.match(text)
    if plain is not None:
        return plain.end() - 1
    end = _member_end(text, 0, ":")
    return end if end < len(text) else None


def _skip(text: str, start: int) -> int:
    while start < len(text) and text[start] in _BLANKS + ",":
        start += 1
    return start


def _member_end(text: str, start: int, delimiter: str) -> int:
    """Where the delimiter behind the member at `start` stands, or the end of the text."""
    comments = angles = 0
    is_quoted = False
    position = start
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif char == '"' and not comments:
            is_quoted = not is_quoted
        elif not is_quoted:
            if char == delimiter and not comments and not angles:
                return position
            comments = max(comments + {"(": 1, ")": -1}.get(char, 0), 0)
            if not comments:
                angles = max(angles + {"<": 1, ">": -1}.get(char, 0), 0)
        position += 1
    return len(text)
