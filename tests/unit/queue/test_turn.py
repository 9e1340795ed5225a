"""Whose turn it is to write."""

import subprocess
import sys

from relaynode.queue.turn import WriteTurn

_OTHER = """
import sys
from pathlib import Path
from relaynode.queue.turn import WriteTurn
turn = WriteTurn(Path(sys.argv[1]))
print("waits", flush=True)
with turn:
    found = [one.read_text() for one in Path(sys.argv[1]).parent.glob("written")]
    print("has it", *found, flush=True)
    if sys.argv[2] == "dies":
        sys.stdin.read()
"""


def other(path, how="ends"):
    command = [sys.executable, "-c", _OTHER, str(path), how]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes)
    assert process.stdout.readline() == b"waits\n"
    return process


def test_another_process_waits_until_we_have_written(tmp_path):
    turn = WriteTurn(tmp_path / "turn")
    with turn:
        process = other(tmp_path / "turn")
        (tmp_path / "written").write_text("before")
    assert process.communicate()[0] == b"has it before\n"
    turn.close()


def test_a_turn_ends_with_the_process_that_has_it(tmp_path):
    process = other(tmp_path / "turn", "dies")
    assert process.stdout.readline() == b"has it\n"
    process.kill()
    process.communicate()
    turn = WriteTurn(tmp_path / "turn")
    with turn:
        pass
    turn.close()
