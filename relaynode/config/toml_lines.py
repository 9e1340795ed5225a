"""Where in a TOML text a key was written: tomllib tells values, not lines."""

from __future__ import annotations

import re
import tomllib

Path = tuple[str, ...]

_HEADER = re.compile(r"\s*\[?(\[[^\[\]]+\])\]?\s*(?:#.*)?\Z")
_NAME = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_KEY = re.compile(rf"\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*=")


def key_lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each table header and each key at a line's start.

    For messages to people only: a line inside a multi-line string that looks like a key is taken
    for one. Ask with `line_of`, which falls back on the enclosing table.
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            table = _path(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault(table + _path(f"{key[1]} = 0"), number)
    return lines


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of `path`, or of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _path(toml: str) -> Path:
    try:
        node = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return ()
    path: Path = ()
    while isinstance(node, dict) and node:
        ((key, node),) = node.items()
        path += (key,)
    return path
