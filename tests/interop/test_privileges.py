"""A node that root starts and that goes on as a user of its own; sockets that systemd opens;
`check --running`."""

import contextlib
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nodes import TestNode
from peers.processes import free_port, wait_until
from uucp_node import python_for_all

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root has rights to give up")
NODE_USER, READER = "daemon", "nobody"


class NodeForAll(TestNode):
    """Its commands run with a Python that the node's user may start again."""

    def command(self, *words):
        return [python_for_all(), *super().command(*words)[1:]]

    @property
    def environment(self):
        found = super().environment
        packages = [path for path in sys.path if path.endswith("-packages")]
        return {**found, "PYTHONPATH": os.pathsep.join([found["PYTHONPATH"], *packages])}


def site(node_keys=""):
    """A node whose folder the node's user may look into, and whose mail folder is everybody's."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    port = free_port()
    node = NodeForAll(
        folder,
        f'forward = ["{folder}/forward/{{user}}/.forward"]\n'
        f'[listen.lan]\nsmtp = ["127.0.0.1:{port}"]\nnetworks = ["127.0.0.0/8"]\n'
        "[limits]\nreceivers = 1\n",
        users=(),
        node_keys=node_keys,
        tables={"aliases": f'prog: "|id -un >{folder}/mail/ran"\n'},
    )
    (folder / "mail").mkdir()
    (folder / "mail").chmod(0o1777)
    node.port = port
    return node


@pytest.fixture(scope="module")
def node():
    """One daemon for all tests, started by root."""
    node = site(f'user = "{NODE_USER}"')
    with node.daemon() as daemon:
        node.daemon = daemon
        yield node
    shutil.rmtree(node.folder)


@pytest.fixture
def plain():
    """A node that stays who starts it."""
    node = site()
    yield node
    shutil.rmtree(node.folder)


def send(node, *recipients):
    with smtplib.SMTP("127.0.0.1", node.port) as client:
        client.sendmail("joe@bsd.home", recipients, "Subject: x\r\n\r\nhello\r\n")


def owners_of(pid):
    """Names of the users that a process and the processes it has started run as."""
    pids = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE)
    found = [pid, *map(int, pids.stdout.split())]
    return [pwd.getpwuid(Path(f"/proc/{one}").stat().st_uid).pw_name for one in found]


def rights_of(pid):
    """The lines of its status that tell ids, groups and capabilities."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if line[:3] in ("Uid", "Gid", "Gro", "Cap"))


@needs_root
def test_what_reads_the_network_has_none_of_roots_rights(node):
    (child,) = (
        Path(f"/proc/{node.daemon.process.pid}/task/{node.daemon.process.pid}/children")
        .read_text()
        .split()
    )
    found, user = rights_of(child), pwd.getpwnam(NODE_USER)
    assert set(found["Uid"].split()) == {str(user.pw_uid)}
    assert set(found["Gid"].split()) == {str(user.pw_gid)}
    groups = os.getgrouplist(NODE_USER, user.pw_gid)
    assert sorted(map(int, found["Groups"].split())) == sorted(groups)
    assert {found["CapPrm"], found["CapEff"]} == {"0" * 16}


@needs_root
def test_mail_is_delivered_as_its_user_and_the_spool_is_the_nodes(node):
    send(node, READER, "prog")
    mail = node.folder / "mail"
    assert wait_until(lambda: node.mails(READER) and (mail / "ran").exists(), 20), node.daemon.log()
    assert (mail / READER).owner() == READER
    assert (mail / "ran").owner() != "root"
    owners = {path.owner() for path in [node.folder / "spool", *(node.folder / "spool").rglob("*")]}
    assert owners == {NODE_USER}


@needs_root
def test_a_forward_in_a_home_that_only_its_user_may_enter_counts(node):
    home = node.folder / "forward" / "games"
    home.mkdir(parents=True)
    (home / ".forward").write_text(f"{READER}\n")
    account = pwd.getpwnam("games")
    for path in (home, home / ".forward"):
        os.chown(path, account.pw_uid, account.pw_gid)
    home.chmod(0o700)
    before = len(node.mails(READER))
    send(node, "games")
    assert wait_until(lambda: len(node.mails(READER)) > before, 20), node.daemon.log()
    assert not (node.folder / "mail" / "games").exists()


@needs_root
def test_a_receiver_has_none_of_roots_rights_and_reads_a_forward_as_its_user(node):
    with contextlib.ExitStack() as stack:

        def come(count):
            return [
                stack.enter_context(smtplib.SMTP("127.0.0.1", node.port, "client.example"))
                for _ in range(count)
            ]

        come(6)
        assert wait_until(lambda: "receiver 1 of 1 is ready" in node.daemon.log(), 20)
        user = pwd.getpwnam(NODE_USER)
        receivers = [
            one
            for one in processes_below(node.daemon.process.pid)
            if b"cli.receive" in command(one)
        ]
        assert [rights_of(one)["Uid"].split() for one in receivers] == [[str(user.pw_uid)] * 4]
        before = len(node.mails(READER))
        for client in come(4):  # which are the receiver's
            client.sendmail("joe@bsd.home", ["games"], "Subject: x\r\n\r\nhello\r\n")
        assert wait_until(lambda: len(node.mails(READER)) == before + 4, 20), node.daemon.log()


def processes_below(pid):
    children = [
        int(child)
        for one in Path(f"/proc/{pid}/task").glob("*/children")
        for child in one.read_text().split()
    ]
    return [*children, *(one for child in children for one in processes_below(child))]


def command(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@needs_root
def test_mail_for_root_waits_and_says_what_it_lacks(node):
    send(node, "root")
    assert wait_until(lambda: "give root an alias" in node.run("queue").stdout, 20)


@needs_root
def test_a_reload_listens_on_the_same_port_without_any_rights(node):
    os.kill(node.daemon.process.pid, signal.SIGHUP)
    assert wait_until(lambda: "configuration read again" in node.daemon.log(), 20)
    before = len(node.mails(READER))
    send(node, READER)
    assert wait_until(lambda: len(node.mails(READER)) > before, 20)


@needs_root
def test_commands_of_root_leave_nothing_of_roots_in_the_spool(node):
    assert node.sendmail("-odq", READER, stdin=b"Subject: y\n\nx\n").returncode == 0
    assert node.run("flush").returncode in (0, 75)
    owners = {path.owner() for path in (node.folder / "spool").rglob("*")}
    assert owners == {NODE_USER}


@needs_root
def test_without_the_daemon_sendmail_of_root_is_roots_mail_and_delivered():
    node = site(f'user = "{NODE_USER}"')
    try:
        ended = node.sendmail(READER, stdin=b"Subject: y\n\nx\n")
        assert (ended.returncode, ended.stderr) == (0, "")
        (mail,) = node.mails(READER)
        assert mail.startswith(b"Return-Path: <root@bsd.home>\n")
        assert (node.folder / "spool" / "queue.db").owner() == NODE_USER
    finally:
        shutil.rmtree(node.folder)


@needs_root
def test_a_spool_of_somebody_elses_is_refused_with_the_remedy():
    node = site(f'user = "{NODE_USER}"')
    try:
        (node.folder / "spool").mkdir()
        ended = node.run("serve")
        spool = node.folder / "spool"
        assert ended.returncode == 75
        assert f"{spool} belongs to root, and [node] user is {NODE_USER}" in ended.stderr
        assert ended.stderr.endswith(f"chown -R {NODE_USER} {spool}\n")
    finally:
        shutil.rmtree(node.folder)


@needs_root
@pytest.mark.parametrize("what", ["relaynode.toml", "tables"])
def test_a_node_that_could_change_what_its_monitor_believes_is_not_started(what):
    node = site(f'user = "{NODE_USER}"')
    try:
        shutil.chown(node.folder / what, NODE_USER)
        ended = node.run("serve")
        assert ended.returncode == 78
        assert f"{node.folder / what} may be changed by {NODE_USER}" in ended.stderr
    finally:
        shutil.rmtree(node.folder)


@needs_root
def test_check_looks_with_the_eyes_of_the_nodes_user():
    node = site(f'user = "{NODE_USER}"')
    try:
        path = node.password("accounts", "joe:x")
        with node.path.open("a") as file:
            file.write(f'[accounts]\npassword_file = "{path}"\n')
        told = node.run("check")
        assert (told.returncode, f"{path}: cannot be read: Permission denied" in told.stderr) == (
            78,
            True,
        )
        shutil.chown(path, NODE_USER)
        assert "Permission denied" not in node.run("check").stderr
    finally:
        shutil.rmtree(node.folder)


@needs_root
def test_a_daemon_whose_monitor_is_killed_ends():
    node = site(f'user = "{NODE_USER}"')
    with node.daemon() as daemon:
        os.kill(daemon.process.pid, signal.SIGKILL)
        assert wait_until(lambda: "stopped" in daemon.log(), 20)
        daemon.process.stop()
        daemon.process = None
    shutil.rmtree(node.folder)


# ---- systemd

ACTIVATE = """
import os, sys
for number, source in enumerate(sys.argv[1].split(","), start=3):
    os.dup2(int(source), number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(number - 2))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What systemd does between fork and exec."""


def test_sockets_that_systemd_hands_over_are_served_and_it_is_told_when(plain, tmp_path):
    with (
        socket.create_server(("127.0.0.1", plain.port)) as opened,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        passed = [opened.fileno(), other.fileno()]
        high = [os.dup2(one, 100 + one) for one in passed]
        with open(plain.folder / "daemon.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", ACTIVATE, ",".join(map(str, high)), *plain.command("serve")],
                pass_fds=high,
                env={**plain.environment, "NOTIFY_SOCKET": str(tmp_path / "notify")},
                stderr=log,
            )
        with contextlib.closing(os.fdopen(high[0], "rb", 0)), os.fdopen(high[1], "rb", 0):
            pass
        assert systemd.recv(100) == b"READY=1"
        send(plain, "postmaster@far.example")  # had it opened the port itself, it would be in use
        process.send_signal(signal.SIGHUP)
        log = plain.folder / "daemon.log"
        assert wait_until(lambda: "configuration read again" in log.read_text(), 20)
        send(plain, "postmaster@far.example")
        process.terminate()
        assert systemd.recv(100) == b"STOPPING=1"
        assert process.wait(20) == 0
        unclaimed = f"127.0.0.1:{other.getsockname()[1]} is open, and no [listen.NAME] has it"
        assert unclaimed in log.read_text()


# ---- check --running


def test_what_does_not_run_is_told_and_started_and_then_all_is_well_and_silent(plain):
    told = plain.run("check", "--running")
    spool = plain.folder / "spool"
    assert (told.returncode, told.stdout) == (69, "")
    assert told.stderr == f"daemon of {spool}: does not run\n"
    try:
        started = plain.run("check", "--running", "--start")
        assert (started.returncode, started.stderr) == (0, "daemon: did not run, and was started\n")
        quiet = plain.run("check", "--running", "--start")
        assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
        verbose = plain.run("check", "--running", "--verbose")
        assert verbose.stdout.splitlines() == [
            f"daemon of {spool}: runs",
            f"[listen.lan] 127.0.0.1:{plain.port}: runs",
        ]
    finally:
        os.kill(int((spool / "daemon.pid").read_text()), signal.SIGTERM)
        assert wait_until(lambda: not (spool / "daemon.pid").exists(), 20)


def test_a_daemon_that_does_not_answer_is_no_daemon_that_runs(plain, monkeypatch):
    from relaynode.cli import running

    monkeypatch.setattr(running, "CONNECT_SECONDS", 0.05)
    (plain.folder / "spool").mkdir()
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(plain.folder / "spool" / "control"))
        hung.listen()
        parts = list(running._parts(plain.config()))
    assert [part.trouble for part in parts] == ["runs, and does not answer within 0.05 s"]
