"""The program that an account hands its mail to: what it is told, and as whom it runs."""

import asyncio
import os
import pwd

import pytest

from relaynode.config.values import Mailbox
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mailers.mailer import Consignment
from relaynode.mailers.mda import MdaMailer, filled_in
from relaynode.mailers.users import Users
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.queue.content import Content
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient

US = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
TELL = 'for one; do echo "<$one>"; done; id -un; cat; exit 77'


def run(name, *command, sender="joe@far.example"):
    content = Content.of(b"Subject: s\r\n\r\nbody\r\n")
    recipient = QueuedRecipient(1, Recipient(name, mailer="drop-off", host="isp"))
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
    mailer = MdaMailer(
        users, command=command, masquerade=masquerade, timeout_seconds=20, default_user=US
    )
    asyncio.run(mailer.deliver(consignments(), report))
    (attempt,) = found
    return attempt


@pytest.mark.parametrize("name", [US, "ann", "stranger@far.example", "root"])
def test_it_is_told_recipient_and_sender_and_never_runs_as_root(name):
    told = run(name, "/bin/sh", "-c", TELL, "sh", "-d", "%T", "x%Fy", "100%%").dialogue
    assert told[:4] == ("<-d>", f"<{name}>", "<xjoe@far.exampley>", "<100%>")
    assert told[4] == US
    assert told[5].startswith("From joe@far.example ")
    assert told[6:] == ("Return-Path: <joe@far.example>", "Subject: s", "", "body")


def test_what_comes_from_outside_is_an_argument_and_nothing_else():
    words = filled_in(["a", "%T", "%F"], recipient="%F;$(id)", sender="`id` 'x' %T")
    assert words == ["a", "%F;$(id)", "`id` 'x' %T"]


@pytest.mark.parametrize("sender", ["-oQ/tmp@far.example", "-C", "a\0b"])
def test_nobody_outside_can_give_it_options(sender):
    assert filled_in(["%F"], recipient="ann", sender=sender) == ["MAILER-DAEMON"]


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, "250 2.0.0"), (75, "451 4"), (67, "550 5.1.1"), (1, "451 4.3.0"), (127, "451 4.3.0")],
)
def test_its_exit_code_is_the_outcome(code, status):
    assert str(run(US, "/bin/sh", "-c", f"cat >/dev/null; exit {code}").status).startswith(status)


def test_a_program_that_is_not_there_may_come():
    assert run(US, "/nowhere/procmail").status.is_temporary
