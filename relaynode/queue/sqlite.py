"""The store's embedded home: SQLite in WAL mode with synchronous=FULL.

Nothing SQLite-only leaves this file, `statements.py`, `readings.py`, `committer.py`, `upgrade.py`
and the statements in `uucp/`. Writing goes through the committer thread; reading through a second
connection on a thread of its own, so a listing never waits for a commit and a commit never for a
listing.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from relaynode.errors import StoreError, StoreVersionError
from relaynode.queue import mailboxes, readings, statements
from relaynode.queue import once as marks
from relaynode.queue.checkpoints import MOST_FRAMES, Checkpoints
from relaynode.queue.committer import Committer, translate
from relaynode.queue.content import Content, ContentSpool, Draft, store_error, sync_folder
from relaynode.queue.dials import SqlDials
from relaynode.queue.link_runs import SqlLinkRuns
from relaynode.queue.mailboxes import Mailboxes
from relaynode.queue.model import (
    Delivery,
    Event,
    HostStatus,
    Mark,
    NewMessage,
    OnceMark,
    Outcome,
    QueuedMessage,
    Reaped,
    Verb,
)
from relaynode.queue.owner import Owner, bury_dead_owners, living_owners
from relaynode.queue.servers import SqlServers
from relaynode.queue.texts import (
    BROKE_TEXT,
    OPERATOR_TEXT,
)
from relaynode.queue.turn import WriteTurn
from relaynode.queue.turn_marks import SqlTurnMarks
from relaynode.queue.upgrade import upgrade
from relaynode.queue.uucp import carrying, jobs
from relaynode.queue.uucp import tables as uucp_tables
from relaynode.queue.uucp.model import ClaimedJob
from relaynode.queue.uucp.tables import SqlUucpStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from relaynode.queue.uucp.model import Job, MailJob, Settled

T = TypeVar("T")

OLDEST_SQLITE = (3, 35)
"""The first with RETURNING."""

TURN_FILE = "queue.turn"

BUSY_MILLISECONDS = 60_000
"""How long one process waits for another's commit before it says "try later"."""


class SqliteStore:
    """A `Store` in one folder: `queue.db`, `content/`, `incoming/` and `owners/`."""

    def __init__(
        self, spool: Path, *, clock: Callable[[], float] = time.time, min_free_bytes: int = 0
    ) -> None:
        """Open or make the store in `spool`.

        `min_free_bytes`: no new mail is taken when the disk has less left, so that there is always
        room to write down that mail was delivered. Raises: StoreError, StoreVersionError.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            oldest = ".".join(map(str, OLDEST_SQLITE))
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: {oldest} is needed")
        self._clock = clock
        self._min_free_bytes = min_free_bytes
        self._swept = False
        self._doubted: set[int] = set()
        """Recipients of ours whose doubt has not been written down."""
        self._owners = spool / "owners"
        self._path = spool / "queue.db"
        try:
            # Others may pass through to the control socket, and see nothing of the queue.
            spool.mkdir(mode=0o711, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_CLOEXEC | os.O_RDWR, 0o600))
            self._owner = Owner.register(self._owners)
            self._spool = ContentSpool(spool, self._owner.token)
            self._turn = WriteTurn(spool / TURN_FILE)
        except OSError as error:
            raise store_error(error, str(spool)) from error
        try:
            self._checkpoints = Checkpoints(self._path, self._connect, spool / TURN_FILE)
            self._committer = Committer(self._open, self._turn, self._checkpoints.committed)
            self._reader = self._connect()
        except sqlite3.Error as error:
            self._let_go()
            raise translate(error) from error
        except StoreVersionError:
            self._let_go()
            raise
        # The names of the database's files are as durable as what is in them (fsync(2), NOTES).
        sync_folder(spool)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="queue-reader")
        self.uucp = SqlUucpStore(self, clock)
        self.servers = SqlServers(self.read, self.write)
        self.link_runs = SqlLinkRuns(self.read, self.write)
        self.dials = SqlDials(self.read, self.write)
        self.mailboxes = Mailboxes(self.read, self.write)
        self.turn_marks = SqlTurnMarks(self.read, self.write)

    # --- connections

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {MOST_FRAMES}")
        return connection

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            upgrade(connection, str(self._path))
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def owner(self) -> str:
        """The token that this store's claims carry."""
        return self._owner.token

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run statements in a transaction, and return when it is durable."""
        return await self._committer.run(work)

    async def take_back(self) -> None:
        """Take back the claims of dead owners."""
        await self.reap(self._clock())

    def path_of(self, content_file: str) -> Path:
        """Where a content file lies."""
        return self._spool.path_of(content_file)

    def remove(self, content_files: Collection[str]) -> None:
        """Delete content files that no row names any more."""
        self._spool.remove(list(content_files))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run statements that change nothing."""
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._reading, work, self._reader)
        except sqlite3.Error as error:
            raise translate(error) from error

    async def close(self) -> None:
        """End in order. Claims still held become free."""
        if self._doubted:
            await self.unclaim(self._doubted, in_doubt=True)
        await self._committer.run(lambda db: statements.free_claims(db, self._owner.token))
        self._committer.close()
        self._checkpoints.close()
        self._reading.shutdown()
        self._reader.close()
        self._let_go()

    def _let_go(self) -> None:
        self._turn.close()
        self._owner.close()

    # --- intake

    def draft(self, queue_id: str) -> Draft:
        """A place to write content that is still coming in."""
        return Draft(self._spool, queue_id)

    def twin(self, content: Content, queue_id: str) -> Content:
        """Content for one more message, shared with that which has it."""
        return self._spool.twin(content, queue_id)

    async def add(
        self,
        messages: Sequence[NewMessage],
        seen: Sequence[Mark] = (),
        settled: Settled | None = None,
        *,
        once: OnceMark | None = None,
    ) -> None:
        """Queue `messages`, put `seen` on the seen-lists, end UUCP work: all or nothing."""
        self._spool.require_room(self._min_free_bytes)

        def work(db: sqlite3.Connection) -> list[str]:
            if once is not None:
                marks.remember(db, once, messages[0].queue_id, messages[0].arrived_at)
            statements.insert_messages(db, messages)
            for message in messages:
                for text in message.notes:
                    statements.note(db, message.queue_id, message.arrived_at, "note", "", text)
                if message.hold_reason:
                    statements.move(
                        db,
                        Verb.HOLD,
                        message.queue_id,
                        message.arrived_at,
                        message.hold_reason,
                        "quarantined",
                    )
            mailboxes.insert(db, seen, messages[0].arrived_at if messages else self._clock())
            return [] if settled is None else uucp_tables.settle(db, settled, self.owner)

        self._spool.remove(await self._committer.run(work))

    async def taken(self, mark: OnceMark) -> dict[str, str]:
        """For which recipients this mail was queued before."""
        return await self.read(lambda db: marks.known(db, mark))

    async def forget_taken(self, before: float) -> int:
        """Know mail no longer that was queued before then."""
        return await self._committer.run(lambda db: marks.forget(db, before))

    async def sent_bytes(self, reverse_path: str, since: float) -> int:
        """How much has been queued from a sender after that time."""
        return await self._sum_bytes(
            "FROM message WHERE arrived_at > ? AND lower(reverse_path) = lower(?)",
            (since, reverse_path),
        )

    async def link_bytes(self, link: str, since: float) -> int:
        """How much has been queued after that time that counts for a link."""
        return await self._sum_bytes(
            "FROM message JOIN message_link USING (queue_id) WHERE arrived_at > ? AND link = ?",
            (since, link),
        )

    async def _sum_bytes(self, where: str, values: tuple[float, str]) -> int:
        def work(db: sqlite3.Connection) -> int:
            found = db.execute(f"SELECT coalesce(sum(size_bytes), 0) {where}", values)
            total: int = found.fetchone()[0]
            return total

        return await self.read(work)

    # --- delivery

    async def waiting(
        self, now: float | None = None, queue_ids: Collection[str] | None = None
    ) -> list[QueuedMessage]:
        """Messages with recipients nobody is delivering, oldest first, those recipients only."""
        if queue_ids is None:
            await self.reap(self._clock())
        return await self.read(lambda db: readings.waiting(db, now, queue_ids))

    async def claim(self, wanted: Sequence[tuple[str, Collection[int]]]) -> list[Delivery]:
        """Claim recipients (by queue id and recipient id) for this owner."""

        def work(db: sqlite3.Connection) -> list[Delivery]:
            return self._claim_all(db, wanted)

        return await self._committer.run(work)

    def _claim_all(
        self,
        db: sqlite3.Connection,
        wanted: Sequence[tuple[str, Collection[int]]],
        job_id: str | None = None,
    ) -> list[Delivery]:
        """`job_id`: the job that carries them, if one does."""
        found = (self._claim_one(db, queue_id, ids, job_id) for queue_id, ids in wanted)
        return [delivery for delivery in found if delivery is not None]

    def _claim_one(
        self,
        db: sqlite3.Connection,
        queue_id: str,
        recipient_ids: Collection[int],
        job_id: str | None,
    ) -> Delivery | None:
        message = readings.free(db, queue_id, recipient_ids, job_id)
        if message is None:
            return None
        db.executemany(
            "UPDATE recipient SET claim = ? WHERE id = ?",
            [(self._owner.token, recipient.id) for recipient in message.recipients],
        )
        looked_at = self._look(db, queue_id)
        assert looked_at is not None, "it has just been found"
        trace, content = looked_at
        in_hand = partial(self._owner.in_hand.holding, queue_id)
        return Delivery(message, message.recipients, trace, content, in_hand)

    def _look(self, db: sqlite3.Connection, queue_id: str) -> tuple[bytes, Content] | None:
        row = db.execute(
            "SELECT trace, size_bytes, coalesce(inline_content, content), content_file"
            " FROM message WHERE queue_id = ?",
            (queue_id,),
        ).fetchone()
        if row is None:
            return None
        trace, size_bytes, inline, file = row
        path = None if file is None else self._spool.path_of(file)
        return trace, Content(size_bytes, inline=inline, path=path)

    async def look(self, queue_id: str) -> tuple[bytes, Content] | None:
        """Trace lines and content of a message, without a claim."""
        return await self.read(lambda db: self._look(db, queue_id))

    async def record(
        self,
        outcomes: Sequence[Outcome],
        now: float,
        new: Sequence[NewMessage] = (),
        settled: Settled | None = None,
        warnings: Sequence[tuple[str, NewMessage]] = (),
    ) -> None:
        """Write down how tries ended, queue `new` (their DSNs), end the jobs that carried them."""

        def work(db: sqlite3.Connection) -> list[str]:
            statements.record(db, outcomes, self._owner.token, now)
            for queue_id in {one.queue_id for one in outcomes if one.is_strike}:
                statements.strike(db, queue_id, now)
            statements.insert_messages(db, new)
            statements.insert_messages(
                db, [one for queue_id, one in warnings if statements.warn(db, queue_id, now)]
            )
            files = [] if settled is None else uucp_tables.settle(db, settled, self.owner)
            if settled is not None:
                carrying.release(db, settled.ended_jobs, self.owner)
            return files + statements.finish(db, {outcome.queue_id for outcome in outcomes}, now)

        self._spool.remove(await self._committer.run(work))

    async def bind(self, mail: Sequence[MailJob]) -> list[ClaimedJob]:
        """Queue jobs that carry recipients which this owner has claimed, and claim the jobs."""
        self._spool.require_room(self._min_free_bytes)

        def work(db: sqlite3.Connection) -> list[Job]:
            carrying.bind(db, mail, self.owner)
            return [jobs.select_one(db, one.job.job_id) for one in mail]

        made = await self._committer.run(work)
        return [ClaimedJob(job, one.job.content) for job, one in zip(made, mail, strict=True)]

    async def carried(self, job_ids: Collection[str]) -> dict[str, list[Delivery]]:
        """What jobs carry that this owner has claimed."""

        def work(db: sqlite3.Connection) -> dict[str, list[Delivery]]:
            return {
                job_id: self._claim_all(db, carrying.carried(db, job_id), job_id)
                for job_id in job_ids
            }

        return await self._committer.run(work)

    async def unbind(self, job_ids: Collection[str]) -> None:
        """Undo jobs of this owner's that were not begun."""
        self._spool.remove(
            await self._committer.run(lambda db: carrying.unbind(db, job_ids, self.owner))
        )

    async def unclaim(self, recipient_ids: Collection[int], *, in_doubt: bool = False) -> None:
        """Give claims back without counting an attempt."""
        ids = tuple(recipient_ids)

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE recipient SET claim = NULL, in_doubt = in_doubt OR ?"
                " WHERE id = ? AND claim = ?",
                [(in_doubt, recipient_id, self._owner.token) for recipient_id in ids],
            )

        if in_doubt:
            self._doubted.update(ids)
        await self._committer.run(work)
        self._doubted.difference_update(ids)

    async def reap(self, now: float) -> Reaped:
        """Take back what dead owners had claimed, and delete what they left half written."""
        dead = await asyncio.to_thread(bury_dead_owners, self._owners, self._owner.token)

        def find(db: sqlite3.Connection) -> set[str]:
            rows = db.execute("SELECT DISTINCT claim FROM recipient WHERE claim IS NOT NULL")
            return {owner for (owner,) in rows} | uucp_tables.claimants(db)

        # First the claims, then who lives: an owner registers before it claims, so one that is
        # missing from the later list is dead, whoever buried it.
        claimants = await self.read(find)
        gone = claimants - await asyncio.to_thread(living_owners, self._owners)

        def work(db: sqlite3.Connection) -> list[str]:
            for queue_id in in_hand:
                statements.note(db, queue_id, now, "broke", "", BROKE_TEXT)
                statements.strike(db, queue_id, now)
            for owner in gone:
                uucp_tables.take_back(db, owner, now)
            return [queue_id for owner in gone for queue_id in statements.doubt(db, owner, now)]

        in_hand = await self._known(queue_id for held in dead.values() for queue_id in held)
        queue_ids = await self._committer.run(work) if gone or in_hand else []
        if dead or not self._swept:
            self._swept = True
            await self._delete_orphans()
        return Reaped(tuple(dict.fromkeys(queue_ids)))

    async def _known(self, queue_ids: Iterable[str]) -> list[str]:
        """Those that are queue ids of ours."""
        wanted = list(queue_ids)
        return await self.read(lambda db: readings.known(db, wanted)) if wanted else []

    async def _delete_orphans(self) -> None:
        """Delete content files that no row names and whose writer is dead."""

        def needed(db: sqlite3.Connection) -> set[str]:
            return readings.content_files(db) | uucp_tables.content_files(db)

        # In this order a file whose row is being committed right now is never taken for one.
        files = await asyncio.to_thread(self._spool.files)
        living = await asyncio.to_thread(living_owners, self._owners)
        keep = await self.read(needed)
        for path in files:
            if path.suffix[1:] not in living and path.name not in keep:
                path.unlink(missing_ok=True)

    # --- poison

    async def poisoned(self) -> list[QueuedMessage]:
        """Messages that were set aside, and nobody has been told."""
        return await self.read(readings.poisoned)

    async def tell_poison(
        self, queue_ids: Collection[str], new: Sequence[NewMessage], now: float
    ) -> None:
        """Queue `new`, the letters about them; unless they have been told of meanwhile."""

        def work(db: sqlite3.Connection) -> None:
            told = [
                db.execute(
                    "UPDATE message SET told_at = ? WHERE queue_id = ? AND told_at = 0",
                    (now, queue_id),
                ).rowcount
                for queue_id in queue_ids
            ]
            if any(told):
                statements.insert_messages(db, new)

        await self._committer.run(work)

    # --- the operator

    async def messages(self, *, finished: bool = False) -> list[QueuedMessage]:
        """All queued and held messages, oldest first; with `finished`, the others too."""
        return await self.read(lambda db: readings.messages(db, finished=finished))

    async def message(self, queue_id: str) -> QueuedMessage | None:
        """One message, in whatever state; None if it is not known."""
        return await self.read(lambda db: readings.message(db, queue_id))

    async def operate(
        self, verb: Verb, queue_ids: Collection[str], now: float, reason: str = OPERATOR_TEXT
    ) -> list[str]:
        """Hold, release or remove. The ids for which that was legal (model.OPERATOR_MOVES)."""

        def work(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
            moved = [
                queue_id
                for queue_id in queue_ids
                if statements.move(db, verb, queue_id, now, reason)
            ]
            files = [] if verb is Verb.RELEASE else carrying.dissolve(db, moved, now)
            return moved, files + (statements.finish(db, moved, now) if verb is Verb.REMOVE else [])

        moved, files = await self._committer.run(work)
        self._spool.remove(files)
        return moved

    async def history(self, queue_id: str) -> list[Event]:
        """What happened to a message so far, in order."""
        return await self.read(lambda db: readings.history(db, queue_id))

    async def prune(self, finished_before: float) -> int:
        """Forget messages that ended before then. The number of messages forgotten."""

        def work(db: sqlite3.Connection) -> int:
            return db.execute(
                "DELETE FROM message WHERE finished_at < ?", (finished_before,)
            ).rowcount

        return await self._committer.run(work)

    # --- host status

    async def host_status(self) -> list[HostStatus]:
        """What each next hop last had to say, the latest first."""
        return await self.read(readings.host_status)

    async def forget_host_status(self, before: float) -> int:
        """Forget what hosts said before then. The number of hosts forgotten."""

        def work(db: sqlite3.Connection) -> int:
            return db.execute("DELETE FROM host_status WHERE at < ?", (before,)).rowcount

        return await self._committer.run(work)

    # --- the links

    async def set_link(self, name: str, is_up: bool, now: float) -> None:
        """Remember what a hook said of a link."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO link (name, is_up, since) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET is_up = excluded.is_up, since = excluded.since",
                (name, is_up, now),
            )

        await self._committer.run(work)

    async def links_up(self) -> set[str]:
        """The names of the links that were last said to be up."""

        def work(db: sqlite3.Connection) -> set[str]:
            return {name for (name,) in db.execute("SELECT name FROM link WHERE is_up")}

        return await self.read(work)
