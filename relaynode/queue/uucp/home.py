"""What the SQL of this package needs of the store it lives in, and what its pieces share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from relaynode.queue.content import Content

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection
    from pathlib import Path

T = TypeVar("T")


class Home(Protocol):
    """A store with tables. `owner`: the token that claims carry."""

    @property
    def owner(self) -> str:
        """The token of this owner."""
        ...

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction, and return when that is durable."""
        ...

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which changes nothing."""
        ...

    async def take_back(self) -> None:
        """Take back the claims of dead owners."""
        ...

    def path_of(self, content_file: str) -> Path:
        """Where a content file lies."""
        ...

    def remove(self, content_files: Collection[str]) -> None:
        """Delete content files that no row names any more."""
        ...


UNFINISHED = "(? IS NULL OR neighbour = ?) AND (? OR state IN ('waiting', 'held'))"
"""A condition, with the neighbour (NULL: any) twice, and whether the finished count too."""

Move = Callable[["sqlite3.Connection", str], "list[str] | None"]
"""Moves one piece of work as the operator wants; the content files it leaves, or None if that is
not legal."""


async def operate(home: Home, work_ids: Collection[str], move: Move) -> list[str]:
    """Move pieces of work in one transaction; the ids for which that was legal."""

    def work(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
        moved, files = [], []
        for work_id in work_ids:
            if (dropped := move(db, work_id)) is not None:
                moved.append(work_id)
                files += dropped
        return moved, files

    moved, files = await home.write(work)
    home.remove(files)
    return moved


def columns_of(content: Content | None) -> tuple[int | None, bytes | None, str | None]:
    """The columns `size_bytes`, `content` and `content_file`."""
    if content is None:
        return None, None, None
    return content.size_bytes, content.inline, content.path.name if content.path else None


def content_of(
    home: Home, size_bytes: int | None, inline: bytes | None, file: str | None
) -> Content | None:
    """The same, backwards."""
    if size_bytes is None:
        return None
    return Content(size_bytes, inline=inline, path=home.path_of(file) if file else None)


def note(db: sqlite3.Connection, work_id: str, at: float, kind: str, text: str = "") -> None:
    """Write a line of history."""
    db.execute(
        "INSERT INTO uucp_event (work_id, at, kind, text) VALUES (?, ?, ?, ?)",
        (work_id, at, kind, text),
    )


def files_in(rows: Collection[tuple[Any, ...]]) -> list[str]:
    """The content files among rows of one column."""
    return [name for (name,) in rows if name is not None]
