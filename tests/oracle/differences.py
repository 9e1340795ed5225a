"""Reads DIFFERENCES.md: which cases may differ, and because of which section.

A section names its cases in a fenced block, one pattern a line:

    kind config input

`config` and `input` are file name patterns (fnmatch); the input may hold blanks. For kinds that
have no single input it is the case's name, or its commands joined by " / ".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One pattern and the section it stands in."""

    section: str
    kind: str
    config: str
    input: str

    def covers(self, case: dict[str, Any]) -> bool:
        """Does the pattern name this case?"""
        return (
            case["kind"] == self.kind
            and fnmatchcase(case.get("config") or "-", self.config)
            and fnmatchcase(input_of(case), self.input)
        )


def input_of(case: dict[str, Any]) -> str:
    """What was asked, in one line."""
    if "input" in case and case["kind"] != "makemap":
        return str(case["input"])
    if "replies" in case:
        return " / ".join(command for command, _ in case["replies"])
    return str(case.get("name") or case.get("aliases_set") or case["id"])


def read(path: Path) -> list[Difference]:
    """All patterns of a file. Raises: ValueError for a line that is none."""
    found = []
    section, is_in_block = "", False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("```"):
            is_in_block = not is_in_block
        elif is_in_block:
            parts = re.match(r"(\S+) (\S+) (.*)", line)
            if parts is None:
                raise ValueError(f"{path}:{number}: not `kind config input`: {line}")
            found.append(Difference(section, parts[1], parts[2], parts[3]))
    return found
