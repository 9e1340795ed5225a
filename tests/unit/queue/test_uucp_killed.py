"""kill -9 in the midst of UUCP work: each row of the state tables, and what it leaves."""

import asyncio
import signal
import subprocess
import sys
import textwrap

import pytest

from relaynode.queue.content import INLINE_BYTES
from relaynode.queue.model import Verb
from relaynode.queue.sqlite import SqliteStore
from relaynode.queue.uucp.model import Settled, WorkOutcome, WorkState

NOW = 1_800_000_000.0

PROGRAM = """
import asyncio, sys
from pathlib import Path
from relaynode.queue.content import INLINE_BYTES, Content
from relaynode.queue.sqlite import SqliteStore
from relaynode.queue.uucp.model import *

NOW = {now}
BIG = b"x" * (INLINE_BYTES + 1)

def job(job_id, content=None):
    return NewJob(job_id, "beta", JobKind.SEND, "alice", NOW, content=content)

def execution(execution_id="E1"):
    needs = (Need("D.betaN0001"),)
    return NewExecution(execution_id, "beta", "uucp", ("rmail", "bob"), NOW, needs=needs)

async def main():
    store = SqliteStore(Path(sys.argv[1]), clock=lambda: NOW)
    uucp = store.uucp

    def big(name):
        draft = store.draft(name)
        draft.write(BIG)
        return draft.finish()

    def arrived(content):
        return SpoolFile("beta", "D.betaN0001", content, NOW)

    def part(content):
        return Part("beta", "D.0001", content.path.name, "t", 9, 0, "", NOW)

    mark = Mark("beta", "D.0001", "D.betaN0001", len(BIG), NOW)
{code}
    print("ready", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def killed(tmp_path):
    """Runs code with an open `store` in another process, and kills that. The spool it leaves."""

    def run(code):
        code = textwrap.indent(textwrap.dedent(code), "    ")
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(now=NOW, code=code), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGKILL)
        return tmp_path

    return run


def after(spool, scenario):
    async def play():
        store = SqliteStore(spool, clock=lambda: NOW)
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(play())


def content_files(spool):
    return sorted(path.name.partition(".")[0] for path in (spool / "content").iterdir())


async def part_of(store, neighbour="beta"):
    return next(iter(await store.uucp.received.parts(neighbour)), None)


async def mark_of(store, neighbour="beta"):
    return next(iter(await store.uucp.received.marks(neighbour)), None)


def test_a_job_of_a_killed_session_is_free_at_once_under_its_old_name(killed):
    spool = killed(
        """
        await uucp.jobs.add([job("J1", big("J1")), job("J2")])
        await uucp.jobs.claim(["J1"])
        await uucp.jobs.note_part("J1", 1)
        """
    )

    async def scenario(store):
        first, second = await store.uucp.jobs.due("beta")
        (claimed,) = await store.uucp.jobs.claim(["J1"])
        assert sum(map(len, claimed.content.pieces())) == INLINE_BYTES + 1
        return first.job_id, first.tries, first.parts_done, second.number - first.number

    assert after(spool, scenario) == ("J1", 1, 1, 1)


def test_an_execution_that_was_running_is_tried_again_and_marked_in_doubt(killed):
    spool = killed(
        """
        await uucp.received.complete(Completed(mark, None, arrived(big("F")), execution()))
        assert await uucp.executions.claim("E1")
        """
    )

    async def scenario(store):
        (due,) = await store.uucp.executions.due()
        assert due.in_doubt
        assert await store.uucp.executions.claim("E1") is not None
        return [event.kind for event in await store.uucp.history("E1")]

    assert after(spool, scenario) == ["queued", "in_doubt"]
    assert content_files(spool) == ["F"]


def test_the_session_of_a_killed_process_is_over(killed):
    spool = killed("assert await uucp.neighbours.begin_session('beta')")
    assert after(spool, lambda store: store.uucp.neighbours.begin_session("beta"))


def test_the_session_of_a_living_process_is_respected_by_another(tmp_path):
    async def scenario(store):
        other = SqliteStore(tmp_path, clock=lambda: NOW)
        assert await store.uucp.neighbours.begin_session("beta")
        assert not await other.uucp.neighbours.begin_session("beta")
        await store.uucp.neighbours.end_session("beta")
        assert await other.uucp.neighbours.begin_session("beta")
        await other.close()
        assert await store.uucp.neighbours.begin_session("beta")

    after(tmp_path, scenario)


def test_files_that_rows_name_stay_and_those_that_none_names_go(killed):
    spool = killed(
        """
        await uucp.jobs.add([job("J1", big("JOB"))])
        await uucp.received.begin_part(part(big("PART")))
        await uucp.received.complete(Completed(None, None, arrived(big("FILE"))))
        big("ORPHAN")
        """
    )
    assert content_files(spool) == ["FILE", "JOB", "ORPHAN", "PART"]
    after(spool, lambda store: store.uucp.jobs.due("beta"))
    assert content_files(spool) == ["FILE", "JOB", "PART"]


def test_a_file_is_a_part_until_it_is_marked_received(killed):
    spool = killed("await uucp.received.begin_part(part(big('P')))")

    async def scenario(store):
        return await mark_of(store), await part_of(store)

    mark, part = after(spool, scenario)
    assert mark is None
    assert part.content_file.startswith("P.")


def test_a_file_that_was_completed_before_its_acknowledgement_is_known_again(killed):
    spool = killed(
        """
        content = big("P")
        await uucp.received.begin_part(part(content))
        await uucp.received.complete(Completed(mark, ("beta", "D.0001"), arrived(content)))
        """
    )

    async def scenario(store):
        (file,) = await store.uucp.received.files("beta")
        assert sum(map(len, file.content.pieces())) == INLINE_BYTES + 1
        return await mark_of(store), await part_of(store)

    mark, part = after(spool, scenario)
    assert (mark.target, part) == ("D.betaN0001", None)
    assert content_files(spool) == ["P"]


def test_a_job_is_done_once_it_was_settled_and_its_file_goes(killed):
    spool = killed(
        """
        await uucp.jobs.add([job("J1", big("J1"))])
        await uucp.jobs.claim(["J1"])
        store.remove = store._spool.remove = lambda names: None  # killed before the file went
        await uucp.settle(Settled(NOW, (WorkOutcome("J1", WorkState.DONE),)))
        """
    )
    assert content_files(spool) == ["J1"]
    assert after(spool, lambda store: store.uucp.jobs.due("beta")) == []
    assert content_files(spool) == []


def test_what_a_killed_process_held_can_be_operated_on(killed):
    spool = killed(
        """
        await uucp.jobs.add([job("J1")])
        await uucp.jobs.claim(["J1"])
        """
    )

    async def scenario(store):
        assert await store.uucp.jobs.due("beta")
        assert await store.uucp.jobs.operate(Verb.HOLD, ["J1"], NOW) == ["J1"]
        assert await store.uucp.jobs.operate(Verb.RELEASE, ["J1"], NOW) == ["J1"]
        await store.uucp.jobs.claim(["J1"])
        await store.uucp.settle(Settled(NOW, (WorkOutcome("J1", WorkState.DONE),)))
        return await store.uucp.jobs.find()

    assert after(spool, scenario) == []
