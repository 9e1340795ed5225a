"""What a process was working on when it died."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relaynode.queue import in_hand
from relaynode.queue.in_hand import InHand, found_in_hand
from relaynode.queue.owner import Owner, bury_dead_owners


@pytest.fixture
def descriptor(tmp_path):
    opened = os.open(tmp_path / "owner", os.O_CREAT | os.O_RDWR)
    yield opened
    os.close(opened)


def test_what_is_in_hand_is_found_and_what_was_is_not(descriptor):
    hand = InHand(descriptor)
    with hand.holding("A1"):
        with hand.holding("B2"):
            assert found_in_hand(descriptor) == ["A1", "B2"]
        assert found_in_hand(descriptor) == ["A1"]
        with hand.holding("C3"):
            assert sorted(found_in_hand(descriptor)) == ["A1", "C3"]
    assert found_in_hand(descriptor) == []


def test_a_place_is_free_again_after_an_error(descriptor):
    hand = InHand(descriptor)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), hand.holding("A1"):
            raise ZeroDivisionError
    assert found_in_hand(descriptor) == []
    assert os.fstat(descriptor).st_size == 2 * in_hand.RECORD_BYTES


def test_a_power_cut_is_no_messages_fault(descriptor, monkeypatch):
    monkeypatch.setattr(in_hand, "boot", lambda: "yesterday")
    holding = InHand(descriptor).holding("A1")
    holding.__enter__()
    monkeypatch.undo()
    assert found_in_hand(descriptor) == []
    del holding


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"garbage", b"\xff" * 10_000])
def test_a_file_that_says_nothing_accuses_nobody(descriptor, content):
    os.write(descriptor, content)
    assert found_in_hand(descriptor) == []


def test_a_process_that_is_killed_leaves_its_message_behind(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from relaynode.queue.owner import Owner\n"
        "owner = Owner.register(Path(sys.argv[1]))\n"
        "with owner.in_hand.holding('A1'): os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=Path(__file__).parents[3], check=False
    )
    assert ended.returncode == -9
    living = Owner.register(tmp_path)
    assert list(bury_dead_owners(tmp_path, living.token).values()) == [["A1"]]
    assert bury_dead_owners(tmp_path, living.token) == {}, "counted once"
    living.close()
