"""kill -9 while a file arrives: what came over the line is not asked for again."""

import asyncio
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from relaynode.neighbours import Terms
from relaynode.queue.boot import boot
from relaynode.queue.sqlite import SqliteStore
from relaynode.uucico.session_work import SessionWork
from relaynode.uucico.terms import SessionTerms
from relaynode.uucp.commands import Code, Send
from relaynode.uucp.names import target_of
from relaynode.uucp.work import Duplicate, Verdict

DATA = bytes(range(256)) * 800
"""More than is kept in memory."""

PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from helper import *

async def main():
    store = SqliteStore(Path(sys.argv[1]) / "spool")
    work = await session(store, Path(sys.argv[1]))
    sink = offer(work, Path(sys.argv[1]), {target!r})
{code}
    print("ready", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


async def session(store, folder):
    (folder / "public").mkdir(exist_ok=True)
    terms = Terms(our_name="alpha", public=folder / "public", min_free_bytes=0)
    return await SessionWork.open(
        SessionTerms("beta", terms, False, folder / "spool"), store, None, may_run=lambda _: True
    )


def offer(work, folder, target):
    request = Send("/x/f", target, "u", "C", "D.0001", 0o644, size=len(DATA))
    return work.offered(request, target_of(target, "/x/f", str(folder / "public")))


async def verdict_of(sink):
    while sink.verdict is None:
        await asyncio.sleep(0.001)
    return sink.verdict


@pytest.fixture
def killed(tmp_path):
    """Runs code with a `sink` for a file in another process, and kills that."""
    (tmp_path / "helper.py").write_text(Path(__file__).read_text())

    def run(code, target):
        program = PROGRAM.format(
            here=str(tmp_path),
            target=target,
            code=textwrap.indent(textwrap.dedent(code), "    "),
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGKILL)

    return run


def after(folder, scenario):
    async def play():
        store = SqliteStore(folder / "spool")
        try:
            work = await session(store, folder)
            await scenario(store, work)
            await work.close()
        finally:
            await store.close()

    asyncio.run(play())


def content_files(folder):
    return list((folder / "spool/content").iterdir())


@pytest.mark.skipif(not boot(), reason="this system does not tell one life from another")
@pytest.mark.parametrize("target", ["D.betaN0001", "~/f"])
def test_a_file_goes_on_where_a_killed_process_was(killed, tmp_path, target):
    killed(
        """
        sink.write(0, DATA[:70_000])
        while await store.uucp.received.parts("beta") == []:
            await asyncio.sleep(0.001)
        sink.write(70_000, DATA[70_000:90_000])
        """,
        target,
    )

    async def go_on(store, work):
        sink = offer(work, tmp_path, target)
        assert sink.position == 90_000
        sink.write(90_000, DATA[90_000:])
        sink.commit(len(DATA))
        assert await verdict_of(sink) is Verdict.STORED
        if target.startswith("~"):
            assert (tmp_path / "public/f").read_bytes() == DATA
            assert content_files(tmp_path) == []
        else:
            (file,) = await store.uucp.received.files("beta")
            assert b"".join(file.content.pieces()) == DATA
            assert len(content_files(tmp_path)) == 1

    after(tmp_path, go_on)


def test_a_file_that_was_stored_before_its_word_went_out_is_not_taken_again(killed, tmp_path):
    killed(
        """
        sink.write(0, DATA)
        sink.commit(len(DATA))
        await verdict_of(sink)
        """,
        "D.betaN0001",
    )

    async def look(store, work):
        assert isinstance(offer(work, tmp_path, "D.betaN0001"), Duplicate)
        assert len(await store.uucp.received.files("beta")) == 1

    after(tmp_path, look)


def test_a_public_file_that_was_placed_but_not_marked_is_placed_once_more(killed, tmp_path):
    killed(
        """
        placed = asyncio.Event()
        async def never(completed):
            placed.set()
            await asyncio.sleep(3600)
        store.uucp.received.complete = never
        sink.write(0, DATA)
        sink.commit(len(DATA))
        await placed.wait()
        """,
        "~/f",
    )
    assert (tmp_path / "public/f").read_bytes() == DATA

    async def again(store, work):
        sink = offer(work, tmp_path, "~/f")
        assert not isinstance(sink, Code)
        sink.write(sink.position, DATA[sink.position :])
        sink.commit(len(DATA))
        assert await verdict_of(sink) is Verdict.STORED
        assert [path.name for path in (tmp_path / "public").iterdir()] == ["f"]
        assert content_files(tmp_path) == []

    after(tmp_path, again)


def test_a_file_without_a_row_goes_with_its_writer(killed, tmp_path):
    killed(
        """
        async def never(part):
            await asyncio.sleep(3600)
        store.uucp.received.begin_part = never
        sink.write(0, DATA)
        """,
        "D.betaN0001",
    )
    assert len(content_files(tmp_path)) == 1

    async def look(store, work):
        assert offer(work, tmp_path, "D.betaN0001").position == 0
        await store.uucp.jobs.due("beta")
        assert content_files(tmp_path) == []

    after(tmp_path, look)
