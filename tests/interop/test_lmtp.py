"""Mail out by LMTP: a real Dovecot takes it, and answers for each recipient."""

import asyncio

import pytest

from nodes import TestNode, body_of
from peers.dovecot import Dovecot
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit

LETTER = b"From: user\nTo: friends\nSubject: s\n\n.\nbody\n"


@pytest.fixture(scope="module")
def dovecot():
    with Dovecot(users={"ann": "secret", "bob": "secret"}) as running:
        yield running


def home(folder, port):
    return TestNode(
        folder,
        '[link.isp]\nkind = "event"\n[smart_host.isp]\n'
        f'host = "127.0.0.1:{port}"\nprotocol = "lmtp"\ntls = "none"\nlink = "isp"\n',
    )


async def send_and_flush(node, *recipients):
    async def pieces():
        yield LETTER

    opened = node.open()
    try:
        options = SendmailOptions(recipients=list(recipients), ignores_dots=True, sender="user")
        done = await submit(opened.intake, options, Submitter("root"), pieces(), "bsd.home")
        assert done.exit_code == 0
        return await opened.links.run("isp")
    finally:
        await opened.close()


def test_each_recipient_has_it_and_who_is_unknown_is_told_of(tmp_path, dovecot):
    node = home(tmp_path, dovecot.lmtp_port)
    names = ("ann@far.example", "nobody@far.example", "bob@far.example")
    summary = asyncio.run(send_and_flush(node, *names))
    assert (summary.flush.delivered, summary.flush.failed) == (2, 1)
    for user in ("ann", "bob"):
        (mail,) = dovecot.messages(user)
        assert body_of(mail) == b".\nbody\n"
    (notice,) = node.mails("user")
    assert b"nobody@far.example" in notice
    assert b"ann@far.example" not in notice
    assert b"5.1.1" in notice
