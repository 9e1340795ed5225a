"""What sessions and executions write into the journals."""

from __future__ import annotations

import asyncio
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from nodes import TestNode
from relaynode.cli import uuxqt
from relaynode.queue.uucp.model import Completed, NewExecution
from relaynode.uucp.events import FileMoved, LogLine

if TYPE_CHECKING:
    from pathlib import Path

NODE = """
[uucp]
nodename = "alpha"
[neighbour.beta]
call = ["tcp:127.0.0.1:1"]
commands = ["good", "later", "bad"]
command_path = ["{folder}/bin"]
[neighbour.gamma]
call = ["tcp:127.0.0.1:1"]
commands = ["good"]
command_path = ["{folder}/bin"]
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestNode:
    made = TestNode(tmp_path / "n", NODE)
    monkeypatch.setenv("RELAYNODE_CONFIG", str(made.path))
    (made.folder / "bin").mkdir()
    for name, code in (("good", 0), ("later", 75), ("bad", 67)):
        (made.folder / "bin" / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (made.folder / "bin" / name).chmod(0o755)
    for folder in (made.folder, *made.folder.parents):
        if folder != folder.parent and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    return made


def ask(node: TestNode, *wanted: tuple[str, str, str]) -> None:
    """Executions that wait: id, neighbour, command."""

    async def play() -> None:
        opened = node.open()
        try:
            for execution_id, neighbour, command in wanted:
                new = NewExecution(execution_id, neighbour, "joe", (command, "x"), 1.0)
                await opened.store.uucp.received.complete(Completed(execution=new))
        finally:
            await opened.close()

    asyncio.run(play())


def lines(node: TestNode) -> list[str]:
    """The Log, without times."""
    path = node.folder / "spool/uucp/Log"
    text = path.read_text() if path.exists() else ""
    return [re.sub(r"\(\d{4}-[^)]*\) ", "", line) for line in text.splitlines()]


def test_executions_read_as_those_of_taylors_uuxqt(node: TestNode) -> None:
    ask(node, ("E1", "beta", "good"), ("E2", "beta", "later"), ("E3", "beta", "bad"))
    ask(node, ("E4", "beta", "none"))
    assert uuxqt.main([]) == 0
    assert lines(node) == [
        "uuxqt beta joe Executing E1 (good x)",
        "uuxqt beta joe Executing E2 (later x)",
        "uuxqt beta joe ERROR: Execution: Exit status 75",
        "uuxqt beta joe Will retry later (E2)",
        "uuxqt beta joe Executing E3 (bad x)",
        "uuxqt beta joe ERROR: Execution: Exit status 67",
        "uuxqt beta joe Execution failed (E3)",
        "uuxqt beta joe Executing E4 (none x)",
        "uuxqt beta joe ERROR: Not permitted to execute none",
        "uuxqt beta joe Execution failed (E4)",
    ]


def test_uuxqt_runs_the_commands_that_are_asked_for(node: TestNode) -> None:
    ask(node, ("E1", "beta", "good"), ("E2", "beta", "bad"), ("E3", "gamma", "good"))
    assert uuxqt.main(["-c", "good", "-s", "gamma"]) == 0
    assert lines(node) == ["uuxqt gamma joe Executing E3 (good x)"]
    assert uuxqt.main(["-c", "good"]) == 0
    assert lines(node)[1:] == ["uuxqt beta joe Executing E1 (good x)"]
    assert uuxqt.main(["-s", "delta"]) == 1
    assert uuxqt.main(["word"]) == 1


def test_a_session_writes_lines_and_figures(node: TestNode) -> None:
    async def play() -> None:
        opened = node.open()
        try:
            calls = opened.calls
            calls._tell("beta", LogLine("Sending rmail bob (D.0001) (5 bytes)", "bob"), "TCP")
            calls._tell("", LogLine("Login successful"), "TCP")
            calls._tell("beta", FileMoved("bob", True, 5, 0.5), "TCP")
            calls._tell("beta", FileMoved("bob", False, 5, 0.5, "line lost"), "TCP")
        finally:
            await opened.close()

    asyncio.run(play())
    assert lines(node) == [
        "uucico beta bob Sending rmail bob (D.0001) (5 bytes)",
        "uucico - - Login successful",
    ]
    figures = (node.folder / "spool/uucp/Stats").read_text().splitlines()
    assert [line.partition(") ")[2] for line in figures] == [
        "sent 5 bytes in 0.500 seconds (10 bytes/sec) on port TCP",
        "failed after received 5 bytes in 0.500 seconds (10 bytes/sec) on port TCP",
    ]


def test_a_call_that_comes_to_nothing_is_in_the_log(node: TestNode) -> None:
    ended = node.run("call", "beta")
    assert ended.returncode != 0
    first, *_, last = lines(node)
    assert first == "uucico beta - Calling system beta (tcp:127.0.0.1:1)"
    assert last.startswith("uucico beta - ERROR: ")


def test_no_journal_breaks_a_call(node: TestNode) -> None:
    shutil.rmtree(node.folder / "spool/uucp", ignore_errors=True)
    (node.folder / "spool").mkdir(exist_ok=True)
    (node.folder / "spool/uucp").write_text("in the way")
    ended = node.run("call", "beta")
    assert "Traceback" not in ended.stderr
    assert "spool/uucp" in ended.stderr
