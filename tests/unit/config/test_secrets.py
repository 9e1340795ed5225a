"""Password files: private ones are read, all others are refused with a remedy."""

import os

import pytest

from relaynode.config.secrets import read_password


def made(tmp_path, content=b"sesame\n", mode=0o600):
    path = tmp_path / "isp.password"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"sesame", "sesame"),
        (b"sesame\n", "sesame"),
        (b"sesame\r\n", "sesame"),
        (b"first\nsecond\n", "first"),
        (b" with blanks \n", " with blanks "),
        ("sésame\n".encode(), "sésame"),
    ],
)
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_the_first_line_is_the_password(tmp_path, content, password, mode):
    assert read_password(made(tmp_path, content, mode)).reveal() == password


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o620, 0o644, 0o777, 0o610, 0o601])
def test_a_file_that_others_may_touch_is_refused(tmp_path, mode):
    path = made(tmp_path, mode=mode)
    with pytest.raises(ValueError) as raised:
        read_password(path)
    assert str(raised.value) == (
        f"{path} can be read by others (mode {mode:04o}); say: chmod 600 {path}"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path):
    path = made(tmp_path)
    os.chown(path, 65534, -1)
    with pytest.raises(ValueError, match="belongs to another user; it must be yours or root's"):
        read_password(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of root's")
def test_a_file_of_roots_is_read_by_whoever_can(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert read_password(made(tmp_path)).reveal() == "sesame"


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"\nsecond\n", b"a\0b\n"])
def test_a_file_without_a_password_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match="holds no password in its first line"):
        read_password(made(tmp_path, content))


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_password(made(tmp_path, b"s\xe9same\n"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none: No such file or directory"):
        read_password(tmp_path / "none")


def test_a_folder_and_a_named_pipe_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="is no regular file"):
            read_password(path)


def test_no_refusal_shows_the_password(tmp_path):
    with pytest.raises(ValueError) as raised:
        read_password(made(tmp_path, mode=0o644))
    assert "sesame" not in str(raised.value)
