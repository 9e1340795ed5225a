"""What the embedded home promises beyond the interface: durability, owners, versions, full disk."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from relaynode.errors import StoreError, StoreFull, StoreVersionError
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue import schema
from relaynode.queue.committer import Committer
from relaynode.queue.content import INLINE_BYTES, Content
from relaynode.queue.model import NewMessage, SeenMark
from relaynode.queue.owner import Owner, bury_dead_owners
from relaynode.queue.sqlite import SqliteStore
from relaynode.queue.upgrade import upgrade

NOW = 1_800_000_000.0


def message(queue_id="A1", content=b"x\r\n"):
    envelope = Envelope("a@x", (Recipient("b@y"),))
    return NewMessage(queue_id, envelope, b"", Content.of(content), "test", NOW)


CONTENT_BEFORE_OTHERS = 15
"""The version before `inline_content`."""


def in_store(folder, scenario):
    async def play():
        store = SqliteStore(folder, clock=lambda: NOW)
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(play())


def killed_while(folder, code):
    """Run `code` in another process with an open `store`, kill -9 it when it says so."""
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from relaynode.queue.sqlite import SqliteStore
        from tests_message import message
        async def main():
            store = SqliteStore(Path(sys.argv[1]))
        {code}
            print("ready", flush=True)
            sys.stdin.read()
        asyncio.run(main())
    """).format(code=textwrap.indent(textwrap.dedent(code), "    "))
    helper = folder.parent / "tests_message.py"
    helper.write_text(
        "from relaynode.mail.envelope import Envelope, Recipient\n"
        "from relaynode.queue.content import Content\n"
        "from relaynode.queue.model import NewMessage\n"
        "def message(queue_id, content=Content.of(b'x')):\n"
        "    envelope = Envelope('a@x', (Recipient('b@y'),))\n"
        "    return NewMessage(queue_id, envelope, b'', content, 'test', 1.0)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join([str(helper.parent), *filter(None, sys.path)])},
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)


def test_claims_of_a_killed_process_are_free_at_once_and_marked_in_doubt(tmp_path):
    folder = tmp_path / "spool"
    killed_while(
        folder,
        """
        await store.add([message("A1"), message("A2")])
        (waiting, _) = await store.waiting()
        assert await store.claim([("A1", {waiting.recipients[0].id})])
        """,
    )

    async def scenario(store):
        first, second = await store.waiting()
        assert (first.queue_id, first.recipients[0].in_doubt) == ("A1", True)
        assert (second.queue_id, second.recipients[0].in_doubt) == ("A2", False)
        return [event.kind for event in await store.history("A1")]

    assert in_store(folder, scenario) == ["queued", "in_doubt"]


def test_claims_of_a_living_process_are_respected(tmp_path):
    async def scenario(store):
        await store.add([message()])
        (waiting,) = await store.waiting()
        await store.claim([("A1", {waiting.recipients[0].id})])
        other = SqliteStore(tmp_path, clock=lambda: NOW)
        assert await other.waiting() == []
        await other.close()
        assert await store.waiting() == []

    in_store(tmp_path, scenario)


def test_a_store_closed_in_order_leaves_no_claim_and_no_doubt(tmp_path):
    async def claim(store):
        await store.add([message()])
        (waiting,) = await store.waiting()
        await store.claim([("A1", {waiting.recipients[0].id})])

    async def look(store):
        (waiting,) = await store.waiting()
        return waiting.recipients[0].in_doubt

    in_store(tmp_path, claim)
    assert in_store(tmp_path, look) is False


def test_a_doubt_that_cannot_be_written_down_now_is_when_the_store_is_closed(tmp_path):
    async def claim(store):
        await store.add([message()])
        (waiting,) = await store.waiting()
        ids = [one.id for one in waiting.recipients]
        await store.claim([("A1", ids)])
        run, store._committer.run = store._committer.run, full
        with pytest.raises(StoreError):
            await store.unclaim(ids, in_doubt=True)
        store._committer.run = run

    async def full(work):
        raise StoreError("the disk is full")

    async def look(store):
        (waiting,) = await store.waiting()
        return waiting.recipients[0].in_doubt

    in_store(tmp_path, claim)
    assert in_store(tmp_path, look) is True


def test_files_of_a_killed_process_are_deleted_unless_a_row_names_them(tmp_path):
    folder = tmp_path / "spool"
    killed_while(
        folder,
        f"""
        big = b"x" * {INLINE_BYTES + 1}
        half = store.draft("HALF"); half.write(big); half._file.flush()
        orphan = store.draft("ORPHAN"); orphan.write(big); orphan.finish()
        good = store.draft("GOOD"); good.write(big)
        await store.add([message("GOOD", good.finish())])
        """,
    )
    assert len(list((folder / "content").iterdir())) == 2

    async def scenario(store):
        (waiting,) = await store.waiting()
        return waiting.queue_id, waiting.size_bytes

    assert in_store(folder, scenario) == ("GOOD", INLINE_BYTES + 1)
    assert [path.name[:5] for path in (folder / "content").iterdir()] == ["GOOD."]
    assert list((folder / "incoming").iterdir()) == []


def test_a_row_whose_file_is_gone_is_our_own_error_not_an_empty_message(tmp_path):
    async def scenario(store):
        draft = store.draft("A1")
        draft.write(b"x" * (INLINE_BYTES + 1))
        content = draft.finish()
        content.path.write_bytes(b"short")
        with pytest.raises(StoreError, match="shorter"):
            list(content.pieces())
        content.path.unlink()
        with pytest.raises(StoreError):
            list(content.pieces())

    in_store(tmp_path, scenario)


def test_a_full_disk_refuses_new_mail_keeps_the_old_and_recovers(tmp_path):
    async def scenario(store):
        await store.add([message("OLD")])
        db = store._committer._connection
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreFull):
            await store.add([message("NEW", b"x" * 60_000)], [SeenMark("isp", "u")])
        assert [m.queue_id for m in await store.messages()] == ["OLD"]
        assert await store.mailboxes.seen("isp") == set()
        db.execute("PRAGMA max_page_count = 1000000")
        await store.add([message("NEW", b"x" * 60_000)])
        assert [m.queue_id for m in await store.messages()] == ["OLD", "NEW"]

    in_store(tmp_path, scenario)


def test_work_that_fails_does_not_take_its_neighbours_in_the_group_along(tmp_path):
    async def scenario(store):
        await store.add([message("A")])
        results = await asyncio.gather(
            store.add([message("B")]),
            store.add([message("A")]),
            store.add([message("C")]),
            return_exceptions=True,
        )
        assert [type(result).__name__ for result in results] == [
            "NoneType",
            "StoreError",
            "NoneType",
        ]
        assert [m.queue_id for m in await store.messages()] == ["A", "B", "C"]

    in_store(tmp_path, scenario)


def test_many_who_wait_share_few_commits(tmp_path):
    async def scenario(store):
        commits = []
        store._committer._connection.set_trace_callback(
            lambda statement: commits.append(1) if statement == "COMMIT" else None
        )
        await asyncio.gather(*(store.add([message(f"M{n}")]) for n in range(200)))
        return len(commits)

    assert in_store(tmp_path, scenario) < 100


def test_every_commit_is_synced_to_the_disk(tmp_path):
    async def scenario(store):
        db = store._committer._connection
        return (
            db.execute("PRAGMA journal_mode").fetchone()[0],
            db.execute("PRAGMA synchronous").fetchone()[0],
        )

    full = 2
    assert in_store(tmp_path, scenario) == ("wal", full)


def test_an_old_store_is_brought_up_version_by_version(tmp_path):
    path = tmp_path / "queue.db"
    old = sqlite3.connect(path, isolation_level=None)
    upgrade(old, str(path))
    old.execute("INSERT INTO seen (account, uid) VALUES ('isp', 'u1')")
    newer = (
        *schema.MIGRATIONS,
        ("ALTER TABLE seen ADD COLUMN note TEXT NOT NULL DEFAULT ''",),
        ("UPDATE seen SET note = 'kept'",),
    )
    upgrade(old, str(path), newer)
    assert old.execute("SELECT version FROM schema").fetchall() == [(len(newer),)]
    assert old.execute("SELECT account, uid, note FROM seen").fetchall() == [("isp", "u1", "kept")]


def test_content_of_an_older_store_is_found_where_that_kept_it(tmp_path):
    path = tmp_path / "queue.db"
    old = sqlite3.connect(path, isolation_level=None)
    upgrade(old, str(path), schema.MIGRATIONS[:CONTENT_BEFORE_OTHERS])
    old.execute(
        "INSERT INTO message (queue_id, state, arrived_at, source, reverse_path, body, smtputf8,"
        " ret, envid, trace, size_bytes, content)"
        " VALUES ('OLD', 'queued', 1.0, '', '', '', 0, '', '', x'', 4, CAST('body' AS BLOB))"
    )
    old.close()

    async def scenario(store):
        await store.add([message("NEW", b"text")])
        found = [await store.look(queue_id) for queue_id in ("OLD", "NEW")]
        assert [content.inline for _, content in found] == [b"body", b"text"]

    in_store(tmp_path, scenario)


def test_an_upgrade_that_fails_leaves_the_version_before_it(tmp_path):
    path = tmp_path / "queue.db"
    db = sqlite3.connect(path, isolation_level=None)
    broken = (*schema.MIGRATIONS, ("CREATE TABLE extra (x)", "NO SUCH STATEMENT"))
    with pytest.raises(sqlite3.OperationalError):
        upgrade(db, str(path), broken)
    assert db.execute("SELECT version FROM schema").fetchone() == (len(schema.MIGRATIONS),)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        db.execute("SELECT * FROM extra")


def test_a_store_of_a_newer_relaynode_is_refused_and_untouched(tmp_path):
    in_store(tmp_path, lambda store: store.add([message()]))
    db = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    db.execute("UPDATE schema SET version = 99")
    with pytest.raises(StoreVersionError, match="version 99"):
        SqliteStore(tmp_path)
    assert db.execute("SELECT count(*) FROM message").fetchone() == (1,)


def test_a_file_that_is_no_database_is_named_with_its_remedy(tmp_path):
    (tmp_path / "queue.db").write_bytes(b"this is not a database, not at all" * 100)
    with pytest.raises(StoreError, match=r"queue\.db|not a database"):
        SqliteStore(tmp_path)


def test_a_spool_that_cannot_be_made_is_our_own_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        SqliteStore(tmp_path / "file" / "spool")


def test_an_owner_lives_as_long_as_its_lock(tmp_path):
    living, other = Owner.register(tmp_path), Owner.register(tmp_path)
    assert bury_dead_owners(tmp_path, living.token) == {}
    (tmp_path / "dead").write_text("")
    assert bury_dead_owners(tmp_path, living.token) == {"dead": []}
    other.close()
    assert bury_dead_owners(tmp_path, living.token) == {}
    living.close()


def test_the_committer_finishes_what_was_asked_before_it_closes(tmp_path):
    async def scenario():
        committer = Committer(
            lambda: sqlite3.connect(
                tmp_path / "x.db", isolation_level=None, check_same_thread=False
            ),
            contextlib.nullcontext(),
        )
        tasks = [
            asyncio.ensure_future(committer.run(lambda db: db.execute("SELECT 1").fetchone()))
            for _ in range(20)
        ]
        await asyncio.sleep(0)
        await asyncio.to_thread(committer.close)
        return await asyncio.gather(*tasks)

    assert asyncio.run(scenario()) == [(1,)] * 20
