"""The smart host: real Postfix with TLS, AUTH, refusals and limits; what failures do to mail."""

import asyncio
import re

import pytest

from nodes import TestNode
from oddball import Oddball
from peers.certificates import make_certificate
from peers.dovecot import Dovecot
from peers.postfix import Postfix
from peers.processes import free_port
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit

LETTER = b"From: user\nTo: x\nSubject: s\n\nbody\n"


def home(tmp_path, port, keys='tls = "none"', more=""):
    sections = f"""
[link.isp]
kind = "event"

[smart_host.isp]
host = "localhost:{port}"
link = "isp"
timeout_seconds = 20
{keys}
{more}
"""
    node = TestNode(tmp_path / "home", sections)
    node.password("password", "secret")
    return node


def send(node, *recipients, sender=None, letter=LETTER):
    options = ("-f", sender) if sender is not None else ()
    sent = node.sendmail("-i", *options, *recipients, stdin=letter)
    assert sent.returncode == 0, sent.stderr


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def ca_file(certificate, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(certificate.authority.read_bytes())
    return path


@pytest.mark.parametrize("tls", ["starttls", "tls", "none"])
def test_it_logs_in_and_sends_over_each_kind_of_line(tmp_path, certificate, tls):
    with (
        Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot,
        Postfix(
            tmp_path / "p",
            tls=certificate,
            auth_socket=dovecot.auth_socket,
            extra={
                "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
                "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject",
            },
        ) as postfix,
    ):
        port = postfix.smtps_port if tls == "tls" else postfix.port
        keys = (
            f'tls = "{tls}"\nuser = "ann"\npassword_file = "password"\n'
            f'ca_file = "{ca_file(certificate, tmp_path)}"'
        )
        node = home(tmp_path, port, keys)
        send(node, "x@far.example")
        flushed = node.run("flush")
        assert flushed.returncode == 0, flushed.stderr
        postfix.wait_for(1)


def test_a_wrong_password_keeps_the_mail_and_names_the_reason(tmp_path, certificate):
    with (
        Dovecot(tmp_path / "d", users={"ann": "another"}) as dovecot,
        Postfix(tmp_path / "p", tls=certificate, auth_socket=dovecot.auth_socket) as postfix,
    ):
        keys = (
            'tls = "starttls"\nuser = "ann"\npassword_file = "password"\n'
            f'ca_file = "{ca_file(certificate, tmp_path)}"'
        )
        node = home(tmp_path, postfix.port, keys)
        send(node, "x@far.example")
        flushed = node.run("flush")
        assert flushed.returncode == 75
        assert "AUTH refused: 535" in flushed.stderr
        assert "secret" not in flushed.stderr
        listed = node.sendmail("-bp").stdout
        assert "Deferred" in listed
        assert "x@far.example" in listed


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_nobody_vouches_for_is_refused_by_default(tmp_path, certificate, tls):
    with Postfix(tmp_path / "p", tls=certificate) as postfix:
        port = postfix.smtps_port if tls == "tls" else postfix.port
        node = home(tmp_path, port, f'tls = "{tls}"')
        send(node, "x@far.example")
        flushed = node.run("flush")
        assert flushed.returncode == 75
        assert "certificate is not accepted" in flushed.stderr
        assert postfix.count() == 0
        trusting = home(tmp_path, port, f'tls = "{tls}"\nverify = false')
        assert trusting.run("flush").returncode == 0
        postfix.wait_for(1)


def test_a_certificate_of_another_name_is_refused(tmp_path):
    certificate = make_certificate(tmp_path, "elsewhere.example")
    with Postfix(tmp_path / "p", tls=certificate) as postfix:
        keys = f'tls = "starttls"\nca_file = "{ca_file(certificate, tmp_path)}"'
        node = home(tmp_path, postfix.port, keys)
        send(node, "x@far.example")
        flushed = node.run("flush")
        assert flushed.returncode == 75
        assert "certificate is not accepted" in flushed.stderr
        assert postfix.count() == 0


def test_a_server_without_starttls_gets_nothing_in_the_clear(tmp_path):
    with Postfix(tmp_path / "p") as postfix:
        node = home(tmp_path, postfix.port, 'tls = "starttls"')
        send(node, "x@far.example")
        flushed = node.run("flush")
        assert flushed.returncode == 75
        assert "offers no STARTTLS" in flushed.stderr
        assert postfix.count() == 0


@pytest.mark.parametrize(("chunking", "pipelining"), [(True, True), (False, True), (False, False)])
def test_good_bad_and_later_recipients_of_one_mail_each_get_their_due(
    tmp_path, chunking, pipelining
):
    with Postfix(tmp_path / "p", chunking=chunking, pipelining=pipelining) as postfix:
        node = home(tmp_path, postfix.port)
        send(node, "good@far.example", "unknown1@far.example", "later1@far.example")
        send(node, "unknown2@far.example", sender="user")
        send(node, "later2@far.example", "later3@far.example")
        send(node, "good2@far.example")
        flushed = node.run("linkup", "--json")
        assert flushed.returncode == 75
        postfix.wait_for(2)
        assert {d.recipient for d in postfix.deliveries()} == {
            "good@far.example",
            "good2@far.example",
        }
        waiting = node.sendmail("-bp").stdout
        assert set(re.findall(r"later\d", waiting)) == {"later1", "later2", "later3"}
        assert "unknown" not in waiting
    dsns = b"".join(node.mails("user") + node.mails("root"))
    assert dsns.count(b"Returned mail: see transcript") == 2
    assert b"Final-Recipient: RFC822; unknown1@far.example" in dsns
    assert b"Status: 5.1.1" in dsns
    assert b"later" not in dsns


def test_a_message_larger_than_the_server_takes_is_returned_without_being_sent(tmp_path):
    with Postfix(tmp_path / "p", size_limit=20_000) as postfix:
        node = home(tmp_path, postfix.port)
        send(node, "x@far.example", sender="user", letter=LETTER + b"x" * 30_000 + b"\n")
        send(node, "y@far.example", sender="user")
        flushed = node.run("linkup", "--json")
        assert flushed.returncode == 0, flushed.stderr
        postfix.wait_for(1)
        assert [d.recipient for d in postfix.deliveries()] == ["y@far.example"]
    (dsn,) = node.mails("user")
    assert b"Status: 5.3.4" in dsn
    assert b"takes 20000" in dsn


def test_nobody_there_counts_a_try_and_keeps_the_mail(tmp_path):
    node = home(tmp_path, free_port())
    send(node, "x@far.example", "y@far.example")
    send(node, "z@far.example")
    for attempt in (1, 2):
        flushed = node.run("linkup")
        assert flushed.returncode == 75
        assert "onnect" in flushed.stderr
        listed = node.run("queue", "--json").stdout
        assert listed.count(f'"attempts": {attempt}') == 3
    assert node.run("queue").stdout.count("4.4.1") == 3


def test_500_recipients_of_which_three_are_refused(tmp_path):
    with Postfix(tmp_path / "p", extra={"smtpd_recipient_limit": "1000"}) as postfix:
        node = home(tmp_path, postfix.port)
        names = [f"user{n}@far.example" for n in range(497)]
        names[100:100] = [f"unknown{n}@far.example" for n in range(3)]
        letter = b"Bcc: " + ", ".join(names).encode() + b"\n" + LETTER
        sent = node.sendmail("-t", "-i", "-f", "user", stdin=letter.replace(b"To: x\n", b""))
        assert sent.returncode == 0, sent.stderr
        flushed = node.run("linkup", "--json")
        assert flushed.returncode == 0, flushed.stderr
        postfix.wait_for(497, 60)
        assert len({d.recipient for d in postfix.deliveries()}) == 497
        assert b"Bcc" not in postfix.deliveries()[0].content
    (dsn,) = node.mails("user")
    assert dsn.count(b"Final-Recipient") == 3


def test_mailertable_routes_and_refuses_before_the_smart_host(tmp_path):
    with Postfix(tmp_path / "p") as postfix, Postfix(tmp_path / "q") as other:
        node = home(tmp_path, postfix.port)
        (node.folder / "tables" / "mailertable").write_text(
            f".lan.example\tsmtp:[127.0.0.1]:{other.port}\n"
            "closed.example\terror:5.7.1:550 closed for the summer\n"
            "here.example\tlocal:user\n"
        )
        names = ("a@pc.lan.example", "b@far.example", "c@closed.example")
        sent = node.sendmail("-i", "-f", "user", *names, stdin=LETTER)
        assert sent.stdout == "c@closed.example... closed for the summer\n"
        assert sent.returncode == 65, "the others get it all the same"
        send(node, "d@here.example", sender="user")
        flushed = node.run("linkup")
        assert flushed.returncode == 0, flushed.stderr
        other.wait_for(1)
        postfix.wait_for(1)
        assert [d.recipient for d in other.deliveries()] == ["a@pc.lan.example"]
        assert [d.recipient for d in postfix.deliveries()] == ["b@far.example"]
    mails = node.mails("user")
    assert len(mails) == 2
    assert b"closed for the summer" in b"".join(mails)


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT"])
@pytest.mark.parametrize(
    "answer",
    [None, b"", b"25", b"hello\r\n", b"250-a\r\n251 b\r\n", b"421 4.3.2 later\r\n", b"9" * 100_000],
    ids=["closes", "hangs", "half a reply", "nonsense", "two codes", "421", "endless"],
)
def test_a_server_that_misbehaves_at_any_step_loses_no_mail(tmp_path, step, answer):
    with Oddball({step.encode(): answer}) as server:
        node = home(tmp_path, server.port)
        node.path.write_text(
            node.path.read_text().replace("timeout_seconds = 20", "timeout_seconds = 1")
        )
        summary, queued = asyncio.run(send_and_flush(node, "x@far.example"))
    if step == "QUIT":
        assert queued == [], "it had said yes before"
        return
    assert not summary.is_clean
    assert node.mails("user") == []
    (recipient,) = queued
    assert recipient.forward_path.address == "x@far.example"
    # Only where the content was gone and the answer to it was not read, it may have arrived.
    is_in_doubt = step == "." and answer != b"421 4.3.2 later\r\n"
    assert recipient.in_doubt == is_in_doubt


async def send_and_flush(node, recipient):
    """Queue a mail and run the link, in this process: the summary, and who still waits."""
    opened = node.open()
    try:
        options = SendmailOptions(recipients=[recipient], sender="user")
        done = await submit(opened.intake, options, Submitter("root"), letter(), "bsd.home")
        assert done.exit_code == 0
        summary = await opened.links.run("isp")
        return summary, [one for m in await opened.store.messages() for one in m.recipients]
    finally:
        await opened.close()


async def letter():
    yield LETTER


def test_what_may_have_been_accepted_is_told(tmp_path):
    with Oddball({b".": None}) as server:
        node = home(tmp_path, server.port)
        send(node, "x@far.example", sender="user")
        flushed = node.run("linkup", "--json")
    assert flushed.returncode == 75
    assert "Traceback" not in flushed.stderr
    listed = node.run("queue").stdout
    assert "<x@far.example>" in listed
    assert "may have been accepted" in listed
