"""What other people's programs do with our local mail: maildrop files it, vacation answers it, mutt
reads it."""

import asyncio
import errno
import json
import os
import pwd
import select
import shlex
import shutil
import subprocess
import sysconfig

import pytest

from nodes import SOURCE, TestNode, body_of
from peers import folders
from peers.found import leave_out, require
from peers.processes import wait_until
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit
from uucp_node import python_for_all

US = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
LETTER = b"From: Bob <bob@far.example>\nTo: %s\nSubject: %s\n\n.\nFrom here\n\xe4\xff\nbody\n"


@pytest.fixture
def home(tmp_path):
    """A folder that our user owns, with all that leads to it open."""
    folder = folders.make_home("programs")
    folders.give(folder, 0o755, US.pw_uid, US.pw_gid)
    yield folder
    folders.leave_home(folder, tmp_path / "kept", drop=())


def letter(subject, to=f"{US.pw_name}@bsd.home"):
    return LETTER % (to.encode(), subject.encode())


def send(node, recipient, content):
    """Hand in and deliver, in this process. Gives the recipient as the queue knows it then."""

    async def pieces():
        yield content

    async def play():
        opened = node.open()
        try:
            options = SendmailOptions(
                recipients=[recipient], ignores_dots=True, sender="bob@far.example"
            )
            submission = await submit(
                opened.intake, options, Submitter("root"), pieces(), "bsd.home"
            )
            await opened.links.run_due(None)
            return (await opened.store.message(submission.queue_id)).recipients[0]
        finally:
            await opened.close()

    return asyncio.run(play())


# ---- maildrop

FILTER = """\
DEFAULT="{home}/inbox"
DETAIL="$1"
if (/^Subject: refused/)
{{
  EXITCODE=67
  exit
}}
if (/^Subject: later/)
{{
  EXITCODE=75
  exit
}}
if ($DETAIL eq "lists")
  to "{home}/lists/"
"""


def test_maildrop_files_by_detail_and_its_exit_codes_count(tmp_path, home):
    found = require("maildrop")
    # Debian's is set-group-id, and such a program does not find unpacked libraries.
    program = shutil.copy(found.program("maildrop"), home / "maildrop")
    program.chmod(0o755)
    rules = folders.write(home / "filter", FILTER.format(home=home))
    folders.give(rules, 0o600, US.pw_uid)  # or it is not believed
    for part in ("lists", "lists/tmp", "lists/new", "lists/cur"):
        folders.make_folder(home / part, 0o700, US.pw_uid)
    libraries = found.environment.get("LD_LIBRARY_PATH", "")
    words = ("/usr/bin/env", f"LD_LIBRARY_PATH={libraries}", program, rules, "{detail}")
    command = ", ".join(f'"{word}"' for word in words)
    node = TestNode(tmp_path / "node", f"command = [{command}]\ncommand_from_line = false\n")
    for name, subject in ((f"{US.pw_name}+lists", "one"), (US.pw_name, "two")):
        status = send(node, name, letter(subject)).last_status
        assert status.is_success, status
    (listed,) = (home / "lists" / "new").iterdir()
    assert listed.read_bytes().startswith(b"Return-Path: <bob@far.example>\n")
    assert body_of(listed.read_bytes()) == body_of(letter("one"))
    inbox = (home / "inbox").read_bytes()
    assert inbox.count(b"\nSubject: ") == inbox.count(b"\nSubject: two\n") == 1
    assert str(send(node, US.pw_name, letter("refused")).last_status).startswith("550 5.1.1")
    assert send(node, US.pw_name, letter("later")).last_status.is_temporary


# ---- vacation

ANSWER = "Subject: away\nPrecedence: bulk\n\nI am on holiday.\n"

SENDMAIL = """\
#!/bin/sh
unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
export RELAYNODE_CONFIG={config} PYTHONPATH={path}
exec {python} -IS {launcher} "$@"
"""


def vacation(home):
    """A program that answers for our user, whose home it takes for `home`."""
    found, wrapper = require("vacation"), require("openssh-server")
    if not found.is_unpacked:
        leave_out("the vacation of this system would send its replies by the system's sendmail")
    (library,) = wrapper.root.glob("usr/lib/*/libnss_wrapper.so")
    line = f"{US.pw_name}:x:{US.pw_uid}:{US.pw_gid}::{home}:/bin/sh\n"
    folders.write(home / "passwd", line)
    folders.write(home / "group", f"nogroup:x:{US.pw_gid}:\n")
    environment = {
        "LD_PRELOAD": library,
        "NSS_WRAPPER_PASSWD": home / "passwd",
        "NSS_WRAPPER_GROUP": home / "group",
    }
    words = [f"{name}={value}" for name, value in environment.items()]
    command = shlex.join(["exec", "env", *words, str(found.program("vacation")), "-d", US.pw_name])
    return folders.write(home / "answer", f"#!/bin/sh\n{command}\n", 0o755)


def waiting(node):
    return json.loads(node.run("queue", "--json").stdout)


def test_vacation_behind_an_alias_answers_once_and_the_mail_is_kept(tmp_path, home):
    command = vacation(home)
    folders.give(folders.write(home / ".vacation.msg", ANSWER), 0o644, US.pw_uid)
    aliases = f'{US.pw_name}: \\{US.pw_name}, "|{command}"\n'
    node = TestNode(
        home / "node",
        f'default_user = "{US.pw_name}"\n',
        users=("user",),
        tables={"aliases": aliases},
    )
    path = f"{SOURCE}:{sysconfig.get_path('purelib')}"
    launcher = node.launcher()
    python = python_for_all()  # vacation's user runs it
    text = SENDMAIL.format(config=node.path, path=path, python=python, launcher=launcher)
    folders.write(home / "sendmail", text, 0o755)
    folders.make_folder(node.folder / "mail", 0o755, US.pw_uid)
    with node.daemon():
        for subject in ("one", "two"):
            subprocess.run(
                [launcher, "-i", "-f", "bob@far.example", US.pw_name],
                input=letter(subject),
                env=node.environment,
                check=True,
                timeout=60,
            )
        assert wait_until(lambda: len(node.mails(US.pw_name)) == 2, 10)
        # Both programs have ended when nothing waits but for what they have sent.
        us = f"{US.pw_name}@bsd.home"
        assert wait_until(lambda: {one["sender"] for one in waiting(node)} == {us}, 30)
    (answer,) = waiting(node)
    assert [one["address"] for one in answer["recipients"]] == ["bob@far.example"]
    assert answer["source"] == f"local {US.pw_name}"


# ---- mutt

SETTINGS = "set pipe_decode=no wait_key=no quit=yes mark_old=no mbox_type=mbox\n"


def read_by_mutt(folder, mailbox, count):
    """What mutt pipes to a program, message by message, from a terminal of its own."""
    found = require("mutt")
    settings = folders.write(folder / "muttrc", SETTINGS)
    keys = [f"{n}<enter><pipe-message>cat > {folder}/{n}<enter>" for n in range(1, count + 1)]
    words = (*("-n", "-R", "-F", settings, "-f", mailbox), "-e", f'push "{"".join(keys)}<exit>"')
    ours, theirs = os.openpty()
    environment = found.environment | {"TERM": "vt100", "HOME": str(folder)}
    with (
        open(ours, "rb", buffering=0) as screen,
        subprocess.Popen(
            [found.program("mutt"), *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        os.close(theirs)
        try:
            while select.select([screen], [], [], 20)[0] and screen.read(4096):
                pass
        except OSError as error:
            assert error.errno == errno.EIO  # how Linux tells that the other end is closed
        finally:
            process.kill()
    return [(folder / str(n)).read_bytes() for n in range(1, count + 1)]


@pytest.mark.parametrize("slash", ["/", ""], ids=["Maildir", "mbox"])
def test_mutt_reads_what_we_delivered(tmp_path, slash):
    node = TestNode(tmp_path / "node")
    text = node.path.read_text()
    node.path.write_text(text.replace('/mail/{user}/"', f'/mail/{{user}}{slash}"'))
    for subject in ("one", "two"):
        assert send(node, "user", letter(subject, "user@bsd.home")).last_status.is_success
    folder = tmp_path / "mutt"
    folder.mkdir()
    read = read_by_mutt(folder, node.folder / "mail" / "user", 2)
    read.sort(key=lambda mail: mail.partition(b"\nSubject: ")[2])  # of one second, in any order
    for subject, mail in zip((b"one", b"two"), read, strict=True):
        assert b"\nSubject: " + subject + b"\n" in mail
        assert mail.count(b"\nSubject: ") == 1
        written = body_of(letter(""))
        assert body_of(mail) == (written if slash else written.replace(b"\nFrom ", b"\n>From "))
