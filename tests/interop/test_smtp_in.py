"""The daemon as an SMTP server for strangers: hostile dialogues, relay attempts, proxies, ETRN."""

import contextlib
import smtplib
import socket
import socketserver
import threading

import pytest

from nodes import TestNode
from peers.processes import free_port, wait_until
from peers.swaks import swaks
from relaying import (
    LEGITIMATE,
    NODE_KEYS,
    SECTIONS,
    STRANGER,
    TABLES,
    USERS,
    relay_attempts,
)
from unit.smtp.hostile import begins_as, read_all
from unit.smtp.talk import way_to

LETTER = b"Subject: s\r\n\r\nbody\r\n"
SECONDS = 20


class Client:
    """A raw client of a port. `hello`: bytes before anything else, as a proxy sends them."""

    def __init__(self, port, hello=b""):
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.socket.sendall(hello)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def says(self, data, lines=None):
        """Send, and read so many reply lines, or one whole reply."""
        self.socket.sendall(data)
        found = []
        while len(found) < (lines if lines is not None else 10_000):
            line = self.line()
            if not line:
                break
            found.append(line)
            if lines is None and line[3:4] == b" ":
                break
        return b"".join(found)

    def line(self):
        """One line, b"" at the end."""
        while b"\n" not in self.buffer:
            more = self.socket.recv(4096)
            if not more:
                return b""
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"


# --- hostile dialogues

HOSTILE = [
    one
    for one in read_all()
    if one.terms <= {"is_strict"}
    and not any(line.startswith("250-") for each in one.exchanges for line in each.said)
    and one.phase.name != "BDAT"
]


def codes(expected):
    """Texts and enhanced codes are the driver's own; the codes are the same."""
    return [line[:3] for line in expected]


@pytest.mark.parametrize("pipelining", ["lenient", "strict"])
def test_hostile_dialogues_end_with_the_replies_that_the_rfcs_ask_for(tmp_path, pipelining):
    port = free_port()
    dialogues = [one for one in HOSTILE if ("is_strict" in one.terms) == (pipelining == "strict")]
    sections = (
        # Where mail is known again, our own kind may begin behind EHLO.
        "[queue]\nmessage_size_bytes = 1000\nremember_days = 0\n"
        "[access]\netrn = false\n"
        f'[limits]\nrecipients_per_message = 3\npipelining = "{pipelining}"\n'
        f'[listen.lan]\nsmtp = ["127.0.0.1:{port}"]\n'
    )
    node = TestNode(
        tmp_path / "node",
        sections,
        users=("bob", "carol", "dave", "erin", "postmaster"),
        node_keys='local_domains = ["example.net"]',
        tables={
            "access": "From:blocked@ REJECT\nTo:later@ ERROR:4.2.0:450 Mailbox busy\n"
            "To:nobody@ ERROR:5.1.1:550 No such user\n",  # some systems have one
        },
    )
    assert len(HOSTILE) > 200
    accepted = sum(len(one.messages) for one in dialogues)
    with node.daemon() as daemon:
        for one in dialogues:
            with Client(port) as client:
                client.says(b"")
                for command in way_to(one.phase):
                    client.says(command)
                for exchange in one.exchanges:
                    said = client.says(exchange.sent, len(exchange.said))
                    assert begins_as(said, codes(exchange.said)), (one.place, said)
        assert wait_until(lambda: len(node.mails("bob")) == accepted, SECONDS), (
            f"{len(node.mails('bob'))} of {accepted}"
        )
        assert "Traceback" not in daemon.log()


# --- relaying


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A running node that believes XCLIENT and PROXY from loopback: its two ports."""
    smtp, proxied = free_port(), free_port()
    sections = f"""{SECTIONS}
[access]
pop_before_smtp_minutes = 10
[listen.filter]
smtp = ["127.0.0.1:{smtp}"]
networks = ["192.168.1.0/24"]
xclient_hosts = ["127.0.0.1"]
[listen.balancer]
smtp = ["127.0.0.1:{proxied}"]
networks = ["192.168.1.0/24"]
proxy_hosts = ["127.0.0.1"]
[limits]
refused_commands = 10000
wrong_commands = 10000
idle_commands = 10000
"""
    node = TestNode(
        tmp_path_factory.mktemp("gateway"),
        sections,
        users=USERS,
        node_keys=NODE_KEYS,
        tables=TABLES,
    )
    with node.daemon():
        yield smtp, proxied


def xclient(address):
    return f"XCLIENT ADDR={'IPV6:' if ':' in address else ''}{address}\r\n".encode()


def test_the_daemon_relays_nothing_for_a_stranger_however_he_asks(gateway):
    port, _ = gateway
    taken = []
    with Client(port) as client:
        client.says(b"")
        client.says(b"EHLO filter.test\r\n")
        assert client.says(xclient(STRANGER)).startswith(b"220 ")
        client.says(b"EHLO stranger.test\r\n")
        for attempt in relay_attempts():
            # RSET's answer comes last, however many lines a line feed in an address makes of it.
            client.socket.sendall(
                b"MAIL FROM:%s\r\nRCPT TO:%s\r\nRSET\r\n" % (attempt.sender, attempt.recipient)
            )
            lines = [client.line()]
            while b"Reset state" not in lines[-1]:
                assert lines[-1], attempt
                lines.append(client.line())
            if any(line.startswith(b"250 2.1.5") for line in lines):
                taken.append((attempt, lines))
    assert taken == []


def test_who_may_send_still_may(gateway):
    port, _ = gateway
    for address, recipient in LEGITIMATE:
        with Client(port) as client:
            client.says(b"")
            client.says(b"EHLO filter.test\r\n")
            if "127.0.0.1" not in address:
                client.says(xclient(address))
                client.says(b"EHLO pc.test\r\n")
            client.says(b"MAIL FROM:<a@b.example>\r\n")
            said = client.says(b"RCPT TO:" + recipient.encode() + b"\r\n")
            assert said.startswith(b"250 2.1.5 "), (address, recipient, said)


def test_behind_a_load_balancer_each_client_is_itself(gateway):
    _, port = gateway
    for address, code in ((STRANGER, b"550"), ("192.168.1.7", b"250")):
        header = f"PROXY TCP4 {address} 127.0.0.1 5000 25\r\n".encode()
        with Client(port, header) as client:
            client.says(b"")
            client.says(b"EHLO pc.test\r\n")
            client.says(b"MAIL FROM:<a@b.example>\r\n")
            assert client.says(b"RCPT TO:<x@far.example>\r\n").startswith(code)
    with Client(port, b"EHLO pc.test\r\n") as client, contextlib.suppress(ConnectionResetError):
        assert client.says(b"") == b""


def test_swaks_is_a_client_behind_both(gateway):
    port, proxied = gateway
    common = ("--to", "user@bsd.home", "--from", "a@b.ex", "--quit-after", "RCPT")
    sent = swaks(
        *("--server", f"127.0.0.1:{port}", *common),
        *("--xclient", "ADDR=203.0.113.9 NAME=h.example"),
    )
    assert "220 bsd.home" in sent.stdout and "250 2.1.5" in sent.stdout, sent.stdout
    sent = swaks(
        *("--server", f"127.0.0.1:{proxied}", *common),
        *("--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", "203.0.113.9"),
        *("--proxy-source-port", "5000", "--proxy-dest", "127.0.0.1", "--proxy-dest-port"),
        "25",
    )
    assert "250 2.1.5" in sent.stdout, sent.stdout


# --- mail that stays, and mail that is asked for


class Sink(socketserver.ThreadingTCPServer):
    """A smart host that refuses for now until it is told otherwise, and counts who comes."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), SinkSession)
        self.connections, self.takes, self.recipients = 0, False, []

    @property
    def port(self):
        return self.server_address[1]


class SinkSession(socketserver.StreamRequestHandler):
    def handle(self):
        sink = self.server
        sink.connections += 1
        self.wfile.write(b"220 sink\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"RCPT" and sink.takes:
                sink.recipients.append(line.split(b"<")[1].split(b">")[0].decode())
            if verb == b"RCPT" and not sink.takes:
                self.wfile.write(b"450 4.2.0 later\r\n")
            elif verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self.wfile.write(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 sink\r\n")


@pytest.fixture
def sink():
    with Sink() as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        made.shutdown()


def relaying_node(folder, sink, **more):
    port, pop3 = free_port(), free_port()
    sections = f"""[smart_host.isp]
host = "127.0.0.1:{sink.port}"
tls = "none"
[listen.lan]
smtp = ["127.0.0.1:{port}"]
pop3 = ["127.0.0.1:{pop3}"]
"""
    return TestNode(folder, sections, **more), port


def test_mail_between_local_users_never_touches_a_link(tmp_path, sink):
    tables = {"aliases": "staff: user, joe\n"}
    users = ("user", "joe", "postmaster")
    node, port = relaying_node(tmp_path / "node", sink, tables=tables, users=users)
    with node.daemon():
        with smtplib.SMTP("127.0.0.1", port, "pc.test", timeout=SECONDS) as smtp:
            for to in ("joe@bsd.home", "JOE", "joe+lists@bsd.home", "staff@bsd.home"):
                assert smtp.sendmail("user@bsd.home", [to], LETTER) == {}
        assert wait_until(
            lambda: (len(node.mails("joe")), len(node.mails("user"))) == (4, 1), SECONDS
        )
    assert sink.connections == 0


def test_a_site_asks_for_its_mail_and_gets_it_before_its_time(tmp_path, sink):
    tables = {"relay-domains": "kept.example\n"}
    node, port = relaying_node(tmp_path / "node", sink, tables=tables)
    with node.daemon(), smtplib.SMTP("127.0.0.1", port, "pc.test", timeout=SECONDS) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("etrn")
        assert smtp.docmd("ETRN", "kept.example")[0] == 251
        assert smtp.sendmail("a@b.example", ["x@kept.example"], LETTER) == {}
        assert smtp.sendmail("a@b.example", ["y@far.example"], LETTER) == {}
        assert wait_until(lambda: node.run("queue").stdout.count("later") >= 2, SECONDS), node.run(
            "queue"
        ).stdout
        sink.takes = True
        assert smtp.docmd("ETRN", "kept.example")[0] == 253
        assert wait_until(lambda: sink.recipients == ["x@kept.example"], SECONDS)
        assert smtp.docmd("ETRN", "bsd.home")[0] == 459


def test_a_client_that_wants_to_know_is_told_that_its_mail_has_arrived(tmp_path, sink):
    users = ("user", "joe", "postmaster")
    node, port = relaying_node(tmp_path / "node", sink, users=users)
    with node.daemon(), smtplib.SMTP("127.0.0.1", port, "pc.test", timeout=SECONDS) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("dsn")
        smtp.mail("user@bsd.home", ["RET=HDRS", "ENVID=QQ+2B1"])
        orcpt = "ORCPT=rfc822;joe+2Bold@old.example"
        assert smtp.rcpt("joe@bsd.home", ["NOTIFY=SUCCESS,FAILURE", orcpt])[0] == 250
        assert smtp.data(LETTER)[0] == 250
        assert wait_until(lambda: node.mails("user"), SECONDS)
    (report,) = node.mails("user")
    for line in (
        b"Original-Envelope-Id: QQ+1",
        b"Original-Recipient: rfc822; joe+old@old.example",
        b"Final-Recipient: RFC822; joe@bsd.home",
        b"Action: delivered",
    ):
        assert line.lower() in report.lower(), report.decode()
    assert b"\nbody" not in report
