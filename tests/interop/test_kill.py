"""kill -9 of the daemon, again and again, under load: what was acknowledged arrives.

RELAYNODE_SOAK=1 does it 200 times:

    RELAYNODE_SOAK=1 tests/run tests/interop/test_kill.py
"""

import os
import random
import re
import smtplib
import subprocess
import threading
from itertools import count

import pytest

from nodes import TestNode
from peers.postfix import Postfix
from peers.processes import free_port, wait_until

KILLS = 200 if os.environ.get("RELAYNODE_SOAK") else 20
MAX_ACKNOWLEDGED_BEFORE_KILL = 12
SMTP_CLIENTS = 3
SENDMAIL_CLIENTS = 2

SECTIONS = """
[link.lan]
kind = "always"

[smart_host.next]
host = "127.0.0.1:{postfix}"
tls = "none"
link = "lan"

[listen.lan]
smtp = ["127.0.0.1:{smtp}"]
"""


class Load:
    """Clients that send numbered mails, odd ones away and even ones home, and note each yes."""

    def __init__(self, node, launcher, port):
        self._node = node
        self._launcher = launcher
        self._port = port
        self._numbers = count()
        self._lock = threading.Lock()
        self.acknowledged = set()
        self._kill_at = 0
        self._kill = lambda: None
        self._over = threading.Event()

    def until_killed(self, kill, after):
        """Send until `after` mails were acknowledged; then `kill` is called, in the midst of it."""
        self._kill, self._kill_at = kill, len(self.acknowledged) + after
        self._over.clear()
        work = [self._by_smtp] * SMTP_CLIENTS + [self._by_sendmail] * SENDMAIL_CLIENTS
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _next(self):
        with self._lock:
            number = next(self._numbers)
        return number, "friend@far.example" if number % 2 else "user"

    def _said_yes(self, number):
        with self._lock:
            self.acknowledged.add(number)
            if len(self.acknowledged) >= self._kill_at and not self._over.is_set():
                self._kill()
                self._over.set()

    def _by_smtp(self):
        try:
            with smtplib.SMTP("127.0.0.1", self._port, "client.test", timeout=20) as client:
                while not self._over.is_set():
                    number, recipient = self._next()
                    client.sendmail("a@b.example", [recipient], letter(number))
                    self._said_yes(number)
        except (OSError, smtplib.SMTPException):
            pass  # killed in the middle: this one was not acknowledged

    def _by_sendmail(self):
        while not self._over.is_set():
            number, recipient = self._next()
            ended = subprocess.run(
                [self._launcher, "-i", recipient],
                input=letter(number).replace(b"\r\n", b"\n"),
                env=self._node.environment,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            if ended.returncode == 0:
                self._said_yes(number)


def letter(number):
    # Every seventh is long enough to lie in a file beside the database.
    filler = b"x" * 60 + b"\r\n"
    size = 1200 if number % 7 == 0 else 20
    return b"Subject: kill %d\r\n\r\n" % number + filler * size


def read_all(maildir):
    """As a reader does it: seen mail is in cur/, under a name with flags."""
    for file in maildir.glob("new/*"):
        file.rename(maildir / "cur" / f"{file.name}:2,S")


def numbers(contents):
    return [int(found[1]) for c in contents if (found := re.search(rb"Subject: kill (\d+)", c))]


@pytest.mark.timeout(600)
def test_every_acknowledged_mail_arrives_after_many_kills(tmp_path):
    chance = random.Random(20261121)
    with Postfix(tmp_path / "postfix") as postfix:
        port = free_port()
        sections = SECTIONS.format(postfix=postfix.port, smtp=port)
        node = TestNode(tmp_path / "node", sections)
        load = Load(node, node.launcher(), port)
        daemon = node.daemon()
        for _ in range(KILLS):
            daemon.start()
            process = daemon.process._process
            load.until_killed(process.kill, chance.randint(1, MAX_ACKNOWLEDGED_BEFORE_KILL))
            process.wait()
            daemon.stop()
            read_all(node.folder / "mail" / "user")
        with daemon:
            emptied = wait_until(lambda: "is empty" in node.sendmail("-bp").stdout, 60)
        assert emptied, node.sendmail("-bp").stdout
        postfix.wait_until_settled(60)

        away = numbers(postfix.all_messages())
        home = numbers(node.mails("user"))
        lost = load.acknowledged - set(away) - set(home)
        assert not lost
        assert len(load.acknowledged) >= KILLS
        # Into a Maildir a mail is never delivered twice; to a server it may be when the final
        # reply died with the daemon, and then the mail says so.
        assert len(home) == len(set(home))
        in_doubt = node.run("queue", "--all").stdout.count("may have been accepted")
        assert len(away) - len(set(away)) <= in_doubt
        assert "Traceback" not in daemon.log()


def test_a_message_whose_sender_dies_in_the_middle_is_not_queued(tmp_path):
    node = TestNode(tmp_path / "node")
    launcher = node.launcher()
    with (
        node.daemon(),
        subprocess.Popen(
            [launcher, "user"], stdin=subprocess.PIPE, env=node.environment
        ) as process,
    ):
        process.stdin.write(b"Subject: half\n\nthe first half")
        process.stdin.flush()
        process.kill()
        process.wait()
        assert node.sendmail("-bp").stdout.startswith(str(node.folder))
    assert node.mails("user") == []
    assert "half" not in node.run("queue", "--all").stdout
