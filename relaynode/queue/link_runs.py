"""What each run over a link cost and carried, kept for bills, budgets and foresight.

A long run is written down while it goes on, so that what one used that was killed is not forgotten.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from relaynode.queue.store_part import StorePart

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class LinkRunRecord:
    """One run over a link.

    `began_at`: epoch seconds. `is_ordered`: a hook, a timetable or a person asked for it; else it
    took mail that was due. Bytes are those of our streams; `overhead_bytes`: what an interface's
    counters have besides. `sent`, `deferred` and `failed` count
    recipients, `received` and `deleted` messages of accounts. `ended`: "done", or why it stopped
    early; "" while it goes on, and for ever if it was killed. `problems`: as its summary has them.
    `bytes_per_second` (out), `round_trip_seconds`: of the line, where that was seen.
    """

    link: str
    began_at: float
    is_ordered: bool = True
    seconds: float = 0.0
    bytes_out: int = 0
    bytes_in: int = 0
    sent: int = 0
    deferred: int = 0
    failed: int = 0
    received: int = 0
    deleted: int = 0
    ended: str = ""
    problems: tuple[str, ...] = ()
    bytes_per_second: float | None = None
    round_trip_seconds: float | None = None
    overhead_bytes: int = 0


class LinkRuns(Protocol):
    """The record. Raises throughout: StoreFull, StoreError."""

    async def begin(self, run: LinkRunRecord) -> int:
        """A run begins; its number."""
        ...

    async def note(self, number: int, run: LinkRunRecord) -> None:
        """How far it has come, or how it ended."""
        ...

    async def since(self, moment: float, link: str | None = None) -> list[LinkRunRecord]:
        """The runs that began then or later, over all links or one, oldest first."""
        ...

    async def last(self, count: int, link: str | None = None) -> list[LinkRunRecord]:
        """The latest runs, oldest first."""
        ...

    async def forget(self, before: float) -> int:
        """Drop runs that began before then; how many."""
        ...


class MemoryLinkRuns:
    """The record in memory."""

    def __init__(self) -> None:
        self._runs: dict[int, LinkRunRecord] = {}
        self._next = 1

    async def begin(self, run: LinkRunRecord) -> int:
        """See LinkRuns."""
        number, self._next = self._next, self._next + 1
        self._runs[number] = run
        return number

    async def note(self, number: int, run: LinkRunRecord) -> None:
        """See LinkRuns."""
        if number in self._runs:
            self._runs[number] = run

    async def since(self, moment: float, link: str | None = None) -> list[LinkRunRecord]:
        """See LinkRuns."""
        return [one for one in self._of(link) if one.began_at >= moment]

    async def last(self, count: int, link: str | None = None) -> list[LinkRunRecord]:
        """See LinkRuns."""
        return self._of(link)[-count:] if count > 0 else []

    def _of(self, link: str | None) -> list[LinkRunRecord]:
        found = (one for one in self._runs.values() if link in (None, one.link))
        return sorted(found, key=lambda one: one.began_at)

    async def forget(self, before: float) -> int:
        """See LinkRuns."""
        old = [number for number, one in self._runs.items() if one.began_at < before]
        for number in old:
            del self._runs[number]
        return len(old)


_COLUMNS = (
    "link, began_at, is_ordered, seconds, bytes_out, bytes_in, sent, deferred, failed, received,"
    " deleted, ended, problems, bytes_per_second, round_trip_seconds, overhead_bytes"
)


_PROBLEMS = _COLUMNS.split(", ").index("problems")


class SqlLinkRuns(StorePart):
    """The record in a database, whose reading and writing the store does."""

    async def begin(self, run: LinkRunRecord) -> int:
        """See LinkRuns."""
        marks = ", ".join("?" * len(_row(run)))
        number: int = await self._write(
            lambda db: (
                db.execute(
                    f"INSERT INTO link_run ({_COLUMNS}) VALUES ({marks})", _row(run)
                ).lastrowid
            )
        )
        return number

    async def note(self, number: int, run: LinkRunRecord) -> None:
        """See LinkRuns."""
        assignments = ", ".join(f"{name.strip()} = ?" for name in _COLUMNS.split(","))
        await self._write(
            lambda db: db.execute(
                f"UPDATE link_run SET {assignments} WHERE id = ?", (*_row(run), number)
            )
        )

    async def since(self, moment: float, link: str | None = None) -> list[LinkRunRecord]:
        """See LinkRuns."""
        return await self._found("began_at >= ?", "ORDER BY began_at, id", link, moment)

    async def last(self, count: int, link: str | None = None) -> list[LinkRunRecord]:
        """See LinkRuns."""
        order = f"ORDER BY began_at DESC, id DESC LIMIT {max(count, 0):d}"
        return (await self._found("1", order, link))[::-1]

    async def _found(
        self, condition: str, order: str, link: str | None, *values: Any
    ) -> list[LinkRunRecord]:
        if link is not None:
            condition, values = f"{condition} AND link = ?", (*values, link)
        rows = await self._read(
            lambda db: db.execute(
                f"SELECT {_COLUMNS} FROM link_run WHERE {condition} {order}", values
            ).fetchall()
        )
        return [_record(row) for row in rows]

    async def forget(self, before: float) -> int:
        """See LinkRuns."""
        count: int = await self._write(
            lambda db: db.execute("DELETE FROM link_run WHERE began_at < ?", (before,)).rowcount
        )
        return count


def _row(run: LinkRunRecord) -> tuple[Any, ...]:
    return (
        *(run.link, run.began_at, run.is_ordered, run.seconds, run.bytes_out, run.bytes_in),
        *(run.sent, run.deferred, run.failed, run.received, run.deleted, run.ended),
        *(json.dumps(run.problems), run.bytes_per_second, run.round_trip_seconds),
        run.overhead_bytes,
    )


def _record(row: tuple[Any, ...]) -> LinkRunRecord:
    made = LinkRunRecord(*row)
    problems = tuple(json.loads(row[_PROBLEMS]))
    return replace(made, is_ordered=bool(made.is_ordered), problems=problems)
