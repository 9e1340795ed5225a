"""Mail without a smart host: real Postfix instances are the mail exchangers of a zone."""

import asyncio
import contextlib
import hashlib
import ssl

import pytest

from nodes import TestNode
from peers.certificates import make_certificate
from peers.postfix import Postfix
from peers.processes import free_port
from peers.zone import ZoneServer
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.policy.certificate import public_key_info
from relaynode.queue.content import Content
from relaynode.queue.model import NewMessage

LETTER = b"From: user\r\nTo: x\r\nSubject: s\r\n\r\nbody\r\n"
FIRST, SECOND = "127.0.0.11", "127.0.0.12"
PORT = free_port()
"""All exchangers listen on it, each on an address of its own: in life it is 25."""


@contextlib.contextmanager
def exchanger(address, **more):
    services = f"{address}:{PORT} inet n - n - - smtpd"
    with Postfix(services=services, **more) as postfix:
        yield postfix


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"), "second.a.example")


@pytest.fixture(scope="module")
def second(certificate):
    """The exchanger that is up all the time. It offers TLS."""
    with exchanger(SECOND, tls=certificate) as postfix:
        yield postfix


@pytest.fixture
def zone():
    records = {
        "MX": {
            "a.example": [(20, "second.a.example"), (10, "first.a.example")],
            "null.example": [(0, ".")],
            "loop.example": [(10, "bsd.home"), (20, "second.a.example")],
            "tls.example": [(10, "second.a.example")],
        },
        "A": {"first.a.example": FIRST, "second.a.example": SECOND, "bare.example": SECOND},
    }
    with ZoneServer(records) as server:
        yield server


class Played:
    """A node that sends one letter after the other, in this process."""

    def __init__(self, tmp_path, zone, **tables):
        self.test_node = TestNode(tmp_path / "home", zone.toml, tables=tables)
        self.sent = 0

    def send(self, recipient):
        """The summary of the run, and the status of each host that was spoken to."""

        async def play():
            node = self.test_node.open(smtp_port=PORT)
            try:
                await node.store.add([self._letter(recipient, node.clock())])
                summary = await node.links.run("default")
                hosts = {one.host: one.status for one in await node.store.host_status()}
                return summary.as_json(), hosts
            finally:
                await node.close()

        return asyncio.run(play())

    def _letter(self, recipient, now):
        self.sent += 1
        envelope = Envelope("user@bsd.home", (Recipient(recipient),))
        return NewMessage(f"LETTER{self.sent}", envelope, b"", Content.of(LETTER), "test", now)

    def reason(self):
        """Why the last letter waits."""

        async def play():
            node = self.test_node.open()
            try:
                (message,) = await node.store.messages()
                return str(message.recipients[0].last_status)
            finally:
                await node.close()

        return asyncio.run(play())


def test_the_best_exchanger_gets_the_mail_and_the_next_one_when_it_is_down(tmp_path, zone, second):
    node, before = Played(tmp_path, zone), second.count()
    with exchanger(FIRST) as first:
        summary, hosts = node.send("one@a.example")
        assert summary["sent"] == 1, summary
        assert list(hosts) == ["first.a.example"]
        first.wait_for(1)
    summary, hosts = node.send("two@a.example")
    assert summary["sent"] == 1, summary
    assert set(hosts) == {"first.a.example", "second.a.example"}
    second.wait_for(before + 1)
    assert [one.recipient for one in second.deliveries()][before:] == ["two@a.example"]


def test_an_exchanger_that_sends_everybody_away_is_passed_over(tmp_path, zone, second):
    before = second.count()
    closed = {"smtpd_client_restrictions": "reject", "smtpd_delay_reject": "no"}
    with exchanger(FIRST, extra=closed):
        summary, hosts = Played(tmp_path, zone).send("x@a.example")
    assert summary["sent"] == 1, summary
    assert list(hosts) == ["second.a.example"]
    second.wait_for(before + 1)


def test_a_refused_recipient_is_refused_whoever_else_might_take_it(tmp_path, zone, second):
    zone.records["MX"]["a.example"] = [(10, "second.a.example"), (20, "first.a.example")]
    node = Played(tmp_path, zone)
    summary, _ = node.send("unknown1@a.example")
    assert (summary["sent"], summary["failed"], summary["deferred"]) == (0, 1, 0)


def test_a_domain_without_mx_is_called_by_its_address(tmp_path, zone, second):
    before = second.count()
    summary, hosts = Played(tmp_path, zone).send("x@bare.example")
    assert (summary["sent"], list(hosts)) == (1, ["bare.example"])
    second.wait_for(before + 1)


def test_a_host_of_a_table_is_asked_for_its_exchangers_unless_it_stands_in_brackets(
    tmp_path, zone, second
):
    zone.records["A"]["gw.example"] = FIRST
    zone.records["MX"]["gw.example"] = [(10, "second.a.example")]
    table = "one.example esmtp:gw.example\ntwo.example esmtp:[gw.example]\n"
    node = Played(tmp_path, zone, mailertable=table)
    summary, hosts = node.send("x@one.example")
    assert (summary["sent"], list(hosts)) == (1, ["second.a.example"])
    summary, hosts = node.send("x@two.example")
    assert (summary["sent"], summary["deferred"]) == (0, 1)
    assert "Connection refused" in hosts["gw.example"].text


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("x@null.example", b"Status: 5.1.10", b"takes no mail (null MX)"),
        ("x@nowhere.invalid", b"Status: 5.1.2", b"there is no such domain"),
    ],
)
def test_what_can_never_go_comes_back_with_the_reason(tmp_path, zone, address, status, words):
    node = Played(tmp_path, zone)
    summary, _ = node.send(address)
    assert summary["failed"] == 1
    (dsn,) = node.test_node.mails("user")
    assert status in dsn
    assert words in dsn


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("x@loop.example", "MX list for loop.example points back to us"),
        ("x@fails.example", "SERVFAIL"),
        ("x@silent.example", "no name server answers"),
    ],
)
def test_what_may_be_mended_waits(tmp_path, zone, address, words):
    zone.failing.add("fails.example")
    zone.silent.add("silent.example")
    node = Played(tmp_path, zone)
    summary, _ = node.send(address)
    assert (summary["sent"], summary["failed"], summary["deferred"]) == (0, 0, 1)
    assert words in node.reason()


# --- TLS


def received(postfix, recipient):
    (content,) = postfix.messages(recipient)
    return content.partition(b"\n\n")[0]


def der(path):
    return ssl.PEM_cert_to_DER_cert(
        path.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    )


def sha256(data):
    return hashlib.sha256(data).digest()


def test_tls_is_used_where_it_is_offered_whoever_vouches_for_it(tmp_path, zone, second):
    summary, _ = Played(tmp_path, zone).send("offered@tls.example")
    assert summary["sent"] == 1, summary
    second.wait_until_settled()
    assert b"using TLS" in received(second, "offered@tls.example")


def test_tls_that_is_not_to_be_had_does_not_stop_mail(tmp_path, zone):
    no_key = make_certificate(tmp_path / "certificate", "first.a.example")
    with exchanger(FIRST, tls=no_key, extra={"smtpd_tls_key_file": "/nonexistent"}) as first:
        zone.records["MX"]["a.example"] = [(10, "first.a.example")]
        summary, _ = Played(tmp_path, zone).send("plain@a.example")
        assert summary["sent"] == 1, summary
        first.wait_for(1)
        assert b"using TLS" not in received(first, "plain@a.example")


def dane(zone, record):
    zone.is_secure = True
    zone.records["TLSA"] = {f"_{PORT}._tcp.second.a.example": [record]}


@pytest.mark.parametrize("kind", ["2 0 0", "3 0 1", "3 1 1"])
def test_the_certificate_that_the_dns_names_gets_the_mail(
    tmp_path, zone, second, certificate, kind
):
    own = der(certificate.certificate)
    records = {
        "2 0 0": (2, 0, 0, der(certificate.authority)),  # which the server does not send
        "3 0 1": (3, 0, 1, sha256(own)),
        "3 1 1": (3, 1, 1, sha256(public_key_info(own))),
    }
    dane(zone, records[kind])
    recipient = f"dane{kind.replace(' ', '')}@tls.example"
    summary, _ = Played(tmp_path, zone).send(recipient)
    assert summary["sent"] == 1, summary
    second.wait_until_settled()
    assert b"using TLS" in received(second, recipient)


@pytest.mark.parametrize("usage", [2, 3])
def test_another_certificate_gets_nothing(tmp_path, zone, second, usage):
    dane(zone, (usage, 1, 1, bytes(32)))
    node, before = Played(tmp_path, zone), second.count()
    summary, hosts = node.send("x@tls.example")
    assert (summary["sent"], summary["deferred"]) == (0, 1)
    assert "certificate is not accepted (DANE)" in hosts["second.a.example"].text
    assert second.count() == before


def test_a_host_that_must_have_tls_and_offers_none_gets_nothing(tmp_path, zone):
    zone.records["MX"]["tls.example"] = [(10, "first.a.example")]
    dane(zone, (3, 1, 1, bytes(32)))
    zone.records["TLSA"] = {f"_{PORT}._tcp.first.a.example": [(3, 1, 1, bytes(32))]}
    with exchanger(FIRST) as first:
        summary, hosts = Played(tmp_path, zone).send("x@tls.example")
        assert summary["deferred"] == 1
        assert "offers no STARTTLS" in hosts["first.a.example"].text
        assert first.count() == 0


def test_a_record_that_cannot_be_used_demands_tls_with_anybody(tmp_path, zone, second):
    dane(zone, (1, 1, 1, bytes(32)))
    summary, _ = Played(tmp_path, zone).send("anybody@tls.example")
    assert summary["sent"] == 1, summary
    second.wait_until_settled()
    assert b"using TLS" in received(second, "anybody@tls.example")
