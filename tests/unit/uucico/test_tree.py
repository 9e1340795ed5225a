"""Files below a folder: nothing leads out of it, what is there is replaced whole."""

import os
from pathlib import Path

import pytest

from relaynode.mailers.safe_open import Reader
from relaynode.queue.content import Content
from relaynode.uucico import tree
from relaynode.uucico.tree import Placing, open_as, open_public, place

STRANGER = Reader(uid=65533)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    root = tmp_path / "public"
    root.mkdir()
    return root


def put(root, *components, data=b"new", **more):
    return place(root, Placing(components, **more), Content.of(data))


def test_a_file_is_put_where_it_was_meant_and_folders_are_made(root):
    assert put(root, "a", "b", "c") == ("a", "b", "c")
    assert (root / "a/b/c").read_bytes() == b"new"
    assert [path.name for path in (root / "a/b").iterdir()] == ["c"]


def test_folders_are_not_made_if_that_was_asked_for(root):
    with pytest.raises(FileNotFoundError):
        put(root, "a", "c", makes_folders=False)
    assert list(root.iterdir()) == []


def test_a_path_that_is_a_folder_gets_the_file_within(root):
    (root / "in").mkdir()
    assert put(root, "in", name_within="x") == ("in", "x")
    assert put(root, "new", name_within="x", is_folder=True) == ("new", "x")
    with pytest.raises(IsADirectoryError):
        put(root, "in")


@pytest.mark.parametrize(("sent", "kept"), [(0o600, 0o644), (0o755, 0o755), (0o4711, 0o755)])
def test_of_the_mode_only_that_it_can_be_executed_is_kept(root, sent, kept):
    put(root, "x", mode=sent)
    assert (root / "x").stat().st_mode & 0o7777 == kept


def test_a_file_that_is_there_is_replaced_and_another_name_for_it_is_not_touched(root, tmp_path):
    (root / "x").write_text("old")
    os.link(root / "x", tmp_path / "other name")
    put(root, "x")
    assert (root / "x").read_bytes() == b"new"
    assert (tmp_path / "other name").read_text() == "old"


def test_a_symbolic_link_is_replaced_and_not_followed(root, tmp_path):
    secret = tmp_path / "outside/secret"
    (root / "x").symlink_to(secret)
    put(root, "x")
    assert not (root / "x").is_symlink()
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("name_within", ["", "x"])
def test_a_symbolic_link_on_the_way_leads_nowhere(root, tmp_path, name_within):
    (root / "way").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        put(root, "way", "x", name_within=name_within)
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\0b"])
def test_what_is_no_name_of_a_file_is_refused(root, name):
    for components in [(name,), (name, "x"), ("a", name)]:
        with pytest.raises((OSError, ValueError)):
            put(root, *components)
    with pytest.raises(OSError):
        open_public(root, ("a", name))


def test_a_write_that_fails_leaves_the_old_file_and_no_other(root, monkeypatch):
    (root / "x").write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tree.os, "fsync", full)
    with pytest.raises(OSError):
        put(root, "x")
    assert (root / "x").read_text() == "old"
    assert len(list(root.iterdir())) == 1


def test_only_what_all_the_world_may_read_is_public(root):
    (root / "open").write_text("open")
    (root / "closed").write_text("closed")
    (root / "open").chmod(0o644)
    (root / "closed").chmod(0o640)
    descriptor, found = open_public(root, ("open",))
    assert (os.read(descriptor, 10), found.st_size) == (b"open", 4)
    os.close(descriptor)
    with pytest.raises(PermissionError):
        open_public(root, ("closed",))


def test_only_plain_files_are_opened(root, tmp_path):
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    (root / "link").symlink_to(tmp_path / "outside/secret")
    for components in [("pipe",), ("folder",), ("link",), ("missing",), ()]:
        with pytest.raises(OSError):
            open_public(root, components)


def test_a_users_file_is_read_with_that_users_rights(tmp_path):
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/") and path.stat().st_uid == os.getuid():
            path.chmod(0o755)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for file in (tmp_path / "mine", tmp_path / "all", private / "all"):
        file.write_text("x")
        file.chmod(0o600 if file.name == "mine" else 0o644)
    us = Reader(uid=os.getuid())
    for reader, path, is_readable in [
        (us, tmp_path / "mine", True),
        (us, private / "all", True),
        (STRANGER, tmp_path / "all", True),
        (STRANGER, tmp_path / "mine", False),
        (STRANGER, private / "all", False),
        (STRANGER, Path("relative"), False),
    ]:
        try:
            descriptor, _ = open_as(path, reader)
            os.close(descriptor)
            was_readable = True
        except OSError:
            was_readable = False
        assert was_readable is is_readable, path


def open_descriptors():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_no_descriptor_is_left_open(root, tmp_path):
    (root / "way").symlink_to(tmp_path / "outside")
    before = open_descriptors()
    for _ in range(5):
        put(root, "a", "x")
        for components in [("way", "x"), ("none",), ("a",)]:
            with pytest.raises(OSError):
                open_public(root, components)
    assert open_descriptors() == before
