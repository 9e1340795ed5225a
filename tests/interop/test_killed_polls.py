"""kill -9 of a poll, again and again, against Dovecot: nothing is lost, nothing comes twice."""

import os
import random
import re
import subprocess
from collections import Counter

from nodes import TestNode
from peers.dovecot import Dovecot

KILLS = 200 if os.environ.get("RELAYNODE_SOAK") else 3
MAILS = 100


def letter(number):
    return b"From: a@b.example\nSubject: mail %d\n\n%b\n" % (number, b"body\n" * (number % 500))


def numbers(node):
    found = [re.search(rb"Subject: mail (\d+)", content)[1] for content in node.mails("user")]
    return Counter(map(int, found))


def test_kills_during_polls_lose_and_double_nothing(tmp_path):
    chance = random.Random(3)
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        node = TestNode(
            tmp_path / "home",
            f'[account.isp]\nhost = "localhost:{dovecot.pop3_port}"\ntls = "none"\nuser = "ann"\n'
            'password_file = "password"\ndeliver_to = "user"\n',
            users=("user",),
        )
        node.password("password", "secret")
        kills = put = 0
        while kills < KILLS:
            if dovecot.count("ann") == 0:
                for number in range(put, put + MAILS):
                    dovecot.put("ann", letter(number))
                put += MAILS
            with subprocess.Popen(
                node.command("fetch"), env=node.environment, stderr=subprocess.DEVNULL
            ) as fetching:
                try:
                    fetching.wait(chance.uniform(0.2, 1.5))
                except subprocess.TimeoutExpired:
                    fetching.kill()
                    kills += 1
        last = node.run("fetch")
        assert last.returncode == 0, last.stderr
        assert dovecot.count("ann") == 0
        assert numbers(node) == Counter(range(put))
