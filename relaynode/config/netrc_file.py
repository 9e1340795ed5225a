"""The passwords in a .netrc, as fetchmail looks for them: by machine and login, both exact. Pure.

`default` entries and macros are passed over: fetchmail needs the login to match.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(r"\"(?P<double>[^\"\n]*)\"|'(?P<single>[^'\n]*)'|(?P<bare>[^\s,]+)")
_COMMENT = re.compile(r"(?m)(?:^|(?<=[ \t]))#[^\n]*$")
_MACRO = re.compile(r"\bmacdef\b.*?(?:\n[ \t]*\n|\Z)", re.DOTALL)
_KEYS = {"login": "login", "user": "login", "password": "password", "passwd": "password"}


def read_netrc(text: str) -> dict[tuple[str, str], str]:
    """(machine, login) -> password; of two entries alike the first counts."""
    found: dict[tuple[str, str], str] = {}
    for machine, entry in _entries(_MACRO.sub("\n", _COMMENT.sub("", text))):
        if machine and "login" in entry and "password" in entry:
            found.setdefault((machine, entry["login"]), entry["password"])
    return found


def _entries(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    machine, entry = "", dict[str, str]()
    words = (match[match.lastgroup or 0] for match in _TOKEN.finditer(text))
    for word in words:
        if word in ("machine", "default"):
            yield machine, entry
            machine, entry = next(words, "") if word == "machine" else "", {}
        elif word in _KEYS:
            entry.setdefault(_KEYS[word], next(words, ""))
        elif word == "account":
            next(words, "")
    yield machine, entry
