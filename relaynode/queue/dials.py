"""Each time that we had a line dialled: for the limit of a day, and to hang up what a process that
was killed has left up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relaynode.queue.store_part import StorePart

if TYPE_CHECKING:
    pass

HUNG_UP = "hung up"
"""How a dial ends that came to something."""


@dataclass(frozen=True, slots=True)
class Dial:
    """One dial. `began_at`: epoch seconds. `ended`: HUNG_UP, or why it came to nothing; "" while
    the line may be up, and for as long as nobody has hung it up."""

    link: str
    began_at: float
    ended: str = ""


class Dials(Protocol):
    """The memory. Raises throughout: StoreFull, StoreError."""

    async def begin(self, link: str, now: float) -> int:
        """The line is dialled now; the dial's number."""
        ...

    async def end(self, number: int, ended: str) -> None:
        """It is down again, or never came up."""
        ...

    async def not_ended(self, link: str) -> list[int]:
        """The numbers of those after which the line may still be up."""
        ...

    async def since(self, moment: float, link: str) -> list[Dial]:
        """A link's dials that began then or later, oldest first."""
        ...

    async def forget(self, before: float) -> int:
        """Drop dials that began before then and have ended; how many."""
        ...


class MemoryDials:
    """The memory's twin in memory."""

    def __init__(self) -> None:
        self._dials: dict[int, Dial] = {}
        self._next = 1

    async def begin(self, link: str, now: float) -> int:
        """See Dials."""
        number, self._next = self._next, self._next + 1
        self._dials[number] = Dial(link, now)
        return number

    async def end(self, number: int, ended: str) -> None:
        """See Dials."""
        one = self._dials[number]
        self._dials[number] = Dial(one.link, one.began_at, ended)

    async def not_ended(self, link: str) -> list[int]:
        """See Dials."""
        return [n for n, one in self._dials.items() if one.link == link and not one.ended]

    async def since(self, moment: float, link: str) -> list[Dial]:
        """See Dials."""
        found = (one for one in self._dials.values() if one.link == link)
        return sorted((one for one in found if one.began_at >= moment), key=lambda d: d.began_at)

    async def forget(self, before: float) -> int:
        """See Dials."""
        old = [n for n, one in self._dials.items() if one.ended and one.began_at < before]
        for number in old:
            del self._dials[number]
        return len(old)


class SqlDials(StorePart):
    """The memory in a database, whose reading and writing the store does."""

    async def begin(self, link: str, now: float) -> int:
        """See Dials."""
        sql = "INSERT INTO link_dial (link, began_at, ended) VALUES (?, ?, '')"
        number: int = await self._write(lambda db: db.execute(sql, (link, now)).lastrowid)
        return number

    async def end(self, number: int, ended: str) -> None:
        """See Dials."""
        sql = "UPDATE link_dial SET ended = ? WHERE id = ?"
        await self._write(lambda db: db.execute(sql, (ended, number)))

    async def not_ended(self, link: str) -> list[int]:
        """See Dials."""
        sql = "SELECT id FROM link_dial WHERE link = ? AND ended = '' ORDER BY id"
        rows = await self._read(lambda db: db.execute(sql, (link,)).fetchall())
        return [number for (number,) in rows]

    async def since(self, moment: float, link: str) -> list[Dial]:
        """See Dials."""
        sql = (
            "SELECT link, began_at, ended FROM link_dial WHERE link = ? AND began_at >= ?"
            " ORDER BY began_at, id"
        )
        rows = await self._read(lambda db: db.execute(sql, (link, moment)).fetchall())
        return [Dial(*row) for row in rows]

    async def forget(self, before: float) -> int:
        """See Dials."""
        sql = "DELETE FROM link_dial WHERE ended <> '' AND began_at < ?"
        count: int = await self._write(lambda db: db.execute(sql, (before,)).rowcount)
        return count
