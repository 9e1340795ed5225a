"""The POP3 service, spoken to over a line in memory."""

import asyncio
import base64
import errno
import os
import pwd

import pytest

from relaynode.accounts.accounts import Accounts
from relaynode.accounts.local import LocalChecker, NamedUsers
from relaynode.config.values import Mailbox, Network, Password
from relaynode.mailboxes.maildir import Maildir
from relaynode.mailboxes.pop3_listener import Pop3Service
from relaynode.mailers.users import Users
from relaynode.sasl import CramMd5
from relaynode.wire.memory import pair


async def no_wait(seconds):
    """What a failed login costs is no affair of these tests."""


LOGIN = b"USER alice\r\nPASS sesame\r\n"


class Box:
    """A service for alice and bob whose Maildirs are in a folder, and what alice has."""

    def __init__(self, folder, pattern="{user}/"):
        self.folder = folder / "alice"
        users = Users(Mailbox.parse(f"{folder}/{pattern}"), frozenset({"alice", "bob"}))
        passwords = {"alice": Password("sesame"), "ghost": Password("boo")}
        checker = LocalChecker([NamedUsers(passwords)], hostname="bsd.home")
        self.accounts = Accounts(checker, wait=no_wait)
        self.service = Pop3Service(users, self.accounts, hostname="bsd.home")

    def put(self, name, content=b"Subject: x\n\nbody\n", part="new"):
        for each in ("tmp", "new", "cur"):
            (self.folder / each).mkdir(parents=True, exist_ok=True)
        (self.folder / part / name).write_bytes(content)

    @property
    def names(self):
        return sorted(
            path.name for part in ("new", "cur") for path in (self.folder / part).iterdir()
        )

    def run(self, conversation):
        """Run a coroutine function that is given a function to open sessions with."""

        async def play():
            async with asyncio.TaskGroup() as sessions:

                def connect():
                    ours, theirs = pair()
                    sessions.create_task(self.service.serve(theirs, "127.0.0.1"))
                    return Session(ours)

                return await conversation(connect)

        return asyncio.run(play())

    def says(self, commands):
        """All that the server says to a client that sends this and then ends its side."""

        async def conversation(connect):
            session = connect()
            await session.send(commands)
            return await session.rest()

        return self.run(conversation).decode()


class Session:
    """The client's end."""

    def __init__(self, stream):
        self.stream = stream
        self.heard = b""

    async def send(self, data):
        await self.stream.write(data)

    async def until(self, end):
        """What was heard up to and with `end`."""
        while end not in self.heard:
            data = await self.stream.read()
            assert data, self.heard
            self.heard += data
        said, _, self.heard = self.heard.partition(end)
        return said + end

    async def ask(self, command, replies=1):
        await self.send(command + b"\r\n")
        return [await self.until(b"\r\n") for _ in range(replies)][-1]

    async def log_in(self):
        await self.until(b"ready\r\n")
        return await self.ask(LOGIN.strip(), replies=2)

    async def rest(self):
        while data := await self.stream.read():
            self.heard += data
        return self.heard


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


# ---- login


def test_a_session_lists_and_gives_what_is_there(box):
    box.put("1.a", b"Subject: one\n\n.dot\n")
    box.put("2.b:2,S", b"two", part="cur")
    said = box.says(LOGIN + b"STAT\r\nUIDL\r\nRETR 1\r\nRETR 2\r\nTOP 1 0\r\nQUIT\r\n")
    assert said == (
        "+OK bsd.home POP3 server ready\r\n+OK send the password\r\n"
        "+OK maildrop has 2 messages\r\n+OK 2 25\r\n"
        "+OK 2 messages\r\n1 1.a\r\n2 2.b\r\n.\r\n"
        "+OK 22 octets\r\nSubject: one\r\n\r\n..dot\r\n.\r\n"
        "+OK 3 octets\r\ntwo\r\n.\r\n"
        "+OK top follows\r\nSubject: one\r\n\r\n.\r\n+OK bye\r\n"
    )
    assert box.names == ["1.a", "2.b:2,S"]


def test_names_are_known_in_any_case(box):
    assert "+OK maildrop has 0 messages" in box.says(b"USER Alice\r\nPASS sesame\r\nQUIT\r\n")


@pytest.mark.parametrize(
    "login",
    [
        b"USER alice\r\nPASS wrong\r\n",
        b"USER alice\r\nPASS sesame \r\n",
        b"USER alice\r\nPASS Sesame\r\n",
        b"USER alice\r\nPASS sesam\xc3\xa9\r\n",
        b"USER bob\r\nPASS sesame\r\n",  # a user without a password here
        b"USER ghost\r\nPASS boo\r\n",  # a password without a user
        b"USER nosuch\r\nPASS sesame\r\n",
        b"USER root\r\nPASS sesame\r\n",
    ],
)
def test_every_wrong_login_is_refused_in_the_same_words(box, login):
    said = box.says(login + b"STAT\r\nQUIT\r\n").split("\r\n")
    assert said[2] == "-ERR [AUTH] name or password is wrong"
    assert said[3].startswith("-ERR ")


def test_an_empty_password_is_refused(box):
    assert "+OK maildrop" not in box.says(
        b"USER nosuch\r\nPASS \r\nUSER alice\r\nPASS \r\nQUIT\r\n"
    )


def test_mbox_files_are_not_served(tmp_path):
    said = Box(tmp_path, "{user}").says(LOGIN + b"QUIT\r\n")
    assert "-ERR [AUTH]" in said


def test_a_maildir_that_is_not_there_yet_is_empty_and_is_not_made(box):
    """The first delivery makes it, as the user."""
    assert "+OK 0 0" in box.says(LOGIN + b"STAT\r\nQUIT\r\n")
    assert not box.folder.exists()


def test_a_maildir_that_cannot_be_read_is_trouble_that_may_pass(box):
    box.folder.write_text("a file in the way")
    said = box.says(LOGIN + b"QUIT\r\n")
    assert "-ERR [SYS/TEMP] the maildrop cannot be read: Not a directory" in said


def test_after_trouble_that_passed_the_same_client_may_try_again(box, monkeypatch):
    box.put("1.a")
    trouble = [OSError(errno.EIO, "Input/output error")]
    messages = Maildir.messages

    def troubled(maildir):
        if trouble:
            raise trouble.pop()
        return messages(maildir)

    monkeypatch.setattr(Maildir, "messages", troubled)
    said = box.says(LOGIN + LOGIN + b"QUIT\r\n")
    assert "-ERR [SYS/TEMP] the maildrop cannot be read: Input/output error" in said
    assert "+OK maildrop has 1 messages" in said


def test_a_listing_longer_than_what_may_wait_is_given_whole(box):
    names = [f"{number:04}.{'x' * 60}" for number in range(1200)]
    for name in names:
        box.put(name, b"")
    said = box.says(LOGIN + b"UIDL\r\nQUIT\r\n")
    assert "".join(f"{number} {name}\r\n" for number, name in enumerate(names, 1)) in said


def test_a_second_session_is_refused_while_the_first_lasts(box):
    box.put("1.a")

    async def conversation(connect):
        first, second = connect(), connect()
        assert (await first.log_in()).startswith(b"+OK maildrop has 1")
        assert (await second.log_in()).startswith(b"-ERR [IN-USE]")
        await first.ask(b"QUIT")
        await first.rest()
        assert (await second.ask(LOGIN.strip(), replies=2)).startswith(b"+OK maildrop has 1")
        await second.ask(b"QUIT")

    box.run(conversation)


def test_a_lost_line_gives_the_lock_back(box):
    box.put("1.a")

    async def conversation(connect):
        first = connect()
        await first.log_in()
        first.stream.abort()
        second = connect()
        while not (await second.log_in()).startswith(b"+OK"):  # the first may be still going
            second.stream.abort()
            second = connect()
        await second.ask(b"QUIT")

    box.run(conversation)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can serve somebody else")
def test_a_user_of_the_system_is_served_nothing_but_his_own(tmp_path):
    nobody = pwd.getpwnam("nobody")
    maildir = tmp_path / "nobody" / "Maildir"
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True)
        os.chown(maildir / part, nobody.pw_uid, -1)
    os.chown(maildir, nobody.pw_uid, -1)
    (tmp_path / "secret").write_text("secret\n")
    (maildir / "new" / "1.a").symlink_to(tmp_path / "secret")
    (maildir / "new" / "2.b").hardlink_to(tmp_path / "secret")
    (maildir / "new" / "3.c").write_text("own\n")
    os.chown(maildir / "new" / "3.c", nobody.pw_uid, -1)
    box = Box(tmp_path, "{user}/Maildir/")
    box.service = Pop3Service(
        Users(Mailbox.parse(f"{tmp_path}/{{user}}/Maildir/"), frozenset()),
        Accounts(LocalChecker([NamedUsers({"nobody": Password("sesame")})], hostname="bsd.home")),
        hostname="bsd.home",
    )
    said = box.says(b"USER nobody\r\nPASS sesame\r\nUIDL\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    assert "1 messages\r\n1 3.c\r\n.\r\n" in said
    assert "own\r\n.\r\n" in said
    assert sorted(path.name for path in (maildir / "new").iterdir()) == ["1.a", "2.b"]


# ---- deleting


def test_messages_are_deleted_at_quit_and_not_before(box):
    box.put("1.a")
    box.put("2.b")

    async def conversation(connect):
        session = connect()
        await session.log_in()
        assert (await session.ask(b"DELE 1")).startswith(b"+OK")
        assert box.names == ["1.a", "2.b"]
        assert await session.ask(b"QUIT") == b"+OK bye\r\n"
        assert box.names == ["2.b"]
        await session.rest()

    box.run(conversation)


@pytest.mark.parametrize("end", ["lost", "closed"])
def test_without_quit_nothing_is_deleted(box, end):
    box.put("1.a")

    async def conversation(connect):
        session = connect()
        await session.log_in()
        await session.ask(b"DELE 1")
        if end == "lost":
            session.stream.abort()
        else:
            await session.stream.close()

    box.run(conversation)
    assert box.names == ["1.a"]


def test_rset_takes_deletions_back(box):
    box.put("1.a")
    assert "+OK bye" in box.says(LOGIN + b"DELE 1\r\nRSET\r\nQUIT\r\n")
    assert box.names == ["1.a"]


def test_what_arrives_during_a_session_is_neither_listed_nor_deleted(box):
    box.put("2.b")

    async def conversation(connect):
        session = connect()
        await session.log_in()
        box.put("1.a")
        assert await session.ask(b"STAT") == b"+OK 1 20\r\n"
        await session.ask(b"DELE 1")
        await session.ask(b"QUIT")

    box.run(conversation)
    assert box.names == ["1.a"]


def test_a_message_that_a_reader_moved_is_given_and_deleted(box):
    box.put("1.a")

    async def conversation(connect):
        session = connect()
        await session.log_in()
        (box.folder / "new" / "1.a").rename(box.folder / "cur" / "1.a:2,S")
        assert (await session.ask(b"RETR 1")).startswith(b"+OK 20 octets")
        await session.until(b"\r\n.\r\n")
        await session.ask(b"DELE 1")
        assert (await session.ask(b"QUIT")).startswith(b"+OK")

    box.run(conversation)
    assert box.names == []


def test_a_message_that_is_gone_is_said_to_be_unreadable_and_the_session_goes_on(box):
    box.put("1.a")

    async def conversation(connect):
        session = connect()
        await session.log_in()
        (box.folder / "new" / "1.a").unlink()
        assert (await session.ask(b"RETR 1")).startswith(b"-ERR ")
        assert (await session.ask(b"NOOP")).startswith(b"+OK")
        await session.ask(b"QUIT")

    box.run(conversation)


def test_a_message_that_breaks_off_is_never_ended_as_if_it_were_whole(box, monkeypatch):
    box.put("1.a")

    def broken(self, message):
        yield b"Subject: x\r\n"
        raise OSError("Input/output error")

    monkeypatch.setattr(Maildir, "pieces", broken)
    assert box.says(LOGIN + b"RETR 1\r\nQUIT\r\n").endswith("+OK 20 octets\r\nSubject: x\r\n")


def test_a_deletion_that_fails_is_told(box):
    box.put("1.a")

    async def conversation(connect):
        session = connect()
        await session.log_in()
        await session.ask(b"DELE 1")
        (box.folder / "new" / "1.a").unlink()
        (box.folder / "new" / "1.a").mkdir()
        reply = await session.ask(b"QUIT")
        assert reply == b"-ERR [SYS/TEMP] some deleted messages not removed\r\n"

    box.run(conversation)


def test_a_long_message_goes_out_in_pieces(box):
    box.put("1.a", b"0123456789\n" * 50_000)
    said = box.says(LOGIN + b"RETR 1\r\nQUIT\r\n")
    assert "+OK 600000 octets\r\n" + "0123456789\r\n" * 50_000 + ".\r\n" in said


# --- logging in


def test_a_login_with_a_challenge_opens_the_maildrop(tmp_path):
    box = Box(tmp_path)
    box.put("1.a")

    async def conversation(connect):
        session = connect()
        client = CramMd5("alice", "sesame")
        await session.send(b"AUTH CRAM-MD5\r\n")
        said = await session.until(b"+ ")
        said += await session.until(b"\r\n")
        challenge = base64.b64decode(said.rpartition(b"+ ")[2])
        await session.send(base64.b64encode(client.respond(challenge)) + b"\r\nSTAT\r\nQUIT\r\n")
        return await session.rest()

    assert b"+OK 1 " in box.run(conversation)


def test_without_tls_only_this_machine_and_named_networks_may_log_in(tmp_path):
    box = Box(tmp_path)
    users = Users(Mailbox.parse(f"{tmp_path}/{{user}}/"), frozenset({"alice"}))
    networks = [Network.parse("192.0.2.0/24")]
    said = {}
    for address, named in (("192.0.2.1", []), ("192.0.2.1", networks), ("::1", [])):
        service = Pop3Service(users, box.accounts, hostname="h", plain_networks=named)

        async def talk(service=service, address=address):
            ours, theirs = pair()
            await ours.write(b"CAPA\r\nUSER alice\r\nQUIT\r\n")
            await service.serve(theirs, address)
            return await Session(ours).rest()

        said[address, bool(named)] = asyncio.run(talk())
    assert b"USER\r\n" not in said["192.0.2.1", False]
    assert b"-ERR [SYS/PERM]" in said["192.0.2.1", False]
    assert b"USER\r\nSASL SCRAM-SHA-256 " in said["192.0.2.1", True]
    assert b"+OK send the password" in said["192.0.2.1", True]
    assert b"+OK send the password" in said["::1", False]


def test_a_login_that_opens_a_mailbox_is_told_of_and_no_other(tmp_path):
    box, told = Box(tmp_path), []
    box.put("1")
    box.service.on_login = told.append
    box.says(b"USER alice\r\nPASS wrong\r\nQUIT\r\n")
    assert told == []
    box.says(LOGIN + b"QUIT\r\n")
    assert told == ["127.0.0.1"]
