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
from relaynode.cli import demo, names
from relaynode.cli.client import DaemonClient
from relaynode.demo import plays, stage

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
        "is pc.lan.example ours: no",
        "mailertable pc.lan.example: no entry",
        f"mailertable .lan.example: smtp8:%1.gw   [{node.folder}/tables/mailertable:1]",
        "= mailer smtp8, host pc.gw, user joe@pc.lan.example, over link isp",
        "by MX of pc.gw, asked at delivery",
        "as sender: joe@pc.lan.example in the header, joe@pc.lan.example in the envelope",
    ]
    plain = json.loads(node.run("explain", "--json", "user@bsd.home").stdout)
    assert plain[0]["recipients"][0]["mailer"] == "local"
    assert plain[0]["as_sender"]["envelope-sender"] == "user@example.net"
    wrong = node.run("explain", "a@b@")
    assert wrong.returncode == 65
    assert "refused: 553 5.1.2 Invalid route address" in wrong.stdout


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
        (("-bz", "user"), LETTER, 64, "Frozen configurations unsupported"),
        (("nobody1",), LETTER, 67, "User unknown"),
        (("bad address@@x",), LETTER, 64, "address@@x... Invalid route address"),
        (("-t",), b"To: one two three\n" + LETTER, 67, "one... User unknown"),
        (("-t",), b"To: user postmaster\n" + LETTER, 0, ""),
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
            said = ended.stdout + ended.stderr
        else:
            ended = subprocess.run(
                [launcher, *words], input=stdin, capture_output=True, env=node.environment
            )
            said = (ended.stdout + ended.stderr).decode()
    finally:
        daemon.stop()
    assert (ended.returncode, complaint in said) == (code, True), said
    assert "Traceback" not in said


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
    assert re.fullmatch(r"\w{14}        5 \w{3} \w{3} [ \d]\d \d\d:\d\d ann@bsd\.home", lines[2])
    assert lines[3].startswith("      8BITMIME   (Deferred: ")
    assert lines[4:6] == ["\t\t\t\t\t x@far.example", "\t\t\t\t\t y@far.example"]
    assert lines[6] == "\t\tTotal requests: 1"
    assert "x@far.example" in node.sendmail("-bp", "-qRX@FAR").stdout
    assert "is empty" in node.sendmail("-bp", "-q!Rfar").stdout
    assert "is empty" in node.sendmail("-bp", "-qGnosuch").stdout


def test_the_daemon_lists_the_queue_for_users_who_cannot_open_it(tmp_path):
    node = home(tmp_path)
    with node.daemon():
        assert node.sendmail("-f", "ann", "x@far.example", stdin=LETTER).returncode == 0
        answers = [
            DaemonClient.connect(node.config().control_socket).ask("mailq", words)
            for words in (["-v"], ["-bP"], ["-q!Rfar"], ["-Z"])
        ]
        assert answers[0] == {"exit": 0, "text": node.sendmail("-bp", "-v").stdout}
        assert "ann@bsd.home" in answers[0]["text"]
        assert answers[1]["text"].endswith("entries=1\n\t\tTotal requests: 1\n")
        assert "is empty" in answers[2]["text"]
        assert answers[3] == {"exit": 64, "text": "mailq: illegal option -- Z"}


def test_what_is_quarantined_is_listed_apart_with_its_reason_until_it_is_released(tmp_path):
    node = home(tmp_path, free_port())
    for name in ("x@far.example", "y@far.example"):
        assert node.sendmail(name, stdin=LETTER).returncode == 0
    assert node.sendmail("-Qoperator hold", "-qRx@far").returncode == 0
    assert "x@far.example" not in node.sendmail("-bp").stdout
    held = node.sendmail("-bp", "-qQ").stdout.splitlines()
    assert held[3:5] == ["     QUARANTINE: operator hold", "\t\t\t\t\t x@far.example"]
    assert held[5] == "\t\tTotal requests: 1"
    assert node.sendmail("-Q", "-qQ").returncode == 0
    assert "is empty" in node.sendmail("-bp", "-qQ").stdout
    assert "(2 requests)" in node.sendmail("-bp").stdout


def test_hoststat_shows_what_each_next_hop_last_said(tmp_path):
    with Postfix(tmp_path / "p") as postfix:
        node = home(tmp_path, postfix.port)
        assert node.sendmail("-bh").stdout == ""
        assert node.sendmail("x@far.example", "user", stdin=LETTER).returncode == 0
        assert node.run("flush").returncode == 0
    lines = node.sendmail("-bh").stdout.splitlines()
    assert lines[0] == (
        " -------------- Hostname --------------- How long ago ---------Results---------"
    )
    assert {line.split()[0] for line in lines[1:]} == {"127.0.0.1", "local"}
    (relay,) = (line for line in lines if line.startswith(" 127.0.0.1"))
    assert re.fullmatch(r" 127\.0\.0\.1 {35}00:00:\d\d 250 2\.0\.0 Ok.{1,13}", relay)
    assert node.sendmail("x@far.example", stdin=LETTER).returncode == 0
    node.run("flush")
    deferred = node.sendmail("-bh", "-v").stdout.splitlines()[1]
    assert re.match(r" 127\.0\.0\.1 +00:00:\d\d Deferred: .*refused", deferred)
    assert node.sendmail("-bH").returncode == 0
    assert len(node.sendmail("-bh").stdout.splitlines()) == 3, "only what is old is purged"


def test_newaliases_counts_and_names_wrong_lines(tmp_path):
    node = home(tmp_path)
    aliases = node.folder / "tables" / "aliases"
    assert node.sendmail("-bi").stdout == (
        f"newaliases: cannot open {aliases}: No such file or directory\n"
    )
    aliases.write_text("staff: user\nother: user\nother: user\n")
    checked = node.sendmail("-bi")
    assert checked.returncode == 0
    assert checked.stdout.splitlines() == [
        f"{aliases}: line 3: other... Warning: duplicate alias name other",
        f"{aliases}: 3 aliases, longest 4 bytes, 27 bytes total",
    ]
    aliases.write_text("staff user\nok: user\n")
    checked = node.sendmail("-bi")
    assert checked.returncode == 70
    assert checked.stdout.splitlines() == [
        f"{aliases}: line 1: missing colon",
        f"{aliases}: 1 aliases, longest 4 bytes, 6 bytes total",
    ]


def test_each_installed_name_does_its_work(tmp_path):
    node = home(tmp_path)
    (node.folder / "tables" / "aliases").write_text("staff: user\n")
    folder = node.launcher().parent

    def call(name, *words, stdin=b""):
        ended = subprocess.run(
            [folder / name, *words],
            input=stdin,
            capture_output=True,
            env=node.environment,
            cwd=tmp_path,
        )
        return ended.returncode, ended.stdout.decode(), ended.stderr.decode()

    (tmp_path / "asyncio.py").write_text("raise SystemExit('a file of the caller was run')")
    spool = f"{node.folder}/spool"
    assert {path.name for path in folder.iterdir()} == {
        *("hoststat", "mailq", "newaliases", "purgestat", "send-mail", "sendmail", "rmail"),
        "fetchmail",
        *names.FAST_UUCP_NAMES,
        *names.UUCP_NAMES,
    }
    assert call("mailq") == (0, f"{spool} is empty\n\t\tTotal requests: 0\n", "")
    assert call("mailq", "-Z") == (64, "", "mailq: illegal option -- Z\n")
    assert call("newaliases") == (
        0,
        f"{node.folder}/tables/aliases: 1 aliases, longest 4 bytes, 9 bytes total\n",
        "",
    )
    assert call("send-mail", "-odi", "user", stdin=LETTER) == (0, "", "")
    assert call("sendmail", "-odi", "user", stdin=LETTER) == (0, "", "")
    assert len(node.mails("user")) == 2
    code, table, _ = call("hoststat")
    assert (code, " local " in table) == (0, True)
    assert call("purgestat") == (0, "", "")
    assert call("rmail", stdin=LETTER) == (64, "", "usage: rmail user ...\n")
    assert call("rsmtp")[0] == 65
    assert call("uucico", "-r1", "-sfar") == (1, "", "uucico: far: no such neighbour\n")


def test_a_start_script_starts_the_daemon_and_is_told_if_one_runs(tmp_path):
    node = home(tmp_path)
    started = node.sendmail("-bd", "-q30m")
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    try:
        pid = int((node.folder / "spool" / "daemon.pid").read_text())
        again = node.sendmail("-bd")
        assert again.returncode == 75
        assert "a daemon serves this spool already" in again.stderr
        assert node.sendmail("-L", "queue", "-Ac", "-q30m").returncode == 0
        assert node.sendmail("user", stdin=LETTER).returncode == 0
        assert wait_until(lambda: node.mails("user"), 10)
    finally:
        os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: node.sendmail("-bD", "-Z").returncode == 64, 10)


def test_a_daemon_that_cannot_start_says_why_to_the_start_script(tmp_path):
    node = home(
        tmp_path, more='[listen.lan]\nsmtp = ["192.0.2.1:25"]\nnetworks = ["192.0.2.0/24"]\n'
    )
    started = node.sendmail("-bd")
    assert started.returncode == 75
    assert "cannot listen on 192.0.2.1:25" in started.stderr


@pytest.mark.parametrize("with_daemon", [True, False], ids=["daemon", "no daemon"])
def test_smtp_on_standard_input_says_who_called(tmp_path, with_daemon):
    node = home(tmp_path)
    daemon = node.daemon()
    if with_daemon:
        daemon.start()
    dialogue = (
        b"EHLO pc10\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<user>\r\nDATA\r\n"
        b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
    )
    try:
        said = node.sendmail("-bs", stdin=dialogue)
        assert said.returncode == 0
        codes = [line[:4] for line in said.stdout.splitlines() if line[3] == " "]
        assert codes == ["220 ", "250 ", "250 ", "250 ", "354 ", "250 ", "221 "]
        assert "Message accepted for delivery" in said.stdout
        assert wait_until(lambda: node.mails("user"), 10)
        cut = node.sendmail("-bs", stdin=dialogue[:40])
        assert (cut.returncode, cut.stdout[:4]) == (0, "220 "), "a caller that goes away"
    finally:
        daemon.stop()
    assert re.search(rb"^Received: from pc10 \(\w+@localhost\)$", node.mails("user")[0], re.M)


@pytest.mark.parametrize("play", [plays.SMTP, plays.uucp()], ids=["smtp and pop3", "uucp"])
def test_the_demos_two_nodes_lose_and_double_nothing(tmp_path, monkeypatch, play):
    # The same plays as `relaynode demo`, over a line a hundred times as fast.
    monkeypatch.setattr(stage, "BITS_PER_SECOND", stage.BITS_PER_SECOND * 100)
    result, before, after = asyncio.run(demo._play(tmp_path, demo._silent, play))
    assert (result.sent, result.received, result.lost, result.doubled) == (25, 25, 0, 0)
    assert (before, after) == ("User <user>", "User <user@example.net>")
    packed_to = 1.0 if play is plays.SMTP else 0.3
    assert result.bytes_out > 25 * 4000 * packed_to < result.bytes_in
    assert packed_to == 1.0 or result.bytes_out < 25 * 2000 > result.bytes_in
