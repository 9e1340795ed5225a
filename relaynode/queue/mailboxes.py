"""What is remembered of mailboxes elsewhere: marks, offers, and how each account was left.

A mark (`SeenMark`) says that a message is queued here; it is written in the transaction that queues
it, and stays, as gone, for some time after the mailbox no longer lists the message: a server that
shows an empty mailbox for an hour, or gives its messages new unique-ids, must not make us fetch all
of them twice. An offer is a message of which only the header came; it is written in the transaction
that queues the notice of it, so there is never a second one. An account's state is a memory that
may be lost: it saves line time and nothing else.

    nothing ──queued──► mark ──not listed──► gone ──listed again──► mark
       │                 ▲                     └──KEEP_GONE_DAYS──► nothing
       └──offered──► offer (offered, get, delete) ──not listed──► nothing

A crash leaves each row as it was before or after one of these moves.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import msgspec

from relaynode.queue.model import Offer, SeenMark
from relaynode.queue.store_part import StorePart

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    from relaynode.queue.model import Mark

KEEP_GONE_DAYS = 30

_MARK = "account, uid, taken_at, listed_bytes, digest, gone_at"
_OFFER = (
    "account, uid, id, listed_bytes, sender, subject, header_text, decision, offered_at, deliver_to"
)


@dataclass(frozen=True, slots=True)
class MailboxState:
    """How the last visit left an account.

    `count`, `total_bytes`, `last_uid`, `of_last_bytes`: what the mailbox held when nothing in it
    was left to do; `wishes`: for which wishes that was so; `listed_at`: when all of it was last
    listed, epoch seconds; 0: there is nothing to compare with. `bytes_per_second`: how fast content
    came. `refusals`: logins refused in a row; `refused`: what the server said; `refused_with`: what
    we had tried. `warned_at`: when a letter last told of messages that are too large.
    """

    count: int = 0
    total_bytes: int = 0
    last_uid: str = ""
    wishes: str = ""
    listed_at: float = 0.0
    bytes_per_second: float = 0.0
    refusals: int = 0
    refused: str = ""
    refused_with: str = ""
    warned_at: float = 0.0


# --- statements, each inside a transaction of its caller's


def insert(db: sqlite3.Connection, marks: Iterable[Mark], now: float) -> None:
    """Mark or offer messages. `now`: for marks without a time of their own."""
    for mark in marks:
        if isinstance(mark, Offer):
            db.execute(
                f"INSERT OR IGNORE INTO offer ({_OFFER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*(getattr(mark, name) for name in _OFFER.split(", ")),),
            )
            continue
        db.execute(
            f"INSERT INTO seen ({_MARK}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, uid)"
            " DO UPDATE SET taken_at = excluded.taken_at, listed_bytes = excluded.listed_bytes,"
            " digest = excluded.digest, gone_at = excluded.gone_at",
            (
                mark.account,
                mark.uid,
                mark.taken_at or now,
                mark.listed_bytes,
                mark.digest,
                mark.gone_at,
            ),
        )
        db.execute("DELETE FROM offer WHERE account = ? AND uid = ?", (mark.account, mark.uid))


def forget(db: sqlite3.Connection, account: str, uids: Collection[str]) -> None:
    """Delete marks and offers."""
    pairs = [(account, uid) for uid in uids]
    db.executemany("DELETE FROM seen WHERE account = ? AND uid = ?", pairs)
    db.executemany("DELETE FROM offer WHERE account = ? AND uid = ?", pairs)


class Mailboxes(StorePart):
    """The memory, in a database whose reading and writing the store does. Raises: StoreError."""

    async def marks(self, account: str) -> dict[str, SeenMark]:
        """An account's marks by unique-id, those that are gone too."""

        def work(db: sqlite3.Connection) -> dict[str, SeenMark]:
            rows = db.execute(f"SELECT {_MARK} FROM seen WHERE account = ?", (account,))
            return {row[1]: SeenMark(*row) for row in rows}

        found: dict[str, SeenMark] = await self._read(work)
        return found

    async def seen(self, account: str) -> set[str]:
        """The unique-ids of an account's messages that were queued and may still be there."""
        marks = await self.marks(account)
        return {uid for uid, mark in marks.items() if mark.gone_at is None}

    async def forget(self, account: str, uids: Collection[str]) -> None:
        """Take marks and offers away: the messages have been deleted for certain."""
        await self._write(lambda db: forget(db, account, uids))

    async def note_deleted(self, account: str, uids: Collection[str], now: float) -> None:
        """The server says that these are deleted: gone, and nothing is known by its content as
        one of them. `now`: epoch seconds."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE seen SET gone_at = ?, digest = '' WHERE account = ? AND uid = ?",
                [(now, account, uid) for uid in uids],
            )
            db.executemany(
                "DELETE FROM offer WHERE account = ? AND uid = ?", [(account, uid) for uid in uids]
            )

        await self._write(work)

    async def note_listed(
        self, account: str, listed: Collection[str], gone: Collection[str], now: float
    ) -> None:
        """The mailbox lists these again, and these no longer: offers of them end, marks do when
        they have been gone for long. `now`: epoch seconds."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE seen SET gone_at = NULL WHERE account = ? AND uid = ?",
                [(account, uid) for uid in listed],
            )
            pairs = [(account, uid) for uid in gone]
            db.executemany(
                "UPDATE seen SET gone_at = ? WHERE account = ? AND uid = ? AND gone_at IS NULL",
                [(now, *pair) for pair in pairs],
            )
            db.executemany("DELETE FROM offer WHERE account = ? AND uid = ?", pairs)
            db.execute(
                "DELETE FROM seen WHERE account = ? AND gone_at < ?",
                (account, now - KEEP_GONE_DAYS * 86400),
            )

        await self._write(work)

    async def offers(self, account: str | None = None) -> list[Offer]:
        """What was offered, of one account or of all, in the order in which it was."""

        def work(db: sqlite3.Connection) -> list[Offer]:
            rows = db.execute(
                f"SELECT {_OFFER} FROM offer WHERE account = coalesce(?, account)"
                " ORDER BY offered_at, id",
                (account,),
            )
            return [Offer(*row) for row in rows]

        found: list[Offer] = await self._read(work)
        return found

    async def decide(self, offer_id: str, decision: str) -> bool:
        """What shall become of a message that was offered; False if no offer has this id."""

        def work(db: sqlite3.Connection) -> int:
            return db.execute(
                "UPDATE offer SET decision = ? WHERE id = ?", (decision, offer_id)
            ).rowcount

        return bool(await self._write(work))

    async def state(self, account: str) -> MailboxState:
        """How the last visit left it; that of a stranger if there was none."""

        def work(db: sqlite3.Connection) -> Any:
            return db.execute("SELECT state FROM mailbox WHERE account = ?", (account,)).fetchone()

        row = await self._read(work)
        return MailboxState() if row is None else _state(row[0])

    async def remember(self, account: str, state: MailboxState) -> None:
        """Keep it instead of what was known before."""
        text = msgspec.json.encode(asdict(state)).decode()
        await self._write(
            lambda db: db.execute(
                "INSERT INTO mailbox (account, state) VALUES (?, ?)"
                " ON CONFLICT (account) DO UPDATE SET state = excluded.state",
                (account, text),
            )
        )


def _state(text: str) -> MailboxState:
    """What was written; what another release wrote and this one does not know is left out."""
    known = {one.name for one in fields(MailboxState)}
    values = msgspec.json.decode(text)
    return MailboxState(**{name: value for name, value in values.items() if name in known})
