"""A file is replaced whole, or not at all."""

import os

import pytest

from relaynode.config.replacing import replace_file


def mode(path):
    return path.stat().st_mode & 0o777


def test_a_new_file_has_the_mode_that_is_asked_for(tmp_path):
    replace_file(tmp_path / "a", b"x", mode=0o640)
    assert (tmp_path / "a").read_bytes() == b"x"
    assert mode(tmp_path / "a") == 0o640 & ~_umask()


def _umask():
    now = os.umask(0)
    os.umask(now)
    return now


@pytest.mark.parametrize(("keeps_owner", "after"), [(True, 0o400), (False, 0o600)])
def test_one_that_is_there_may_keep_what_its_owner_may(tmp_path, keeps_owner, after):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o444)
    replace_file(path, b"new", keeps_owner=keeps_owner)
    assert path.read_bytes() == b"new"
    assert mode(path) == after


def test_where_it_cannot_be_done_all_is_as_before(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
