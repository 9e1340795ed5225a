"""What has come of a message is there again, until another boot may have spoilt it."""

import pytest

from relaynode.queue import partials
from relaynode.queue.partials import Partials


@pytest.fixture
def spool(tmp_path):
    return Partials(tmp_path / "partial")


def files(tmp_path):
    return [path for path in (tmp_path / "partial").rglob("*") if path.is_file()]


def test_what_was_closed_is_there_again_and_goes_on(spool, tmp_path):
    first = spool.open("isp", "INBOX/7/1", 100)
    first.write(b"abc")
    first.close()
    second = spool.open("isp", "INBOX/7/1", 100)
    assert second.size_bytes == 3
    second.write(b"def")
    assert b"".join(second.pieces()) == b"abcdef"
    second.remove()
    assert files(tmp_path) == []


def test_what_a_killed_process_has_written_is_there_in_the_same_boot_only(spool, monkeypatch):
    first = spool.open("isp", "INBOX/7/1", 100)
    first.write(b"abc")
    partials.os.close(first._descriptor)  # as the kernel does it
    monkeypatch.setattr(partials, "boot", lambda: "another")
    other = spool.open("isp", "INBOX/7/1", 100)
    assert other.size_bytes == 0
    other.remove()
    monkeypatch.undo()
    assert spool.open("isp", "INBOX/7/1", 100).size_bytes == 3


def test_a_message_of_another_size_or_account_is_another_message(spool):
    first = spool.open("isp", "INBOX/7/1", 100)
    first.write(b"abc")
    first.close()
    assert spool.open("isp", "INBOX/7/1", 101).size_bytes == 0
    assert spool.open("work", "INBOX/7/1", 100).size_bytes == 0


def test_two_visits_at_once_do_not_write_into_one(spool):
    first = spool.open("isp", "INBOX/7/1", 100)
    assert spool.open("isp", "INBOX/7/1", 100) is None
    first.close()


def test_an_empty_one_leaves_nothing_behind(spool, tmp_path):
    spool.open("isp", "INBOX/7/1", 100).close()
    assert files(tmp_path) == []


def test_what_is_not_wanted_any_more_is_swept_away(spool, tmp_path):
    for uid in (1, 2):
        one = spool.open("isp", f"INBOX/7/{uid}", 100)
        one.write(b"abc")
        one.close()
    spool.sweep("isp", [("INBOX/7/2", 100)])
    assert len(files(tmp_path)) == 1
    spool.sweep("isp", [])
    spool.sweep("nobody", [])
    assert files(tmp_path) == []
