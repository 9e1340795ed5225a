"""Local delivery through the real procmail, called as sendmail's FEATURE(local_procmail) does."""

import asyncio
import os
import pwd

from nodes import TestNode, body_of
from peers import folders
from peers.found import require
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit

US = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
"""With no recipes of his own, so the ones of the test stand for the system's."""

RECIPES = """\
SHELL=/bin/sh
MAILDIR={home}
DEFAULT={home}/inbox/
DETAIL=$1
:0
* ^Subject: refused
{{
  EXITCODE=67
  HOST
}}
:0
* DETAIL ?? lists
{home}/lists/
"""


def send(node, *recipients, subject):
    async def pieces():
        yield f"From: user\nSubject: {subject}\n\n.\nbody\n".encode()

    async def play():
        opened = node.open()
        try:
            options = SendmailOptions(recipients=list(recipients), ignores_dots=True, sender="user")
            await submit(opened.intake, options, Submitter("root"), pieces(), "bsd.home")
            await opened.links.run_due(None)
            return await opened.store.messages(finished=True)
        finally:
            await opened.close()

    return asyncio.run(play())


def test_procmail_files_by_detail_and_its_refusal_returns_the_mail(tmp_path):
    found = require("procmail")
    home = folders.make_home("procmail")
    try:
        folders.give(home, 0o755, pwd.getpwnam(US).pw_uid)
        rc = folders.write(home / "procmailrc", RECIPES.format(home=home))
        words = (found.program("procmail"), "-t", "-Y", "-a", "{detail}", rc)
        command = ", ".join(f'"{word}"' for word in words)
        node = TestNode(tmp_path, f"command = [{command}]\n")
        (one,) = send(node, f"{US}+lists", subject="one")
        (status,) = [recipient.last_status for recipient in one.recipients]
        assert status.is_success, status
        send(node, US, subject="two")
        (listed,), (plain,) = (
            [path.read_bytes() for path in (home / name / "new").iterdir()]
            for name in ("lists", "inbox")
        )
        assert listed.startswith(b"Return-Path: <user@bsd.home>\n")
        assert body_of(listed) == b".\nbody\n"
        assert b"Subject: two\n" in plain
        refused = send(node, US, subject="refused")
        statuses = [str(one.last_status) for mail in refused for one in mail.recipients]
        assert any(status.startswith("550 5.1.1") for status in statuses), statuses
    finally:
        folders.leave_home(home, tmp_path / "kept", drop=())
