"""A node that is to deliver as others and has no monitor: its own user has started it. What must be
done as somebody else waits; it is not refused, and not done as the wrong one."""

import os
import pwd
import signal
import socket
import subprocess

import pytest

from relaynode.config.values import Mailbox
from relaynode.errors import TableError
from relaynode.mail.status import ok
from relaynode.mailers import as_others
from relaynode.mailers.as_others import Lent, MonitorClient, NoMonitor
from relaynode.mailers.as_user import write
from relaynode.mailers.locals import SystemLocals
from relaynode.mailers.monitor_words import FillMailbox, ReadForward, RunProgram
from relaynode.mailers.process import Program
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.users import Users

OTHER = pwd.getpwnam("nobody")
USERS = Users(Mailbox("/var/mail/{user}"), frozenset())


@pytest.fixture
def alone(monkeypatch):
    """We are the node's own user, whoever we are really."""
    monkeypatch.setattr(as_others, "_is_expected", True)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)


def test_a_mailbox_of_somebody_else_waits(alone, tmp_path):
    user = USERS.find("nobody")
    with pytest.raises(NoMonitor, match="root has started"):
        write(user, "mbox", tmp_path / "x", "From x", iter([b"x"]), wish=FillMailbox(b"x", b"x"))
    assert not list(tmp_path.iterdir())


def test_a_program_of_somebody_else_waits(alone, tmp_path):
    user = deliverer(USERS, "nobody", "")
    assert user.uid == OTHER.pw_uid
    command = ["/bin/sh", "-c", f"touch {tmp_path}/ran"]
    wish = RunProgram(b"", b"", b"")
    program = Program(command, "prog", taken=ok("done"), timeout_seconds=20, wish=wish)
    assert program.run(user, iter([])).status.is_temporary
    assert not list(tmp_path.iterdir())


def test_a_forward_that_cannot_be_looked_at_makes_the_mail_wait(alone, tmp_path, monkeypatch):
    def refuse(path, reader):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("relaynode.mailers.locals.read_safely", refuse)
    locals_ = SystemLocals(USERS, "bsd.home", (f"{tmp_path}/.forward",))
    with pytest.raises(TableError, match="root has started"):
        locals_.forward("nobody", "")


def test_a_node_that_was_never_to_deliver_as_others_has_no_monitor_and_wants_none():
    assert as_others.monitor() is None


# ---- what runs for us


def test_a_monitor_that_is_gone_is_trouble_that_may_pass():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with ours, pytest.raises(OSError):
        MonitorClient(ours).start(ReadForward(b"x", b""))


def test_how_it_ended_is_told_and_silence_is_a_failure_that_may_pass():
    for said, code in ((b"0", 0), (b"-9", -signal.SIGKILL), (b"", os.EX_TEMPFAIL)):
        ours, theirs = socket.socketpair()
        lent = Lent(ours, None, None)
        with pytest.raises(subprocess.TimeoutExpired):
            lent.wait(0)
        with theirs:
            theirs.send(said)
        assert lent.wait(20) == code
