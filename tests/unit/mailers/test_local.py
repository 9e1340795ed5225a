"""The local mailer: into the mailboxes of real users and of configured ones."""

import asyncio
import errno
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from relaynode.config.values import Mailbox
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import temporary
from relaynode.mailers import as_user, mailbox
from relaynode.mailers.local import LocalMailer
from relaynode.mailers.mailer import Consignment
from relaynode.mailers.users import Users
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.queue.content import Content
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient

NOW = 1_800_000_000.0
HOME = Masquerade(names=Names(hostname="bsd.home"), as_domain="example.net", all_headers=True)
CONTENT = b"From: joe\r\nTo: alice@bsd.home\r\n\r\nbody\r\n"
STORED = b"From: joe\nTo: alice@example.net\n\nbody\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root delivers for other users")


def delivery(
    content=CONTENT,
    sender="joe@far.example",
    names=("alice",),
    trace=b"",
    queue_id="A1",
    **tried,
):
    """`tried`: what the queue knows of earlier tries."""
    if isinstance(content, bytes):
        content = Content.of(content)
    recipients = tuple(
        QueuedRecipient(id, Recipient(name), **tried) for id, name in enumerate(names, 1)
    )
    envelope = Envelope(sender, tuple(one.forward_path for one in recipients))
    message = QueuedMessage(
        queue_id, MessageState.QUEUED, NOW, "test", envelope, content.size_bytes, recipients
    )
    return Delivery(message, recipients, trace, content)


def deliver(users, *deliveries):
    """The statuses of all recipients, by name, as texts."""
    statuses = {}

    async def consignments():
        for one in deliveries:
            yield Consignment(one, tuple(r.forward_path.address for r in one.recipients))

    async def report(attempts):
        for attempt in attempts:
            statuses[attempt.recipient.forward_path.address] = attempt

    mailer = LocalMailer(users, hostname="bsd.home", masquerade=HOME)
    asyncio.run(mailer.deliver(consignments(), report))
    return statuses


def only_status(users, one):
    (attempt,) = deliver(users, one).values()
    return attempt.status


@pytest.fixture
def maildirs(tmp_path):
    """Users alice and bob, whose Maildirs are in `tmp_path`."""
    return Users(Mailbox.parse(f"{tmp_path}/{{user}}/"), frozenset({"alice", "bob"}))


@pytest.fixture
def mboxes(tmp_path):
    return Users(Mailbox.parse(f"{tmp_path}/{{user}}"), frozenset({"alice", "bob"}))


def mails(folder):
    return [path.read_bytes() for path in sorted((folder / "new").iterdir())]


# ---- who


def test_a_known_user_gets_the_mail(maildirs, tmp_path):
    attempt = deliver(maildirs, delivery())["alice"]
    assert str(attempt.status) == "250 2.0.0 delivered to maildir of alice"
    assert (attempt.relay, attempt.in_doubt) == ("maildir", False)
    assert mails(tmp_path / "alice") == [b"Return-Path: <joe@far.example>\n" + STORED]


def test_names_are_found_in_any_case_and_with_a_detail(maildirs, tmp_path):
    names = ("Alice", "ALICE+lists", "bob+x+y")
    assert all(a.status.is_success for a in deliver(maildirs, delivery(names=names)).values())
    assert len(mails(tmp_path / "alice")) == 2
    assert len(mails(tmp_path / "bob")) == 1


def test_a_detail_is_a_folder_of_the_maildir_if_there_is_one(maildirs, tmp_path):
    for part in ("tmp", "new", "cur"):
        (tmp_path / "alice" / ".lists" / part).mkdir(parents=True)
    deliver(maildirs, delivery(names=("alice+lists", "alice+other", "bob+lists")))
    assert len(mails(tmp_path / "alice" / ".lists")) == 1
    assert len(mails(tmp_path / "alice")) == 1
    assert len(mails(tmp_path / "bob")) == 1


def test_an_unknown_user_fails_for_good_and_the_others_have_their_mail(maildirs, tmp_path):
    statuses = deliver(maildirs, delivery(names=("alice", "nosuch", "bob")))
    assert str(statuses["nosuch"].status) == "550 5.1.1 <nosuch>... User unknown"
    assert statuses["alice"].status.is_success
    assert statuses["bob"].status.is_success
    assert len(mails(tmp_path / "alice")) == len(mails(tmp_path / "bob")) == 1


@pytest.mark.parametrize("name", ["", "no\0such", "../etc", "a@b", "+", "\udcff", "x" * 500])
def test_a_name_that_nobody_can_have_is_unknown(maildirs, name):
    assert only_status(maildirs, delivery(names=(name,))).enhanced == "5.1.1"


def test_a_user_of_the_system_is_known(tmp_path):
    users = Users(Mailbox.parse(f"{tmp_path}/{{user}}/"), frozenset())
    me = pwd.getpwuid(os.geteuid())
    assert only_status(users, delivery(names=(me.pw_name.upper(),))).is_success
    assert len(mails(tmp_path / me.pw_name)) == 1
    assert users.find(me.pw_name).home == Path(me.pw_dir)


def test_a_configured_name_is_known_in_any_case_and_may_have_a_plus(tmp_path):
    users = Users(Mailbox.parse(f"{tmp_path}/{{user}}/"), frozenset({"Visitor", "a", "a+b"}))
    names = ("VISITOR", "a+b", "a+c")
    assert all(a.status.is_success for a in deliver(users, delivery(names=names)).values())
    assert {path.name: len(mails(path)) for path in tmp_path.iterdir()} == {
        "visitor": 1,
        "a+b": 1,
        "a": 1,
    }


def test_a_configured_name_has_no_mailbox_where_mailboxes_are_in_homes():
    users = Users(Mailbox.parse("~/Maildir/"), frozenset({"nosuchname"}))
    assert not users.exists("nosuchname")


# ---- what


def test_return_path_stands_first_and_is_empty_for_the_null_path(maildirs, tmp_path):
    deliver(maildirs, delivery(sender="", trace=b"Received: r\r\n"))
    assert mails(tmp_path / "alice") == [b"Return-Path: <>\nReceived: r\n" + STORED]


def test_a_name_without_domain_is_not_given_one_in_the_header(maildirs, tmp_path):
    deliver(maildirs, delivery(b"From: joe\r\nTo: bob, x@far.example\r\n\r\n"))
    assert b"From: joe\nTo: bob, x@far.example\n" in mails(tmp_path / "alice")[0]


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (b"one\r\ntwo\r\n", b"one\ntwo\n"),
        (b"no line end", b"no line end"),
        (b"\r\n\r\n", b"\n\n"),
        (b"", b""),
        (b"bare\rcr and\nlf\r\r\n", b"bare\rcr and\nlf\r\n"),
        (b"ends with a cr\r", b"ends with a cr\r"),
        (b"\0\xff\x80 any bytes \x1a", b"\0\xff\x80 any bytes \x1a"),
        (b"From here\r\n", b"From here\n"),
    ],
)
def test_line_ends_become_those_of_unix_and_nothing_else_changes(maildirs, tmp_path, body, stored):
    deliver(maildirs, delivery(b"Subject: x\r\n\r\n" + body))
    assert mails(tmp_path / "alice") == [b"Return-Path: <joe@far.example>\nSubject: x\n\n" + stored]


def test_a_long_message_is_stored_whole(maildirs, tmp_path):
    file = tmp_path / "content"
    file.write_bytes(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 20_000)
    content = Content(file.stat().st_size, path=file)
    deliver(maildirs, delivery(content))
    assert mails(tmp_path / "alice")[0].endswith(b"\n\n" + b"0123456789\n" * 20_000)


def test_an_mbox_gets_a_from_line_of_the_arrival(mboxes, tmp_path, monkeypatch):
    attempt = deliver(mboxes, delivery())["alice"]
    assert str(attempt.status) == "250 2.0.0 delivered to mbox of alice"
    first, _, rest = (tmp_path / "alice").read_bytes().partition(b"\n")
    assert re.fullmatch(rb"From joe@far.example \w{3} Jan 1[45] \d\d:\d\d:\d\d 2027", first)
    assert rest == b"Return-Path: <joe@far.example>\n" + STORED + b"\n"


@pytest.mark.parametrize(
    ("sender", "shown"),
    [("", b"MAILER-DAEMON"), ('"a b"@x.example', b'"ab"@x.example'), ("é@x", "é@x".encode())],
)
def test_the_from_line_names_the_sender_without_blanks(mboxes, tmp_path, sender, shown):
    assert only_status(mboxes, delivery(sender=sender)).is_success
    assert (tmp_path / "alice").read_bytes().startswith(b"From " + shown + b" ")


# ---- once


@pytest.mark.parametrize("tried", [{"in_doubt": True}, {"last_status": temporary("disk")}])
def test_a_delivery_that_is_repeated_after_a_crash_is_found_to_be_there(maildirs, tmp_path, tried):
    for more in ({}, tried):
        assert only_status(maildirs, delivery(**more)).is_success
    (file,) = (tmp_path / "alice" / "new").iterdir()
    file.rename(tmp_path / "alice" / "cur" / f"{file.name}:2,S")
    assert only_status(maildirs, delivery(**tried)).is_success
    assert mails(tmp_path / "alice") == []


@needs_root
def test_one_in_a_users_own_mailbox_is_found_by_the_user(of_nobody, open_folder):
    assert only_status(of_nobody, delivery(names=("nobody",))).is_success
    (file,) = (open_folder / "spool" / "nobody" / "new").iterdir()
    file.rename(open_folder / "spool" / "nobody" / "cur" / f"{file.name}:2,S")
    assert only_status(of_nobody, delivery(names=("nobody",), in_doubt=True)).is_success
    assert mails(open_folder / "spool" / "nobody") == []


def test_the_first_try_does_not_list_the_mailbox(maildirs, monkeypatch):
    def looked(folder, unique):
        raise AssertionError("a big mailbox would make this slow")

    monkeypatch.setattr(mailbox, "_was_delivered", looked)
    assert only_status(maildirs, delivery()).is_success


def test_two_recipients_that_are_one_user_and_two_messages_are_not_mixed_up(maildirs, tmp_path):
    deliver(maildirs, delivery(names=("alice", "alice+x")), delivery(queue_id="A2"))
    assert len(mails(tmp_path / "alice")) == 3


def test_a_file_name_has_nothing_of_the_hostname_that_maildir_forbids(tmp_path):
    users = Users(Mailbox.parse(f"{tmp_path}/{{user}}/"), frozenset({"alice"}))
    mailer = LocalMailer(users, hostname="a/b:c d", masquerade=HOME)
    assert mailer._unique(delivery(), 7) == "1800000000.A1R7.a_b_c_d"


# ---- trouble


def test_a_full_disk_is_temporary(maildirs, monkeypatch):
    def full(folder, *_, **more):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr(as_user, "deliver_to_maildir", full)
    status = only_status(maildirs, delivery())
    assert status.is_temporary
    assert status.enhanced == "4.2.0"
    assert "No space left on device" in status.text


def test_a_locked_mailbox_is_temporary(mboxes, tmp_path):
    (tmp_path / "alice.lock").write_text(f"{os.getpid()}\n")
    status = only_status(mboxes, delivery())
    assert str(status) == f"451 4.2.0 {tmp_path}/alice.lock: the mailbox is locked"


def test_a_folder_that_cannot_be_made_is_temporary(maildirs, tmp_path):
    (tmp_path / "alice").write_text("in the way")
    assert only_status(maildirs, delivery()).is_temporary


def test_content_that_cannot_be_read_is_temporary_and_leaves_nothing(maildirs, mboxes, tmp_path):
    short = tmp_path / "content"
    short.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 100_000)
    for users, name in ((maildirs, "alice"), (mboxes, "bob")):
        lost = delivery(Content(200_000, path=short), names=(name,))
        status = only_status(users, lost)
        assert (status.is_temporary, status.enhanced) == (True, "4.3.0")
    assert mails(tmp_path / "alice") == []
    assert (tmp_path / "bob").read_bytes() == b""


# ---- as root, for somebody else

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def open_folder():
    """A folder that nobody may use; tmp_path lies below a folder that is root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="relaynode-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def of_nobody(open_folder):
    """Users whose Maildirs lie in a folder that belongs to nobody."""
    spool = open_folder / "spool"
    spool.mkdir()
    os.chown(spool, NOBODY.pw_uid, NOBODY.pw_gid)
    return Users(Mailbox.parse(f"{spool}/{{user}}/"), frozenset())


@needs_root
def test_root_delivers_as_the_user(of_nobody, open_folder):
    attempt = deliver(of_nobody, delivery(names=("nobody",)))["nobody"]
    assert str(attempt.status) == "250 2.0.0 delivered to maildir of nobody"
    maildir = open_folder / "spool" / "nobody"
    assert mails(maildir) == [b"Return-Path: <joe@far.example>\n" + STORED]
    for path in (maildir, *maildir.rglob("*")):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
        assert stat.S_IMODE(found.st_mode) & 0o077 == 0


@needs_root
def test_a_repeated_delivery_as_the_user_is_found_to_be_there(of_nobody, open_folder):
    """Also of a message that is longer than a pipe, which the other side then does not read."""
    long = delivery(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 50_000, names=("nobody",))
    for _ in range(2):
        assert only_status(of_nobody, long).is_success
    assert len(mails(open_folder / "spool" / "nobody")) == 1


@needs_root
def test_root_appends_to_an_mbox_in_a_folder_of_the_mail_group(open_folder):
    spool = open_folder / "mail"
    spool.mkdir()
    os.chown(spool, 0, 8)
    spool.chmod(0o2775)
    users = Users(Mailbox.parse(f"{spool}/{{user}}"), frozenset())
    assert only_status(users, delivery(names=("nobody",))).is_success
    found = (spool / "nobody").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY.pw_uid, 0o600)
    assert [path.name for path in spool.iterdir()] == ["nobody"]


@needs_root
def test_what_the_user_may_not_write_root_does_not_write_for_him(open_folder):
    (open_folder / "closed").mkdir()
    for pattern in ("closed/{user}/", "closed/{user}"):
        users = Users(Mailbox.parse(f"{open_folder}/{pattern}"), frozenset())
        status = only_status(users, delivery(names=("nobody",)))
        assert status.is_temporary
        assert "Permission denied" in status.text
    assert list((open_folder / "closed").iterdir()) == []


@needs_root
def test_no_group_is_lent_for_a_path_below_the_users_own_home(open_folder, monkeypatch):
    """The user could make it lead to wherever that group may write."""
    home = open_folder / "home"
    home.mkdir()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    group_folder = open_folder / "of-group-8"
    group_folder.mkdir()
    os.chown(group_folder, 0, 8)
    group_folder.chmod(0o775)
    (home / "mail").symlink_to(group_folder)
    entry = pwd.struct_passwd((*NOBODY[:5], str(home), NOBODY[6]))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: entry)
    users = Users(Mailbox.parse("~/mail/inbox"), frozenset())
    assert only_status(users, delivery(names=("nobody",))).is_temporary
    assert list(group_folder.iterdir()) == []


@needs_root
def test_lost_content_leaves_nothing_in_the_users_mailbox(of_nobody, open_folder):
    short = open_folder / "content"
    short.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 100_000)
    lost = delivery(Content(200_000, path=short), names=("nobody",))
    assert only_status(of_nobody, lost).is_temporary
    assert mails(open_folder / "spool" / "nobody") == []


@needs_root
def test_a_helper_that_dies_is_temporary_trouble(of_nobody, monkeypatch):
    real = subprocess.Popen

    def broken(command, **more):
        return real(["/bin/sh", "-c", "echo first >&2; echo why >&2; exit 1"], **more)

    monkeypatch.setattr(subprocess, "Popen", broken)
    status = only_status(of_nobody, delivery(names=("nobody",)))
    assert status.is_temporary
    assert status.text.endswith("spool/nobody: why")


@needs_root
def test_root_delivers_its_own_mail_and_that_of_configured_names_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    users = Users(Mailbox.parse(f"{tmp_path}/{{user}}/"), frozenset({"alice"}))
    statuses = deliver(users, delivery(names=("root", "alice")))
    assert all(attempt.status.is_success for attempt in statuses.values())
