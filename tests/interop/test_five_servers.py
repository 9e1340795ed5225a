"""The same mails to five real servers: each arrives as it was sent, each refusal as it was said."""

import asyncio
import re
from collections import Counter
from dataclasses import dataclass

import pytest

from nodes import TestNode, body_of
from peers.exim import Exim
from peers.opensmtpd import OpenSmtpd
from peers.postfix import Postfix
from peers.sendmail_server import SendmailServer
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit

SERVERS = {
    "Postfix with CHUNKING": Postfix,
    "Postfix with PIPELINING only": lambda: Postfix(chunking=False),
    "Postfix without PIPELINING": lambda: Postfix(chunking=False, pipelining=False),
    "Exim": Exim,
    "OpenSMTPD": OpenSmtpd,
    "sendmail": SendmailServer,
}
NO_SMTPUTF8 = {"OpenSMTPD", "sendmail"}

ALL_BYTES = bytes(set(range(1, 256)) - {10, 13})
BODIES = {
    "eight-bit": b"Gr\xfc\xdfe\n" + ALL_BYTES[:127] + b"\n" + ALL_BYTES[127:] + b"\n\n\n",
    "long-lines": b"a" * 998 + b"\n." + b"b" * 997 + b"\n" + b"\xe4" * 998 + b"\n",
    "longer-lines": b"c" * 999 + b"\n" + b"d" * 13_000 + b"\n",
    "dots": b".\n..\n...\n.dot first\n\n.\nFrom here on\nblanks \t \n.\n",
    "no-line-end": b"one\nlast line",
    "nothing": b"",
}
MANY = [f"user{n}@far.example" for n in range(497)]
UNKNOWN = [f"unknown{n}@far.example" for n in range(3)]
EVERYBODY = [*MANY[:100], UNKNOWN[0], *MANY[100:300], *UNKNOWN[1:], *MANY[300:]]
UTF8 = "jürgen@far.example"


def letter(body, charset="iso-8859-1"):
    return (
        b"From: user\nTo: friends\nSubject: s\nMIME-Version: 1.0\n"
        b"Content-Type: text/plain; charset=%s\nContent-Transfer-Encoding: 8bit\n\n%s"
        % (charset.encode(), body)
    )


@dataclass
class Exchange:
    """One link-up with all mails waiting, and what came of it."""

    name: str
    flushed: object
    deliveries: list
    mails: list
    log: str

    def contents(self, recipient):
        return [one.content for one in self.deliveries if one.recipient == recipient]

    def notices(self, recipient):
        return [mail for mail in self.mails if recipient.encode() in mail]


@pytest.fixture(scope="module", params=list(SERVERS))
def exchange(request, tmp_path_factory):
    with SERVERS[request.param]() as server:
        node = home(tmp_path_factory.mktemp("home"), server.port)
        letters = [([f"{name}@far.example"], letter(body)) for name, body in BODIES.items()]
        send(node, *letters, ([UTF8], letter(b"x\n")), (EVERYBODY, letter(b"to all\n")))
        flushed = node.run("linkup")
        count = len(BODIES) + len(MANY) + (request.param not in NO_SMTPUTF8)
        server.wait_for(count)
        yield Exchange(
            request.param, flushed, server.deliveries(), node.mails("user"), server.log()
        )


def home(folder, port, more=""):
    return TestNode(
        folder,
        '[link.isp]\nkind = "event"\n[smart_host.isp]\n'
        f'host = "127.0.0.1:{port}"\ntls = "none"\nlink = "isp"\ntimeout_seconds = 20\n{more}',
    )


def send(node, *letters):
    """Queue letters, each with its recipients, as `sendmail -i -f user` does."""

    async def pieces(content):
        yield content

    async def work():
        opened = node.open()
        for recipients, content in letters:
            options = SendmailOptions(recipients=recipients, ignores_dots=True, sender="user")
            done = await submit(
                opened.intake, options, Submitter("root"), pieces(content), "bsd.home"
            )
            assert done.exit_code == 0
        await opened.close()

    asyncio.run(work())


def test_nothing_is_left_to_do(exchange):
    assert exchange.flushed.returncode == 0, exchange.flushed.stderr
    assert exchange.flushed.stderr == ""


@pytest.mark.parametrize("name", list(BODIES))
def test_a_body_arrives_byte_for_byte(exchange, name):
    (arrived,) = exchange.contents(f"{name}@far.example")
    body = BODIES[name]
    # A mailbox ends the last line (docs/peers.md).
    assert body_of(arrived) in (body, body + b"\n" * (not body.endswith(b"\n")))
    assert b"Content-Transfer-Encoding: 8bit" in arrived


def test_each_of_497_recipients_has_it_once(exchange):
    expected = {f"{name}@far.example" for name in BODIES}
    counts = Counter(one.recipient for one in exchange.deliveries)
    assert set(counts.values()) == {1}
    assert set(counts) - expected - {UTF8} == set(MANY)


def test_the_three_refused_ones_are_reported_in_the_server_s_words(exchange):
    (notice,) = exchange.notices(UNKNOWN[0])
    assert re.findall(rb"Final-Recipient: RFC822; (\S+)", notice) == [
        one.encode() for one in UNKNOWN
    ]
    diagnostics = re.findall(rb"Diagnostic-Code: (SMTP; 550 [^\n]*(?:\n[ \t][^\n]*)*)", notice)
    assert len(diagnostics) == 3
    for recipient, said in zip(UNKNOWN, diagnostics, strict=True):
        words = b" ".join(said.split())
        assert words in (
            b"SMTP; 550 5.1.1 There is no such user",
            b"SMTP; 550 5.1.1 <%s>... There is no such user" % recipient.encode(),
            b"SMTP; 550 5.1.1 <%s>: Recipient address rejected: There is no such user"
            % recipient.encode(),
        )


def test_a_utf8_address_is_used_where_it_can_be_and_reported_where_not(exchange):
    if exchange.name in NO_SMTPUTF8:
        (notice,) = exchange.notices("rgen")
        assert b"Status: 5.6.7" in notice
        assert b"takes no addresses outside ASCII" in notice
    else:
        (arrived,) = exchange.contents(UTF8)
        assert body_of(arrived) == b"x\n"


def test_a_server_that_takes_100_recipients_at_a_time_gets_the_rest_in_the_same_session(tmp_path):
    with Postfix(tmp_path / "p", extra={"smtpd_recipient_limit": "100"}) as server:
        node = home(tmp_path / "home", server.port)
        send(node, (EVERYBODY, letter(b"to all\n")))
        flushed = node.run("linkup")
        assert flushed.returncode == 0, flushed.stderr
        server.wait_for(len(MANY))
        counts = Counter(one.recipient for one in server.deliveries())
        log = server.log()
    assert counts == Counter(MANY)
    assert len(re.findall(r"smtpd\[\d+\]: disconnect from", log)) <= 2, "ours, and the first look"
    # Each transaction's refusals are reported when it ends.
    notices = b"".join(node.mails("user"))
    reported = re.findall(rb"Final-Recipient: RFC822; (\S+)", notices)
    assert sorted(reported) == [one.encode() for one in UNKNOWN]


# --- a server that is known


def strict_postfix():
    """It sends away who does not wait for the answer to EHLO, as newer ones do unless told."""
    return Postfix(extra={"smtpd_forbid_unauth_pipelining": "yes"})


VISITED = {**SERVERS, "Postfix that insists": strict_postfix}


@pytest.mark.parametrize("make", VISITED.values(), ids=list(VISITED))
def test_each_visit_takes_its_mail_once_whatever_was_presumed(tmp_path, make):
    with make() as server:
        node = home(tmp_path / "home", server.port)
        for visit in range(3):
            names = [f"visit{visit}.{number}@far.example" for number in range(4)]
            send(node, *(([name], letter(b"%s\n" % name.encode())) for name in names))
            summary = asyncio.run(run_link(node))
            assert summary.is_clean, summary.problems
            server.wait_for(4 * (visit + 1))
        counts = Counter(one.recipient for one in server.deliveries())
    assert len(counts) == 12
    assert set(counts.values()) == {1}


async def run_link(node):
    opened = node.open()
    try:
        return await opened.links.run("isp")
    finally:
        await opened.close()
