"""How fetched mail goes into the queue: for whom, what becomes of its header, and how loops end."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.cli.main import main
from relaynode.config.recipient_checks import is_multidrop
from relaynode.errors import TableError
from relaynode.links.drop_off import address_maker
from relaynode.links.fetching import edits_of, multidrop_of
from relaynode.logins.login import Known
from relaynode.policy.expand import final_route
from relaynode.polls.account import Account
from relaynode.polls.fetched import Fetched
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import MessageState
from relaynode.sasl import Credentials

HEAD = '[account.isp]\nhost = "pop.example.net"\nuser = "ann"\npassword_command = "/bin/echo x"\n'
SINGLE = 'deliver_to = "user"\n'
MANY = (
    'envelope_header = "X-Envelope-To"\nlocal_domains = ["bsd.home"]\nothers_as_they_are = true\n'
    'names = {robert = "bob", all = "list"}\n'
)
USERS = ("user", "bob", "postmaster")


def letter(*lines, body=b"body\r\n"):
    return "".join(f"{line}\r\n" for line in (*lines, "Subject: s", "")).encode() + body


class Home:
    """A node, and an account of it that is visited without a server."""

    def __init__(self, folder, keys, *, users=USERS, tables=None, store=None):
        test_node = TestNode(folder / "n", HEAD + keys, users=users, tables=tables)
        self.node = test_node.open(store=store or MemoryStore(folder / "scratch"))
        section = self.node.config.file.account["isp"]
        self.account = Account(
            name="isp",
            server=section.host.host,
            open=None,
            login=Known(Credentials("ann", "x")),
            deliver_to=section.deliver_to or "",
            multidrop=multidrop_of(section) if is_multidrop(section) else None,
            drop_off_address=address_maker(section),
            edits=edits_of(section),
        )
        self.fetched = Fetched(self.account, self.node.intake, "POP3")

    async def take(self, content, uid="u1", piece=7):
        collector = self.fetched.collector()
        for start in range(0, len(content), piece):
            collector.write(content[start : start + piece])
        assert collector.size_bytes == len(content)
        await self.fetched.queue(collector, uid=uid, peer="pop.example.net[192.0.2.1]")
        return collector.queue_id


def take(tmp_path, keys, *contents, **more):
    """For each content: its message, notes and reasons to be held, and what is stored."""

    async def run():
        home = Home(tmp_path, keys, **more)
        found = []
        try:
            home.fetched.prepare()
            for number, content in enumerate(contents):
                queue_id = await home.take(content, f"u{number}")
                message = await home.node.store.message(queue_id)
                history = await home.node.store.history(queue_id)
                notes = [one.text for one in history if one.kind in ("note", "hold")]
                ids = [one.id for one in message.recipients]
                (delivery,) = await home.node.store.claim([(queue_id, ids)]) or [None]
                stored = b"" if delivery is None else b"".join(delivery.content.pieces())
                found.append((message, notes, stored))
            assert await home.node.store.mailboxes.seen("isp") == {
                f"u{n}" for n in range(len(contents))
            }
        finally:
            await home.node.close()
        return found

    return asyncio.run(run())


def whose(message):
    return [one.forward_path.address for one in message.recipients]


def test_the_return_path_becomes_the_reverse_path_and_the_rest_stays(tmp_path):
    content = letter("Return-Path: <joe@far.example>", "status: RO", "X:  odd \t", "To: ann")
    ((message, notes, stored),) = take(tmp_path, SINGLE, content)
    assert message.envelope.reverse_path == "joe@far.example"
    assert whose(message) == ["user"]
    assert notes == []
    assert stored == content.partition(b"\r\n")[2]


def test_a_sender_without_a_domain_is_a_user_of_the_server_and_no_namesake_here(tmp_path):
    found = take(tmp_path, SINGLE, letter("Return-Path: <user>"), letter("From: user"))
    paths = [message.envelope.reverse_path for message, _, _ in found]
    assert paths == ["user@pop.example.net"] * 2


def test_what_the_account_wants_edited_is_and_nothing_else(tmp_path):
    keys = SINGLE + "fix_addresses = true\ndrop_status = true\ndrop_delivered = true\n"
    content = letter(
        *("Delivered-To: x", "STATUS: RO", "X-Mozilla-Status: 1", "From: Joe <joe>", "To:  a@b.c"),
        body=b"Status: RO\r\nTo: ann\r\n",
    )
    ((_, _, stored),) = take(tmp_path, keys, content)
    assert stored == letter(
        "From: Joe <joe@pop.example.net>", "To:  a@b.c", body=b"Status: RO\r\nTo: ann\r\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"\r\nbody\r\n",
        b"no header at all\r\n\r\nx",
        b"A: b",
        b"A: b\r\nno field\r\nReturn-Path: <x@y>\r\n\r\nbody\r\n",
        b"A: " + b"x" * 70_000 + b"\r\nReturn-Path: <x@y>\r\n\r\nbody",
    ],
)
def test_odd_headers_pass_as_they_are(tmp_path, content):
    async def run():
        home = Home(tmp_path, SINGLE)
        try:
            collector = home.fetched.collector()
            for start in range(0, len(content), 1000):
                collector.write(content[start : start + 1000])
            collector.settle()
            return b"".join(collector.pieces())
        finally:
            await home.node.close()

    assert asyncio.run(run()) == content


def test_each_message_goes_to_those_whom_its_server_names(tmp_path):
    contents = [
        letter("X-Envelope-To: user@bsd.home", "X-Envelope-To: robert", "Message-Id: <1@x>"),
        letter("X-Envelope-To: bob@bsd.home", "Message-Id: <1@x>"),
        letter("X-Envelope-To: all@pop.example.net"),
        letter("X-Envelope-To: user, USER@bsd.home"),
    ]
    found = take(tmp_path, MANY, *contents, tables={"aliases": "list: user, bob\n"})
    assert [sorted(whose(message)) for message, _, _ in found] == [
        ["bob", "user@bsd.home"],
        ["bob@bsd.home"],
        ["bob", "user"],
        ["user"],
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("To: user@bsd.home", "it has no X-Envelope-To"),
        ("X-Envelope-To: victim@far.example", "names victim@far.example, who is nobody here"),
        ("X-Envelope-To: gone@bsd.home", "User unknown"),
    ],
)
def test_what_nobody_is_found_for_goes_to_the_postmaster_who_is_told_why(
    tmp_path, caplog, line, why
):
    ((message, notes, _),) = take(tmp_path, MANY, letter(line))
    assert whose(message) == ["postmaster"]
    assert message.state is MessageState.QUEUED
    assert notes[0].startswith("the postmaster gets it: ")
    assert why in " ".join(notes)
    assert why in caplog.text


def test_what_strangers_wrote_is_told_in_one_clean_line(tmp_path, caplog):
    line = "X-Envelope-To: \x1b]0;x\x07\udc80@far.example, \xe9@far.example"
    content = letter().replace(b"Subject", line.encode("utf-8", "surrogateescape") + b"\r\nSubject")
    home = TestNode(tmp_path / "on disk", HEAD + MANY, users=USERS)

    async def run():
        account = Home(tmp_path, MANY)
        await account.node.close()
        opened = home.open()
        account.fetched.intake = opened.intake
        try:
            queue_id = await account.take(content)
            return [one.text for one in await opened.store.history(queue_id)]
        finally:
            await opened.close()

    texts = asyncio.run(run())
    assert any("is nobody here" in text for text in texts)
    assert all(text.isprintable() for text in texts)
    assert "\x1b" not in caplog.text


def test_some_who_are_nobody_any_more_keep_none_from_the_others(tmp_path):
    ((message, notes, _),) = take(tmp_path, MANY, letter("X-Envelope-To: gone@bsd.home, bob"))
    assert whose(message) == ["bob", "postmaster"]
    assert "User unknown" in notes[0]


def test_one_for_whom_all_is_and_who_is_gone_is_no_reason_to_leave_mail_there(tmp_path):
    ((message, notes, _),) = take(tmp_path, SINGLE, letter(), users=("bob", "postmaster"))
    assert whose(message) == ["postmaster"]
    assert "User unknown" in notes[0]


def test_who_gets_it_is_told_by_why(tmp_path, capsys):
    """The history is in the store on the disk too."""
    node = TestNode(tmp_path / "on disk", HEAD + MANY, users=USERS)

    async def run():
        home = Home(tmp_path, MANY)
        await home.node.close()
        opened = node.open()
        home.fetched.intake = opened.intake
        try:
            await home.take(letter("To: x@y.example"))
        finally:
            await opened.close()

    asyncio.run(run())
    assert main(["--config", str(node.path), "why", "postmaster"]) == 0
    told = capsys.readouterr().out
    assert "note  the postmaster gets it: nobody here was found for it" in told
    assert "note  it has no X-Envelope-To" in told


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["Received: by x"] * 40, "Too many hops 41"),
        (
            ["Received: from pop.example.net by bsd.home (x) with POP3 id 1 for <user>; date"],
            "it was fetched for user before",
        ),
        (
            ["Delivered-To: user@bsd.home", "Received: from a by bsd.home id 1; date"],
            "it was delivered to user@bsd.home here before",
        ),
    ],
)
def test_what_goes_round_is_held_and_is_off_the_server(tmp_path, lines, why):
    ((message, notes, stored),) = take(tmp_path, SINGLE, letter(*lines))
    assert message.state is MessageState.HELD
    assert whose(message) == ["postmaster"]
    assert why in notes[-1]
    assert notes[-1].startswith("mail loop: ")
    assert stored == b""  # nobody may claim it


def test_a_real_round_is_noticed_at_its_first_return(tmp_path):
    ((message, _, stored),) = take(tmp_path, SINGLE, letter("From: a@b.example"))

    async def trace():
        home = Home(tmp_path, SINGLE)
        try:
            queue_id = await home.take(letter("From: a@b.example"))
            (waiting,) = await home.node.store.waiting()
            ids = [one.id for one in waiting.recipients]
            (delivery,) = await home.node.store.claim([(queue_id, ids)])
            return delivery.trace
        finally:
            await home.node.close()

    again = b"Received: from bsd.home by pop.example.net for <box@x>; date\r\n"
    content = again + asyncio.run(trace()) + stored
    ((message, notes, _),) = take(tmp_path / "2", SINGLE, content)
    assert message.state is MessageState.HELD
    assert "it was fetched for user before" in notes[-1]


def test_a_table_that_cannot_be_read_leaves_the_mail_at_the_server(tmp_path):
    async def run():
        home = Home(tmp_path, MANY, tables={"aliases": "list: bob\n"})
        try:
            aliases = tmp_path / "n" / "tables" / "aliases"
            aliases.unlink()
            aliases.mkdir()
            with pytest.raises(TableError):
                await home.take(letter("X-Envelope-To: bob"))
            assert await home.node.store.messages(finished=True) == []
            assert await home.node.store.mailboxes.seen("isp") == set()
        finally:
            await home.node.close()

    asyncio.run(run())


# --- drop-off


@pytest.mark.parametrize(
    ("keys", "address"),
    [
        ('drop_off = ["smtp:localhost/2525"]\n', "user@localhost"),
        ('drop_off = ["smtp:192.0.2.30:25", "smtp:backup"]\n', "user@[192.0.2.30]"),
        ('drop_off = ["smtp:x"]\nsmtp_address = "office.example"\n', "user@office.example"),
        ('drop_off = ["smtp:x"]\nsmtp_name = "me@office.example"\n', "me@office.example"),
        ('drop_off = ["lmtp:/run/lmtp"]\n', "user"),
        ('mda = "/usr/bin/procmail -d %T"\n', "user"),
    ],
)
def test_a_drop_off_gets_the_mail_whatever_the_tables_say(tmp_path, keys, address):
    async def run():
        home = Home(tmp_path, SINGLE + keys, users=(), tables={"aliases": "user: far@x.example\n"})
        try:
            home.fetched.prepare()
            queue_id = await home.take(letter())
            (waiting,) = await home.node.store.waiting()
            (recipient,) = waiting.recipients
            route = final_route(home.node.rules.routing, recipient.forward_path)
            way = home.node.parts.ways.way_of(route)
            assert (route.user, way.kind, way.name) == (address, "drop-off", "isp")
            assert home.node.parts.ways.link_of(way) is None
            assert "drop-off of account isp" in home.node.parts.ways.told(way)
            return queue_id
        finally:
            await home.node.close()

    asyncio.run(run())


def test_mail_waits_where_an_account_has_no_drop_off_any_more(tmp_path):
    async def run():
        home = Home(tmp_path, SINGLE + 'mda = "/bin/cat"\n')
        home.fetched.prepare()
        try:
            await home.take(letter())
            home.node.config.file.account.clear()
            await home.node.links.run_due(None)
            (message,) = await home.node.store.messages()
            return message.recipients[0].last_status
        finally:
            await home.node.close()

    status = asyncio.run(run())
    assert status.is_temporary
    assert "[account.isp] has no drop_off and no mda any more" in status.text
