"""Programs that people fetch mail with at our POP3 server: all is fetched as it is, and deleted."""

import poplib
import re
import subprocess

import pytest

from nodes import TestNode
from peers.found import require
from peers.processes import free_port

COUNT = 500
USERS = ("fetchmail", "mpop", "getmail", "poplib")


def letter(number):
    """LF line ends, as it lies in a Maildir. Some are empty, long, 8-bit, or full of dots."""
    bodies = (b"", b".\n..\n.end\n", b"\xfcml\xe4ut\n", b"x" * 900 + b"\n", b"From here\n" * 500)
    return b"From: a@b.example\nSubject: number %d\n\n" % number + bodies[number % len(bodies)]


GETMAIL = """
import os, runpy, sys
from getmailcore.baseclasses import ForkingBase
ForkingBase._prepare_child = lambda self: None
ForkingBase._wait_for_child = lambda self, pid: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""getmail 6.18, but for one thing: it misses the end of a child that is quicker than itself, about
once in a thousand deliveries, and then waits for a minute."""

LETTERS = [letter(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A daemon that has COUNT mails for each user; some are seen already."""
    folder = tmp_path_factory.mktemp("node")
    port = free_port()
    sections = f'[listen.lan]\npop3 = ["127.0.0.1:{port}"]\n'
    sections += "".join(f'[user.{user}]\npassword_file = "password"\n' for user in USERS)
    node = TestNode(folder, sections, users=(*USERS, "postmaster"))
    node.password("password")
    for user in USERS:
        fill(node, user)
    with node.daemon() as daemon:
        daemon.port = port
        yield daemon


def fill(node, user):
    maildir = node.folder / "mail" / user
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True)
    for number, content in enumerate(LETTERS):
        part, flags = ("cur", ":2,S") if number % 7 == 0 else ("new", "")
        (maildir / part / f"{1_700_000_000 + number}.M{number}P1.host{flags}").write_bytes(content)


def run(found, *command, folder, **more):
    environment = found.environment | {"HOME": str(folder)} | more
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60
    )


def check(server, user, fetched):
    """All were fetched, in order, byte for byte; nothing is left."""
    assert len(fetched) == COUNT
    assert [one for one, right in zip(fetched, LETTERS, strict=True) if one != right] == []
    assert server.node.mails(user) == []


def in_maildir(folder):
    """What is in a Maildir, in the order of the letters' numbers."""
    files = [path.read_bytes() for path in (folder / "new").iterdir()]
    return sorted(files, key=lambda data: int(re.search(rb"number (\d+)", data)[1]))


def settings(folder, name, text):
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def test_fetchmail(server, tmp_path):
    found = require("fetchmail")
    rc = settings(
        tmp_path,
        "fetchmailrc",
        f"poll 127.0.0.1 protocol pop3 port {server.port} timeout 20\n"
        f'user fetchmail password secret sslproto "" fetchall no keep no rewrite\n'
        f"bsmtp {tmp_path}/batch\n",
    )
    ended = run(
        found, found.program("fetchmail"), "--nodetach", "--invisible", "-f", rc, folder=tmp_path
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    batch = (tmp_path / "batch").read_bytes().replace(b"\r\n", b"\n")
    texts = [part.partition(b"\n.\n")[0] for part in batch.split(b"\nDATA\n")[1:]]
    fetched = [(text + b"\n").replace(b"\n..", b"\n.") for text in texts]
    check(server, "fetchmail", fetched)


def test_mpop(server, tmp_path):
    found = require("mpop")
    for part in ("tmp", "new", "cur"):
        (tmp_path / "maildir" / part).mkdir(parents=True)
    rc = settings(
        tmp_path,
        "mpoprc",
        f"account a\nhost 127.0.0.1\nport {server.port}\nuser mpop\npassword secret\n"
        f"auth user\ntls off\nkeep off\nreceived_header off\nuidls_file {tmp_path}/uidls\n"
        f"delivery maildir {tmp_path}/maildir\n",
    )
    ended = run(found, found.program("mpop"), "-q", "-C", rc, "a", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    check(server, "mpop", in_maildir(tmp_path / "maildir"))


def test_getmail(server, tmp_path):
    found = require("getmail")
    keep = f"cat >>{tmp_path}/all; echo end >>{tmp_path}/all"
    rc = settings(
        tmp_path,
        "getmailrc",
        f"[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {server.port}\n"
        "username = getmail\npassword = secret\n"
        f'[destination]\ntype = MDA_external\npath = /bin/sh\narguments = ("-c", "{keep}")\n'
        "allow_root_commands = true\n"
        "[options]\ndelete = true\nread_all = true\ndelivered_to = false\nreceived = false\n",
    )
    modules = str(found.path("/usr/lib/python3/dist-packages"))
    program = ("/usr/bin/python3", "-c", GETMAIL, found.program("getmail"))
    command = (*program, "--getmaildir", tmp_path, "--rcfile", rc)
    ended = run(found, *command, folder=tmp_path, PYTHONPATH=modules)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    own = b"Return-Path: <unknown>\n"
    texts = (tmp_path / "all").read_bytes().split(b"end\n" + own)
    texts[0] = texts[0].removeprefix(own)
    texts[-1] = texts[-1].removesuffix(b"end\n")
    check(server, "getmail", texts)


def test_poplib(server):
    pop = poplib.POP3("127.0.0.1", server.port, timeout=20)
    pop.user("poplib")
    pop.pass_("secret")
    sizes = [int(line.split()[1]) for line in pop.list()[1]]
    uids = [line.split()[1] for line in pop.uidl()[1]]
    assert len(set(uids)) == COUNT
    assert pop.stat() == (COUNT, sum(sizes))
    fetched = []
    for number in range(1, COUNT + 1):
        _, lines, size = pop.retr(number)
        fetched.append(b"\n".join([*lines, b""]))
        assert size == sizes[number - 1] == len(fetched[-1]) + fetched[-1].count(b"\n")
        pop.dele(number)
    pop.quit()
    check(server, "poplib", fetched)
