"""A large message from Dovecot costs the poller no memory: it is never held whole."""

import os
import random
import subprocess
import sys

import pytest

from nodes import TestNode
from peers.dovecot import Dovecot

SIZE = 100_000_000 if os.environ.get("RELAYNODE_SOAK") else 16_000_000
MOST_ABOVE_IDLE = 8 * 1024  # KiB

WAITS = """
import os, sys
pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0)
print(used.ru_maxrss, status)
"""
"""Between us and the poller: a child begins with the peak of its parent, which must be small."""


def peak_kib(node):
    command = [sys.executable, "-S", "-c", WAITS, *map(str, node.command("fetch", "--quiet"))]
    ended = subprocess.run(command, env=node.environment, capture_output=True, check=True)
    peak, status = map(int, ended.stdout.split()[-2:])
    assert status == 0, ended.stderr
    return peak


@pytest.fixture(scope="module")
def dovecot():
    with Dovecot(users={"pop3": "secret", "imap": "secret"}) as running:
        yield running


@pytest.mark.parametrize("user", ["pop3", "imap"])
def test_a_large_message_costs_the_poller_hardly_any_memory(tmp_path, dovecot, user):
    line = random.Random(2).randbytes(35).hex().encode() + b"\n"
    content = b"From: a@b.example\nSubject: large\n\n" + line * (SIZE // len(line))
    port = dovecot.imap_port if user == "imap" else dovecot.pop3_port
    node = TestNode(
        tmp_path / "home",
        f"[queue]\nmessage_size_bytes = {2 * SIZE}\n"
        f'[account.isp]\nprotocol = "{user}"\nhost = "localhost:{port}"\ntls = "none"\n'
        f'user = "{user}"\npassword_file = "password"\ndeliver_to = "user"\n',
        users=("user",),
    )
    node.password("password", "secret")
    idle = peak_kib(node)
    dovecot.put(user, content)
    assert peak_kib(node) - idle < MOST_ABOVE_IDLE
    (mail,) = node.mails("user")
    assert mail.endswith(content)
    assert dovecot.count(user) == 0
