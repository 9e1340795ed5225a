"""conf/dialup as it is: mail waits for the link without a name being looked up, then it goes."""

import contextlib
import socket
import threading
from pathlib import Path

import pytest

from nodes import TestNode
from peers.processes import wait_until
from peers.zone import ZoneServer

CONF = Path(__file__).parents[2] / "conf" / "dialup" / "relaynode.toml"

LETTER = b"From: User <user>\nTo: friend@example.com, user@bsd.home\nCc: root\nSubject: s\n\nbody\n"

RESOLVER = """
import socket

def getaddrinfo(host, port, *_, **__):
    if (host, port) == ("192.0.2.25", 25) and {port}:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", {port}))]
    if host == "127.0.0.1":
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (host, port))]
    with open({log!r}, "a") as log:
        log.write(f"{{host}}:{{port}}\\n")
    raise socket.gaierror(socket.EAI_AGAIN, "no line")

socket.getaddrinfo = getaddrinfo
socket.gethostbyname = socket.gethostbyaddr = socket.getnameinfo = getaddrinfo
"""
"""In the place of the system's: the relay's address leads to the test's, and whatever else is asked
for is written down."""


class Relay:
    """A server that takes every message, and keeps what it was told."""

    def __init__(self):
        self.lines = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, connection.makefile("rwb") as stream:
                    self._talk(stream)

    def _talk(self, stream):
        stream.write(b"220 relay.example.net ESMTP\r\n")
        stream.flush()
        is_content = False
        for line in stream:
            self.lines.append(line.rstrip(b"\r\n"))
            if is_content and line != b".\r\n":
                continue
            reply = {b"DATA": b"354 go on", b"QUIT": b"221 bye"}.get(line.split()[0], b"250 ok")
            is_content = line == b"DATA\r\n"
            stream.write(reply + b"\r\n")
            stream.flush()


@pytest.fixture
def zone():
    with ZoneServer({"A": {"relay.example.net": "192.0.2.25"}}) as server:
        yield server


@pytest.fixture
def home(tmp_path, monkeypatch, zone):
    """The sample, with a spool, a mailbox, users and a name server of the test; `resolver(port)`
    says whether the relay is in reach."""
    node = TestNode(tmp_path / "home")
    text = CONF.read_text() + zone.toml
    for section, keys in (
        ("[node]", 'spool = "spool"\ntables = "tables"'),
        ("[local]", f'mailbox = "{node.folder}/mail/{{user}}/"\nusers = ["user", "root"]'),
    ):
        text = text.replace(f"{section}\n", f"{section}\n{keys}\n")
    node.path.write_text(text)

    def resolver(port):
        folder = tmp_path / "site"
        folder.mkdir(exist_ok=True)
        log = str(tmp_path / "asked")
        (folder / "sitecustomize.py").write_text(RESOLVER.format(port=port, log=log))

    def asked():
        log = tmp_path / "asked"
        return zone.questions + (log.read_text().split() if log.exists() else [])

    resolver(0)
    environment = node.environment
    environment["PYTHONPATH"] = f"{tmp_path}/site:{environment['PYTHONPATH']}"
    monkeypatch.setattr(TestNode, "environment", environment)
    return node, resolver, asked


def test_mail_waits_for_the_link_and_then_goes_to_the_relay_as_example_net(home):
    node, resolver, asked = home
    sent = node.sendmail("-i", "-f", "user", "friend@example.com", "user@bsd.home", stdin=LETTER)
    assert sent.returncode == 0, sent.stderr
    assert wait_until(lambda: node.mails("user"), 20)
    assert "<friend@example.com>" in node.run("queue").stdout
    assert asked() == []

    with Relay() as relay:
        resolver(relay.port)
        up = node.run("linkup", "isp")
        assert up.returncode == 0, up.stderr
    assert {name for name, *_ in asked()} == {"relay.example.net"}
    assert "friend@example.com" not in node.run("queue").stdout
    said = [line.split()[:2] for line in relay.lines if b":<" in line]
    assert said == [[b"MAIL", b"FROM:<user@example.net>"], [b"RCPT", b"TO:<friend@example.com>"]]
    assert b"From: User <user@example.net>" in relay.lines
    assert b"To: friend@example.com, user@example.net" in relay.lines
    assert b"Cc: root@example.net" in relay.lines


def test_a_link_that_comes_up_without_a_relay_in_reach_keeps_the_mail(home):
    node, _, asked = home
    assert node.sendmail("-i", "friend@example.com", stdin=LETTER).returncode == 0
    assert node.run("linkup", "isp").returncode == 75
    assert "192.0.2.25:25" in asked()
    assert "friend@example.com" in node.run("queue").stdout
