"""The `fetchmail` name: what it prints, and its exit codes."""

import fcntl
import os

import pytest

from relaynode.cli import fetchmail, fetchmail_daemon
from relaynode.cli.fetchmail_screen import FetchmailScreen
from relaynode.config.from_fetchmail import FoundAccount
from relaynode.links.summary import Summary
from relaynode.polls.poll import Poll

SUMMARY = {"asked": [], "problems": []}


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("FETCHMAILHOME", "RELAYNODE_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RELAYNODE_CONFIG", str(tmp_path / "relaynode.toml"))
    (tmp_path / "relaynode.toml").write_text('[node]\nhostname = "n.example"\nspool = "spool"\n')
    return tmp_path


def write(home, text, mode=0o600):
    path = home / ".fetchmailrc"
    path.write_text(text)
    path.chmod(mode)


def screen(only_counts=False, **keys):
    account = FoundAccount("account", "u@h", "h", "u", 1, keys)
    return FetchmailScreen([account], is_silent=False, only_counts=only_counts)


def ended(one, poll, *problems):
    found = Summary("default", polls=[Poll("u@h", **poll)]).as_json()["polls"]
    one.end({**SUMMARY, "problems": list(problems), "polls": found})
    return one.exit_code


def test_it_prints_as_fetchmail_does(capsys):
    one = screen()
    poll = Poll("u@h", waiting=2, waiting_bytes=90)
    for poll.fetched, poll.fetched_bytes in ((0, 0), (1, 40), (2, 90)):
        one.progress(Summary("default", polls=[poll]).as_json())
    assert ended(one, {"waiting": 2, "waiting_bytes": 90, "fetched": 2, "fetched_bytes": 90}) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 messages for u at h (90 octets).",
        "reading message u@h:1 of 2 (40 octets)",
        "reading message u@h:2 of 2 (50 octets)",
    ]


@pytest.mark.parametrize(
    ("poll", "code", "said"),
    [
        ({"in_mailbox": 3, "mailbox_bytes": 50, "waiting": 1}, 0, "3 messages (2 seen) for u at h"),
        ({"in_mailbox": 2, "mailbox_bytes": 50}, 1, "2 messages (2 seen) for u at h (50 octets)."),
        ({"in_mailbox": 2, "left": {"larger than limit_bytes": 2}}, 0, "2 messages for u at h."),
        ({"in_mailbox": 2, "waiting": 1, "waiting_bytes": 9}, 0, "2 messages (1 seen) for u at h."),
        ({}, 1, "No mail for u at h"),
        ({"reason": "connect-refused"}, 2, "Query status=2 (SOCKET)"),
    ],
)
def test_a_count_tells_what_is_there_and_whether_any_of_it_is_new(poll, code, said, capsys):
    assert ended(screen(only_counts=True), poll) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err


@pytest.mark.parametrize(
    ("poll", "problem", "code", "said"),
    [
        ({}, "", 1, "No mail for u at h"),
        ({"reason": "connect-refused"}, "refused", 2, "Query status=2 (SOCKET)"),
        ({"reason": "auth-refused"}, "no", 3, "Query status=3 (AUTHFAIL)"),
        ({"reason": "auth-refused"}, "account u@h: [IN-USE] x", 9, "Query status=9 (LOCKBUSY)"),
        ({"reason": "dns-no-such-host"}, "who?", 11, "Query status=11 (DNS)"),
        ({"reason": "timed-out"}, "slow", 7, "Query status=7 (ERROR)"),
        ({"reason": "protocol-error"}, "what", 4, "Query status=4 (PROTOCOL)"),
        ({"waiting": 3, "fetched": 1}, "", 13, "Query status=13 (MAXFETCH)"),
    ],
)
def test_the_exit_code_says_what_a_poll_met(poll, problem, code, said, capsys):
    assert ended(screen(fetch_limit=1), poll, *filter(None, [problem])) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err


def test_mail_of_one_server_outweighs_the_trouble_of_another():
    one = screen()
    ended(one, {"waiting": 1, "fetched": 1})
    assert ended(one, {"reason": "connect-refused"}) == 0


@pytest.mark.parametrize(
    ("text", "mode", "words", "code", "said"),
    [
        ("poll h proto bogus", 0o600, [], 5, "syntax error at bogus"),
        ("poll h", 0o644, [], 6, "must have no more than"),
        ("", 0o600, [], 5, "no mailservers have been specified"),
        ("poll h", 0o600, ["--bogus"], 0, "unrecognized option '--bogus'"),
        ("poll h", 0o600, ["-l", "x"], 5, "String 'x' is not a valid number"),
        ("poll h", 0o600, ["-q"], 8, "no other fetchmail is running"),
        ("poll h proto pop3 user u", 0o600, [], 3, "can't find a password for u@h"),
        ("poll h proto kpop user u", 0o600, [], 5, "kpop is not spoken here"),
    ],
)
def test_what_cannot_be_done_ends_with_fetchmails_code(
    home, capsys, monkeypatch, text, mode, words, code, said
):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    write(home, text, mode)
    words = [*words, "--pidfile", str(home / "pid")] if words != ["--bogus"] else words
    assert fetchmail.main(words) == code
    assert said in capsys.readouterr().err


def test_a_file_of_unique_ids_that_others_can_read_is_refused_too(home, capsys):
    (home / ".fetchids").touch(mode=0o644)
    (home / ".fetchids").chmod(0o644)
    write(home, "poll h proto pop3 user u pass p")
    assert fetchmail.main(["--configdump"]) == 6
    assert f"File {home}/.fetchids must have no more than" in capsys.readouterr().err


def test_the_dump_is_python(home, capsys):
    write(home, 'poll "a b" user u pass "x\\"y" is c=d *')
    assert fetchmail.main(["--configdump", "-K", "other"]) == 0
    made = {}
    exec(capsys.readouterr().out, made)
    first, second = made["fetchmailrc"]["servers"]
    assert first["users"][0]["localnames"] == [("c", "d"), "*"]
    assert (second["pollname"], second["via"]) == ("other", "other")


def test_one_in_the_background_is_found_by_the_lock_of_its_pid_file(tmp_path, home, capsys):
    pid_file = tmp_path / "pid"
    assert fetchmail_daemon.running(pid_file) is None
    pid_file.write_text("4242\n")
    assert fetchmail_daemon.running(pid_file) is None  # it died
    with pid_file.open() as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        assert fetchmail_daemon.running(pid_file) == 4242
        write(home, f'set pidfile "{pid_file}" poll h proto pop3 user u pass p')
        assert fetchmail.main(["-k"]) == 8
        assert "can't accept options" in capsys.readouterr().err
