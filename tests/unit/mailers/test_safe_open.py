"""Files that somebody else named are opened as far as that somebody might open them."""

import errno
import os

import pytest

from relaynode.mailers.safe_open import Reader, Refused, is_temporary, read_safely, reason

STRANGER = Reader(64001, frozenset({64001}))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may open what others may not")


def test_a_file_is_read_with_its_attributes(tmp_path):
    (tmp_path / "f").write_bytes(b"x\n")
    opened = read_safely(str(tmp_path / "f"), Reader())
    assert opened.data == b"x\n"
    assert opened.found.st_uid == os.getuid()


def test_dots_and_links_on_the_way_are_followed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "f").write_text("x")
    (tmp_path / "a" / "relative").symlink_to("../b")
    (tmp_path / "a" / "absolute").symlink_to(tmp_path / "b")
    for way in ("a/relative/f", "a/absolute/./f", "a/../b/f", "a//relative//f"):
        assert read_safely(f"{tmp_path}/{way}", Reader()).data == b"x"


def test_links_that_never_end_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(Refused, match="Symbolic links not allowed"):
        read_safely(str(tmp_path / "a"), Reader())


@pytest.mark.parametrize("path", ["/", "/dev/null", "//", "/proc/self/fd/.."])
def test_nothing_but_a_plain_file_is_opened(path):
    with pytest.raises(OSError, match="Regular files only"):
        read_safely(path, Reader())


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(NotADirectoryError):
        read_safely(str(tmp_path / "f" / "g"), Reader())


def test_a_sticky_folder_may_stand_on_the_way_but_not_at_its_end(tmp_path):
    sticky = tmp_path / "sticky"
    (sticky / "own").mkdir(parents=True)
    (sticky / "own" / "f").write_text("x")
    (sticky / "f").write_text("x")
    sticky.chmod(0o1777)
    assert read_safely(str(sticky / "own" / "f"), Reader()).data == b"x"
    with pytest.raises(Refused, match="World writable directory"):
        read_safely(str(sticky / "f"), Reader())


@needs_root
def test_a_stranger_s_link_in_a_folder_for_all_is_not_followed(tmp_path):
    sticky = tmp_path / "sticky"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "f").write_text("x")
    sticky.mkdir()
    sticky.chmod(0o1777)
    (sticky / "link").symlink_to(tmp_path / "own")
    os.chown(sticky / "link", 64002, 64002, follow_symlinks=False)
    with pytest.raises(Refused, match="Symbolic links not allowed"):
        read_safely(str(sticky / "link" / "f"), Reader())


@needs_root
@pytest.mark.parametrize(
    ("mode", "owner", "group", "may"),
    [
        (0o600, 64001, 0, True),
        (0o066, 64001, 0, False),
        (0o040, 0, 64001, True),
        (0o604, 0, 64001, False),
        (0o004, 0, 0, True),
        (0o640, 0, 0, False),
    ],
)
def test_root_reads_nothing_for_a_user_that_he_may_not_read(open_path, mode, owner, group, may):
    file = open_path / "f"
    file.write_text("x")
    os.chown(file, owner, group)
    file.chmod(mode & ~0o022)
    if may:
        assert read_safely(str(file), STRANGER).data == b"x"
    else:
        with pytest.raises(PermissionError):
            read_safely(str(file), STRANGER)


@needs_root
def test_nor_anything_in_a_folder_that_is_closed_to_him(open_path):
    (open_path / "closed").mkdir(mode=0o700)
    (open_path / "closed" / "f").write_text("x")
    with pytest.raises(PermissionError):
        read_safely(str(open_path / "closed" / "f"), STRANGER)


@pytest.fixture
def open_path(tmp_path):
    """A folder that everybody may pass through."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    return tmp_path


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EMFILE, errno.ETIMEDOUT])
def test_some_trouble_may_pass(code):
    assert is_temporary(OSError(code, "x"))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOENT, "x"), OSError(errno.EACCES, "x"), Refused("x")]
)
def test_other_trouble_stays(error):
    assert not is_temporary(error)
    assert reason(error) == "x"
