"""The body of a mail arrives byte for byte, by every way in and out."""

import poplib
import smtplib
import socket

import pytest

from nodes import TestNode, body_of
from peers.dovecot import Dovecot
from peers.postfix import Postfix
from peers.processes import free_port, wait_until
from peers.swaks import swaks

ALL_BYTES = bytes(set(range(1, 256)) - {10, 13})
LINES = [
    b".",
    b"..",
    b".dot first",
    b"...",
    b"",
    b"From here on",
    b"a" * 998,
    b"." + b"b" * 997,
    ALL_BYTES[:200],
    ALL_BYTES[200:],
    b"trailing blanks   \t",
    b"",
    b".",
    b"last line",
]
HEADER = [
    b"From: ann@home.test",
    b"To: x@far.example",
    b"Subject:  two  blanks kept",
    b"X-8bit: \xe4",
]
BODY = b"\n".join(LINES)
BIG = b"\n".join(LINES * 60) + b"\n"

SECTIONS = """
[link.isp]
kind = "event"

[smart_host.isp]
host = "127.0.0.1:{smtp}"
tls = "none"
link = "isp"

[account.isp]
host = "127.0.0.1:{pop3}"
tls = "none"
user = "ann"
password_file = "password"
deliver_to = "user"
link = "isp"
"""


def message(body):
    return b"\n".join(HEADER) + b"\n\n" + body


def crlf(content):
    return content.replace(b"\n", b"\r\n")


def home(tmp_path, postfix_port=9, pop3_port=9, more=""):
    sections = SECTIONS.replace("{smtp}", str(postfix_port)).replace("{pop3}", str(pop3_port))
    node = TestNode(tmp_path / "home", sections + more)
    node.password("password")
    return node


@pytest.mark.parametrize(
    "body", [BODY, BODY + b"\n", BIG], ids=["no-final-newline", "plain", "big"]
)
@pytest.mark.parametrize(("chunking", "pipelining"), [(True, True), (False, True), (False, False)])
def test_sendmail_to_postfix(tmp_path, body, chunking, pipelining):
    with Postfix(tmp_path / "p", chunking=chunking, pipelining=pipelining) as postfix:
        node = home(tmp_path, postfix.port)
        sent = node.sendmail("-i", "x@far.example", stdin=message(body))
        assert sent.returncode == 0, sent.stderr
        flushed = node.run("flush")
        assert flushed.returncode == 0, flushed.stderr
        postfix.wait_for(1)
        (arrived,) = postfix.messages("x@far.example")
    # A mailbox of Postfix ends its last line; what we sent is known exactly from the size below.
    assert body_of(arrived).removesuffix(b"\n") == body.removesuffix(b"\n")
    assert b"\n".join(HEADER) in arrived
    assert flushed.stderr == ""


@pytest.mark.parametrize(
    "body", [BODY, BODY + b"\n", BIG], ids=["no-final-newline", "plain", "big"]
)
def test_sendmail_into_a_maildir(tmp_path, body):
    node = home(tmp_path)
    assert node.sendmail("-i", "user", stdin=message(body)).returncode == 0
    (arrived,) = wait_for_mail(node)
    assert body_of(arrived) == body


@pytest.mark.parametrize(
    "body", [BODY, BODY + b"\n", BIG], ids=["no-final-newline", "plain", "big"]
)
def test_pop3_into_a_maildir(tmp_path, body):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        dovecot.put("ann", message(body))
        node = home(tmp_path, pop3_port=dovecot.pop3_port)
        fetched = node.run("fetch")
        assert fetched.returncode == 0, fetched.stderr
        (arrived,) = node.mails("user")
        # POP3 ends the last line if it has no end (RFC 1939 section 3).
        assert body_of(arrived) == (body if body.endswith(b"\n") else body + b"\n")
        assert arrived.partition(b"\n\n")[0].endswith(b"\n".join(HEADER))
        assert dovecot.count("ann") == 0


def listening(tmp_path):
    port, pop3 = free_port(), free_port()
    more = f"""
[listen.lan]
smtp = ["127.0.0.1:{port}"]
pop3 = ["127.0.0.1:{pop3}"]
[user.user]
password_file = "password"
"""
    return home(tmp_path, more=more), port, pop3


def wait_for_mail(node):
    assert wait_until(lambda: node.mails("user"), 20)
    return node.mails("user")


def test_smtp_in_with_data_from_smtplib_and_out_again_by_poplib(tmp_path):
    node, port, pop3 = listening(tmp_path)
    with node.daemon():
        with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=20) as client:
            client.sendmail("a@b.example", ["user"], crlf(message(BODY)), ["BODY=8BITMIME"])
        (arrived,) = wait_for_mail(node)
        # DATA ends the last line if it has no end (RFC 5321 section 4.1.1.4).
        assert body_of(arrived) == BODY + b"\n"
        mailbox = poplib.POP3("127.0.0.1", pop3, timeout=20)
        mailbox.user("user")
        mailbox.pass_("secret")
        _, lines, _ = mailbox.retr(1)
        assert body_of(b"\n".join(lines) + b"\n") == BODY + b"\n"
        mailbox.dele(1)
        mailbox.quit()
    assert node.mails("user") == []


def test_smtp_in_from_swaks(tmp_path):
    node, port, _ = listening(tmp_path)
    content = message(b"\n".join(line for line in LINES if line.isascii()))
    with node.daemon():
        sent = swaks(
            *("--server", f"127.0.0.1:{port}", "--to", "user@bsd.home", "--from", "a@b.example"),
            *("--data", "-"),
            message=content,
        )
        assert sent.returncode == 0, sent.stdout
        (arrived,) = wait_for_mail(node)
    assert body_of(arrived) == body_of(content) + b"\n"  # swaks ends the last line


@pytest.mark.parametrize("body", [BODY, BIG], ids=["no-final-newline", "big"])
def test_smtp_in_with_bdat_keeps_even_the_missing_final_newline(tmp_path, body):
    node, port, _ = listening(tmp_path)
    content = crlf(message(body))
    first, second = content[:700], content[700:]
    with node.daemon():
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"EHLO client.test\r\n")
            heard = b""
            while b"\r\n250 " not in heard:  # nothing may come behind EHLO before its answer
                heard += client.recv(65536)
            client.sendall(
                b"MAIL FROM:<a@b.example> BODY=8BITMIME\r\nRCPT TO:<user>\r\n"
                b"BDAT 700\r\n" + first + b"BDAT %d LAST\r\n" % len(second) + second + b"QUIT\r\n"
            )
            replies = b""
            while data := client.recv(65536):
                replies += data
        assert b"accepted for delivery" in replies
        (arrived,) = wait_for_mail(node)
    assert body_of(arrived) == body


def test_from_relaynode_to_relaynode_a_missing_final_newline_stays_missing(tmp_path):
    far, port, _ = listening(tmp_path / "far")
    far.path.write_text(far.path.read_text().replace("bsd.home", "far.example"))
    near = home(tmp_path, postfix_port=port)
    with far.daemon():
        assert near.sendmail("-i", "user@far.example", stdin=message(BODY)).returncode == 0
        flushed = near.run("flush")
        assert flushed.returncode == 0, flushed.stderr
        (arrived,) = wait_for_mail(far)
    assert body_of(arrived) == BODY


def test_the_header_differs_only_in_lines_we_add(tmp_path):
    node = home(tmp_path)
    header = (
        b"From: Ann  <ann@home.test> (at home)\nTo: a@x.example,\n\t b@y.example\n"
        b"Subject: =?utf-8?q?caf=C3=A9?=\nX-Empty:\nx-CaSe: kept  \nDate: yesterday\n"
        b"Message-ID: <1@home.test>\n"
    )
    assert node.sendmail("-i", "user", stdin=header + b"\nbody\n").returncode == 0
    (arrived,) = wait_for_mail(node)
    added, _, rest = arrived.partition(b"From: Ann")
    assert b"From: Ann" + rest == header + b"\nbody\n"
    names = [line.partition(b":")[0] for line in added.splitlines() if line[:1] != b"\t"]
    assert names == [b"Return-Path", b"Received"]


def test_masquerading_changes_addresses_and_no_other_byte(tmp_path):
    more = '[masquerade]\nas = "example.net"\nall = true\nenvelope = true\n'
    with Postfix(tmp_path / "p") as postfix:
        node = home(tmp_path, postfix.port, more=more)
        header = (
            b'From: "Ann, at home" <ann@bsd.home>\nTo: list: bob, carl@bsd.home;,\n'
            b"\tx@far.example\n"
            b"Subject: ann@bsd.home stays\nDate: yesterday\nMessage-ID: <1@bsd.home>\n"
        )
        sent = node.sendmail("-i", "-f", "ann", "x@far.example", stdin=header + b"\nann@bsd.home\n")
        assert sent.returncode == 0
        assert node.run("flush").returncode == 0
        postfix.wait_for(1)
        (delivery,) = postfix.deliveries()
    assert delivery.reverse_path == "ann@example.net"
    expected = header.replace(b"<ann@bsd.home>", b"<ann@example.net>")
    expected = expected.replace(b"bob, carl@bsd.home;", b"bob@example.net, carl@example.net;")
    assert delivery.content.endswith(expected + b"\nann@bsd.home\n")
