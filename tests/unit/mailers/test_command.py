"""The program that delivers local mail: what it is told, as whom it runs, what its end means."""

import asyncio
import os
import pwd

import pytest

from relaynode.config.values import Mailbox
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mailers.command import CommandMailer
from relaynode.mailers.mailer import Consignment
from relaynode.mailers.users import Users
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.queue.content import Content
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient

US = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
TELL = 'for one; do echo "<$one>"; done; id -un; cat; exit 77'
"""A refusal: what it prints is told to the sender, so a test sees it."""


def run(name, *command, sender="joe@far.example", **more):
    content = Content.of(b"Subject: s\r\n\r\nbody\r\n")
    recipient = QueuedRecipient(1, Recipient(name))
    envelope = Envelope(sender, (recipient.forward_path,))
    message = QueuedMessage(
        "A1", MessageState.QUEUED, 1_800_000_000.0, "test", envelope, 1, (recipient,)
    )
    consignment = Consignment(Delivery(message, (recipient,), b"", content), (name,))
    found = []

    async def consignments():
        yield consignment

    async def report(attempts):
        found.extend(attempts)

    users = Users(Mailbox.parse("/nowhere/{user}/"), frozenset({"ann"}))
    masquerade = Masquerade(names=Names(hostname="bsd.home"))
    mailer = CommandMailer(
        users, command=command, masquerade=masquerade, timeout_seconds=20, **more
    )
    asyncio.run(mailer.deliver(consignments(), report))
    (attempt,) = found
    return attempt


def test_it_is_told_user_detail_and_sender_and_runs_as_the_user():
    words = ("-a", "{detail}", "-d", "{user}", "x{sender}y")
    told = run(f"{US}+some lists", "/bin/sh", "-c", TELL, "sh", *words).dialogue
    assert told[:5] == ("<-a>", "<some lists>", "<-d>", f"<{US}>", "<xjoe@far.exampley>")
    assert told[5] == US
    assert told[6].startswith("From joe@far.example ")
    assert told[7:] == ("Return-Path: <joe@far.example>", "Subject: s", "", "body")


def test_the_from_line_is_left_out_where_it_is_not_wanted():
    told = run(US, "/bin/sh", "-c", TELL, "sh", has_from_line=False).dialogue
    assert told == (US, "Return-Path: <joe@far.example>", "Subject: s", "", "body")


def test_what_comes_from_outside_is_an_argument_and_nothing_else():
    detail = "{user};$(id)`id`*"
    told = run(f"{US}+{detail}", "/bin/sh", "-c", TELL, "sh", "{detail}").dialogue
    assert told[0] == f"<{detail}>"


def test_no_detail_is_an_empty_argument_and_no_sender_the_mailer_daemon():
    told = run(US, "/bin/sh", "-c", TELL, "sh", "{detail}", "{sender}", sender="").dialogue
    assert told[:2] == ("<>", "<MAILER-DAEMON>")


@pytest.mark.parametrize(
    ("code", "status"), [(0, "250 2.0.0"), (75, "451 4"), (67, "550 5.1.1"), (77, "550 5.0.0")]
)
def test_its_exit_code_is_the_outcome(code, status):
    assert str(run(US, "/bin/sh", "-c", f"cat >/dev/null; exit {code}").status).startswith(status)


def test_a_program_that_is_not_there_may_come():
    assert run(US, "/nowhere/procmail").status.is_temporary


def test_an_unknown_user_is_unknown():
    assert run("nosuch+x", "/bin/true").status.enhanced == "5.1.1"


def test_for_a_user_without_an_account_nothing_is_run(tmp_path):
    attempt = run("ann", "/bin/sh", "-c", f"touch {tmp_path}/ran")
    assert not attempt.status.is_success
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has root's mail delivered")
def test_the_mail_of_root_is_not_delivered_as_root():
    told = run("root", "/bin/sh", "-c", TELL, "sh", "{user}").dialogue
    assert told[0] == "<root>"
    assert told[1] != "root"
