"""Polling: real Dovecot over plain lines and TLS, repeated visits, and servers that lie."""

import base64
import contextlib
import json
import re
import socket
import threading

import pytest

from nodes import TestNode
from peers.certificates import make_certificate
from peers.dovecot import Dovecot
from peers.processes import free_port


def home(tmp_path, port, keys='tls = "none"', **more):
    sections = f"""
[link.isp]
kind = "event"

[account.isp]
host = "localhost:{port}"
user = "ann"
password_file = "password"
deliver_to = "user"
link = "isp"
timeout_seconds = 10
{keys}
"""
    node = TestNode(tmp_path / "home", sections, **more)
    node.password("password", "secret")
    return node


def letter(number):
    return b"From: a@b.example\nSubject: mail %d\n\nbody\n" % number


def subjects(node, user="user"):
    return sorted(
        int(re.search(rb"Subject: mail (\d+)", content)[1]) for content in node.mails(user)
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_it_fetches_and_deletes_over_each_kind_of_line(tmp_path, certificate, tls):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}, tls=certificate) as dovecot:
        for number in range(30):
            dovecot.put("ann", letter(number))
        port = dovecot.pop3s_port if tls == "tls" else dovecot.pop3_port
        node = home(tmp_path, port, f'tls = "{tls}"\nca_file = "{certificate.authority}"')
        fetched = node.run("fetch", "--json")
        assert fetched.returncode == 0, fetched.stderr
        assert json.loads(fetched.stdout)["received"] == 30
        assert subjects(node) == list(range(30))
        assert dovecot.count("ann") == 0
        (first, *_) = node.mails("user")
        assert first.startswith(b"Return-Path: <a@b.example>\nReceived: from localhost")
        assert b" with POP3 id " in first


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_nobody_vouches_for_is_refused(tmp_path, certificate, tls):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}, tls=certificate) as dovecot:
        dovecot.put("ann", letter(1))
        port = dovecot.pop3s_port if tls == "tls" else dovecot.pop3_port
        node = home(tmp_path, port, f'tls = "{tls}"')
        fetched = node.run("fetch")
        assert fetched.returncode == 75
        assert "certificate is not accepted" in fetched.stderr
        assert dovecot.count("ann") == 1


def test_a_wrong_password_is_said_and_never_shown(tmp_path):
    with Dovecot(tmp_path / "d", users={"ann": "other"}) as dovecot:
        node = home(tmp_path, dovecot.pop3_port)
        fetched = node.run("fetch")
        assert fetched.returncode == 75
        assert "refused" in fetched.stderr
        assert "secret" not in fetched.stderr


def test_kept_mail_is_fetched_once(tmp_path):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        node = home(tmp_path, dovecot.pop3_port, 'tls = "none"\nkeep = true')
        for visit in range(3):
            dovecot.put("ann", letter(visit))
            assert node.run("fetch").returncode == 0
        assert subjects(node) == [0, 1, 2]
        assert dovecot.count("ann") == 3


def test_large_mail_is_offered_and_fetched_when_it_is_asked_for(tmp_path):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        dovecot.put("ann", letter(1))
        dovecot.put("ann", letter(2) + b"x" * 70 + b"\n" * 3000)
        node = home(tmp_path, dovecot.pop3_port, 'tls = "none"\nheader_first_bytes = 1000')
        checked = node.run("fetch", "--check")
        assert checked.stdout.startswith("isp: 2 messages, 1 to be fetched (")
        assert node.run("fetch").returncode == 0
        listed = node.run("fetch", "--list").stdout
        assert "a@b.example  mail 2" in listed
        notice = next(mail for mail in node.mails("user") if b"Auto-Submitted" in mail)
        assert b"relaynode fetch --get " + listed.split()[0].encode() in notice
        assert dovecot.count("ann") == 1
        assert "no message" in node.run("fetch", "--get", "nothing").stderr
        assert node.run("fetch", "--get", listed.split()[0]).returncode == 0
        assert node.run("fetch").returncode == 0
        assert len(node.mails("user")) == 3
        assert dovecot.count("ann") == 0


def test_mail_for_an_alias_goes_to_its_members(tmp_path):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        dovecot.put("ann", letter(7))
        tables = {"aliases": "user: bob, carl\n"}
        node = home(tmp_path, dovecot.pop3_port, users=("bob", "carl"), tables=tables)
        assert node.run("fetch").returncode == 0
        assert subjects(node, "bob") == subjects(node, "carl") == [7]


def test_mail_nobody_here_can_have_stays_at_the_server(tmp_path):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        dovecot.put("ann", letter(7))
        node = home(tmp_path, dovecot.pop3_port, users=("bob",))
        fetched = node.run("fetch")
        assert fetched.returncode == 75
        assert "User unknown" in fetched.stderr
        assert dovecot.count("ann") == 1


def test_a_mail_in_a_loop_is_held_for_the_postmaster_and_the_others_come(tmp_path):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        dovecot.put("ann", b"Received: by x\n" * 40 + letter(1))
        dovecot.put("ann", letter(2))
        node = home(tmp_path, dovecot.pop3_port)
        fetched = node.run("fetch")
        assert "Too many hops" in fetched.stderr
        assert subjects(node) == [2]
        assert dovecot.count("ann") == 0
        told = node.run("why", "postmaster").stdout
        assert "held: mail loop: 554 5.4.6 Too many hops 41" in told
        assert b"Subject: mail" not in b"".join(node.mails("postmaster"))


def test_nobody_there_is_said_plainly(tmp_path):
    fetched = home(tmp_path, free_port()).run("fetch")
    assert fetched.returncode == 75
    assert "Traceback" not in fetched.stderr
    assert "localhost" in fetched.stderr


class Liar:
    """A POP3 server that answers each command with what a table says, and lies."""

    MESSAGE = b"Subject: mail 1\r\n\r\nbody\r\n"

    def __init__(self, answers):
        self._answers = {
            b"CAPA": b"+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n",
            b"USER": b"+OK\r\n",
            b"PASS": b"+OK\r\n",
            b"UIDL": b"+OK\r\n1 u1\r\n.\r\n",
            b"LIST": b"+OK\r\n1 30\r\n.\r\n",
            b"RETR": b"+OK\r\n" + self.MESSAGE + b".\r\n",
            b"DELE": b"+OK\r\n",
            b"QUIT": b"+OK\r\n",
            **answers,
        }
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.said = []

    def __enter__(self):
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # The client may have enough of it and hang up.
            with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
                self._talk(connection, lines)

    def _talk(self, connection, lines):
        connection.sendall(self._answers.get(b"greeting", b"+OK ready\r\n"))
        for line in lines:
            word = line.split()[0].upper()
            self.said.append(line.strip())
            answer = self._answers[word]
            connection.sendall(answer(line) if callable(answer) else answer)
            if word == b"QUIT":
                return


def hostile(tmp_path, answers, **more):
    with Liar(answers) as liar:
        node = home(tmp_path, liar.port, **more)
        return node, node.run("fetch", "--json"), liar.said


@pytest.mark.parametrize(
    "listing", [b"1 3", b"1 30000000", b"1 0"], ids=["too small", "too big", "nothing"]
)
def test_a_wrong_size_in_the_listing_changes_nothing(tmp_path, listing):
    node, fetched, _ = hostile(tmp_path, {b"LIST": b"+OK\r\n" + listing + b"\r\n.\r\n"})
    assert fetched.returncode == 0, fetched.stderr
    assert subjects(node) == [1]


@pytest.mark.parametrize(
    "answers",
    [
        {b"greeting": b"220 this is smtp\r\n"},
        {b"greeting": b"-ERR [SYS/TEMP] come back later\r\n"},
        {b"greeting": b""},
        {b"UIDL": b"+OK\r\n1 u1\r\n"},
        {b"UIDL": b"+OK\r\none u1\r\n.\r\n"},
        {b"UIDL": b"+OK\r\n1 \x01\r\n.\r\n"},
        {b"UIDL": b"-ERR [SYS/TEMP] what\r\n"},
        {b"LIST": b"+OK\r\n1 minus\r\n.\r\n"},
        {b"RETR": b"+OK\r\nSubject: mail 1\r\n\r\nbo"},
        {b"RETR": b"maybe\r\n"},
        {b"RETR": b"-ERR [SYS/TEMP] not now\r\n"},
        {b"PASS": b"-ERR [IN-USE] locked\r\n"},
        {b"PASS": b"+OK\r\n+OK unasked\r\n+OK\r\n+OK\r\n+OK\r\n"},
        {b"CAPA": b"+OK\r\n" + b"X" * 100_000},
    ],
    ids=lambda answers: f"{next(iter(answers)).decode()}: {next(iter(answers.values()))[:25]!a}",
)
def test_a_server_that_breaks_the_rules_gets_a_named_error_and_loses_nothing(tmp_path, answers):
    with Liar(answers) as liar:
        node = home(tmp_path, liar.port)
        node.path.write_text(
            node.path.read_text().replace("timeout_seconds = 10", "timeout_seconds = 1")
        )
        fetched = node.run("fetch")
        said = list(liar.said)
    assert fetched.returncode == 75
    assert fetched.stderr.startswith("relaynode: ")
    assert "Traceback" not in fetched.stderr
    assert not any(word.startswith(b"DELE") for word in said)
    assert node.mails("user") == []
    assert list((node.folder / "spool" / "incoming").iterdir()) == []


def test_a_message_without_end_stops_at_the_limit_and_leaves_nothing_behind(tmp_path):
    def endless(_):
        return b"+OK\r\n" + b"x" * 1_000_000

    with Liar({b"RETR": endless}) as liar:
        node = home(tmp_path, liar.port)
        node.path.write_text(node.path.read_text() + "\n[queue]\nmessage_size_bytes = 500000\n")
        fetched = node.run("fetch")
    assert fetched.returncode == 75
    assert "has more than 500000" in fetched.stderr
    assert list((node.folder / "spool" / "incoming").iterdir()) == []


def test_two_messages_with_one_unique_id_are_both_fetched_before_either_is_deleted(tmp_path):
    def retrieve(line):
        return b"+OK\r\nSubject: mail %d\r\n\r\n.\r\n" % int(line.split()[1])

    answers = {
        b"UIDL": b"+OK\r\n1 same\r\n2 same\r\n.\r\n",
        b"LIST": b"+OK\r\n1 30\r\n2 30\r\n.\r\n",
        b"RETR": retrieve,
    }
    node, fetched, said = hostile(tmp_path, answers)
    assert fetched.returncode == 0, fetched.stderr
    assert subjects(node) == [1, 2]
    assert [word for word in said if word.startswith(b"DELE")] == [b"DELE 1", b"DELE 2"]


def test_a_message_whose_deletion_was_not_confirmed_is_not_fetched_again(tmp_path):
    with Liar({b"QUIT": b""}) as liar:
        node = home(tmp_path, liar.port)
        assert node.run("fetch").returncode == 75
        assert node.run("fetch").returncode == 75
        said = list(liar.said)
    assert subjects(node) == [1]
    assert [word for word in said if word.startswith(b"RETR")] == [b"RETR 1"]
    assert [word for word in said if word.startswith(b"DELE")] == [b"DELE 1", b"DELE 1"]


def test_a_server_that_only_knows_sasl_gets_auth_plain(tmp_path):
    answers = {
        b"CAPA": b"+OK\r\nSASL PLAIN\r\nUIDL\r\nPIPELINING\r\n.\r\n",
        b"AUTH": b"+OK\r\n",
        b"USER": b"-ERR not here\r\n",
    }
    node, fetched, said = hostile(tmp_path, answers)
    assert fetched.returncode == 0, fetched.stderr
    assert said[1] == b"AUTH PLAIN " + base64.b64encode(b"\0ann\0secret")
    assert subjects(node) == [1]


@pytest.mark.parametrize("capabilities", [b"+OK\r\nUSER\r\nUIDL\r\n.\r\n", b"-ERR what\r\n"])
def test_a_server_without_pipelining_is_asked_one_thing_at_a_time(tmp_path, capabilities):
    def retrieve(line):
        return b"+OK\r\nSubject: mail %d\r\n\r\n.\r\n" % int(line.split()[1])

    answers = {
        b"CAPA": capabilities,
        b"UIDL": b"+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n",
        b"LIST": b"+OK\r\n1 30\r\n2 30\r\n3 30\r\n.\r\n",
        b"RETR": retrieve,
    }
    node, fetched, said = hostile(tmp_path, answers)
    assert fetched.returncode == 0, fetched.stderr
    assert subjects(node) == [1, 2, 3]
    assert said == [
        b"CAPA",
        b"USER ann",
        b"PASS secret",
        b"UIDL",
        b"LIST",
        b"RETR 1",
        b"DELE 1",
        b"RETR 2",
        b"DELE 2",
        b"RETR 3",
        b"DELE 3",
        b"QUIT",
    ]
