"""The SMTP listener with swaks and smtplib as clients: relaying, limits, our own faults."""

import os
import smtplib
import subprocess

import pytest

from nodes import TestNode
from peers.found import leave_out
from peers.processes import free_port, wait_until
from peers.swaks import swaks

LETTER = b"Subject: s\r\n\r\nbody\r\n"


def gateway(tmp_path, more="", **keys):
    port = free_port()
    sections = f'[listen.lan]\nsmtp = ["127.0.0.1:{port}"]\n{more}'
    return TestNode(tmp_path / "node", sections, **keys), port


def client(port):
    return smtplib.SMTP("127.0.0.1", port, "client.test", timeout=20)


def test_swaks_delivers_to_a_local_user_and_sees_what_we_offer(tmp_path):
    node, port = gateway(tmp_path)
    with node.daemon():
        sent = swaks("--server", f"127.0.0.1:{port}", "--to", "user@bsd.home", "--from", "a@b.ex")
    assert sent.returncode == 0, sent.stdout
    for keyword in (
        "PIPELINING",
        "CHUNKING",
        "8BITMIME",
        "SMTPUTF8",
        "SIZE 52428800",
        "ENHANCEDSTATUSCODES",
    ):
        assert f"250-{keyword}" in sent.stdout or f"250 {keyword}" in sent.stdout


def test_swaks_pipelines_and_is_answered_in_order(tmp_path):
    node, port = gateway(tmp_path)
    with node.daemon():
        sent = swaks(
            *("--server", f"127.0.0.1:{port}", "--to", "user@bsd.home,nobody1@bsd.home"),
            *("--from", "a@b.example", "--pipeline"),
        )
    assert "250 2.1.5 <user@bsd.home>" in sent.stdout
    assert "550 5.1.1 <nobody1@bsd.home>" in sent.stdout
    assert "Message accepted for delivery" in sent.stdout


@pytest.mark.parametrize("recipient", ["nobody1", "nobody1@bsd.home"])
def test_an_unknown_local_user_is_refused_at_once(tmp_path, recipient):
    node, port = gateway(tmp_path)
    with node.daemon(), client(port) as smtp:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            smtp.sendmail("a@b.example", [recipient], LETTER)
        ((code, text),) = refused.value.recipients.values()
        assert (code, text[:5]) == (550, b"5.1.1")


@pytest.mark.parametrize("recipient", ["x%far.example@bsd.home", "far.example!x@bsd.home"])
def test_a_local_name_that_leads_on_is_an_address_elsewhere(tmp_path, recipient):
    access = {"access": "Connect:127.0.0.1 OK\n"}
    node, port = gateway(tmp_path, tables=access)
    with node.daemon(), client(port) as smtp:
        assert smtp.sendmail("a@b.example", [recipient], LETTER) == {}
    assert recipient in node.sendmail("-bp").stdout


def test_the_access_table_is_heeded_and_read_again_when_changed(tmp_path):
    node, port = gateway(tmp_path)
    access = node.folder / "tables" / "access"
    with node.daemon(), client(port) as smtp:
        smtp.ehlo()
        assert smtp.mail("a@b.example")[0] == 250
        access.write_text("From:b.example REJECT\n")
        denied = (550, b"5.7.1 <a@b.example>... Access denied")
        assert wait_until(lambda: bool(smtp.rset()) and smtp.mail("a@b.example") == denied, 5)
        access.write_text("Connect:127.0.0.1 REJECT\n")
        assert wait_until(lambda: smtp.mail("a@b.example")[0] == 250, 5), "it was let in already"
        with client(port) as other:
            assert other.ehlo()[1].endswith(b"ENHANCEDSTATUSCODES")
            assert other.mail("a@b.example") == (550, b"5.7.1 Access denied")


def test_this_machine_may_relay_and_the_mail_waits_for_its_link(tmp_path):
    node, port = gateway(tmp_path)
    with node.daemon(), client(port) as smtp:
        assert smtp.sendmail("a@b.example", ["x@far.example"], LETTER) == {}
    assert "x@far.example" in node.sendmail("-bp").stdout


def test_a_sender_gets_the_right_reply_when_the_disk_is_full_and_nothing_is_lost(tmp_path):
    if os.geteuid() != 0:
        leave_out("mounting a small file system needs root")
    node, port = gateway(tmp_path, "[queue]\nmin_free_bytes = 4_000_000\n")
    spool = node.folder / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", spool], check=True)
    try:
        with node.daemon(), client(port) as smtp:
            smtp.ehlo()
            accepted = 0
            code = 250
            while code == 250 and accepted < 300:
                smtp.mail("a@b.example")
                smtp.rcpt("x@far.example")
                code, text = smtp.data(LETTER + b"x" * 60 * 1000)
                accepted += code == 250
            assert (code, text[:5]) == (452, b"4.3.1")
            assert 0 < accepted < 300
            # A long one goes to a file, for which there is no room at all.
            smtp.mail("a@b.example")
            smtp.rcpt("x@far.example")
            assert smtp.data(LETTER + b"x\r\n" * 4_000_000)[0] == 452
            full = node.sendmail("-i", "x@far.example", stdin=LETTER + b"x" * 60_000)
            assert full.returncode == 75
            listed = node.sendmail("-bp").stdout
            assert f"Total requests: {accepted}" in listed
            first = listed.splitlines()[2].split()[0]
            assert node.run("remove", first).returncode == 0, "what is not intake still works"
            assert list((spool / "incoming").iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", spool], check=True)


def test_an_unreadable_table_makes_mail_wait_and_is_named(tmp_path):
    node, port = gateway(tmp_path)
    (node.folder / "tables" / "aliases").mkdir()
    with node.daemon(), client(port) as smtp:
        smtp.ehlo()
        smtp.mail("a@b.example")
        code, text = smtp.rcpt("user")
        assert code == 451
        assert b"aliases: cannot be read" in text
        sent = node.sendmail("user", stdin=b"x\n")
        assert sent.returncode == 75
        assert "aliases: cannot be read" in sent.stderr
    checked = node.run("check")
    assert checked.returncode == 78
    assert "aliases: cannot be read" in checked.stderr


def test_a_changed_alias_counts_without_a_word_to_the_daemon(tmp_path):
    node, port = gateway(tmp_path)
    with node.daemon(), client(port) as smtp:
        smtp.ehlo()
        smtp.mail("a@b.example")
        assert smtp.rcpt("staff")[0] == 550
        (node.folder / "tables" / "aliases").write_text("staff: user\n")
        assert wait_until(lambda: smtp.rcpt("staff")[0] == 250, 5)


def test_a_mail_larger_than_the_limit_is_refused_before_and_after_it_comes(tmp_path):
    node, port = gateway(tmp_path, "[queue]\nmessage_size_bytes = 10000\n")
    with node.daemon(), client(port) as smtp:
        smtp.ehlo()
        assert smtp.docmd("MAIL FROM:<a@b.example> SIZE=10001")[0] == 552
        smtp.mail("a@b.example")
        smtp.rcpt("user")
        assert smtp.data(LETTER + b"x\r\n" * 5000)[0] == 552
        smtp.mail("a@b.example")
        smtp.rcpt("user")
        assert smtp.data(LETTER)[0] == 250


def test_a_mail_in_a_loop_is_refused(tmp_path):
    node, port = gateway(tmp_path)
    with node.daemon(), client(port) as smtp:
        smtp.ehlo()
        smtp.mail("a@b.example")
        smtp.rcpt("user")
        code, text = smtp.data(b"Received: by x\r\n" * 25 + LETTER)
        assert code == 554
        assert b"Too many hops 26" in text


def test_a_client_is_told_when_the_daemon_ends(tmp_path):
    node, port = gateway(tmp_path)
    daemon = node.daemon()
    daemon.start()
    with client(port) as smtp:
        smtp.ehlo()
        daemon.stop()
        assert smtp.getreply()[0] == 421
        smtp.close()
    assert "stopped" in daemon.log()
    assert "Traceback" not in daemon.log()


def test_smtp_on_standard_input(tmp_path):
    node, _ = gateway(tmp_path)
    dialogue = (
        b"EHLO here\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<user>\r\nRCPT TO:<x@far.example>\r\n"
        b"DATA\r\nSubject: bs\r\n\r\nbody\r\n.\r\nQUIT\r\n"
    )
    ended = node.sendmail("-bs", stdin=dialogue)
    assert ended.returncode == 0, ended.stderr
    codes = [line[:3] for line in ended.stdout.splitlines() if line[3:4] != "-"]
    assert codes == ["220", "250", "250", "250", "250", "354", "250", "221"]
    assert "x@far.example" in node.sendmail("-bp").stdout
