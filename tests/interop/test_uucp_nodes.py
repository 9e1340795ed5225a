"""Two relaynodes and a UUCP link between them: over TCP to the daemon, and through a pipe."""

import asyncio
import getpass
import os
import sys
import time

import pytest

from nodes import TestNode
from peers.processes import free_port, wait_until
from relaynode.queue.content import Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import JobKind, NewJob


def pair(tmp_path, *, call, alpha="", beta=""):
    """alpha, which calls, and beta. `call` may name beta's configuration as {beta}."""
    answering = TestNode(
        tmp_path / "beta",
        f'[uucp]\nnodename = "beta"\n[neighbour.alpha]\ncommands = ["cat", "rmail"]\n{beta}',
    )
    line = call.replace("{beta}", str(answering.path)).replace("{python}", sys.executable)
    calling = TestNode(
        tmp_path / "alpha",
        f'[uucp]\nnodename = "alpha"\n[neighbour.beta]\ncall = ["{line}"]\n{alpha}',
    )
    for node in (answering, calling):
        node.password("pw", "secret")
        checked = node.run("check")
        assert checked.returncode == 0, checked.stderr
    return calling, answering


def over_tcp(tmp_path):
    port = free_port()
    calling, answering = pair(
        tmp_path,
        call=f"tcp:127.0.0.1:{port}",
        alpha='login = "Ualpha"\npassword_file = "pw"\n',
        beta=(
            'called_login = "Ualpha"\ncalled_password_file = "pw"\n'
            f'[listen.x]\nuucp = ["127.0.0.1:{port}"]\n'
        ),
    )
    return calling, answering


def through_a_pipe(tmp_path):
    return pair(
        tmp_path,
        call="pipe:env RELAYNODE_CONFIG={beta} {python} -m relaynode answer",
        beta=f'called_login = "{getpass.getuser()}"\n',
    )


def queue(node, neighbour, kind, **more):
    async def work():
        opened = node.open()
        job = NewJob(new_queue_id(), neighbour, kind, "root", time.time(), **more)
        await opened.store.uucp.jobs.add([job])
        await opened.close()

    asyncio.run(work())


def file_of(tmp_path, size_bytes):
    file = tmp_path / "sent.bin"
    file.write_bytes(os.urandom(size_bytes))
    file.chmod(0o644)
    return file


def public(node):
    return node.folder / "spool" / "uucppublic"


def called(node):
    ended = node.run("call", "beta", "--verbose")
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 1 << 20])
def test_a_file_arrives_over_tcp(tmp_path, size_bytes):
    calling, answering = over_tcp(tmp_path)
    file = file_of(tmp_path, size_bytes)
    queue(calling, "beta", JobKind.SEND, source=str(file), target="~/in/got.bin", options="d")
    with answering.daemon():
        said = called(calling)
    assert "Handshake successful (protocol 'i')" in said
    assert (public(answering) / "in/got.bin").read_bytes() == file.read_bytes()
    assert "Sending" not in called_after(calling, answering)


def called_after(calling, answering):
    """Call again: there is nothing left to do."""
    with answering.daemon():
        return called(calling)


def test_a_call_through_a_pipe_carries_files_both_ways(tmp_path):
    calling, answering = through_a_pipe(tmp_path)
    file = file_of(tmp_path, 100_000)
    public(answering).mkdir(parents=True)
    (public(answering) / "theirs.bin").write_bytes(b"theirs" * 1000)
    (public(answering) / "theirs.bin").chmod(0o644)
    queue(calling, "beta", JobKind.SEND, source=str(file), target="~/ours.bin")
    queue(calling, "beta", JobKind.FETCH, source="~/theirs.bin", target="~/theirs.bin")
    called(calling)
    assert (public(answering) / "ours.bin").read_bytes() == file.read_bytes()
    assert (public(calling) / "theirs.bin").read_bytes() == b"theirs" * 1000


def test_a_wrong_password_is_refused_and_the_work_stays(tmp_path):
    calling, answering = over_tcp(tmp_path)
    calling.password("pw", "wrong")
    file = file_of(tmp_path, 10)
    queue(calling, "beta", JobKind.SEND, source=str(file), target="~/got.bin")
    with answering.daemon() as daemon:
        assert calling.run("call", "beta").returncode == 75
        assert wait_until(lambda: "Bad login" in daemon.log(), 10)
        calling.password("pw", "secret")
        called(calling)
    assert (public(answering) / "got.bin").exists()


def test_a_neighbour_that_nobody_knows_is_an_error(tmp_path):
    calling, _ = through_a_pipe(tmp_path)
    ended = calling.run("call", "gamma")
    assert ended.returncode != 0
    assert "gamma: no such neighbour" in ended.stderr


def test_a_command_on_the_list_is_run_with_its_input_and_others_are_not(tmp_path):
    calling, answering = through_a_pipe(tmp_path)
    for command in ("cat", "sh"):
        queue(
            calling,
            "beta",
            JobKind.EXECUTE,
            command=command,
            content=Content.of(b"text\n"),
        )
    said = called(calling)
    assert "root sh (" in next(line for line in said.splitlines() if "): not permitted" in line)

    async def executions():
        node = answering.open()
        found = await node.store.uucp.executions.find(finished=True)
        await node.close()
        return {one.new.command[0]: one.state for one in found}

    states = {name: state.value for name, state in asyncio.run(executions()).items()}
    assert states == {"cat": "done"}
