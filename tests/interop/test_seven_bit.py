"""8-bit mail to a server without 8BITMIME: what sendmail and Postfix make of it, and what we do.

Where we differ from one of them, docs/peers.md says so, and a test holds that it is still true.
"""

import email
import re
import smtplib

import pytest

from nodes import TestNode, body_of
from peers import folders
from peers.plain_server import PlainServer
from peers.postfix import Postfix
from peers.sendmail import Sendmail
from relaynode.mail import seven_bit

MIME = b"From: a@b.example\nMIME-Version: 1.0\n"
TEXT = b"Content-Type: text/plain; charset=iso-8859-1\n"
EIGHT = b"Content-Transfer-Encoding: 8bit\n"
BINARY = b"Content-Transfer-Encoding: binary\n"
FEW = b"Sch\xf6ne Gr\xfc\xdfe = und mehr \nFrom here\n.\n..\n"


def parts(kind, *inside, boundary=b"b", header=b""):
    body = b"".join(b"--%s\n%s\n" % (boundary, one) for one in inside)
    head = b"Content-Type: multipart/%s; boundary=%s\n%s\n" % (kind, boundary, header)
    return head + body + b"--%s--\n" % boundary


CASES = {
    "few in text": MIME + TEXT + EIGHT + b"\n" + FEW,
    "many in text": MIME + TEXT + EIGHT + b"\n" + b"\xf1\xf2\xf3\xf4\xf5 " * 12 + b"\nx\n",
    "long lines": MIME + TEXT + EIGHT + b"\n" + b"x" * 1500 + b"\xe4\n" + b"y" * 998 + b"\nz\n",
    "no text": MIME + b"Content-Type: image/png\n" + BINARY + b"\nfew \x80 in ascii text\n",
    "folded field": MIME + TEXT + b"Content-Transfer-Encoding:\n\t8BIT (so)\nX-A: 1\n\n\xe4\n",
    "parts": MIME
    + parts(
        b"mixed",
        b"Content-Type: text/plain\n\nascii = only",
        b"Content-Type: text/html; charset=utf-8\n" + EIGHT + b"X-Part: kept\n\n<b>\xc3\xb6</b>",
        b"Content-Type: application/octet-stream\n" + BINARY + b"\n\xff\xfe\x80 ",
        b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nw7Y=",
        header=EIGHT,
    ),
    "parts in parts": MIME
    + parts(
        b"mixed",
        parts(b"alternative", TEXT + EIGHT + b"\n" + FEW, boundary=b"outer"),
        b"Content-Type: message/rfc822\n" + EIGHT + b"\n" + MIME + TEXT + EIGHT + b"\n" + FEW,
        boundary=b"out",
    ),
    "says quoted": MIME + TEXT + b"Content-Transfer-Encoding: quoted-printable\n\n\xe4 =E4\n",
    "partial": MIME + b"Content-Type: message/partial; id=x; number=1\n\nFrom: q\n\n\xc3\xa4\n",
    "report": MIME + parts(b"report", b"Content-Type: message/delivery-status\n\nX: y \xe4\n"),
    "header": MIME + b"Subject: Sch\xf6n\n" + TEXT + b"\nplain\n",
    # Said to be 7-bit, or nothing said.
    "lie": MIME + TEXT + b"Content-Transfer-Encoding: 7bit\n\n" + FEW,
    "nothing said": MIME + TEXT + b"\n" + FEW,
    "header and text": MIME + b"Subject: Sch\xf6n\n" + TEXT + b"\n" + FEW,
    "not MIME": b"From: a@b.example\nSubject: s\n\n" + FEW,
    "not MIME, with a type": b"From: a@b.example\n" + TEXT + b"\n" + FEW,
    "message not MIME": MIME + b"Content-Type: message/rfc822\n\nSubject: e\n" + TEXT + b"\n" + FEW,
    # Where sendmail and Postfix differ from each other.
    "signed": MIME + parts(b"signed", TEXT + EIGHT + b"\n" + FEW, b"\nsignature"),
    "around parts": MIME
    + parts(b"mixed", TEXT + b"\nx").replace(b"\n--", b"\nb\xe4\n--", 1)
    + b"\xe4\n",
    "never": MIME + b"Content-Type: multipart/mixed; boundary=never\n\n\xe4\nhere\n",
}  # fmt: skip

CHANGED_BY_SENDMAIL = {"around parts", "never"}
ONLY_IF_SAID = {
    *("lie", "nothing said", "header and text"),
    *("not MIME", "not MIME, with a type", "message not MIME"),
}

_CLIENT = """\
define(`QUEUE_DIR',`{home}/queue')dnl
define(`STATUS_FILE',`{home}/statistics')dnl
define(`confTO_IDENT',`0')dnl
define(`confEIGHT_BIT_HANDLING',`mimefy')dnl
FEATURE(`nocanonify')dnl
define(`ESMTP_MAILER_ARGS',`TCP $h {port}')dnl
define(`SMART_HOST',`esmtp:[127.0.0.1]')dnl
MAILER(`smtp')dnl
"""


@pytest.fixture(scope="module")
def by_sendmail():
    """What sendmail sends of each case."""
    home = folders.make_home("sendmail")
    with PlainServer() as server:
        folders.make_folder(home / "queue", 0o700)
        mc = _CLIENT.format(home=home, port=server.port).replace("{", "{{").replace("}", "}}")
        sendmail = Sendmail(home, "client.test", mc, {})
        for content in CASES.values():
            sendmail.send(content, "x@far.example")
        yield dict(zip(CASES, [one.content for one in server.taken], strict=True))
    folders.leave_home(home, None, ())


@pytest.fixture(scope="module")
def by_postfix(tmp_path_factory):
    """What Postfix sends of each case."""
    with PlainServer() as server:
        settings = {
            "virtual_mailbox_domains": "",
            "default_transport": f"smtp:[127.0.0.1]:{server.port}",
        }
        with Postfix(tmp_path_factory.mktemp("p"), extra=settings) as postfix:
            found = {}
            for name, content in CASES.items():
                _give(postfix, content)
                postfix.wait_until_settled()
                found[name] = server.taken[-1].content
    return found


def _give(postfix, content):
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=20) as client:
        client.sendmail("a@b.example", ["x@far.example"], crlf(content), ["BODY=8BITMIME"])


def crlf(content):
    return content.replace(b"\n", b"\r\n")


def ours(name):
    content = crlf(CASES[name])
    return b"".join(seven_bit.plan([content]).apply([content]))


def shape(content):
    """Each part: type, encoding (that of a part around counts only if it changes something), and
    content decoded."""
    found = []
    for part in email.message_from_bytes(content).walk():
        encoding = part.get("Content-Transfer-Encoding", "7bit").split()[0].lower()
        is_around = part.is_multipart() and encoding in ("7bit", "8bit", "binary")
        body = None if part.is_multipart() else part.get_payload(decode=True)
        found.append((part.get_content_type(), None if is_around else encoding, body))
    return found


def contents(content):
    return [(kind, body) for kind, _, body in shape(content)]


@pytest.mark.parametrize("name", [name for name in CASES if name not in CHANGED_BY_SENDMAIL])
def test_what_sendmail_sends_is_what_we_send(by_sendmail, name):
    assert shape(ours(name)) == shape(by_sendmail[name])


@pytest.mark.parametrize("name", list(CASES))
def test_what_is_read_out_of_it_is_as_it_was(name):
    assert contents(ours(name)) == contents(crlf(CASES[name]))


@pytest.mark.parametrize("name", sorted(CHANGED_BY_SENDMAIL))
def test_sendmail_takes_the_eighth_bit_off_what_stands_around_parts(by_sendmail, name):
    assert b"\xe4" not in by_sendmail[name]
    assert b"\xe4" in ours(name)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ONLY_IF_SAID])
def test_what_postfix_sends_reads_as_what_we_send(by_postfix, name):
    assert contents(ours(name)) == contents(by_postfix[name])
    if name != "signed":
        assert by_postfix[name].isascii() == ours(name).isascii()


@pytest.mark.parametrize("name", sorted(ONLY_IF_SAID))
def test_postfix_encodes_only_what_is_said_to_be_8bit(by_postfix, name):
    assert FEW.splitlines()[0] in by_postfix[name]
    assert FEW.splitlines()[0] not in ours(name)


def test_postfix_encodes_what_is_signed_and_sendmail_does_not(by_postfix, by_sendmail):
    assert b"=F6" in by_postfix["signed"]
    assert FEW.splitlines()[0] in by_sendmail["signed"]


# --- the whole way


def node_for(folder, port):
    return TestNode(
        folder,
        '[link.isp]\nkind = "event"\n[smart_host.isp]\n'
        f'host = "127.0.0.1:{port}"\ntls = "none"\nlink = "isp"\ntimeout_seconds = 20\n',
    )


@pytest.mark.parametrize("offers", [(), ("PIPELINING", "SIZE 1000000")])
def test_a_node_encodes_for_a_server_without_8bitmime(tmp_path, offers):
    with PlainServer(*offers) as server:
        node = node_for(tmp_path, server.port)
        sent = node.sendmail("-i", "-f", "user", "x@far.example", stdin=CASES["parts"])
        assert sent.returncode == 0, sent.stderr
        flushed = node.run("linkup")
        assert flushed.returncode == 0, flushed.stderr
        (taken,) = server.taken
    assert contents(taken.content) == contents(crlf(CASES["parts"]))
    assert taken.content.isascii()
    assert b"BODY" not in taken.mail
    if offers:
        (size,) = re.findall(rb" SIZE=(\d+)", taken.mail)
        assert int(size) == len(taken.content)


def test_a_server_that_took_8bitmime_the_last_time_and_does_not_now_gets_it_encoded(tmp_path):
    with PlainServer("PIPELINING", "8BITMIME") as server:
        node = node_for(tmp_path, server.port)
        for offers in (server.offers, ("PIPELINING",)):
            server.offers = offers
            sent = node.sendmail("-i", "-f", "user", "x@far.example", stdin=CASES["few in text"])
            assert sent.returncode == 0, sent.stderr
            assert node.run("linkup").returncode == 0
        first, second = server.taken
    assert b"BODY=8BITMIME" in first.mail
    assert body_of(first.content) == crlf(FEW)
    assert b"BODY" not in second.mail
    assert second.content.isascii()
    assert contents(second.content) == contents(crlf(CASES["few in text"]))


def test_a_node_encodes_for_postfix_where_it_does_not_offer_8bitmime(tmp_path):
    with Postfix(tmp_path / "p", eight_bit=False) as postfix:
        node = node_for(tmp_path / "home", postfix.port)
        sent = node.sendmail("-i", "-f", "user", "x@far.example", stdin=CASES["few in text"])
        assert sent.returncode == 0, sent.stderr
        assert node.run("linkup").returncode == 0
        postfix.wait_for(1)
        (arrived,) = postfix.messages("x@far.example")
    assert arrived.isascii()
    assert email.message_from_bytes(arrived).get_payload(decode=True) == FEW


def test_lines_longer_than_998_bytes_arrive_as_they_are(tmp_path):
    body = b"x" * 999 + b"\n" + b"." + b"y" * 3000 + b"\nz\n"
    with PlainServer("8BITMIME") as server:
        node = node_for(tmp_path, server.port)
        letter = b"From: user\nTo: x@far.example\n\n" + body
        assert node.sendmail("-i", "-f", "user", "x@far.example", stdin=letter).returncode == 0
        assert node.run("linkup").returncode == 0
        (taken,) = server.taken
    assert body_of(taken.content) == crlf(body)
