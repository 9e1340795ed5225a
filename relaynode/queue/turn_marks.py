"""The last turn that each link was given by its timetable: so none comes twice, none is missed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from relaynode.queue.store_part import StorePart
from relaynode.timetable.turns import Mark

if TYPE_CHECKING:
    pass

_MINUTE = "%Y-%m-%d %H:%M"


class TurnMarks(Protocol):
    """The memory. Raises throughout: StoreFull, StoreError."""

    async def recall(self, link: str) -> Mark | None:
        """What is remembered of a link; None: it never had a turn."""
        ...

    async def remember(self, link: str, mark: Mark) -> None:
        """Keep it instead of what was known before."""
        ...


class MemoryTurnMarks:
    """The memory's twin in memory."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}

    async def recall(self, link: str) -> Mark | None:
        """See TurnMarks."""
        return self._marks.get(link)

    async def remember(self, link: str, mark: Mark) -> None:
        """See TurnMarks."""
        self._marks[link] = mark


class SqlTurnMarks(StorePart):
    """The memory in a database, whose reading and writing the store does."""

    async def recall(self, link: str) -> Mark | None:
        """See TurnMarks."""
        row = await self._read(
            lambda db: db.execute(
                "SELECT turn, given_at FROM link_turn WHERE link = ?", (link,)
            ).fetchone()
        )
        return None if row is None else Mark(datetime.strptime(row[0], _MINUTE), row[1])

    async def remember(self, link: str, mark: Mark) -> None:
        """See TurnMarks."""
        row = (link, mark.local.strftime(_MINUTE), mark.at)
        await self._write(
            lambda db: db.execute(
                "INSERT INTO link_turn (link, turn, given_at) VALUES (?, ?, ?) ON CONFLICT (link)"
                " DO UPDATE SET turn = excluded.turn, given_at = excluded.given_at",
                row,
            )
        )
