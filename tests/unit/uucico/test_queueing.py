"""What becomes of wishes: the jobs, their names, the X. file."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from relaynode.queue.content import Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.uucp.model import JobKind
from relaynode.uucico.journal import Journal
from relaynode.uucico.queueing import (
    BadWish,
    CopyWish,
    ExecutionWish,
    FileWish,
    Wish,
    group_of,
    known_as,
    note_queued,
    queue,
)
from relaynode.uucp import xfile

NOW = 1_800_000_000.0
_COPY = {"kind": JobKind.SEND, "source": "/x", "target": "~/"}


@pytest.fixture
def queued(tmp_path):
    """Queue a wish; the jobs, and the contents that they carry."""
    store = MemoryStore(tmp_path)

    async def play(wish, contents):
        jobs = await queue(store, wish, [Content.of(one) for one in contents], "alpha", NOW)
        claimed = await store.uucp.jobs.claim([job.job_id for job in jobs])
        return jobs, [one.content.head(10_000) if one.content else None for one in claimed]

    return lambda wish, *contents: asyncio.run(play(wish, contents))


def execution(*command, **more):
    wish = ExecutionWish(command=command, **more)
    return Wish(neighbour="beta", user="bob", grade="C", execution=wish)


def test_a_command_with_its_input_is_one_execution(queued):
    wish = execution("rmail", "a", "b", input=FileWish(content=0), flags="Z")
    wish = replace(wish, execution=replace(wish.execution, result_address="me@here"))
    (job,), contents = queued(wish, b"hello\n")
    assert (job.kind, job.command, job.grade) == (JobKind.EXECUTE, "rmail a b", "C")
    assert (job.options, job.notify) == ("ZR", "me@here")
    assert contents == [b"hello\n"]


def test_a_command_without_input_gets_an_empty_one(queued):
    (job,), contents = queued(execution("who"))
    assert (job.kind, contents) == (JobKind.EXECUTE, [b""])


def test_a_command_with_files_is_one_job_for_each_and_the_x_file_behind_them(queued):
    wish = execution(
        "lpr",
        "notes",
        flags="NB",
        result_address="me",
        input=FileWish(content=0),
        files=(FileWish(source="/home/bob/notes", name="notes"),),
        output="/pub/out",
        output_system="alpha",
    )
    jobs, contents = queued(wish, b"input")
    assert [job.kind for job in jobs] == [JobKind.SEND] * 3
    assert contents[:2] == [b"input", None]
    assert jobs[1].source == "/home/bob/notes"
    assert all(job.target.startswith("D.alphaC") for job in jobs[:2])
    assert jobs[2].target.startswith("X.alphaC")
    assert len({job.target[1:] for job in jobs}) == 3
    assert max(len(job.target) for job in jobs) <= 14
    made = xfile.parse(contents[2])
    assert made.command == ("lpr", "notes")
    assert (made.user, made.system, made.results_to) == ("bob", "alpha", "me")
    assert made.input == jobs[0].target
    assert made.files == (
        xfile.NeededFile(jobs[0].target),
        xfile.NeededFile(jobs[1].target, "notes"),
    )
    assert (made.output, made.output_system) == ("/pub/out", "alpha")
    assert (made.mails_never, made.returns_input, made.mails_on_failure) == (True, True, False)


@pytest.mark.parametrize(
    "more",
    [
        {"flags": "B"},
        {"input_path": "~/there"},
        {"output": "~/there"},
        {"input": FileWish(source="/etc/passwd")},
        {"files": (FileWish(source="/x", name="x"),)},
    ],
)
def test_what_an_e_cannot_say_needs_an_x_file(queued, more):
    jobs, _ = queued(execution("c", **more))
    assert jobs[-1].target.startswith("X.")
    assert jobs[-1].command == "c"


def test_the_jobs_of_one_wish_are_known_by_one_id(queued):
    copies = tuple(
        CopyWish(kind=JobKind.FETCH, source=f"~/{n}", target="/pub/", options="d") for n in "ab"
    )
    jobs, _ = queued(Wish(neighbour="beta", user="bob", copies=copies))
    assert [job.source for job in jobs] == ["~/a", "~/b"]
    assert len({job.job_id for job in jobs}) == 2
    assert len({group_of(job.job_id) for job in jobs}) == 1
    assert known_as(jobs[0]) == known_as(jobs[1]) == f"beta.N{jobs[0].job_id}"


@pytest.mark.parametrize(
    "wish",
    [
        execution("rmail", "a\nC rnews"),
        execution("rmail", "a b"),
        execution("rmail", result_address="a\nU root alpha"),
        execution("rmail", result_address="a b"),
        execution("rmail", flags="R"),
        execution("c", files=(FileWish(source="/x", name="a b"),)),
        execution("c", files=(FileWish(source="/x\n", name="a"),)),
        execution("c", output="D.alphaN0001"),
        execution("c", input_path="~/x y"),
        execution(),
        replace(execution("c"), user="a\x00b"),
        replace(execution("c"), grade="~"),
        replace(execution("c"), execution=None),
        replace(execution("c"), copies=(CopyWish(kind=JobKind.FETCH, source="x", target="y"),)),
        *(
            Wish(neighbour="beta", user="bob", copies=(CopyWish(**{**_COPY, **more}),))
            for more in (
                {"target": "X.alphaN0001"},
                {"target": "D.alphaN0001"},
                {"target": "~/a\nb"},
                {"notify": "a\rb"},
                {"options": "q"},
                {"options": "C"},
                {"mode": 0o4755},
                {"kind": JobKind.EXECUTE},
            )
        ),
    ],
)
def test_what_would_be_read_as_more_than_it_is_is_refused(queued, wish):
    with pytest.raises(BadWish):
        queued(wish)


def test_two_wishes_never_share_names(queued):
    wish = execution("lpr", "x", files=(FileWish(source="/x", name="x"),))
    first, _ = queued(wish)
    second, _ = queued(wish)
    targets = [job.target[1:] for job in (*first, *second)]
    assert len(set(targets)) == len(targets)


def test_the_journal_tells_of_them_as_taylors_programs_do(queued, tmp_path):
    journal = Journal(tmp_path / "Log")
    (mail,), _ = queued(execution("rmail", "a", input=FileWish(content=0)), b"x")
    note_queued(journal, [mail])
    copies = (
        CopyWish(kind=JobKind.SEND, source="/x", target="~/y", content=0),
        CopyWish(kind=JobKind.FETCH, source="~/y", target="/x"),
    )
    jobs, _ = queued(Wish(neighbour="beta", user="bob", copies=copies), b"x")
    note_queued(journal, jobs)
    lines = [line.partition(") ")[2] for line in (tmp_path / "Log").read_text().splitlines()]
    assert lines == [
        f"Queuing rmail a ({mail.temp})",
        "Queuing send of /x to ~/y",
        "Queuing request of ~/y to /x",
    ]
