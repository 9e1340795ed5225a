"""The daemon's desk: whose wishes they are, what it refuses, and what is left of a broken one."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from nodes import TestNode
from relaynode.daemon.control import CALL_SOON
from relaynode.daemon.uucp_desk import UucpDesk
from relaynode.errors import LineLost
from relaynode.queue.uucp.model import JobKind
from relaynode.sources.submit import local_submitter
from relaynode.uucico.queueing import CopyWish, ExecutionWish, FileWish, Wish

NODE = """
[neighbour.beta]
call = ["tcp:127.0.0.1:1"]
local_send = ["/srv/out"]
"""
MAIL = Wish(
    neighbour="beta",
    user="root",
    execution=ExecutionWish(command=("rmail", "bob"), input=FileWish(content=0)),
)


def encode_wishes(wishes):
    return msgspec.json.encode(wishes).decode()


def copy(**more):
    given = CopyWish(**{"kind": JobKind.SEND, "source": "/srv/out/x", "target": "~/", **more})
    return Wish(neighbour="beta", user="x", copies=(given,))


@pytest.fixture
def ask(tmp_path):
    """Hand in; the answer, how often it was woken, the jobs and the files they left."""
    test_node = TestNode(tmp_path / "n", NODE)

    async def bodies(contents):
        for content in contents:
            yield pieces(content)

    async def pieces(content):
        yield content
        if content == b"broken":
            raise LineLost("it ended")

    async def play(arguments, contents, uid):
        node = test_node.open()
        woken = []
        try:
            desk = UucpDesk(lambda: node, lambda: woken.append(1))
            answer = await desk.queue(arguments, bodies(contents), uid)
            files = list((node.config.spool / "content").iterdir())
            return answer, len(woken), await node.store.uucp.jobs.find(), files
        finally:
            await node.close()

    return lambda arguments, *contents, uid=0: asyncio.run(play(arguments, contents, uid))


def test_a_wish_is_its_users_whatever_it_says(ask):
    answer, woken, (job,), _ = ask([encode_wishes([MAIL]), CALL_SOON], b"hello\n", uid=1)
    assert (job.user, job.command, job.size_bytes) == (local_submitter(1).name, "rmail bob", 6)
    assert answer == {"exit": 0, "text": "", "ids": [f"beta.N{job.job_id}"]}
    assert woken == 1


def test_nobody_is_called_who_need_not_be(ask):
    assert ask([encode_wishes([MAIL])], b"hello\n")[1] == 0


def test_long_contents_lie_in_files_that_a_job_owns(ask):
    _, _, (job,), files = ask([encode_wishes([MAIL])], b"x" * 100_000)
    assert job.size_bytes == 100_000
    assert len(files) == 1


@pytest.mark.parametrize(
    "wish",
    [
        Wish(neighbour="gamma", user="x", execution=MAIL.execution),
        Wish(neighbour="beta", user="x", execution=MAIL.execution, grade="-"),
        Wish(neighbour="beta", user="x", execution=MAIL.execution, grade="AB"),
        Wish(neighbour="beta", user="x"),
        copy(source="/etc/passwd"),
        copy(source="/srv/out/../../etc/passwd"),
        copy(kind=JobKind.EXECUTE, content=0),
        copy(content=1),
        copy(content=-1),
        copy(content=20_000),
        Wish(
            neighbour="beta",
            user="x",
            execution=ExecutionWish(command=("c",), files=(FileWish(source="/etc/x", name="x"),)),
        ),
    ],
)
def test_what_may_not_be_is_refused_and_nothing_is_kept(ask, wish):
    answer, woken, jobs, files = ask([encode_wishes([wish])], b"x" * 100_000)
    assert answer["exit"] != 0
    assert answer["text"]
    assert (woken, jobs, files) == (0, [], [])


@pytest.mark.parametrize(
    "arguments",
    [[], ["no json"], ["{}"], ["[1]"], ['[{"neighbour": "beta"}]'], [json.dumps([[]])]],
)
def test_what_cannot_be_read_is_refused(ask, arguments):
    answer, _, jobs, _ = ask(arguments)
    assert answer["exit"] == 76
    assert jobs == []


def test_of_a_caller_that_dies_in_the_middle_nothing_is_queued(ask):
    with pytest.raises(LineLost):
        ask([encode_wishes([MAIL])], b"broken")


def test_a_wish_survives_the_way(ask):
    wish = copy(content=0, options="dm", mode=0o755, notify="ann")
    _, _, (job,), _ = ask([encode_wishes([wish])], b"x")
    assert (job.options, job.mode, job.notify, job.target) == ("dm", 0o755, "ann", "~/")
