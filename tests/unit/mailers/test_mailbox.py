"""Maildir and mbox: a message is there whole, once and for good, or not at all."""

import errno
import fcntl
import io
import mailbox as stdlib_mailbox
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import StoreError
from relaynode.mailers import mailbox
from relaynode.mailers.mailbox import MailboxBusy, deliver_to_maildir, deliver_to_mbox, frame

FROM = b"From alice@example.com Fri Jan 15 08:00:00 2027"
MESSAGE = b"Subject: one\n\nbody\n"
NAME = f"1.a.host,S={len(MESSAGE)},W={len(MESSAGE) + MESSAGE.count(10)}"
SOURCE = Path(__file__).parents[3]
FAILURES = [StoreError("the content is gone"), OSError(errno.ENOSPC, "No space left on device")]


def breaking(error, *pieces):
    """Pieces, and then a failure where the next one should be."""
    yield from pieces
    raise error


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# ---- Maildir


def test_a_message_is_put_into_new_and_the_maildir_is_made(tmp_path):
    folder = tmp_path / "home" / "Maildir"
    assert deliver_to_maildir(folder, "1.a.host", [b"Subject: one\n\nbo", b"", b"dy\n"])
    assert files(folder) == ["cur", "new", f"new/{NAME}", "tmp"]
    assert (folder / "new" / NAME).read_bytes() == MESSAGE


def test_nobody_else_can_read_it(tmp_path):
    deliver_to_maildir(tmp_path / "Maildir", "1.a.host", [MESSAGE])
    file = tmp_path / "Maildir" / "new" / NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "Maildir" / "cur").stat().st_mode) == 0o700


def test_a_message_whose_name_is_in_new_is_not_delivered_again(tmp_path):
    assert deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE])
    assert not deliver_to_maildir(tmp_path, "1.a.host", [b"again"])
    assert (tmp_path / "new" / NAME).read_bytes() == MESSAGE
    assert files(tmp_path) == ["cur", "new", f"new/{NAME}", "tmp"]


@pytest.mark.parametrize("flags", ["", ":2,", ":2,S", ":2,FRS"])
def test_a_message_that_a_reader_has_moved_to_cur_is_not_delivered_again(tmp_path, flags):
    deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE])
    (tmp_path / "new" / NAME).rename(tmp_path / "cur" / f"{NAME}{flags}")
    assert not deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE])
    assert not list((tmp_path / "new").iterdir())


def test_no_folder_is_listed_where_no_try_went_before(tmp_path, monkeypatch):
    def listing(*_):
        raise AssertionError("a big mailbox would make this slow")

    deliver_to_maildir(tmp_path, "0.a.host", [MESSAGE])
    monkeypatch.setattr(os, "scandir", listing)
    monkeypatch.setattr(os, "listdir", listing)
    assert deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE], may_be_there=False)
    assert not deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE], may_be_there=False)


def test_a_message_whose_name_only_begins_alike_is_another_one(tmp_path):
    deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE])
    (tmp_path / "new" / NAME).rename(tmp_path / "cur" / "1.a.host2:2,S")
    assert deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE])


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failure_in_the_middle_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)):
        deliver_to_maildir(tmp_path, "1.a.host", breaking(error, b"half"))
    assert files(tmp_path) == ["cur", "new", "tmp"]
    assert deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE])


def test_a_message_is_on_the_disk_before_it_is_in_new(tmp_path, monkeypatch):
    steps = []
    fsync, link = os.fsync, os.link

    def seen_fsync(descriptor):
        found = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(found.st_mode) else f"file of {found.st_size}")
        fsync(descriptor)

    def seen_link(source, target):
        steps.append("link")
        link(source, target)

    deliver_to_maildir(tmp_path, "first", [MESSAGE])
    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "link", seen_link)
    deliver_to_maildir(tmp_path, "second", [MESSAGE])
    assert steps == [f"file of {len(MESSAGE)}", "link", "folder"]


def test_folders_that_were_made_are_on_the_disk_too(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def seen_fsync(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    folder = tmp_path / "Maildir"
    deliver_to_maildir(folder, "first", [MESSAGE])
    deliver_to_mbox(tmp_path / "mail" / "alice", FROM, [MESSAGE])
    made = (tmp_path, folder, folder / "new", tmp_path / "mail", tmp_path / "mail" / "alice")
    assert {path.stat().st_ino for path in made} <= set(synced)


def test_what_another_process_delivered_meanwhile_is_not_overwritten(tmp_path):
    def meanwhile():
        yield MESSAGE
        deliver_to_maildir(tmp_path, "1.a.host", [b"first"])

    assert not deliver_to_maildir(tmp_path, "1.a.host", meanwhile())
    assert [path.read_bytes() for path in (tmp_path / "new").iterdir()] == [b"first"]
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("flags", ["", ":2,", ":2,S"])
def test_a_message_delivered_before_names_told_sizes_is_not_delivered_again(tmp_path, flags):
    deliver_to_maildir(tmp_path, "other", [MESSAGE])
    (tmp_path / "cur" / f"1.a.host{flags}").write_bytes(MESSAGE)
    assert not deliver_to_maildir(tmp_path, "1.a.host", [MESSAGE])


@pytest.mark.parametrize("pieces", [[b"a\nb\r", b"\nc\n"], [b"no end"], [], [b"\n" * 9]])
def test_the_name_tells_the_size_of_the_file_and_that_with_crlf(tmp_path, pieces):
    deliver_to_maildir(tmp_path, "x", pieces)
    (path,) = (tmp_path / "new").iterdir()
    stored = path.read_bytes()
    wire = stored.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert path.name == f"x,S={len(stored)},W={len(wire)}"


@pytest.mark.parametrize(
    ("detail", "folder"),
    [
        ("Lists", ".Lists"),
        ("lists", ".Lists"),
        ("lists.python", ".Lists.Python"),
        ("none", "."),
        ("", "."),
        (".", "."),
        ("..", "."),
        (".Lists", "."),
        ("../other", "."),
        ("Lists/new", "."),
        ("Lists.", "."),
        ("Lists..Python", "."),
        ("file", "."),
        ("x\0", "."),
        ("x" * 300, "."),
    ],
)
def test_a_detail_is_a_folder_if_there_is_one(tmp_path, detail, folder):
    maildir = tmp_path / "Maildir"
    for name in (".", ".Lists", ".Lists.Python", "../other"):
        for part in ("tmp", "new", "cur"):
            (maildir / name / part).mkdir(parents=True)
    (maildir / ".file").touch()
    deliver_to_maildir(maildir, "1.a.host", [MESSAGE], detail)
    (path,) = tmp_path.rglob("1.a.host*")
    assert path.parent == (maildir / folder / "new")


# ---- mbox


def test_messages_are_appended_with_a_blank_line_between_them(tmp_path):
    path = tmp_path / "mail" / "alice"
    deliver_to_mbox(path, FROM, [MESSAGE])
    deliver_to_mbox(path, FROM, [b"Subject: two\n\nno line end"])
    deliver_to_mbox(path, FROM, [MESSAGE])
    assert path.read_bytes() == (
        FROM + b"\n" + MESSAGE + b"\n" + FROM + b"\nSubject: two\n\nno line end\n\n"
        b"" + FROM + b"\n" + MESSAGE + b"\n"
    )
    assert files(path.parent) == ["alice"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("before", [b"old", b"old\n", b"old\n\n", b"\n", b""])
def test_a_mailbox_that_another_program_left_without_a_blank_line_gets_one(tmp_path, before):
    path = tmp_path / "alice"
    path.write_bytes(before)
    deliver_to_mbox(path, FROM, [MESSAGE])
    written = path.read_bytes()
    assert written.startswith(before)
    assert written[len(before) :].lstrip(b"\n") == FROM + b"\n" + MESSAGE + b"\n"
    assert not before or written.partition(FROM)[0].endswith(b"\n\n")


def test_an_empty_message_is_one(tmp_path):
    deliver_to_mbox(tmp_path / "alice", FROM, [])
    assert (tmp_path / "alice").read_bytes() == FROM + b"\n\n"


def test_the_rights_of_a_mailbox_that_is_there_stay(tmp_path):
    path = tmp_path / "alice"
    path.touch(mode=0o660)
    path.chmod(0o660)
    deliver_to_mbox(path, FROM, [MESSAGE])
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(
    ("line", "stored"),
    [
        (b"From here", b">From here"),
        (b">From here", b">>From here"),
        (b">>>From here", b">>>>From here"),
        (b"From ", b">From "),
        (b"From", b"From"),
        (b"Fromage", b"Fromage"),
        (b"from here", b"from here"),
        (b" From here", b" From here"),
        (b"> From here", b"> From here"),
        (b"x From here", b"x From here"),
        (b">" * 5000 + b"From here", b">" * 5001 + b"From here"),
        (b"x" * 5000 + b"From here", b"x" * 5000 + b"From here"),
    ],
)
def test_a_line_that_looks_like_a_from_line_is_escaped_wherever_it_is_cut(line, stored):
    for text, expected in (
        (line, stored + b"\n\n"),
        (b"a\n" + line + b"\nb\n", b"a\n" + stored + b"\nb\n\n"),
    ):
        near = [text.find(b"From ") + offset for offset in range(-2, 7)]
        for cut in {0, 1, 2, 1500, len(text) - 1, *near}:
            pieces = [text[: max(cut, 0)], b"", text[max(cut, 0) :]]
            assert b"".join(mailbox._escaped(pieces)) == expected


@given(
    st.lists(st.sampled_from([b"From ", b"From", b"F", b"rom ", b">", b"\n", b"x", b" ", b""])),
    st.randoms(use_true_random=False),
)
def test_escaping_does_not_depend_on_where_a_message_is_cut(parts, random):
    text = b"".join(parts)
    cuts = sorted(random.randrange(len(text) + 1) for _ in range(3))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    expected = re.sub(rb"(?m)^(>*From )", rb">\1", text)
    end = b"\n" if expected.endswith(b"\n") or not expected else b"\n\n"
    assert b"".join(mailbox._escaped(pieces)) == expected + end


def test_a_reader_finds_the_messages_that_were_written(tmp_path):
    path = tmp_path / "alice"
    bodies = [b"Subject: 1\n\nFrom the start\n\nFrom \n", b"Subject: 2\n\nno end", b"\n\n\n"]
    for body in bodies:
        deliver_to_mbox(path, FROM, [body])
    assert len(stdlib_mailbox.mbox(path, create=False)) == len(bodies)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("before", [None, b"", FROM + b"\nold\n\n"])
def test_a_failure_in_the_middle_leaves_the_mailbox_as_it_was(tmp_path, error, before):
    path = tmp_path / "alice"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(type(error)):
        deliver_to_mbox(path, FROM, breaking(error, b"x" * 200_000))
    assert path.read_bytes() == (before or b"")
    assert files(tmp_path) == ["alice"]


def test_a_disk_that_fills_up_leaves_the_mailbox_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "alice"
    path.write_bytes(FROM + b"\nold\n\n")
    room = [150]
    write = os.write

    def tight_write(descriptor, data):
        written = write(descriptor, data[: room[0]])
        if data and not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", tight_write)
    with pytest.raises(OSError, match="No space left"):
        deliver_to_mbox(path, FROM, [b"y" * 100, b"z" * 100])
    monkeypatch.undo()
    assert path.read_bytes() == FROM + b"\nold\n\n"


def test_a_disk_that_takes_little_at_a_time_loses_nothing(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert (tmp_path / "alice").read_bytes() == FROM + b"\n" + MESSAGE + b"\n"


def test_a_failing_sync_leaves_the_mailbox_as_it_was(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert (tmp_path / "alice").read_bytes() == b""


# ---- locks


def test_a_dot_lock_of_a_living_process_is_respected(tmp_path):
    lock = tmp_path / "alice.lock"
    lock.write_text(f"{os.getpid()}\n")
    with pytest.raises(MailboxBusy):
        deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert files(tmp_path) == ["alice.lock"]


@pytest.mark.parametrize("text", ["", "0", "not a number", "-1", "1\n"])
def test_a_dot_lock_of_nobody_knows_whom_is_respected(tmp_path, text):
    (tmp_path / "alice.lock").write_text(text)
    with pytest.raises(MailboxBusy):
        deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert (tmp_path / "alice.lock").read_text() == text


def test_a_dot_lock_of_a_dead_process_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    (tmp_path / "alice.lock").write_text(f"{process.pid}\n")
    deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert files(tmp_path) == ["alice"]


def test_the_dot_lock_names_us_while_we_write_and_goes_afterwards(tmp_path):
    seen = []

    def looking():
        seen.append((tmp_path / "alice.lock").read_text())
        yield MESSAGE

    deliver_to_mbox(tmp_path / "alice", FROM, looking())
    assert seen == [f"{os.getpid()}\n"]
    assert files(tmp_path) == ["alice"]


def test_the_kernels_lock_of_another_process_is_respected(tmp_path):
    path = tmp_path / "alice"
    path.write_bytes(b"")
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(MailboxBusy):
            deliver_to_mbox(path, FROM, [MESSAGE])
        assert files(tmp_path) == ["alice"]
        holder.stdin.close()
    deliver_to_mbox(path, FROM, [MESSAGE])
    assert path.read_bytes().startswith(FROM)


def test_others_see_the_kernels_lock_while_we_write(tmp_path):
    path = tmp_path / "alice"
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b');"
        "fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    seen = []

    def looking():
        ended = subprocess.run([sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE)
        seen.append(b"BlockingIOError" in ended.stderr)
        yield MESSAGE

    deliver_to_mbox(path, FROM, looking())
    assert seen == [True]


def test_where_no_dot_lock_may_be_made_the_kernels_lock_has_to_do(tmp_path, monkeypatch):
    real_open = os.open

    def refusing(path, *rest, **more):
        if str(path).endswith(".lock"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
    deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert (tmp_path / "alice").read_bytes() == FROM + b"\n" + MESSAGE + b"\n"


# ---- what is no mailbox


def test_a_symbolic_link_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret\n")
    (tmp_path / "alice").symlink_to("secret")
    with pytest.raises(OSError):
        deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert (tmp_path / "secret").read_bytes() == b"secret\n"


def test_a_hard_link_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret\n")
    (tmp_path / "alice").hardlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="no regular file of one name"):
        deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert (tmp_path / "secret").read_bytes() == b"secret\n"


def test_a_named_pipe_and_a_folder_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "alice")
    (tmp_path / "bob").mkdir()
    for name in ("alice", "bob"):
        with pytest.raises(OSError):
            deliver_to_mbox(tmp_path / name, FROM, [MESSAGE])
    assert files(tmp_path) == ["alice", "bob"]


# ---- the program


def program(kind, path, unique, data, *ids):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "relaynode.mailers.mailbox",
            kind,
            str(path),
            unique,
            "",
            "again",
            *ids,
        ],
        input=data,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(SOURCE)},
    )


def test_the_program_delivers_a_message_that_came_in_pieces(tmp_path):
    data = frame(b"Subject: one\n") + frame(b"\nbody\n") + frame(b"")
    assert program("maildir", tmp_path / "Maildir", "1.a.host", data).returncode == 0
    assert program("mbox", tmp_path / "mbox", FROM.decode(), data).returncode == 0
    assert (tmp_path / "Maildir" / "new" / NAME).read_bytes() == MESSAGE
    assert (tmp_path / "mbox").read_bytes() == FROM + b"\n" + MESSAGE + b"\n"


def test_the_program_delivers_nothing_when_its_input_is_cut(tmp_path, monkeypatch, capsys):
    whole = frame(b"Subject: one\n") + frame(b"\nbody\n") + frame(b"")
    for cut in range(len(whole)):
        for kind, unique in (("maildir", "1.a.host"), ("mbox", FROM.decode())):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(whole[:cut])))
            path = tmp_path / kind
            assert mailbox._main([kind, str(path), unique, "", "again"]) == os.EX_TEMPFAIL
            assert "the message ended in its middle" in capsys.readouterr().err
    assert files(tmp_path / "maildir") == ["cur", "new", "tmp"]
    assert (tmp_path / "mbox").read_bytes() == b""


def test_the_program_says_what_hinders_it(tmp_path):
    (tmp_path / "alice.lock").write_text(f"{os.getpid()}\n")
    ended = program("mbox", tmp_path / "alice", FROM.decode(), frame(MESSAGE) + frame(b""))
    assert ended.returncode == os.EX_TEMPFAIL
    assert ended.stderr.decode() == f"{tmp_path}/alice.lock: the mailbox is locked\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_program_writes_with_the_rights_of_the_user_it_is_told_to_become(tmp_path):
    ended = program(
        "maildir", tmp_path / "Maildir", "x", frame(MESSAGE) + frame(b""), "65534", "65534"
    )
    assert ended.returncode == os.EX_TEMPFAIL
    assert b"Permission denied" in ended.stderr
    assert files(tmp_path) == []


def test_locks_are_given_back_when_the_program_is_killed(tmp_path):
    """The next delivery finds a dot-lock of a dead process and goes on."""
    command = [sys.executable, "-m", "relaynode.mailers.mailbox", "mbox", str(tmp_path / "alice")]
    with subprocess.Popen(
        [*command, FROM.decode(), "", "again"],
        stdin=subprocess.PIPE,
        env={"PYTHONPATH": str(SOURCE)},
    ) as process:
        process.stdin.write(frame(b"x" * 200_000))  # more than a pipe holds: it is writing by now
        process.stdin.flush()
        process.kill()
        process.wait()
    assert (tmp_path / "alice.lock").exists()
    deliver_to_mbox(tmp_path / "alice", FROM, [MESSAGE])
    assert (tmp_path / "alice").read_bytes().endswith(b"\n\n" + FROM + b"\n" + MESSAGE + b"\n")
    with (tmp_path / "alice").open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
