"""Commands that are waited for, and for nothing else."""

import asyncio
import logging
import os

import pytest

from relaynode.errors import ConnectFailed, TimedOut
from relaynode.wire.errand import run_errand


def run(*words, seconds=20.0):
    return asyncio.run(run_errand(words, seconds))


def test_its_exit_code_is_given():
    assert run("sh", "-c", "exit 4") == 4
    assert run("sh", "-c", "kill -9 $$") == -9


def test_what_it_prints_goes_to_the_log_without_control_characters(caplog):
    with caplog.at_level(logging.INFO, "relaynode"):
        run("sh", "-c", r"echo BUSY; printf 'a\033b\n' >&2")
    assert [one.getMessage() for one in caplog.records] == ["sh: BUSY", "sh: a?b"]


def test_what_it_leaves_running_is_not_waited_for_and_may_go_on_printing(tmp_path):
    gate, end = tmp_path / "gate", tmp_path / "end"
    os.mkfifo(gate)
    os.mkfifo(end)
    assert run("sh", "-c", f"(read -r line <{gate}; echo more; echo $? >{end}) & exit 0") == 0
    gate.write_text("go on\n")
    assert end.read_text() == "0\n"


def test_one_that_takes_too_long_is_ended():
    with pytest.raises(TimedOut, match="not done after"):
        run("sh", "-c", "sleep 100 & wait", seconds=0.05)


def test_one_that_does_not_exist_is_named():
    with pytest.raises(ConnectFailed, match="/nonexistent/pon: No such file"):
        run("/nonexistent/pon")
