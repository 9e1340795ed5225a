"""The program mailer and the file mailer: as whom, with what input, and what an end means."""

import asyncio
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from relaynode.config.values import Mailbox
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mailers.file import FileMailer
from relaynode.mailers.mailer import Consignment
from relaynode.mailers.process import MAX_OUTPUT_BYTES
from relaynode.mailers.program import ProgramMailer
from relaynode.mailers.users import Users
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.queue.content import Content
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient

NOW = 1_800_000_000.0
HOME = Masquerade(names=Names(hostname="bsd.home"))
CONTENT = b"From: joe@far.example\r\nTo: list\r\n\r\nbody\r\nFrom me\r\n"
OURSELVES = pwd.getpwuid(os.geteuid())
is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="only root becomes somebody else")


@pytest.fixture
def folder():
    """A folder that a program may write to, whoever it runs as."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def delivery(*recipients, content=CONTENT, sender="joe@far.example"):
    if isinstance(content, bytes):
        content = Content.of(content)
    queued = tuple(QueuedRecipient(number, one) for number, one in enumerate(recipients, 1))
    message = QueuedMessage(
        "A1",
        MessageState.QUEUED,
        NOW,
        "test",
        Envelope(sender, recipients),
        content.size_bytes,
        queued,
    )
    return Delivery(message, queued, b"Received: r\r\n", content)


def deliver(mailer, one):
    attempts = []

    async def consignments():
        yield Consignment(one, tuple(r.forward_path.address for r in one.recipients))

    async def report(some):
        attempts.extend(some)

    asyncio.run(mailer.deliver(consignments(), report))
    return attempts


def users():
    return Users(Mailbox.parse("/var/mail/{user}"), frozenset())


def run(command, *, run_as="", timeout_seconds=60, content=CONTENT, sender="joe@far.example"):
    """The attempt of one command, by the default user."""
    mailer = ProgramMailer(users(), masquerade=HOME, timeout_seconds=timeout_seconds)
    recipient = Recipient(f"|{command}", mailer="prog", run_as=run_as)
    (attempt,) = deliver(mailer, delivery(recipient, content=content, sender=sender))
    return attempt


# ---- input and surroundings


def test_a_program_gets_a_from_line_and_the_message_with_unix_line_ends(folder):
    assert run(f"cat > {folder}/in").status.is_success
    first, _, rest = (folder / "in").read_bytes().partition(b"\n")
    assert first.startswith(b"From joe@far.example ")
    assert rest == b"Received: r\nFrom: joe@far.example\nTo: list\n\nbody\nFrom me\n"


def test_the_null_path_is_shown_as_its_daemon(folder):
    run(f"cat > {folder}/in", sender="")
    assert (folder / "in").read_bytes().startswith(b"From MAILER-DAEMON ")


def test_its_environment_is_small(folder, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("TZ", "UTC")
    run(f"env > {folder}/env")
    names = {line.partition("=")[0] for line in (folder / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"AGENT", "PATH", "TZ"}


def test_a_program_of_an_alias_runs_in_the_root_folder(folder):
    run(f"pwd > {folder}/pwd; umask >> {folder}/pwd")
    assert (folder / "pwd").read_text() == "/\n0022\n"


@pytest.mark.skipif(is_root, reason="root runs nothing as itself")
def test_a_program_of_a_user_runs_in_his_home(folder):
    run(f"pwd > {folder}/pwd", run_as=OURSELVES.pw_name)
    assert (folder / "pwd").read_text() == f"{OURSELVES.pw_dir}\n"


def test_nothing_of_the_message_gets_into_the_command(folder):
    hostile = f"x`touch {folder}/a`;touch {folder}/b"
    content = f"From: $(touch {folder}/c)\r\n\r\n`touch {folder}/d`\r\n".encode()
    assert run("cat > /dev/null", sender=hostile, content=content).status.is_success
    assert list(folder.iterdir()) == []


# ---- how it ends


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, "250 2.0.0 delivered to program"),
        (1, "554 5.3.0 unknown mailer error 1"),
        (127, "554 5.3.0 unknown mailer error 127"),
        (64, "500 5.0.0 Command line usage error"),
        (65, "501 5.6.0 Data format error"),
        (67, "550 5.1.1 User unknown"),
        (69, "554 5.0.0 Service unavailable"),
        (71, "451 4.0.0 Operating system error"),
        (75, "451 4.0.0 prog mailer (/bin/sh) exited with EX_TEMPFAIL"),
        (77, "550 5.0.0 Insufficient permission"),
    ],
)
def test_exit_codes_mean_what_sysexits_says(code, status):
    attempt = run(f"cat > /dev/null; exit {code}")
    assert str(attempt.status) == status
    assert attempt.relay == "prog"


def test_a_program_that_is_killed_is_tried_again():
    assert str(run("kill -9 $$").status) == "451 4.3.0 mailer prog died with signal 9"


def test_a_program_that_is_not_there_fails():
    assert run("/nonexistent/x").status.is_permanent


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(folder):
    attempt = run(f"(sleep 60; touch {folder}/late) & wait", timeout_seconds=0.2)
    assert attempt.status.is_temporary
    assert "took longer than 0.2 seconds" in attempt.status.text
    assert list(folder.iterdir()) == []


def test_a_program_need_not_read_its_input():
    assert run("exit 0", content=b"\r\n" + b"x" * 1_000_000).status.is_success
    assert run("exit 69", content=b"\r\n" + b"x" * 1_000_000).status.is_permanent


def test_what_it_prints_is_told_but_not_without_end():
    attempt = run("echo one; echo two >&2; exit 1")
    assert attempt.dialogue == ("one", "two")
    attempt = run("head -c 1000000 /dev/zero | tr '\\0' x; exit 1")
    assert sum(map(len, attempt.dialogue)) == MAX_OUTPUT_BYTES


def test_what_it_left_running_does_not_hold_us():
    assert run("sleep 30 & exit 0").status.is_success


def test_a_message_that_is_cut_short_is_not_taken_for_whole(folder):
    short = folder / "content"
    short.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 200_000)
    attempt = run(
        f"cat > {folder}/got && touch {folder}/whole", content=Content(400_000, path=short)
    )
    assert attempt.status.is_temporary
    assert not (folder / "whole").exists()


# ---- as whom


@needs_root
def test_a_program_of_an_alias_is_never_root_s(folder):
    run(f"id -u > {folder}/id; id -G >> {folder}/id")
    uid, groups = (folder / "id").read_text().splitlines()
    assert uid != "0"
    assert "0" not in groups.split()


@needs_root
def test_a_program_of_a_user_runs_as_him_and_in_his_home(folder):
    run(f"id -un > {folder}/id; pwd >> {folder}/id", run_as="nobody")
    home = pwd.getpwnam("nobody").pw_dir
    shown = home if Path(home).is_dir() else "/"
    assert (folder / "id").read_text() == f"nobody\n{shown}\n"


@needs_root
def test_a_program_of_root_s_own_forward_is_the_default_user_s(folder):
    run(f"id -u > {folder}/id", run_as="root")
    assert (folder / "id").read_text() != "0\n"


@needs_root
def test_a_user_who_is_gone_has_no_programs():
    attempt = run("true", run_as="no-such-user")
    assert attempt.status.is_permanent


@pytest.mark.skipif(is_root, reason="root becomes anybody")
def test_who_is_not_root_runs_no_programs_of_others():
    other = next(one for one in pwd.getpwall() if one.pw_uid != os.geteuid())
    attempt = run("true", run_as=other.pw_name)
    assert attempt.status.enhanced == "5.7.1"


# ---- files


def append(path, *, run_as="", content=CONTENT):
    mailer = FileMailer(users(), masquerade=HOME)
    recipient = Recipient(str(path), mailer="*file*", run_as=run_as)
    (attempt,) = deliver(mailer, delivery(recipient, content=content))
    return attempt


def test_a_file_gets_messages_one_behind_the_other(folder):
    assert append(folder / "box").status.is_success
    assert append(folder / "box").status.is_success
    text = (folder / "box").read_bytes()
    assert text.count(b"From joe@far.example ") == 2
    assert text.count(b"\nReturn-Path: <joe@far.example>\nReceived: r\n") == 2
    assert text.count(b"\nbody\n>From me\n\n") == 2
    assert stat.S_IMODE((folder / "box").stat().st_mode) == 0o600


def test_nothing_is_kept_of_what_goes_nowhere():
    assert str(append("/dev/null").status) == "250 2.0.0 delivered to /dev/null"


def test_a_file_that_is_none_is_refused(folder):
    (folder / "dir").mkdir()
    (folder / "link").symlink_to("target")
    (folder / "program").touch()
    (folder / "program").chmod(0o777)
    os.mkfifo(folder / "fifo")
    for name in ("dir", "link", "program", "missing/box", "fifo"):
        status = append(folder / name).status
        assert str(status) == f"550 5.2.0 {folder / name}: Can't create output"
    assert not (folder / "missing").exists()
    assert not (folder / "target").exists()


def test_a_file_that_is_locked_is_tried_again(folder):
    (folder / "box.lock").write_text(f"{os.getpid()}\n")
    status = append(folder / "box").status
    assert status.is_temporary
    assert "locked" in status.text


@needs_root
def test_a_file_belongs_to_the_user_it_was_written_for(folder):
    append(folder / "box", run_as="nobody")
    assert (folder / "box").stat().st_uid == pwd.getpwnam("nobody").pw_uid


@needs_root
def test_root_writes_nothing_where_the_user_may_not(folder):
    (folder / "closed").mkdir(mode=0o700)
    assert append(folder / "closed" / "box", run_as="nobody").status.is_permanent
    assert list((folder / "closed").iterdir()) == []
