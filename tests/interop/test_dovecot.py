"""contrib/dovecot as it stands there: IMAP on the Maildirs that we deliver to, LMTP with Sieve."""

import asyncio
import imaplib
import os
import poplib
import pwd
from pathlib import Path

import pytest

from nodes import TestNode, body_of
from peers.dovecot import Dovecot
from peers.processes import free_port
from relaynode.queue.model import RecipientState
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit

CONFIGURATION = Path(__file__).parents[2] / "contrib" / "dovecot" / "conf.d" / "90-relaynode.conf"
US = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
"""The one account that can have Maildirs here that both relaynode and Dovecot know."""

NAMES = ("ann", "bob", "carl", "dave", "eve", "stranger", "postmaster")
"""Known to relaynode; Dovecot has never heard of the last two."""

SCRIPT = """\
require ["fileinto", "mailbox"];
if header :contains "Subject" "[list]" { fileinto :create "lists"; }
"""


@pytest.fixture(scope="module")
def dovecot():
    users = dict.fromkeys((US, "ann", "bob", "carl", "dave", "eve"), "secret")
    with Dovecot(users=users, more=f"!include {CONFIGURATION}\n") as running:
        yield running


class At:
    """A node whose users are Dovecot's."""

    def __init__(self, dovecot, folder, local=""):
        self.dovecot = dovecot
        self.node = TestNode(folder, local, users=NAMES)
        text = self.node.path.read_text()
        ours = f'"{self.node.folder}/mail/{{user}}/"'
        assert ours in text
        theirs = f'"{dovecot.home}/mail/{{user}}/Maildir/"'
        self.node.path.write_text(text.replace(ours, theirs))

    def send(self, *recipients, subject="s", body="body", sender="bob"):
        """Submit a message and try all that stays here; what became of all messages."""

        async def pieces():
            yield f"From: {sender}\nSubject: {subject}\n\n{body}\n".encode()

        async def play():
            opened = self.node.open()
            try:
                options = SendmailOptions(
                    recipients=list(recipients), ignores_dots=True, sender=sender
                )
                done = await submit(opened.intake, options, Submitter("root"), pieces(), "bsd.home")
                assert done.exit_code == 0
                await opened.links.run_due(None)
                return await opened.store.messages(finished=True)
            finally:
                await opened.close()

        return asyncio.run(play())


def read(dovecot, user, folder="INBOX"):
    """All messages of a folder as IMAP gives them; None if there is no such folder."""
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port, timeout=20) as imap:
        imap.login(user, "secret")
        answer, _ = imap.select(folder, readonly=True)
        if answer != "OK":
            return None
        _, (numbers,) = imap.search(None, "ALL")
        return [imap.fetch(number, "(BODY.PEEK[])")[1][0][1] for number in numbers.split()]


def test_what_we_delivered_to_a_maildir_is_read_over_imap(dovecot, tmp_path):
    at = At(dovecot, tmp_path)
    at.send(US, subject="one", body="first\n.dot\nFrom here")
    at.send(US, subject="two")
    one, two = read(dovecot, US)
    assert b"Subject: one\r\n" in one
    assert body_of(one) == b"first\r\n.dot\r\nFrom here\r\n"
    assert b"Subject: two\r\n" in two


@pytest.fixture
def by_lmtp(dovecot, tmp_path):
    return At(dovecot, tmp_path, f'lmtp = "unix:{dovecot.lmtp_socket}"\n')


def test_a_sieve_script_behind_lmtp_files_into_a_folder(dovecot, by_lmtp):
    (dovecot.home_of("ann") / ".dovecot.sieve").write_text(SCRIPT)
    by_lmtp.send("ann", "bob", subject="[list] one", body=".\nFrom here")
    by_lmtp.send("ann", subject="plain")
    (listed,) = read(dovecot, "ann", "lists")
    assert b"Return-Path: <bob@bsd.home>\r\n" in listed
    assert body_of(listed) == b".\r\nFrom here\r\n"
    (plain,) = read(dovecot, "ann")
    assert b"Subject: plain\r\n" in plain
    (unsorted,) = read(dovecot, "bob")
    assert b"Subject: [list] one\r\n" in unsorted


def test_a_detail_is_a_folder_if_there_is_one(dovecot, by_lmtp):
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port, timeout=20) as imap:
        imap.login("carl", "secret")
        imap.create("work")
    by_lmtp.send("carl+work", subject="for the folder")
    by_lmtp.send("carl+play", subject="for none")
    (found,) = read(dovecot, "carl", "work")
    assert b"Subject: for the folder\r\n" in found
    (other,) = read(dovecot, "carl")
    assert b"Subject: for none\r\n" in other


def test_whom_dovecot_does_not_know_the_sender_is_told_of(dovecot, by_lmtp):
    first, *_ = by_lmtp.send("stranger", "dave", subject="to two", sender="eve")
    assert [str(one.last_status)[:9] for one in first.recipients] == ["550 5.1.1", "250 2.0.0"]
    *_, notice = read(dovecot, "eve")
    assert b"stranger" in notice
    assert b"Return-Path: <>\r\n" in notice


def test_while_dovecot_is_down_mail_waits(dovecot, tmp_path):
    at = At(dovecot, tmp_path, 'lmtp = "unix:/nowhere/lmtp"\n')
    (message,) = at.send("ann")
    (recipient,) = message.recipients
    assert recipient.state is RecipientState.WAITING
    assert "/nowhere/lmtp: No such file or directory" in str(recipient.last_status)


def test_pop3_of_ours_and_imap_of_dovecot_work_in_one_maildir_at_once(dovecot, tmp_path):
    port = free_port()
    at = At(
        dovecot,
        tmp_path,
        f'[listen.lan]\npop3 = ["127.0.0.1:{port}"]\n[user.{US}]\npassword_file = "password"\n',
    )
    at.node.password("password")
    for subject in ("stays", "flagged", "expunged", "deleted"):
        at.send(US, subject=subject)
    with at.node.daemon():
        pop, places = log_in(port)
        change(dovecot, flag="flagged", expunge="expunged")
        assert b"Subject: flagged" in pop.retr(places["flagged"])[1]
        with pytest.raises(poplib.error_proto, match="cannot be read"):
            pop.retr(places["expunged"])
        pop.dele(places["deleted"])
        pop.dele(places["expunged"])
        uids = {line.split()[1] for line in pop.uidl()[1]}
        pop.quit()
        again, left = log_in(port)
        assert {"stays", "flagged"} <= set(left) and not {"expunged", "deleted"} & set(left)
        assert uids == {line.split()[1] for line in again.uidl()[1]}
        again.quit()
    assert not any(b"Subject: deleted" in mail for mail in read(dovecot, US))


def log_in(port):
    """A session with our POP3 server, and where it has which subject."""
    pop = poplib.POP3("127.0.0.1", port, timeout=20)
    pop.user(US)
    pop.pass_("secret")
    places = {}
    for number in range(1, pop.stat()[0] + 1):
        head = b"\n".join(pop.top(number, 0)[1]).decode()
        places[head.partition("Subject: ")[2].partition("\n")[0]] = number
    return pop, places


def change(dovecot, flag, expunge):
    """What a mail program at Dovecot does to two messages."""
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port, timeout=20) as imap:
        imap.login(US, "secret")
        imap.select()
        for subject, flags in ((flag, r"(\Seen \Flagged)"), (expunge, r"(\Deleted)")):
            _, (number,) = imap.search(None, "SUBJECT", subject)
            imap.store(number.decode(), "+FLAGS", flags)
        imap.expunge()
