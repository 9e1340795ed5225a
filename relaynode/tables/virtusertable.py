"""virtusertable: which mailbox here, or which address elsewhere, an address of ours stands for.

    info@shop.example       joe
    @shop.example           %1@example.net
    sales+*@shop.example    sales-%2@example.net
    old@shop.example        error:nouser 550 No such user

Text files of one `key value` a line (`keyed.py`). The value is one address, not a list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.tables.keyed import Entry, fill, parse_keyed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relaynode.errors import Problem

_MISREAD_ERROR = re.compile(r"error:\s*([0-9]\.[0-9]+\.[0-9]+)\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Virtusertable:
    """A virtusertable. `file` is its name, for trails and messages."""

    file: str
    entries: Mapping[str, Entry]

    @staticmethod
    def keys(user: str, detail: str | None, domain: str) -> Iterator[str]:
        """The keys that are tried for `user+detail@domain`, in order.

        `detail` is None where there is no plus sign. %1 is the whole local part for the first
        key; for the others %1 is the user, %2 the detail and %3 the detail with its plus sign.
        """
        if detail is None:
            yield f"{user}@{domain}"
            yield f"@{domain}"
            return
        yield f"{user}+{detail}@{domain}"
        if detail:
            yield f"{user}++@{domain}"
        yield f"{user}+*@{domain}"
        yield f"{user}@{domain}"
        if detail:
            yield f"++@{domain}"
        yield f"+*@{domain}"
        yield f"@{domain}"

    @staticmethod
    def result(key: str, entry: Entry, arguments: tuple[str, ...]) -> str:
        """The value of an entry found with `key`, its arguments filled in."""
        return fill(entry.value, (key, *arguments))


def parse_virtusertable(text: str, file: str) -> tuple[Virtusertable, list[Problem]]:
    """A virtusertable and what was wrong in its text; what can only be meant badly stays in."""
    entries, problems = parse_keyed(text, file, _wrong)
    return Virtusertable(file, entries), problems


def _wrong(key: str, value: str) -> tuple[str, str] | None:
    if "@" not in key:
        return f"{key} has no @domain and is never looked up", f"write {key}@ and the domain"
    if value.startswith("error:"):
        if _MISREAD_ERROR.match(value):
            what = f"{key}: a blank behind the status code hides it"
            return what, "write error:D.S.N:code text"
    elif "," in value and not value.startswith(('"', "|")):
        return f"{key}: {value} is a list, and one address is wanted", "name an alias that has it"
    return None
