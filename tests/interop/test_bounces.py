"""What senders, list owners and the postmaster are told, by whole nodes."""

import asyncio
import email
import email.policy
import logging

from nodes import TestNode
from oddball import Oddball
from relaynode.cli.main import main

REFUSING = {b"RCPT": b"550 5.1.1 no such user\r\n"}


def home(folder, port, *, node_keys="", aliases=""):
    sections = f'[smart_host.isp]\nhost = "127.0.0.1:{port}"\ntls = "none"\n'
    return TestNode(
        folder,
        sections,
        users=("user", "owner", "postmaster"),
        node_keys=node_keys,
        tables={"aliases": aliases} if aliases else None,
    )


def send_and_flush(node, *options):
    letter = b"From: user\nSubject: s\n\nbody\n"
    sent = node.sendmail("-i", *options, stdin=letter)
    assert sent.returncode == 0, sent.stderr
    return flush(node)


def flush(node):
    return main(["--config", str(node.path), "flush", "--quiet"])


def queued(node, *options):
    return node.run("queue", *options).stdout


def parsed(mail):
    return email.message_from_bytes(mail, policy=email.policy.default)


def test_what_a_list_cannot_deliver_goes_to_its_owner(tmp_path):
    aliases = "all: gone@far.example, user\nowner-all: owner\n"
    with Oddball(REFUSING) as server:
        node = home(tmp_path, server.port, aliases=aliases)
        send_and_flush(node, "-f", "alice@elsewhere.example", "all")
    (dsn,) = node.mails("owner")
    assert b"Final-Recipient: RFC822; all@bsd.home" in dsn
    assert b"X-Actual-Recipient: rfc822; gone@far.example" in dsn
    (mail,) = node.mails("user")
    assert mail.startswith(b"Return-Path: <owner@bsd.home>\n")
    assert queued(node).endswith("the queue is empty\n"), "alice is told nothing"


def test_a_list_with_an_owner_confirms_nothing_to_anybody(tmp_path):
    with Oddball() as server:
        node = home(tmp_path, server.port, aliases="all: user\nowner-all: owner\n")
        send_and_flush(node, "-N", "success", "-f", "postmaster", "all")
    assert len(node.mails("user")) == 1
    assert node.mails("owner") == node.mails("postmaster") == []


def test_mail_that_has_arrived_here_is_confirmed_where_that_is_wanted(tmp_path):
    with Oddball() as server:
        node = home(tmp_path, server.port)
        send_and_flush(node, "-N", "success", "-f", "user", "owner")
        send_and_flush(node, "-N", "success", "-f", "user", "bob@far.example")
    assert len(node.mails("owner")) == 1
    told = b"".join(node.mails("user"))
    assert b"Action: delivered" in told
    assert b"Action: relayed" in told, "the smart host knows no DSN"
    assert told.count(b"Subject: Return receipt") == 2


def test_a_return_in_japanese_reads_as_it_should(tmp_path):
    with Oddball(REFUSING) as server:
        node = home(tmp_path, server.port, node_keys='language = "ja"')
        send_and_flush(node, "-f", "user", "bob@far.example")
    (mail,) = node.mails("user")
    assert mail.isascii()
    message = parsed(mail)
    assert message["Subject"] == "配送エラー: メールを配送できませんでした"
    text = message.get_payload()[0].get_content()
    assert "次の宛先にはメールを配送できませんでした" in text
    assert "理由: 550 5.1.1 no such user" in text


def test_a_double_bounce_that_fails_is_dropped_and_told_in_the_log(tmp_path):
    with Oddball(REFUSING) as server:
        node = home(tmp_path, server.port, aliases="postmaster: boss@far.example\n")
        for sender in ("<>", "gone@far.example"):
            send_and_flush(node, "-f", sender, "bob@far.example")
        for _ in range(3):
            assert flush(node) == 0
    assert queued(node).endswith("the queue is empty\n")
    ended = queued(node, "--all")
    assert ended.count("<boss@far.example>") == 2, "one for each, and none about them"


def test_the_log_tells_of_each_arrival_and_each_try_in_sendmails_form(tmp_path, caplog):
    async def play(node):
        try:
            await node.links.run("default")
        finally:
            await node.close()

    answers = {b"RCPT": b"450 4.7.1 later \x1b[1m\r\n"}
    with Oddball(answers) as server:
        node = home(tmp_path, server.port)
        node.sendmail("-i", "-f", "user", "bob@far.example", stdin=b"Subject: s\n\nbody\n")
        with caplog.at_level(logging.INFO, "relaynode.mail"):
            asyncio.run(play(node.open()))
    (line,) = [one.getMessage() for one in caplog.records if "to=" in one.getMessage()]
    queue_id, _, rest = line.partition(": ")
    assert queue_id in queued(node)
    assert rest.startswith("to=<bob@far.example>, delay=00:00:0")
    assert ", xdelay=00:00:0" in rest
    assert ", mailer=relay, pri=" in rest
    assert rest.endswith(", relay=127.0.0.1 [127.0.0.1], dsn=4.7.1, stat=Deferred: later ?[1m"), (
        line
    )
