"""A Maildir as a maildrop: what is listed, read and removed, and what is left alone."""

import os

import pytest

from relaynode.mailboxes.maildir import Maildir
from relaynode.pop3.maildrop import Maildrop

ME = os.geteuid()


@pytest.fixture
def folder(tmp_path):
    for part in ("tmp", "new", "cur"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    return tmp_path / "Maildir"


def put(folder, name, content=b"x\n", part="new"):
    (folder / part / name).write_bytes(content)


def listed(folder):
    return [(one.part, one.name) for one in Maildir(folder, ME).messages()]


def content(folder, number=0):
    maildir = Maildir(folder, ME)
    return b"".join(maildir.pieces(maildir.messages()[number]))


# ---- listing


def test_a_maildir_that_is_not_there_is_empty(tmp_path):
    assert listed(tmp_path / "none") == []
    assert Maildir(tmp_path / "none", ME).lock() is None
    assert not (tmp_path / "none").exists()


def test_messages_of_new_and_cur_are_listed_by_name(folder):
    put(folder, "2.b")
    put(folder, "1.a:2,S", part="cur")
    put(folder, "3.c:2,", part="cur")
    put(folder, "9.z", part="tmp")
    assert listed(folder) == [("cur", "1.a:2,S"), ("new", "2.b"), ("cur", "3.c:2,")]


def test_a_maildir_without_cur_is_read_all_the_same(folder):
    put(folder, "1.a")
    (folder / "cur").rmdir()
    assert listed(folder) == [("new", "1.a")]


def test_a_message_that_a_reader_is_moving_counts_once(folder):
    put(folder, "1.a")
    put(folder, "1.a:2,S", part="cur")
    assert listed(folder) == [("cur", "1.a:2,S")]


def test_hidden_files_folders_and_named_pipes_are_no_messages(folder):
    put(folder, ".hidden")
    (folder / "cur" / "folder").mkdir()
    os.mkfifo(folder / "new" / "pipe")
    put(folder, "1.a")
    assert listed(folder) == [("new", "1.a")]


@pytest.mark.parametrize(
    ("stored", "wire"),
    [
        (b"", b""),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\nb\n", b"a\r\nb\r\n"),
        (b"no end", b"no end"),
        (b"bare\rcr\n", b"bare\rcr\r\n"),
        (b"0123456789\n" * 20_000, b"0123456789\r\n" * 20_000),
    ],
)
def test_content_is_given_with_crlf_and_its_size_is_that_of_the_wire(folder, stored, wire):
    put(folder, "1.a", stored)
    assert content(folder) == wire
    (message,) = Maildir(folder, ME).messages()
    assert message.size_bytes == len(wire)


# ---- unique-ids


def test_a_uid_stays_when_a_reader_moves_the_message_and_adds_flags(folder):
    put(folder, "1.a.host")
    (before,) = Maildir(folder, ME).messages()
    (folder / "new" / "1.a.host").rename(folder / "cur" / "1.a.host:2,RS")
    (after,) = Maildir(folder, ME).messages()
    assert before.uid == after.uid == "1.a.host"


def test_any_file_names_make_uids_that_pop3_allows_and_that_differ(folder):
    names = ["a b", "a_b", "a\u00e9b", "x" * 70, "x" * 71, "y" + "x" * 70, "y" * 200, "z\n"]
    for name in [*names, os.fsdecode(b"\xff\xfe")]:
        put(folder, name)
    messages = Maildir(folder, ME).messages()
    Maildrop(messages.entries)  # would refuse wrong or equal ones
    assert len({message.uid for message in messages}) == len(names) + 1
    assert "x" * 70 in {message.uid for message in messages}
    assert list(messages) == list(Maildir(folder, ME).messages())


# ---- others at work


def test_a_message_that_a_reader_moved_meanwhile_is_still_read_and_removed(folder):
    for name in ("1.a", "2.b", "3.c"):
        put(folder, name, name.encode())
    maildir = Maildir(folder, ME)
    messages = maildir.messages()
    for name in ("1.a", "2.b", "3.c"):
        (folder / "new" / name).rename(folder / "cur" / f"{name}:2,S")
    assert [b"".join(maildir.pieces(one)) for one in messages] == [b"1.a", b"2.b", b"3.c"]
    assert maildir.remove(messages[1:2])
    assert listed(folder) == [("cur", "1.a:2,S"), ("cur", "3.c:2,S")]


def test_a_message_that_is_gone_cannot_be_read_and_need_not_be_removed(folder):
    put(folder, "1.a")
    maildir = Maildir(folder, ME)
    messages = maildir.messages()
    (folder / "new" / "1.a").unlink()
    with pytest.raises(FileNotFoundError):
        list(maildir.pieces(messages[0]))
    assert maildir.remove(messages)


def test_what_cannot_be_removed_is_told_and_the_rest_is_removed(folder):
    put(folder, "1.a")
    put(folder, "2.b")
    maildir = Maildir(folder, ME)
    messages = maildir.messages()
    (folder / "new" / "1.a").unlink()
    (folder / "new" / "1.a").mkdir()
    assert not maildir.remove(messages)
    assert [path.name for path in (folder / "new").iterdir()] == ["1.a"]


def test_a_second_session_finds_the_maildir_locked_until_the_first_ends(folder):
    lock = Maildir(folder, ME).lock()
    with pytest.raises(BlockingIOError):
        Maildir(folder, ME).lock()
    os.close(lock)
    again = Maildir(folder, ME).lock()
    os.close(again)


# ---- whose it is


def test_links_to_other_files_are_no_messages(folder, tmp_path):
    (tmp_path / "secret").write_text("secret\n")
    (folder / "new" / "1.a").symlink_to(tmp_path / "secret")
    assert listed(folder) == []


def test_a_maildir_may_itself_be_reached_over_a_link(folder, tmp_path):
    put(folder, "1.a")
    (tmp_path / "link").symlink_to(folder)
    assert listed(tmp_path / "link") == [("new", "1.a")]


@pytest.mark.skipif(ME != 0, reason="only root can make files of others")
def test_files_of_others_are_no_messages(folder, tmp_path):
    """The owner of a Maildir could make a hard link to any file on its disk."""
    os.chown(folder, 65534, -1)
    for part in ("new", "cur"):
        os.chown(folder / part, 65534, -1)
    (tmp_path / "secret").write_text("secret\n")
    (folder / "new" / "1.a").hardlink_to(tmp_path / "secret")
    put(folder, "2.b")
    os.chown(folder / "new" / "2.b", 65534, -1)
    maildir = Maildir(folder, 65534)
    (message,) = maildir.messages()
    assert message.name == "2.b"
    (folder / "new" / "2.b").unlink()
    (folder / "new" / "2.b").hardlink_to(tmp_path / "secret")
    with pytest.raises(PermissionError):
        list(maildir.pieces(message))


@pytest.mark.skipif(ME != 0, reason="only root can make folders of others")
@pytest.mark.parametrize("foreign", [".", "new"])
def test_a_folder_of_others_is_not_looked_into(folder, foreign):
    """The owner of a home could put a link to somebody else's Maildir there."""
    put(folder, "1.a")
    for part in {".", "new", "cur"} - {foreign}:
        os.chown(folder / part, 65534, -1)
    maildir = Maildir(folder, 65534)
    with pytest.raises(PermissionError):
        maildir.messages()
    if foreign == ".":
        with pytest.raises(PermissionError):
            maildir.lock()
        assert sorted(path.name for path in folder.iterdir()) == ["cur", "new", "tmp"]


@pytest.mark.skipif(ME != 0, reason="only root can give files away")
def test_the_lock_that_root_makes_belongs_to_the_user(folder):
    os.chown(folder, 65534, -1)
    os.close(Maildir(folder, 65534).lock())
    owners = {path.name: path.stat().st_uid for path in folder.iterdir() if path.is_file()}
    assert owners == {"relaynode.pop3.lock": 65534}


def test_a_lock_file_that_is_a_link_is_not_followed(folder, tmp_path):
    (folder / "relaynode.pop3.lock").symlink_to(tmp_path / "made")
    with pytest.raises(OSError):
        Maildir(folder, ME).lock()
    assert not (tmp_path / "made").exists()
