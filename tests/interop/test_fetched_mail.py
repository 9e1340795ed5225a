"""Where fetched mail goes: as real fetchmail finds its recipients, and to drop-offs of its own."""

import asyncio
import os
import pwd
import re
import subprocess

import pytest

from nodes import TestNode
from peers import folders
from peers.dovecot import Dovecot
from peers.found import require
from peers.plain_server import PlainServer
from relaynode.links.linkrun import Wish

US = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

RECEIVED = (
    "Received: from a.example by {} (mx)\n\twith ESMTP id 1 for <{}>; 1 Jan 2001 00:00:00 GMT"
)
OWN, FOREIGN = "localhost", "mx.far.example"

LETTERS = {
    "envelope": ("X-Envelope-To: bob@example.org", "To: list@far.example"),
    "below": ("X-Envelope-To: <ann@sub.example.org>",),
    "mapped": ("X-Envelope-To: Robert@localhost",),
    "other name": ("X-Envelope-To: carl@mail.example.net",),
    "no domain": ("X-Envelope-To: dora",),
    "foreign": ("X-Envelope-To: victim@far.example", "To: ann@example.org"),
    "prefix": ("X-Envelope-To: mbox-home-ann@example.org",),
    "two in a line": ("X-Envelope-To: ann@example.org, bob@example.org",),
    "two lines": ("X-Envelope-To: ann@example.org", "X-Envelope-To: bob@example.org"),
    "received": (RECEIVED.format(OWN, "ann@example.org"), "To: bob@example.org"),
    "received, mapped": (RECEIVED.format(OWN, "robert@localhost"), "To: bob@example.org"),
    "received elsewhere": (RECEIVED.format(FOREIGN, "ann@example.org"), "To: x@far.example"),
    "received below": (
        RECEIVED.format(FOREIGN, "bob@example.org"),
        RECEIVED.format(OWN, "ann@example.org"),
        "To: x@far.example",
    ),
    "to": ("To: Ann <ann@example.org>, x@far.example", "Cc: bob@example.org"),
    "to twice": ("To: ann@example.org", "Cc: ann@example.org"),
    "resent": ("Resent-To: bob@example.org", "To: ann@example.org"),
    "nobody": ("To: x@far.example",),
}

CASES = {
    "header": (
        'envelope "X-Envelope-To" qvirtual "mbox-home-"',
        'envelope_header = "X-Envelope-To"\nuser_prefix = "mbox-home-"\n',
    ),
    "received": ("", ""),
    "addressees": ("no envelope", 'envelope_header = ""\n'),
}

DIFFERENT = {
    "header": {
        # A line for each recipient: fetchmail reads the first.
        "two lines": {"ann@example.org", "bob@example.org"},
        # The server's own names need no domain.
        "no domain": {"dora@office.example"},
        # Where the header is missing, the server's Received line is surer than To.
        "received": {"ann@example.org"},
        "received, mapped": {"bob@office.example"},
        "received below": {"ann@example.org"},
    }
}
"""Where we mean to differ."""


def letters():
    for name, lines in LETTERS.items():
        yield (
            "\n".join(
                (*lines, "From: a@b.example", f"Message-Id: <{name.replace(' ', '.')}@x>")
            ).encode()
            + b"\nSubject: %s\n\nbody\n" % name.encode()
        )


def recipients(taken):
    """Subject -> recipients, of all that a server took."""
    found = {}
    for one in taken:
        subject = re.search(rb"\nSubject: (.*)\r\n", one.content)[1].decode()
        found.setdefault(subject, set()).update(
            re.search(rb"<(.*)>", rcpt)[1].decode() for rcpt in one.rcpts
        )
    return found


@pytest.fixture(scope="module")
def dovecot():
    with Dovecot(users={"box": "secret", "bob": "secret"}) as running:
        yield running


def account(port, keys):
    return (
        f'[account.isp]\nhost = "localhost:{port}"\ntls = "none"\nuser = "box"\n'
        f'password_command = ["/bin/echo", "secret"]\n{keys}'
    )


def fetch(node, *problems):
    """Fetch, and hand over what stays near; the messages that were queued."""

    async def run():
        opened = node.open()
        try:
            summary = await opened.links.run("default", Wish(flush=False))
            assert summary.problems == list(problems)
            await opened.links.run_due(None)
            return await opened.store.messages(finished=True)
        finally:
            await opened.close()

    return asyncio.run(run())


def fetchmail(folder, dovecot, entry):
    """What real fetchmail hands to its SMTP host."""
    found = require("fetchmail")
    folder.mkdir()
    rc = folder / "rc"
    rc.touch(mode=0o600)
    with PlainServer() as server:
        rc.write_text(
            'set postmaster "postmaster"\n'
            f"poll localhost proto pop3 service {dovecot.pop3_port} no dns {entry}"
            f' keep sslproto "" smtpaddress office.example smtphost 127.0.0.1/{server.port}\n'
        )
        run = subprocess.run(
            [found.program("fetchmail"), "-f", rc, "--nosyslog"],
            env=found.environment | {"HOME": str(folder)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == 0, run.stderr
        return server.taken


def ours(folder, dovecot, keys):
    """What we hand to ours."""
    with PlainServer() as server:
        keys = (
            f'smtp_address = "office.example"\ndrop_off = ["smtp:127.0.0.1/{server.port}"]\n{keys}'
        )
        fetch(TestNode(folder, account(dovecot.pop3_port, keys)))
        return server.taken


@pytest.mark.parametrize("case", CASES)
def test_the_recipients_are_those_that_fetchmail_finds(tmp_path, dovecot, case):
    keywords, keys = CASES[case]
    for content in letters():
        dovecot.put("box", content)
    taken = fetchmail(
        tmp_path / "fetchmail",
        dovecot,
        f"{keywords} aka mail.example.net localdomains example.org"
        " user box pass secret is robert=bob * here",
    )
    expected = recipients(taken) | DIFFERENT.get(case, {})
    keys += (
        'aka = ["mail.example.net"]\nlocal_domains = ["example.org"]\n'
        'others_as_they_are = true\nuse_addressees = true\nnames = {robert = "bob"}\n'
    )
    assert recipients(ours(tmp_path / "node", dovecot, keys)) == expected
    assert dovecot.count("box") == 0


HEADER = b"""\
Return-Path: <joe>
Received: from a by b
Delivered-To: box
From: Joe <joe>
To: ann, bob (Bob B), "Carl, C" <carl>, x@y.example,
 dora
Cc:  friends: eve, fred@z.example;
Sender: x!joe
Resent-From: "q q" <kim>
Resent-To: a%b
Subject: joe, ann
Errors-To: joe
Apparently-To: zoe
X-To: joe
Status: RO
X-Mozilla-Status: 0001
"""


@pytest.mark.parametrize("wanted", [True, False])
def test_headers_are_edited_as_fetchmail_edits_them(tmp_path, dovecot, wanted):
    dovecot.put("box", HEADER + b"\nTo: ann\n")
    keywords = "dropstatus dropdelivered" if wanted else "no rewrite"
    entry = f"user box pass secret is bob here {keywords}"
    (theirs,) = fetchmail(tmp_path / "fetchmail", dovecot, entry)
    edits = "".join(f"{key} = true\n" for key in ("fix_addresses", "drop_status", "drop_delivered"))
    keys = 'deliver_to = "bob"\n' + (edits if wanted else "")
    home = tmp_path / "node"
    node = TestNode(home, account(dovecot.pop3_port, keys + 'drop_off = ["lmtp:/nowhere"]\n'))

    async def stored():
        opened = node.open()
        try:
            await opened.links.run("default", Wish(flush=False))
            (message,) = await opened.store.messages()
            ids = [one.id for one in message.recipients]
            (delivery,) = await opened.store.claim([(message.queue_id, ids)])
            return message.envelope.reverse_path, b"".join(delivery.content.pieces())
        finally:
            await opened.close()

    reverse_path, content = asyncio.run(stored())
    start = b"Received: from a by b"
    assert content == start + theirs.content.partition(start)[2]
    assert theirs.mail.startswith(b"MAIL FROM:<" + reverse_path.encode() + b">")


def test_a_drop_off_by_lmtp_has_it_and_the_first_that_is_there_gets_it(tmp_path, dovecot):
    dovecot.put("box", b"X-Envelope-To: robert@localhost\nDelivered-To: x\nSubject: one\n\n.\n")
    keys = (
        'envelope_header = "X-Envelope-To"\nnames = {robert = "bob"}\ndrop_delivered = true\n'
        f'drop_off = ["lmtp:/nowhere/lmtp", "lmtp:127.0.0.1:{dovecot.lmtp_port}"]\n'
    )
    (message,) = fetch(TestNode(tmp_path, account(dovecot.pop3_port, keys)))
    assert [one.state for one in message.recipients] == ["delivered"]
    (mail,) = dovecot.messages("bob")
    assert b"Delivered-To: x\n" not in mail
    assert b"with POP3 id" in mail
    assert mail.endswith(b"\nSubject: one\n\n.\n")
    assert dovecot.count("box") == 0


def test_a_drop_off_that_is_down_makes_mail_wait(tmp_path, dovecot):
    dovecot.put("box", b"Subject: one\n\nbody\n")
    keys = 'deliver_to = "bob"\ndrop_off = ["lmtp:/nowhere/lmtp"]\n'
    node = TestNode(tmp_path, account(dovecot.pop3_port, keys))
    problem = "drop-off isp: /nowhere/lmtp: No such file or directory"
    (message,) = fetch(node, problem)
    (recipient,) = message.recipients
    assert recipient.state == "waiting"
    told = node.run("why", "bob").stdout
    assert "mailer drop-off, host isp, user bob" in told
    assert "drop-off of account isp (lmtp:/nowhere/lmtp)" in told


def test_a_program_of_the_account_gets_it(tmp_path, dovecot):
    dovecot.put("box", b"Return-Path: <joe@far.example>\nSubject: one\n\nbody\n")
    home = folders.make_home("mda")
    try:
        folders.give(home, 0o755, pwd.getpwnam(US).pw_uid)
        script = folders.write(home / "mda", '{ echo "$@"; cat; } > "$1"\n')
        keys = f'deliver_to = "bob"\nmda = "/bin/sh {script} {home}/out -d %T -f %F"\n'
        sections = f'default_user = "{US}"\n' + account(dovecot.pop3_port, keys)
        (message,) = fetch(TestNode(tmp_path, sections))
        (recipient,) = message.recipients
        assert str(recipient.last_status) == "250 2.0.0 taken by /bin/sh"
        first, *rest = (home / "out").read_bytes().splitlines()
    finally:
        folders.leave_home(home, None, drop=())
    assert first.endswith(b"/out -d bob -f joe@far.example")
    assert rest[0].startswith(b"From joe@far.example ")
    assert rest[1] == b"Return-Path: <joe@far.example>"
    assert rest[-3:] == [b"Subject: one", b"", b"body"]


def test_mail_that_is_sent_back_into_its_mailbox_is_held_when_it_comes_again(tmp_path, dovecot):
    dovecot.put("box", b"From: a@b.example\nSubject: one\n\nbody\n")
    sections = account(dovecot.pop3_port, 'deliver_to = "user"\n') + (
        f'[smart_host.isp]\nhost = "127.0.0.1:{dovecot.lmtp_port}"\nprotocol = "lmtp"\n'
        'tls = "none"\n'
    )
    node = TestNode(tmp_path, sections, tables={"aliases": "user: box@far.example\n"})

    async def rounds():
        opened = node.open()
        try:
            for _ in range(3):
                await opened.links.run("default", Wish(flush=False))
                await opened.links.run("default", Wish(poll=False))
            return await opened.store.messages(finished=True)
        finally:
            await opened.close()

    first, second = asyncio.run(rounds())
    assert [one.state for one in first.recipients] == ["delivered"]
    assert second.state == "held"
    assert dovecot.count("box") == 0
    assert "it was fetched for user before" in node.run("why", "postmaster").stdout
