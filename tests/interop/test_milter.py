"""Real filters behind our listener: rspamd, opendkim, and one on the real libmilter that makes
every change there is, hangs and dies when it is told to."""

import asyncio
import re

import pytest

from nodes import TestNode
from peers.milters import VIRUS, changer, clamav, opendkim, rspamd
from peers.processes import free_port, wait_until
from peers.swaks import swaks
from relaynode.queue.memory import MemoryStore
from relaynode.sources.filters import filters_of
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.memory import pair

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
SILENT = 0x80 | 0x80000  # no replies to header fields and pieces of the body
LEADING_SPACE = 0x100000
NO_BODY = 0x10


@pytest.fixture(scope="module")
def plain():
    with changer() as where:
        yield where


@pytest.fixture(scope="module")
def silent():
    with changer(SILENT | LEADING_SPACE) as where:
        yield where


@pytest.fixture(scope="module")
def rspamd_socket():
    with rspamd() as where:
        yield where


class Talk:
    """One session in this process with listener "lan". `said`: the last line of each reply;
    `mails`, `contents`, `reasons`: what is queued then, how it would be sent, why it is held."""

    def __init__(self, folder, sockets, lines, *, keys="", client="127.0.0.1"):
        sections = "".join(
            f'[milter.m{number}]\nsocket = "{where}"\n{keys}\n'
            for number, where in enumerate(sockets)
        )
        self.node = TestNode(folder, sections)
        asyncio.run(self._run(lines, client))

    async def _run(self, lines, client):
        store = MemoryStore(self.node.folder / "scratch")
        node = self.node.open(store=store)
        source = SmtpSource(
            node.intake,
            node.rules,
            hostname="bsd.home",
            networks=[],
            max_size_bytes=10**6,
            filters=filters_of(node.config, "lan"),
        )
        ours, stream = pair("client", "server")
        serving = asyncio.ensure_future(source.serve(ours, client))
        await stream.write(("\r\n".join([*lines, "QUIT"]) + "\r\n").encode())
        said = b""
        while piece := await stream.read(20):
            said += piece
        await serving
        self.said = [line for line in said.decode().splitlines() if line[3] == " "]
        self.mails = await store.messages()
        stored = [store._entries[mail.queue_id].message for mail in self.mails]
        self.contents = [one.trace + b"".join(one.content.pieces()) for one in stored]
        self.reasons = [one.hold_reason for one in stored]


def letter(*do, header=(), body=("body",), sender="a@b.example", to=("user@bsd.home",)):
    return [
        f"MAIL FROM:<{sender}>",
        *(f"RCPT TO:<{one}>" for one in to),
        "DATA",
        "From: a@b.example",
        "Subject:  as it   was",
        *header,
        *(f"X-Do: {one}" for one in do),
        "",
        *body,
        ".",
    ]


HELLO = ["EHLO client.example"]


def only(talk):
    (content,) = talk.contents
    header, _, body = content.partition(b"\r\n\r\n")
    return header.decode(), body


@pytest.mark.parametrize("kind", ["plain", "silent"])
def test_a_filter_sees_the_whole_message_and_adds_to_it(kind, request, tmp_path):
    where = request.getfixturevalue(kind)
    talk = Talk(tmp_path, [where], HELLO + letter(body=("one", "..two")))
    header, body = only(talk)
    # From, Subject, and Date and Message-Id, which were missing; ours of Received is not shown.
    seen = (
        "headers=4 body=11 rcpts=1 i=14 from=<a@b.example> host=[127.0.0.1] j=bsd.home daemon=lan"
    )
    assert seen in re.sub(r"\s+", " ", header)
    assert header.startswith("Received: ") and "\r\nSubject:  as it   was\r\n" in header
    assert body == b"one\r\n.two\r\n"
    assert talk.mails[0].queue_id in talk.said[-2]


@pytest.mark.parametrize("kind", ["plain", "silent"])
def test_a_filter_changes_what_it_wants(kind, request, tmp_path):
    where = request.getfixturevalue(kind)
    header = ["X-Gone: one", "x-gone: two", "X-Gone: three"]
    do = ("insheader", "chgheader", "replbody", "addrcpt", "delrcpt", "chgfrom", "quarantine")
    talk = Talk(tmp_path, [where], HELLO + letter(*do, "progress", header=header))
    header, body = only(talk)
    (mail,) = talk.mails
    space = "" if kind == "silent" else " "
    # Seen with sendmail 8.17 and Postfix 3.7: our own line counts, above which the first one went.
    above = f"X-Above:{space}all\r\nX-Below:{space}ours\r\nReceived: "
    assert header.startswith(above)
    assert f"\r\nSubject:{space}changed,\r\n\tand folded\r\n" in header
    assert re.findall(r"(?i)x-gone: \w+", header) == ["X-Gone: one", "X-Gone: three"]
    assert body == b"new body\r\n"
    assert [one.forward_path.address for one in mail.recipients] == ["postmaster"]
    assert mail.envelope.reverse_path == "changed@b.example"
    assert talk.reasons == ["looks odd"]
    assert talk.said[-2].startswith("250 ")


def test_a_long_message_passes_through_and_a_long_body_comes_back(plain, tmp_path):
    body = ["x" * 990] * 300
    talk = Talk(tmp_path, [plain], HELLO + letter(body=body) + letter("bigbody", body=body))
    first, second = (content.partition(b"\r\n\r\n") for content in talk.contents)
    assert first[2] == ("\r\n".join(body) + "\r\n").encode()
    assert b"body=297600 " in first[0]
    assert second[2] == (b"x" * 998 + b"\r\n") * 200


def test_a_filter_that_has_enough_of_a_body_gets_no_more(plain, tmp_path):
    talk = Talk(tmp_path, [plain], HELLO + letter("skip", body=["x" * 990] * 300))
    shown = int(re.search(r"body=(\d+) ", only(talk)[0])[1])
    assert 0 < shown <= 65535


def test_the_second_filter_sees_what_the_first_has_made(plain, silent, tmp_path):
    talk = Talk(tmp_path, [plain, silent], HELLO + letter("replbody"))
    header, body = only(talk)
    assert body == b"new body\r\n"
    assert re.findall(r"headers=(\d+) body=(\d+)", header) == [("5", "6"), ("6", "10")]


def test_refusals_and_discards_are_the_filters(plain, tmp_path):
    talk = Talk(
        tmp_path,
        [plain],
        [
            *HELLO,
            "MAIL FROM:<spammer@b.example>",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<postmaster+later@bsd.home>",
            "RSET",
            *letter("reject"),
            *letter("tempfail"),
            *letter("lines"),
            *letter("discard"),
            *letter(),
        ],
    )
    finals = [line for line in talk.said if not line.startswith(("354", "220", "221"))]
    refused = [line for line in finals if line[0] != "2"]
    assert refused == [
        "553 5.7.1 100% unwanted",
        "451 4.3.2 Please try again later",
        "554 5.7.1 Command rejected",
        "451 4.3.2 Please try again later",
        "554 5.6.0 first line second line",
    ]
    assert finals[-4].endswith("Message accepted for delivery")  # of what was thrown away
    assert len(talk.mails) == 1


def test_a_client_that_a_filter_does_not_want_gets_nothing(plain, tmp_path):
    talk = Talk(tmp_path, [plain], ["EHLO unwanted.example", "MAIL FROM:<a@b.example>"])
    assert talk.said[2] == "550 5.7.1 Command rejected"


@pytest.mark.parametrize("trouble", ["hang", "die"])
def test_a_filter_that_hangs_or_dies_costs_its_time_and_its_default_action_counts(
    trouble, tmp_path
):
    keys = 'content_timeout_seconds = 1\ndefault_action = "quarantine"'
    with changer() as where:
        lines = HELLO + letter(trouble, "replbody") + (letter() if trouble == "hang" else [])
        talk = Talk(tmp_path, [where], lines, keys=keys)
    first, *others = talk.mails
    assert first.held_for == "quarantined"
    assert talk.reasons[0] == "milter m0 could not be asked"
    assert b"X-Seen" not in talk.contents[0] and talk.contents[0].endswith(b"\r\n\r\nbody\r\n")
    # The next message of the same session is filtered again.
    assert [b"X-Seen" in content for content in talk.contents[1:]] == [True] * len(others)
    assert len(others) == (trouble == "hang")


def test_rspamd_rejects_gtube_and_nothing_else(rspamd_socket, tmp_path):
    talk = Talk(tmp_path, [rspamd_socket], HELLO + letter(body=[GTUBE]) + letter())
    assert "554 5.7.1 Gtube pattern" in talk.said
    assert len(talk.mails) == 1


def test_clamav_milter_rejects_a_virus_and_lets_other_mail_pass(tmp_path):
    with clamav() as where:
        lines = HELLO + letter(body=["x", VIRUS.decode()]) + letter()
        talk = Talk(tmp_path, [where], lines)
    assert any(line.endswith("Found Test.Virus.UNOFFICIAL") for line in talk.said), talk.said
    (content,) = talk.contents
    assert b"\r\nX-Virus-Status: Clean\r\n" in content


def test_rspamd_and_opendkim_behind_a_daemon_in_the_clear_and_for_local_mail(
    rspamd_socket, tmp_path
):
    port = free_port()
    with opendkim("bsd.home") as signer:
        sections = (
            f'[listen.lan]\nsmtp = ["127.0.0.1:{port}"]\n'
            f'[milter.rspamd]\nsocket = "{rspamd_socket}"\n'
            f'[milter.opendkim]\nsocket = "{signer}"\nlocal = true\n'
        )
        node = TestNode(tmp_path, sections)
        with node.daemon() as daemon:
            arguments = ("--server", f"127.0.0.1:{port}", "--to", "user@bsd.home")
            sent = swaks(*arguments, "--from", "user@bsd.home", "--header", "Subject: signed")
            spam = swaks(*arguments, "--from", "user@bsd.home", "--body", GTUBE)
            local = node.sendmail("user", stdin=b"From: user@bsd.home\nSubject: at home\n\nbody\n")
            mails = _wait_for_mails(node)
            log = daemon.log()
        checked = [_checked(tmp_path / f"check{n}", signer, one) for n, one in enumerate(mails)]
    assert sent.returncode == 0, sent.stdout + log
    assert "554 5.7.1 Gtube pattern" in spam.stdout
    assert local.returncode == 0, local.stderr
    assert len(mails) == 2, log
    for mail, result in zip(mails, checked, strict=True):
        assert "dkim=pass" in result, mail
        top = re.sub(rb"\n[ \t]+", b" ", mail).splitlines()
        names = [line.partition(b":")[0] for line in top[:4]]
        assert b"DKIM-Signature" in names, mail
        signed = next(line for line in top if line.startswith(b"DKIM-Signature"))
        assert b"d=bsd.home" in signed and b"bh=" in signed and b"date:" in signed.lower()


def _checked(folder, signer, mail):
    """What opendkim says to a delivered mail that comes from elsewhere."""
    content = mail.decode().partition("\n")[2].splitlines()  # without Return-Path
    talk = Talk(
        folder,
        [signer],
        [*HELLO, "MAIL FROM:<a@b.example>", "RCPT TO:<user@bsd.home>", "DATA", *content, "."],
        client="192.0.2.9",
    )
    return only(talk)[0].partition("\r\nReceived:")[0]


def _wait_for_mails(node):
    wait_until(lambda: len(node.mails("user")) == 2, 10)
    return node.mails("user")
