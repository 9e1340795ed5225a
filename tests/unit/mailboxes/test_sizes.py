"""The sizes kept beside a Maildir: what they save, and what they must not break."""

import os

import pytest

from relaynode.mailboxes import maildir as maildir_module
from relaynode.mailboxes.maildir import Maildir
from relaynode.mailboxes.sizes import SIZES_NAME, sizes_of, told_size

ME = os.geteuid()


class Box:
    def __init__(self, folder, monkeypatch):
        self.folder = folder
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(parents=True)
        self.measured = 0
        wire_size = maildir_module._wire_size

        def counted(*arguments):
            self.measured += 1
            return wire_size(*arguments)

        monkeypatch.setattr(maildir_module, "_wire_size", counted)

    def put(self, name, content=b"a\nb\n"):
        (self.folder / "new" / name).write_bytes(content)

    def sizes(self):
        """Sizes by unique-id, and how many files were read for them."""
        self.measured = 0
        found = {one.uid: one.size_bytes for one in Maildir(self.folder, ME).messages()}
        return found, self.measured

    @property
    def kept(self):
        return self.folder / SIZES_NAME


@pytest.fixture
def box(tmp_path, monkeypatch):
    return Box(tmp_path / "Maildir", monkeypatch)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("1.a,S=4,W=6", 6),
        ("1.a,W=6", 6),
        ("1.a,S=4", None),
        ("1.a,W=", None),
        ("1.a,W=x", None),
        ("1.a,W=-6", None),
        ("1.a,W=6,X=7", None),
        ("1.aW=6", None),
    ],
)
def test_a_size_is_told_at_the_end_of_a_name(name, size):
    assert told_size(name) == size


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        ([], []),
        (["a,S=1,W=2", "b,W=3"], [2, 3]),
        (["a", "b"], [7, None]),
        (["a", "c,W=3", "b"], [7, 3, None]),
        (["x\ny", "a,W=1\nb,W=2"], [None, None]),
        (["x\na,W=1", "b"], [1, None]),
        (["a,W=1\nb", "c,W=2"], [None, 2]),
        (["a,W=1,W=2", "c,W=3"], [None, 3]),
        (["a,W=1x", "c,W=3"], [None, 3]),
    ],
)
def test_many_names_tell_what_each_of_them_tells(names, sizes):
    assert sizes_of(names, {"a": 7}) == sizes


def test_a_file_whose_name_tells_its_size_is_not_read(box):
    box.put("1.a,S=4,W=6:2,S")
    assert box.sizes() == ({"1.a,S=4,W=6": 6}, 0)
    assert not box.kept.exists()


def test_a_file_is_read_for_its_size_once_whatever_its_flags_become(box):
    box.put("1.a")
    box.put("2.b", b"x" * 70_000 + b"\n")
    assert box.sizes() == ({"1.a": 6, "2.b": 70_002}, 2)
    (box.folder / "new" / "1.a").rename(box.folder / "cur" / "1.a:2,RS")
    box.put("3.c", b"")
    assert box.sizes() == ({"1.a": 6, "2.b": 70_002, "3.c": 0}, 1)
    assert box.sizes()[1] == 0


@pytest.mark.parametrize(
    "torn", [b"", b"6", b"6 1", b"6 1.a", b"\0" * 100, b"6 1.a\0\0", b"x 1.a\n", b"\xff\xfe\n"]
)
def test_what_a_crash_has_torn_is_not_believed(box, torn):
    box.put("1.a")
    box.kept.write_bytes(torn)
    for expected_reads in (1, 0):
        assert box.sizes() == ({"1.a": 6}, expected_reads)


def test_any_name_is_kept_but_one_with_a_line_end(box):
    box.put(os.fsdecode(b"1.\xff"))
    box.put("2.b c")
    assert box.sizes()[1] == 2
    assert box.sizes()[1] == 0
    box.put("3\n.d")
    assert box.sizes()[1] == box.sizes()[1] == 1


def test_the_file_does_not_grow_for_ever(box, monkeypatch):
    monkeypatch.setattr("relaynode.mailboxes.sizes.SPARE_LINES", 10)
    for number in range(100):
        box.put(f"{number:03}.a")
        box.sizes()
        if number >= 5:
            (box.folder / "new" / f"{number - 5:03}.a").unlink()
    assert len(box.kept.read_text().splitlines()) < 50
    assert box.sizes()[1] == 0


def test_a_link_of_that_name_is_neither_read_nor_written(box, tmp_path):
    (tmp_path / "other").write_text("99 1.a\n")
    box.put("1.a")
    for make in (box.kept.symlink_to, box.kept.hardlink_to):
        make(tmp_path / "other")
        assert box.sizes() == ({"1.a": 6}, 1)
        assert (tmp_path / "other").read_text() == "99 1.a\n"
        box.kept.unlink()


def test_a_folder_or_a_pipe_of_that_name_is_no_trouble(box):
    box.put("1.a")
    for make in (box.kept.mkdir, lambda: os.mkfifo(box.kept)):
        make()
        assert box.sizes() == ({"1.a": 6}, 1)
        box.kept.rmdir() if box.kept.is_dir() else box.kept.unlink()


@pytest.mark.skipif(ME != 0, reason="only root serves somebody else")
def test_the_file_belongs_to_the_user(box):
    for path in (box.folder, *box.folder.iterdir()):
        os.chown(path, 65534, -1)
    box.put("1.a")
    os.chown(box.folder / "new" / "1.a", 65534, -1)
    assert len(Maildir(box.folder, 65534).messages()) == 1
    assert box.kept.stat().st_uid == 65534
