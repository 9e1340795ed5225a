"""Lock files: ours, stale ones, those of others, and what Taylor UUCP reads in them."""

import os
import subprocess
import sys
import threading

import pytest

from relaynode.errors import BusyError, ConnectFailed
from relaynode.wire.uucp_lock import UucpLock, device_lock, owner_of, system_lock


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_locks_are_named_after_the_device_or_the_system():
    assert device_lock("/dev/ttyS0") == "LCK..ttyS0"
    assert device_lock("/dev/pts/7") == "LCK..7"
    assert system_lock("horus") == "LCK..horus"


def test_a_lock_holds_our_process_as_hdb_writes_it_and_others_may_read_it(tmp_path):
    with UucpLock(tmp_path, "LCK..x"):
        path = tmp_path / "LCK..x"
        assert path.read_bytes() == f"{os.getpid():>10}\n".encode()
        assert path.stat().st_mode & 0o777 == 0o644
        assert [entry.name for entry in tmp_path.iterdir()] == ["LCK..x"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_a_living_process_is_respected(tmp_path):
    (tmp_path / "LCK..x").write_text(f"{os.getppid():10}\n")
    with pytest.raises(BusyError, match=f"taken by process {os.getppid()}"):
        UucpLock(tmp_path, "LCK..x").take()
    assert [entry.name for entry in tmp_path.iterdir()] == ["LCK..x"]


def test_a_lock_of_init_is_respected_though_it_may_not_be_signalled(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    (tmp_path / "LCK..x").write_text("         1\n")
    with pytest.raises(BusyError):
        UucpLock(tmp_path, "LCK..x").take()


def test_a_lock_that_we_have_already_is_not_given_twice(tmp_path):
    with UucpLock(tmp_path, "LCK..x"):
        with pytest.raises(BusyError, match="by ourselves"):
            UucpLock(tmp_path, "LCK..x").take()
        assert (tmp_path / "LCK..x").exists()


@pytest.mark.parametrize("form", ["hdb", "v2", "sco", "plain"])
def test_a_stale_lock_is_taken_away_however_it_is_written(tmp_path, gone, form):
    content = {
        "hdb": f"{gone:10}\n".encode(),
        "v2": gone.to_bytes(4, sys.byteorder),
        "sco": f"{gone:10}\nuucp\n".encode(),
        "plain": f"{gone}".encode(),
    }[form]
    (tmp_path / "LCK..x").write_bytes(content)
    with UucpLock(tmp_path, "LCK..x"):
        assert owner_of((tmp_path / "LCK..x").read_bytes()) == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_does_not_say_whose_it_is_is_respected(tmp_path):
    (tmp_path / "LCK..x").write_bytes(b"")
    with pytest.raises(BusyError, match="does not say by whom"):
        UucpLock(tmp_path, "LCK..x").take()


def test_a_lock_is_not_followed_to_where_a_link_points(tmp_path, gone):
    (tmp_path / "elsewhere").write_text(f"{gone:10}\n")
    (tmp_path / "LCK..x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConnectFailed):
        UucpLock(tmp_path, "LCK..x").take()
    assert (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConnectFailed, match="No such file or directory"):
        UucpLock(tmp_path / "none", "LCK..x").take()


def test_what_somebody_else_took_meanwhile_is_not_given_back(tmp_path):
    lock = UucpLock(tmp_path, "LCK..x")
    lock.take()
    (tmp_path / "LCK..x").write_text(f"{os.getppid():10}\n")
    lock.release()
    assert (tmp_path / "LCK..x").exists()


def test_of_many_that_find_a_stale_lock_one_gets_it(tmp_path, gone):
    """Each under a process number of its own, all of which live: our own group's."""
    (tmp_path / "LCK..x").write_text(f"{gone:10}\n")
    waiting = [subprocess.Popen(["sleep", "60"]) for _ in range(8)]
    won, start = [], threading.Barrier(len(waiting))

    def race(process):
        lock = UucpLock(tmp_path, "LCK..x", process=process)
        start.wait()
        try:
            lock.take()
        except BusyError:
            return
        won.append(process)

    threads = [threading.Thread(target=race, args=(one.pid,)) for one in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in waiting:
        process.kill()
        process.wait()
    assert len(won) == 1
    assert owner_of((tmp_path / "LCK..x").read_bytes()) == won[0]


@pytest.mark.parametrize(
    ("content", "owner"),
    [
        (b"      1570\n", 1570),
        (b"1570", 1570),
        (b"      1570\nuucp\n", 1570),
        ((99999).to_bytes(4, sys.byteorder), 99999),
        (b"", None),
        (b"nobody\n", None),
        (b"0\n", None),
        (b"\0\0\0\0", None),
        (b"99999999999999999999\n", None),
        (b"-1\n", None),
    ],
)
def test_the_process_is_found_in_all_known_forms(content, owner):
    assert owner_of(content) == owner
