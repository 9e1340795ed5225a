"""genericstable: the addresses that local senders show to the world.

    joe                   joe.user@example.org
    root@gate.example     sysadm
    @old.example          %1@new.example

Text files of one `key value` a line (`keyed.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.tables.keyed import Entry, fill, parse_keyed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relaynode.errors import Problem


@dataclass(frozen=True, slots=True)
class Genericstable:
    """A genericstable. `file` is its name, for trails and messages."""

    file: str
    entries: Mapping[str, Entry]

    @staticmethod
    def keys(
        user: str, detail: str | None, domain: str, *, is_qualified: bool
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The keys that are tried for `user+detail@domain`, in order, with their %1.

        `detail` is None where there is no plus sign. `is_qualified`: the domain was written, and
        is not just ours for want of another.
        """
        whole = user if detail is None else f"{user}+{detail}"
        yield f"{whole}@{domain}", ()
        if detail is not None:
            yield f"{user}+*@{domain}", (detail,)
            yield f"{user}@{domain}", ()
        if is_qualified:
            yield f"@{domain}", (whole,)
        yield whole, ()
        if detail is not None:
            yield f"{user}+*", (detail,)
            yield user, ()

    @staticmethod
    def result(key: str, entry: Entry, arguments: tuple[str, ...]) -> str:
        """The value of an entry found with `key`, its arguments filled in."""
        return fill(entry.value, (key, *arguments))


def parse_genericstable(text: str, file: str) -> tuple[Genericstable, list[Problem]]:
    """A genericstable and what was wrong in its text."""
    entries, problems = parse_keyed(text, file)
    return Genericstable(file, entries), problems
