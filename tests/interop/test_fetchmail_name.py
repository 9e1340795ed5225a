"""The `fetchmail` command against a POP3 server: one user, no root, no daemon of ours."""

import os
import queue
import re
import socketserver
import subprocess
import sys
import threading

import pytest

LETTERS = [b"From: s@a.example\r\nSubject: %d\r\n\r\nhello\r\n" % number for number in range(3)]
WAIT_SECONDS = 60


class Pop3(socketserver.StreamRequestHandler):
    """Knows as much as a poll without TLS needs."""

    def handle(self):
        self.say(b"+OK ready")
        gone = set()
        for line in self.rfile:
            verb, _, argument = line.strip().partition(b" ")
            if verb == b"QUIT":
                for uid in gone:
                    del self.server.letters[uid]
                self.say(b"+OK")
                break
            self.say(self.answer(verb.upper(), argument, gone))
        self.server.sessions.put(len(gone))

    def say(self, text):
        self.wfile.write(text + b"\r\n")

    def answer(self, verb, argument, gone):
        letters = list(self.server.letters.items())
        sizes = [b"%d %d" % (n, len(text)) for n, (_, text) in enumerate(letters, 1)]
        uids = [b"%d %s" % (n, uid) for n, (uid, _) in enumerate(letters, 1)]
        if verb == b"PASS" and argument != b"secret":
            return b"-ERR no"
        if verb in (b"RETR", b"TOP"):
            return b"+OK\r\n" + letters[int(argument.split()[0]) - 1][1] + b"."
        if verb == b"DELE":
            gone.add(letters[int(argument) - 1][0])
        lists = {b"CAPA": [b"USER", b"UIDL", b"TOP"], b"UIDL": uids, b"LIST": sizes}
        if verb in lists:
            return b"\r\n".join([b"+OK", *lists[verb], b"."])
        total = sum(len(text) for _, text in letters)
        return b"+OK %d %d" % (len(letters), total) if verb == b"STAT" else b"+OK"


@pytest.fixture
def server():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pop3) as found:
        found.daemon_threads = True
        found.letters = {b"u%d" % number: text for number, text in enumerate(LETTERS)}
        found.sessions = queue.Queue()
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path, server):
    settings = '[node]\nhostname = "n.example"\nspool = "spool"\n[local]\nusers = ["bob"]\n'
    (tmp_path / "relaynode.toml").write_text(f'{settings}mailbox = "{tmp_path}/mail/{{user}}/"\n')
    write(tmp_path, server, "pass secret")
    return tmp_path


def write(home, server, options, password_first=""):
    port = server.server_address[1]
    text = f'{password_first} poll 127.0.0.1 proto pop3 port {port} user u is bob here sslproto ""'
    rc = home / ".fetchmailrc"
    rc.write_text(f"{text} {options}\n")
    rc.chmod(0o600)


def fetchmail(home, *words):
    environment = {
        **os.environ,
        "HOME": str(home),
        "RELAYNODE_CONFIG": str(home / "relaynode.toml"),
    }
    return subprocess.run(
        [sys.executable, "-P", "-m", "relaynode.cli.classic", "fetchmail", *words],
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=WAIT_SECONDS,
    )


def test_mail_is_fetched_once_and_delivered_as_the_file_says(home, server):
    write(home, server, "pass secret keep")
    ended = fetchmail(home)
    octets = sum(map(len, LETTERS))
    assert ended.stdout.splitlines()[0] == f"3 messages for u at 127.0.0.1 ({octets} octets)."
    assert ended.returncode == 0
    assert len(list((home / "mail/bob/new").iterdir())) == 3
    assert len(server.letters) == 3
    again = fetchmail(home)
    assert again.returncode == 1
    assert len(list((home / "mail/bob/new").iterdir())) == 3


def test_a_count_changes_nothing(home, server):
    write(home, server, "pass secret keep")
    octets = sum(map(len, LETTERS))
    counted = fetchmail(home, "-c", "-d", "300")
    assert (counted.returncode, counted.stdout) == (
        0,
        f"3 messages for u at 127.0.0.1 ({octets} octets).\n",
    )
    fetchmail(home)
    again = fetchmail(home, "-c")
    assert (again.returncode, again.stdout) == (
        1,
        f"3 messages (3 seen) for u at 127.0.0.1 ({octets} octets).\n",
    )


def test_a_wrong_password_ends_as_fetchmail_ends(home, server):
    write(home, server, "pass wrong")
    ended = fetchmail(home)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "fetchmail: Query status=3 (AUTHFAIL)" in ended.stderr


def test_one_in_the_background_polls_when_it_is_woken_and_ends_when_told(home, server):
    write(home, server, "pass secret", f'set pidfile "{home}/pid"')
    assert fetchmail(home, "-d", "86400").returncode == 0
    assert server.sessions.get(timeout=WAIT_SECONDS) == 3
    server.letters[b"new"] = LETTERS[0]
    woken = ""
    while server.sessions.empty():  # it takes no signal while it still delivers
        woken = fetchmail(home, "-N").stderr
    assert re.search(r"background fetchmail at \d+ awakened", woken)
    assert fetchmail(home, "-q").returncode == 0
    assert fetchmail(home, "-q").returncode == 8
    assert server.letters == {}
    assert len(list((home / "mail/bob/new").iterdir())) == 4
