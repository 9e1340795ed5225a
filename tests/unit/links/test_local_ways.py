"""Programs, files and lists of aliases, from the address to where the mail ends."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from nodes import TestNode
from relaynode.links.queuerun import QueueRun
from relaynode.links.ways import Way
from relaynode.mail.envelope import Envelope
from relaynode.mail.trace import user_origin
from relaynode.mailers.command import CommandMailer
from relaynode.mailers.local import LocalMailer
from relaynode.mailers.smtp import SmtpMailer
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import RecipientState
from relaynode.sources.intake import Arrival, Rejected
from relaynode.wire.meter import ByteCount

NOW = 1_800_000_000.0
ARRIVAL = Arrival(user_origin("user"), "", "local user")
CONTENT = b"From: user\r\nSubject: s\r\n\r\nbody\r\n"


@pytest.fixture
def folder():
    """A folder that a program may write to, whoever it runs as."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


class Play:
    """A node with aliases; its mail stays here."""

    def __init__(self, tmp_path, aliases, sections=""):
        self.node_files = TestNode(tmp_path, sections, tables={"aliases": aliases})
        self.store = MemoryStore(tmp_path / "scratch")
        self.node = self.node_files.open(store=self.store, clock=lambda: NOW)

    def send(self, *addresses):
        """Take a message and try all that stays on this machine; what is left in the queue."""

        async def play():
            intake = self.node.intake
            recipients = tuple(intake.expand(addresses))
            collector = intake.collector()
            collector.write(CONTENT)
            envelope = Envelope("user@bsd.home", recipients)
            await intake.accept(collector, envelope, ARRIVAL, given=addresses)
            parts = self.node.parts
            for _ in range(2):  # the second is for the DSNs of the first
                await QueueRun(
                    parts, ByteCount(), takes_way=lambda way: parts.ways.link_of(way) is None
                ).run()
            return await self.store.messages(finished=True)

        return asyncio.run(play())

    def mails(self, user):
        return self.node_files.mails(user)


def test_a_program_and_a_file_of_an_alias_have_the_mail(tmp_path, folder):
    play = Play(tmp_path, f'l: "|cat > {folder}/in", {folder}/box, user\n')
    messages = play.send("l")
    assert {one.state for one in messages} == {"done"}
    assert b"\n\nbody\n" in (folder / "in").read_bytes()
    assert b"\n\nbody\n" in (folder / "box").read_bytes()
    assert len(play.mails("user")) == 1


def test_what_a_failing_program_says_is_in_the_dsn(tmp_path):
    play = Play(tmp_path, 'l: "|echo it broke; exit 1"\n')
    play.send("l")
    (dsn,) = play.mails("user")
    assert b"   ----- Transcript of session follows -----\nit broke\n" in dsn
    assert b"554 5.3.0 unknown mailer error 1\n" in dsn
    assert b"(expanded from: l)" in dsn


def test_a_program_that_asks_for_another_try_stays_queued(tmp_path):
    messages = Play(tmp_path, 'l: "|exit 75"\n').send("l")
    (recipient,) = messages[0].recipients
    assert (recipient.state, recipient.attempts) == ("waiting", 2)


def test_a_bad_member_of_a_list_is_told_to_its_owner(tmp_path):
    play = Play(tmp_path, "l: user, nosuch\nowner-l: postmaster\n")
    play.send("l")
    (mail,) = play.mails("user")
    assert mail.startswith(b"Return-Path: <postmaster@bsd.home>\n")
    (dsn,) = play.mails("postmaster")
    assert b"User unknown" in dsn


@pytest.mark.parametrize("address", ["|touch {folder}/x", "{folder}/x"])
def test_no_address_from_outside_runs_or_writes_anything(tmp_path, folder, address):
    with pytest.raises(Rejected, match="Cannot mail directly to"):
        Play(tmp_path, "").send(address.format(folder=folder))
    assert list(folder.iterdir()) == []


def test_what_was_queued_for_the_hub_goes_there_whatever_the_tables_say(tmp_path):
    routing = '[routing]\nmail_hub = "esmtp:hub.example.net"\nsmart_host = "relay.example.net"\n'
    messages = Play(tmp_path, "", routing).send("user")
    (path,) = [one.forward_path for one in messages[0].recipients]
    assert (path.mailer, path.host, path.address) == (
        "esmtp",
        "hub.example.net",
        "user@hub.example.net",
    )


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ("", LocalMailer),
        ('command = "/usr/bin/procmail -d {user}"\n', CommandMailer),
        ('lmtp = "unix:/run/lmtp"\n', SmtpMailer),
        ('lmtp = "127.0.0.1:24"\ncommand = "/usr/bin/procmail"\n', SmtpMailer),
    ],
)
def test_local_mail_is_delivered_by_whom_the_configuration_names(tmp_path, more, kind):
    ways = Play(tmp_path, "", more).node.parts.ways
    assert isinstance(ways.mailer(Way("local"), ByteCount()), kind)


def test_mail_waits_for_an_lmtp_server_that_is_down(tmp_path):
    play = Play(tmp_path, "", f'lmtp = "unix:{tmp_path}/none"\n')
    ((recipient,),) = (message.recipients for message in play.send("user"))
    assert recipient.state is RecipientState.WAITING
    assert "No such file or directory" in str(recipient.last_status)


def test_details_are_ignored_if_the_configuration_says_so(tmp_path):
    for part in ("tmp", "new", "cur"):
        (tmp_path / "mail" / "user" / ".lists" / part).mkdir(parents=True)
    play = Play(tmp_path, "", 'detail = "ignore"\n')
    play.send("user+lists")
    assert len(play.mails("user")) == 1
