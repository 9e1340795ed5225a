"""Polling over IMAP: real Dovecot over each kind of line, folders, moves, flags, cuts."""

import asyncio
import imaplib
import json
import os
import random
import subprocess
from collections import Counter
from dataclasses import dataclass

import pytest

from nodes import TestNode
from peers.certificates import make_certificate
from peers.dovecot import Dovecot
from peers.processes import wait_until
from relaynode.errors import LineLost, LoginRefused
from relaynode.wire import tcp
from unit.polls.imap_home import Home
from unit.polls.imap_server import Cut, Line

SOAK = bool(os.environ.get("RELAYNODE_SOAK"))
USERS = {f"u{number}": "secret" for number in range(12)}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def dovecot(certificate):
    with Dovecot(users=USERS, tls=certificate) as running:
        yield running


def home(tmp_path, dovecot, user, keys='tls = "none"', port=None, **more):
    sections = f"""
[link.isp]
kind = "event"

[account.isp]
protocol = "imap"
host = "localhost:{port or dovecot.imap_port}"
user = "{user}"
password_file = "password"
deliver_to = "user"
link = "isp"
timeout_seconds = 10
{keys}
"""
    node = TestNode(tmp_path / "home", sections, **more)
    node.password("password", "secret")
    return node


def letter(number, size=20):
    return b"From: a@b.example\nSubject: mail %d\n\n%s\n" % (number, b"x" * size)


def subjects(node, user="user"):
    return sorted(int(mail.partition(b"Subject: mail ")[2].split()[0]) for mail in node.mails(user))


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_it_fetches_and_deletes_over_each_kind_of_line(tmp_path, dovecot, certificate, tls):
    user = f"u{['none', 'starttls', 'tls'].index(tls)}"
    for number in range(30):
        dovecot.put(user, letter(number, 100_000 if number == 7 else 20))
    port = dovecot.imaps_port if tls == "tls" else dovecot.imap_port
    keys = f'tls = "{tls}"\nca_file = "{certificate.authority}"'
    node = home(tmp_path, dovecot, user, keys, port)
    fetched = node.run("fetch", "--json")
    assert fetched.returncode == 0, fetched.stderr
    assert json.loads(fetched.stdout)["received"] == 30
    assert subjects(node) == list(range(30))
    assert dovecot.count(user) == 0
    assert b" with IMAP id " in node.mails("user")[0]


def make_folder(dovecot, user, name):
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port, timeout=20) as imap:
        imap.login(user, "secret")
        imap.create(name)


def flags(dovecot, user, folder="INBOX"):
    """The flags of each message of a folder."""
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port, timeout=20) as imap:
        imap.login(user, "secret")
        imap.select(folder, readonly=True)
        _, found = imap.fetch("1:*", "(FLAGS)")
        return [imaplib.ParseFlags(one) for one in found if one]


def test_several_folders_are_emptied_into_another(tmp_path, dovecot):
    make_folder(dovecot, "u4", "Entw&APw-rfe")
    make_folder(dovecot, "u4", "Done")
    dovecot.put("u4", letter(1))
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port, timeout=20) as imap:
        imap.login("u4", "secret")
        imap.append("Entw&APw-rfe", None, None, letter(2).replace(b"\n", b"\r\n"))
    keys = 'tls = "none"\nfolders = ["INBOX", "Entwürfe", "Nowhere"]\nmove_to = "Done"'
    node = home(tmp_path, dovecot, "u4", keys)
    fetched = node.run("fetch")
    assert fetched.returncode == 75 and "Nowhere refused" in fetched.stderr
    assert subjects(node) == [1, 2]
    assert len(flags(dovecot, "u4", "Done")) == 2


@dataclass
class RealLine(Line):
    """To Dovecot, with a place to break."""

    async def open(self):
        return Cut(self, await tcp.connect("127.0.0.1", self.box, timeout=10))


def test_kept_mail_is_fetched_once_and_marked_as_read(tmp_path, dovecot):
    at = Home(tmp_path, dovecot.imap_port, line=RealLine, keep=True)
    at.user = "u3"
    for visit in range(3):
        dovecot.put("u3", letter(visit))
        assert asyncio.run(at.visit()).fetched == 1
    assert flags(dovecot, "u3") == [(b"\\Seen",)] * 3


def test_a_wrong_password_is_no_passing_trouble(tmp_path, dovecot):
    at = Home(tmp_path, dovecot.imap_port, line=RealLine)
    at.user = "nobody-known"
    asyncio.run(at.visit())
    assert isinstance(at.error, LoginRefused) and at.error.status.code == 535


MIXED = [letter(number, 2000).replace(b"\n", b"\r\n") for number in range(99)]
MIXED.append(b"Subject: 100\r\n\r\n" + random.Random(1).randbytes(90_000).hex().encode() + b"\r\n")


@pytest.mark.timeout(1200)
def test_cuts_anywhere_lose_nothing_and_double_nothing(tmp_path, dovecot):
    chance = random.Random(20261122)
    cuts = left = 1000 if SOAK else 8

    async def visits(trial):
        nonlocal left
        at = Home(tmp_path / str(trial), dovecot.imap_port, line=RealLine)
        at.user = "u6"
        spent = count = 0
        while True:
            if left and count < 20:
                place = chance.randrange(300, 90_000)
                await at.visit(**chance.choice([{"cut_down": place}, {"cut_up": place // 30}]))
            else:
                await at.visit()
            spent += at.line.down
            if at.error is None and not dovecot.count("u6"):
                break
            assert at.error is None or isinstance(at.error, LineLost), at.error
            left -= at.error is not None
            count += at.error is not None
        assert Counter(await at.contents()) == Counter(MIXED)
        return spent, count

    for content in MIXED:
        dovecot.put("u6", content)
    plain, _ = asyncio.run(visits_without_cuts(tmp_path, dovecot))
    trial = 0
    while left > 0:
        for content in MIXED:
            dovecot.put("u6", content)
        trial += 1
        spent, count = asyncio.run(visits(trial))
        # A listing and the beginning of a session each, and a message.
        assert spent <= plain + 3000 + count * 9000, (spent, plain, count)
    assert cuts - left >= cuts


async def visits_without_cuts(tmp_path, dovecot):
    at = Home(tmp_path / "plain", dovecot.imap_port, line=RealLine)
    at.user = "u6"
    await at.visit()
    assert at.error is None and dovecot.count("u6") == 0
    return at.line.down, 0


@pytest.mark.timeout(1200)
def test_kills_anywhere_lose_nothing_and_double_nothing(tmp_path, dovecot):
    chance = random.Random(20261122)
    kills = 200 if SOAK else 2
    node = home(tmp_path, dovecot, "u7")
    sent = 0
    for _ in range(kills):
        for _ in range(100 - dovecot.count("u7")):
            sent += 1
            dovecot.put("u7", letter(sent, 90_000 if sent % 50 == 0 else 2000))
        command = node.command("fetch")
        process = subprocess.Popen(
            command, env=node.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.5, 1.3))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert node.run("fetch").returncode == 0
    assert node.run("flush").returncode == 0
    assert subjects(node) == list(range(1, sent + 1))
    assert dovecot.count("u7") == 0


def test_a_message_of_20_mb_that_is_cut_ten_times_comes_once(tmp_path, dovecot):
    size = 20_000_000 if SOAK else 3_000_000
    data = random.Random(2).randbytes(size // 2).hex().encode()
    lines = [data[place : place + 64] for place in range(0, size, 64)]
    content = b"Subject: 1\r\n\r\n" + b"\r\n".join(lines) + b"\r\n"
    dovecot.put("u8", content)
    at = Home(tmp_path, dovecot.imap_port, line=RealLine)
    at.user = "u8"

    async def play():
        total = 0
        for _ in range(10):
            await at.visit(cut_down=size // 25)
            assert isinstance(at.error, LineLost)
            total += at.line.down
        await at.visit()
        assert at.error is None
        return total + at.line.down

    total = asyncio.run(play())
    assert asyncio.run(at.contents()) == [content]
    assert total < 0.65 * len(content)  # packed, and none of it twice


def test_a_daemon_that_idles_fetches_new_mail_as_it_comes(tmp_path):
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        dovecot.put("ann", letter(1))
        node = TestNode(
            tmp_path / "home",
            f'[account.isp]\nprotocol = "imap"\nhost = "localhost:{dovecot.imap_port}"\n'
            'tls = "none"\nuser = "ann"\npassword_file = "password"\ndeliver_to = "user"\n'
            "idle = true\n",
            users=("user",),
        )
        node.password("password", "secret")
        with node.daemon() as daemon:
            assert wait_until(lambda: subjects(node) == [1], 20), daemon.log()
            dovecot.put("ann", letter(2))
            assert wait_until(lambda: subjects(node) == [1, 2], 20), daemon.log()
            assert dovecot.count("ann") == 0
