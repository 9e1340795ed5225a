"""What is known of each neighbour, in SQL: see `store.Neighbours` for what is promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.queue.uucp.model import NeighbourStatus, SessionRecord
from relaynode.queue.uucp.names import first_number

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from relaynode.queue.uucp.home import Home

_SESSION = (
    "neighbour, is_caller, protocol, began_at, seconds, bytes_sent, bytes_received, files_sent,"
    " files_received, errors, ended, port"
)


class SqlNeighbours:
    """See `store.Neighbours`. `clock`: epoch seconds."""

    def __init__(self, home: Home, clock: Callable[[], float]) -> None:
        self._home = home
        self._clock = clock

    async def begin_session(self, neighbour: str) -> bool:
        """Take the one session that there may be with a neighbour; False if it is taken."""
        await self._home.take_back()

        def work(db: sqlite3.Connection) -> bool:
            _ensure(db, neighbour, self._clock())
            return (
                db.execute(
                    "UPDATE uucp_neighbour SET session = ? WHERE name = ? AND session IS NULL",
                    (self._home.owner, neighbour),
                ).rowcount
                == 1
            )

        return await self._home.write(work)

    async def end_session(self, neighbour: str, record: SessionRecord | None = None) -> None:
        """Give it back, and write down how it was."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE uucp_neighbour SET session = NULL WHERE name = ? AND session = ?",
                (neighbour, self._home.owner),
            )
            if record is not None:
                _insert_session(db, record)

        await self._home.write(work)

    async def take_number(self, neighbour: str, now: float) -> int:
        """A number for the names of a file to this neighbour, given to nobody else ever."""
        return await self._home.write(lambda db: take_number(db, neighbour, now))

    async def next_sequence(self, neighbour: str) -> int:
        """The sequence number of a conversation that begins now."""

        def work(db: sqlite3.Connection) -> int:
            _ensure(db, neighbour, self._clock())
            (sequence,) = db.execute(
                "UPDATE uucp_neighbour SET sequence = sequence + 1 WHERE name = ?"
                " RETURNING sequence",
                (neighbour,),
            ).fetchone()
            return int(sequence)

        return await self._home.write(work)

    async def set_sequence(self, neighbour: str, sequence: int) -> None:
        """Set the number of the last conversation."""

        def work(db: sqlite3.Connection) -> None:
            _ensure(db, neighbour, self._clock())
            db.execute(
                "UPDATE uucp_neighbour SET sequence = ? WHERE name = ?", (sequence, neighbour)
            )

        await self._home.write(work)

    async def set_status(self, status: NeighbourStatus) -> None:
        """Remember how a call ended."""

        def work(db: sqlite3.Connection) -> None:
            _ensure(db, status.neighbour, self._clock())
            db.execute(
                "UPDATE uucp_neighbour SET code = ?, text = ?, tries = ?, at = ?,"
                " wait_seconds = ? WHERE name = ?",
                (
                    status.code,
                    status.text,
                    status.tries,
                    status.at,
                    status.wait_seconds,
                    status.neighbour,
                ),
            )

        await self._home.write(work)

    async def statuses(self) -> dict[str, NeighbourStatus]:
        """What is known of all neighbours that we ever had to do with."""
        await self._home.take_back()

        def work(db: sqlite3.Connection) -> dict[str, NeighbourStatus]:
            rows = db.execute(
                "SELECT name, code, text, tries, at, wait_seconds, sequence,"
                " session IS NOT NULL FROM uucp_neighbour ORDER BY name"
            )
            return {
                name: NeighbourStatus(name, code, text, tries, at, wait, sequence, bool(session))
                for name, code, text, tries, at, wait, sequence, session in rows
            }

        return await self._home.read(work)

    async def sessions(self, neighbour: str | None = None, limit: int = 100) -> list[SessionRecord]:
        """The last sessions, the latest first."""

        def work(db: sqlite3.Connection) -> list[SessionRecord]:
            rows = db.execute(
                f"SELECT {_SESSION} FROM uucp_session WHERE ? IS NULL OR neighbour = ?"
                " ORDER BY began_at DESC, id DESC LIMIT ?",
                (neighbour, neighbour, limit),
            )
            return [SessionRecord(name, bool(is_caller), *rest) for name, is_caller, *rest in rows]

        return await self._home.read(work)


# --- statements, each inside a transaction


def take_number(db: sqlite3.Connection, neighbour: str, now: float) -> int:
    """A number for the names of a file to this neighbour."""
    _ensure(db, neighbour, now)
    (following,) = db.execute(
        "UPDATE uucp_neighbour SET next_number = next_number + 1 WHERE name = ?"
        " RETURNING next_number",
        (neighbour,),
    ).fetchone()
    return int(following) - 1


def _ensure(db: sqlite3.Connection, neighbour: str, now: float) -> None:
    db.execute(
        "INSERT OR IGNORE INTO uucp_neighbour (name, next_number) VALUES (?, ?)",
        (neighbour, first_number(now)),
    )


def _insert_session(db: sqlite3.Connection, record: SessionRecord) -> None:
    db.execute(
        f"INSERT INTO uucp_session ({_SESSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.neighbour,
            record.is_caller,
            record.protocol,
            record.began_at,
            record.seconds,
            record.bytes_sent,
            record.bytes_received,
            record.files_sent,
            record.files_received,
            record.errors,
            record.ended,
            record.port,
        ),
    )
