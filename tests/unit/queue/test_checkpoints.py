"""The write-ahead log stays short, and nobody who commits copies it."""

import asyncio
import sqlite3

import pytest

from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.checkpoints import FRAMES, Checkpoints
from relaynode.queue.content import Content
from relaynode.queue.model import NewMessage
from relaynode.queue.sqlite import SqliteStore

PAGE_BYTES = 4096
BODY = b"x" * 60_000


def message(queue_id):
    envelope = Envelope("a@x", (Recipient("b@y"),))
    return NewMessage(queue_id, envelope, b"", Content.of(BODY), "test", 1.0)


def in_store(folder, scenario):
    async def play():
        store = SqliteStore(folder)
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(play())


def test_the_log_of_much_mail_stays_short(tmp_path):
    async def scenario(store):
        for number in range(60):
            await asyncio.gather(*(store.add([message(f"{number}-{n}")]) for n in range(10)))
        return (tmp_path / "queue.db-wal").stat().st_size

    written = 600 * len(BODY)
    assert in_store(tmp_path, scenario) < written / 2
    db = sqlite3.connect(tmp_path / "queue.db")
    assert db.execute("SELECT count(*) FROM message").fetchone() == (600,)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_no_commit_waits_for_a_checkpoint(tmp_path):
    async def scenario(store):
        said = []
        store._committer._connection.set_trace_callback(said.append)
        for number in range(2 * FRAMES * PAGE_BYTES // len(BODY)):
            await store.add([message(f"{number}")])
        assert store._checkpoints._thread is not None
        assert not [one for one in said if "checkpoint" in one]
        return store._committer._connection.execute("PRAGMA wal_autocheckpoint").fetchone()

    (most,) = in_store(tmp_path, scenario)
    assert most > 2 * FRAMES


def test_a_short_log_needs_no_thread(tmp_path):
    async def scenario(store):
        await store.add([message("A")])
        assert store._checkpoints._thread is None

    in_store(tmp_path, scenario)


@pytest.mark.parametrize("index", [None, b"", b"short"])
def test_where_the_log_cannot_be_looked_at_it_is_sqlites(tmp_path, index):
    if index is not None:
        (tmp_path / "x.db-shm").write_bytes(index)
    checkpoints = Checkpoints(tmp_path / "x.db", lambda: pytest.fail("connected"), tmp_path / "t")
    checkpoints.committed()
    checkpoints.close()
