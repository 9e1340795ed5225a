"""The commands as people, hooks and scripts use them, with the daemon and without."""

import asyncio
import json
import os
import re
import signal
import smtplib
import subprocess

import pytest

from nodes import TestNode
from peers.dovecot import Dovecot
from peers.postfix import Postfix
from peers.processes import free_port, wait_until
from relaynode.cli import demo
from relaynode.demo import stage

LETTER = b"Subject: s\n\nbody\n"


def home(tmp_path, smtp=9, pop3=None, more=""):
    account = f"""
[account.isp]
host = "127.0.0.1:{pop3}"
tls = "none"
user = "ann"
password_file = "password"
deliver_to = "user"
link = "isp"
"""
    sections = f"""
[link.isp]
kind = "event"

[smart_host.isp]
host = "127.0.0.1:{smtp}"
tls = "none"
link = "isp"
{account if pop3 else ""}
{more}
"""
    node = TestNode(tmp_path / "home", sections)
    node.password("password", "secret")
    return node


def queue_id(node):
    return json.loads(node.run("queue", "--json").stdout)[0]["id"]


@pytest.mark.parametrize("with_daemon", [True, False], ids=["daemon", "no daemon"])
def test_linkup_flushes_and_polls_and_sums_up(tmp_path, with_daemon):
    with (
        Postfix(tmp_path / "p") as postfix,
        Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot,
    ):
        for number in range(5):
            dovecot.put("ann", b"Subject: %d\n\nx\n" % number)
        node = home(tmp_path, postfix.port, dovecot.pop3_port)
        daemon = node.daemon()
        if with_daemon:
            daemon.start()
        try:
            for _ in range(3):
                assert node.sendmail("x@far.example", stdin=LETTER).returncode == 0
            assert postfix.count() == 0, "nothing goes before the link is up"
            ended = node.run("linkup", "isp", "--json")
            assert ended.returncode == 0, ended.stderr
            summary = json.loads(ended.stdout)
            assert (summary["sent"], summary["received"], summary["problems"]) == (3, 5, [])
            assert summary["bytes_out"] > 0 < summary["bytes_in"]
            postfix.wait_for(3)
            assert len(node.mails("user")) == 5
            again = node.run("linkup", "--verbose")
            assert again.stdout.startswith("isp: 0 sent, 0 received, 0 deferred, 0 failed;")
            assert node.run("linkup").stdout == "", "quiet without a terminal, as under cron"
            assert node.run("linkdown", "isp").returncode == 0
        finally:
            daemon.stop()


def test_while_a_link_is_up_the_daemon_sends_new_mail_at_once(tmp_path):
    with Postfix(tmp_path / "p") as postfix:
        node = home(tmp_path, postfix.port)
        launcher_free = node.daemon()
        with launcher_free:
            assert node.run("linkup").returncode == 0
            assert node.sendmail("x@far.example", stdin=LETTER).returncode == 0
            postfix.wait_for(1)
            assert node.run("linkdown").returncode == 0
            assert node.sendmail("y@far.example", stdin=LETTER).returncode == 0
            assert "y@far.example" in node.sendmail("-bp").stdout
        assert postfix.count() == 1


def test_a_line_that_went_without_a_word_uses_up_no_tries(tmp_path):
    with Postfix(tmp_path / "p") as postfix:
        node = home(tmp_path, postfix.port)
        daemon = node.daemon()
        daemon.start()
        assert node.run("linkup").returncode == 0
    try:
        assert node.sendmail("x@far.example", stdin=LETTER).returncode == 0
        assert wait_until(lambda: "taken to be down until" in daemon.log(), 10)
        for _ in range(3):
            assert node.sendmail("y@far.example", stdin=LETTER).returncode == 0
    finally:
        daemon.stop()
    queued = json.loads(node.run("queue", "--json").stdout)
    assert [one["recipients"][0]["attempts"] for one in queued] == [1, 0, 0, 0]


def test_flush_and_sendmail_q_take_parts_of_the_queue(tmp_path):
    with Postfix(tmp_path / "p") as postfix:
        node = home(tmp_path, postfix.port)
        for name in ("a@one.example", "b@two.example", "c@three.example", "d@four.example"):
            assert node.sendmail(name, stdin=LETTER).returncode == 0
        assert node.sendmail("-qRone.EXAMPLE").returncode == 0
        postfix.wait_for(1)
        assert [d.recipient for d in postfix.deliveries()] == ["a@one.example"]
        assert node.run("flush", "--to", "two", "--to", "three").returncode == 0
        postfix.wait_for(3)
        assert node.sendmail("-q").returncode == 0
        postfix.wait_for(4)


def test_fetch_alone_sends_nothing_and_flush_alone_fetches_nothing(tmp_path):
    with (
        Postfix(tmp_path / "p") as postfix,
        Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot,
    ):
        dovecot.put("ann", LETTER)
        node = home(tmp_path, postfix.port, dovecot.pop3_port)
        assert node.sendmail("x@far.example", stdin=LETTER).returncode == 0
        assert node.run("fetch", "isp").returncode == 0
        assert postfix.count() == 0
        assert len(node.mails("user")) == 1
        dovecot.put("ann", LETTER)
        assert node.run("flush").returncode == 0
        postfix.wait_for(1)
        assert dovecot.count("ann") == 1
        assert node.run("fetch", "nosuch").returncode == 64


def test_held_mail_stays_until_it_is_released_or_removed(tmp_path):
    with Postfix(tmp_path / "p") as postfix:
        node = home(tmp_path, postfix.port)
        assert node.sendmail("x@far.example", stdin=LETTER).returncode == 0
        mail = queue_id(node)
        assert node.run("hold", mail).returncode == 0
        assert node.run("flush").returncode == 0
        assert postfix.count() == 0
        assert "held" in node.run("queue").stdout
        assert node.run("hold", mail).returncode == 65
        assert node.run("release", mail, "NOSUCH").returncode == 65
        assert node.run("flush").returncode == 0
        postfix.wait_for(1)
        assert node.sendmail("y@far.example", stdin=LETTER).returncode == 0
        assert node.run("remove", queue_id(node)).returncode == 0
        assert "empty" in node.run("queue").stdout
        history = node.run("queue", mail).stdout
        assert re.findall(r"  (queued|hold|release|delivered) ", history) == [
            "queued",
            "hold",
            "release",
            "delivered",
        ]


def test_a_second_daemon_on_one_spool_is_refused(tmp_path):
    node = home(tmp_path)
    with node.daemon():
        second = node.run("serve")
        assert second.returncode == 75
        assert "serves this spool already" in second.stderr


def test_a_stale_socket_of_a_killed_daemon_is_no_obstacle(tmp_path):
    node = home(tmp_path)
    daemon = node.daemon()
    daemon.start()
    os.kill(daemon.process.pid, signal.SIGKILL)
    daemon.stop()
    assert node.sendmail("user", stdin=LETTER).returncode == 0
    with daemon:
        assert wait_until(lambda: node.mails("user"), 10)


def test_sighup_takes_a_changed_configuration_and_keeps_the_old_one_if_it_is_wrong(tmp_path):
    port, other = free_port(), free_port()
    node = home(tmp_path, more=f'[listen.lan]\nsmtp = ["127.0.0.1:{port}"]\n')
    text = node.path.read_text()
    with node.daemon() as daemon:
        node.path.write_text(text.replace("kind =", "knid ="))
        os.kill(daemon.process.pid, signal.SIGHUP)
        assert wait_until(lambda: "the old configuration stays" in daemon.log(), 10)
        assert "did you mean kind?" in daemon.log()
        smtplib.SMTP("127.0.0.1", port, timeout=10).quit()
        node.path.write_text(text.replace(str(port), str(other)))
        os.kill(daemon.process.pid, signal.SIGHUP)
        assert wait_until(lambda: "configuration read again" in daemon.log(), 10)
        smtplib.SMTP("127.0.0.1", other, timeout=10).quit()
        with pytest.raises(ConnectionRefusedError):
            smtplib.SMTP("127.0.0.1", port, timeout=10)


def test_a_port_that_is_taken_is_said_plainly(tmp_path):
    port = free_port()
    node = home(tmp_path, more=f'[listen.lan]\nsmtp = ["127.0.0.1:{port}", "127.0.0.1:{port}"]\n')
    ended = node.run("serve")
    assert ended.returncode == 75
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_says_all_that_is_wrong_at_once_and_exits_78(tmp_path):
    node = home(tmp_path, more='[listen.lan]\nsmtp = ["10.9.9.9:25"]\n[nonsense]\nx = 1\n')
    (node.folder / "password").chmod(0o644)
    node.path.write_text(node.path.read_text().replace('tls = "none"', 'tls = "perhaps"'))
    checked = node.run("check")
    assert checked.returncode == 78
    lines = checked.stderr.splitlines()
    assert len(lines) == 3, checked.stderr
    assert all(re.match(r"(relaynode: )?/.*/relaynode\.toml:\d+: ", line) for line in lines)
    for other in (("queue",), ("linkup",), ("serve",)):
        assert node.run(*other).returncode == 78
    assert node.sendmail("user", stdin=LETTER).returncode == 78


def test_a_password_file_that_others_can_read_is_refused(tmp_path):
    node = home(tmp_path, pop3=1)
    (node.folder / "password").chmod(0o640)
    checked = node.run("check")
    assert checked.returncode == 78
    assert "can be read by others (mode 0640); say: chmod 600" in checked.stderr


def test_wrong_lines_of_tables_are_named_and_the_others_work(tmp_path):
    node = home(tmp_path)
    (node.folder / "tables" / "mailertable").write_text(
        "good.example\tsmtp:[127.0.0.1]\nbad.example\tnosuch:x\n"
    )
    (node.folder / "tables" / "aliases").write_text("staff: user\nwrong line\n")
    checked = node.run("check")
    assert checked.returncode == 78
    assert "mailertable:2: bad.example: unknown mailer nosuch" in checked.stderr
    assert "aliases:2: missing colon" in checked.stderr
    explained = node.run("explain", "x@good.example", "staff")
    assert explained.returncode == 0
    assert f"[{node.folder}/tables/mailertable:1]" in explained.stdout
    assert "aliases staff: user" in explained.stdout


def test_explain_prints_each_look_up_and_the_result(tmp_path):
    node = home(tmp_path, more='[masquerade]\nas = "example.net"\nenvelope = true\n')
    (node.folder / "tables" / "mailertable").write_text(".lan.example\tsmtp8:%1.gw\n")
    explained = node.run("explain", "joe@pc.lan.example").stdout.splitlines()
    assert [line.strip() for line in explained] == [
        "joe@pc.lan.example",
        "joe@pc.lan.example",
        "is pc.lan.example ours: no",
        "mailertable pc.lan.example: no entry",
        f"mailertable .lan.example: smtp8:%1.gw   [{node.folder}/tables/mailertable:1]",
        "= mailer smtp8, host pc.gw, user joe@pc.lan.example, over link isp",
        "as sender: joe@pc.lan.example in the header, joe@pc.lan.example in the envelope",
    ]
    plain = json.loads(node.run("explain", "--json", "user@bsd.home").stdout)
    assert plain[0]["recipients"][0]["mailer"] == "local"
    assert plain[0]["as_sender"]["envelope-sender"] == "user@example.net"
    wrong = node.run("explain", "a b@c")
    assert wrong.returncode == 65
    assert "no address" in wrong.stdout


@pytest.mark.parametrize("through", ["launcher", "whole way", "launcher without daemon"])
@pytest.mark.parametrize(
    ("words", "stdin", "code", "complaint"),
    [
        (("user",), LETTER, 0, ""),
        (("-t",), b"To: user\n" + LETTER, 0, ""),
        (("-t",), b"Cc: user\nBcc: postmaster\n" + LETTER, 0, ""),
        (("-t",), LETTER, 0, "No recipient addresses found in header"),
        ((), LETTER, 64, "Recipient names must be specified"),
        (("-Z", "user"), LETTER, 64, "illegal option -- Z"),
        (("-bz", "user"), LETTER, 64, "Invalid operation mode z"),
        (("nobody1",), LETTER, 67, "User unknown"),
        (("bad address@@x",), LETTER, 65, ""),
        (("-t",), b"To: one two three\n" + LETTER, 65, "no address"),
    ],
)
def test_sendmail_ends_with_the_code_and_words_scripts_expect(
    tmp_path, through, words, stdin, code, complaint
):
    node = home(tmp_path)
    launcher = node.launcher()
    daemon = node.daemon()
    if through == "launcher":
        daemon.start()
    try:
        if through == "whole way":
            ended = node.sendmail(*words, stdin=stdin)
            stderr = ended.stderr
        else:
            ended = subprocess.run(
                [launcher, *words], input=stdin, capture_output=True, env=node.environment
            )
            stderr = ended.stderr.decode()
    finally:
        daemon.stop()
    assert (ended.returncode, complaint in stderr) == (code, True), stderr
    assert "Traceback" not in stderr


def test_sendmail_makes_the_header_that_sendmail_makes(tmp_path):
    node = home(tmp_path)
    given = b"To: user\nBcc: postmaster\nReturn-Path: <x@y>\nSubject: s\n\nbody\n.\nlost\n"
    sent = node.sendmail("-t", "-F", "Ann Other", "-f", "ann@bsd.home", stdin=given)
    assert sent.returncode == 0
    assert wait_until(lambda: node.mails("user") and node.mails("postmaster"), 10)
    (mail,) = node.mails("user")
    assert re.fullmatch(
        rb"Return-Path: <ann@bsd.home>\n"
        rb"Received: \(from \w+@localhost\)\n"
        rb"\tby bsd.home \(relaynode [0-9.]+\) id \w+;\n"
        rb"\t\w+, \d+ \w+ \d{4} [0-9:]{8} [+-]\d{4}\n"
        rb"Date: [^\n]+\n"
        rb"From: Ann Other <ann@bsd.home>\n"
        rb"Message-Id: <\d{12}\.\w+@bsd\.home>\n"
        rb"(X-Authentication-Warning: [^\n]+\n)?"
        rb"To: user\nSubject: s\n\nbody\n",
        mail,
    ), mail


def test_mailq_has_sendmails_layout(tmp_path):
    node = home(tmp_path, free_port())
    empty = node.sendmail("-bp").stdout
    assert empty == f"{node.folder}/spool is empty\n\t\tTotal requests: 0\n"
    letter = b"Subject: s\n\nbod\xe4\n"
    assert (
        node.sendmail("-f", "ann", "x@far.example", "y@far.example", stdin=letter).returncode == 0
    )
    node.run("flush")
    lines = node.sendmail("-bp").stdout.splitlines()
    assert lines[0] == f"\t\t{node.folder}/spool (1 request)"
    assert lines[1] == (
        "-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------"
    )
    assert re.fullmatch(r"\w{14}       20 \w{3} \w{3} \d\d \d\d:\d\d ann@bsd\.home", lines[2])
    assert lines[3] == "          8BITMIME"
    assert lines[4].startswith("                 (Deferred: ")
    assert lines[5:7] == ["\t\t\t\t\t x@far.example", "\t\t\t\t\t y@far.example"]
    assert lines[7] == "\t\tTotal requests: 1"


def test_the_demos_two_nodes_lose_and_double_nothing(tmp_path):
    # The same play as `relaynode demo`, over a line a hundred times as fast.
    stage_rate = stage.BITS_PER_SECOND
    stage.BITS_PER_SECOND = stage_rate * 100
    try:
        result, before, after = asyncio.run(demo._play(tmp_path, demo._silent))
    finally:
        stage.BITS_PER_SECOND = stage_rate
    assert (result.sent, result.received, result.lost, result.doubled) == (25, 25, 0, 0)
    assert (before, after) == ("User <user>", "User <user@example.net>")
    assert result.bytes_out > 25 * 4000 < result.bytes_in
