"""Submission: what `sendmail` makes of its standard input, and how it ends."""

import asyncio
import pwd
from dataclasses import replace

import pytest

from nodes import TestNode
from relaynode.mail.status import permanent, temporary
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import RecipientState
from relaynode.sources.sendmail_options import parse_options
from relaynode.sources.submit import Submitter, submit

NOW = 1795278760.0  # Sat, 21 Nov 2026 16:32:40 UTC
HOST = "gate.example.org"
LETTER = b"Subject: x\n\nhello\n"


class Play:
    """A node with a store in memory. `announced`: what its workers were told of."""

    def __init__(self, folder, **tables):
        node = TestNode(folder, users=("alice", "bob", "carol", "postmaster"), tables=tables)
        node.path.write_text(node.path.read_text().replace("bsd.home", HOST))
        self.store = MemoryStore(folder / "scratch")
        self.node = node.open(store=self.store, clock=lambda: NOW)
        self.announced = []
        self.node.intake.on_queued = lambda queue_id, _: self.announced.append(queue_id)

    def submit(self, line, content=LETTER, *, user="alice", name="", deliver=None, step=None):
        """The submission of a command line, content arriving `step` bytes at a time."""
        options = parse_options(line.split())

        async def pieces():
            size = step or len(content) or 1
            for start in range(0, len(content), size):
                yield content[start : start + size]

        return asyncio.run(
            submit(self.node.intake, options, Submitter(user, name), pieces(), HOST, deliver)
        )

    def queued(self):
        """Each queued message: what is known of it, and its bytes with Unix line ends."""

        async def claim():
            waiting = await self.store.waiting()
            wanted = [(one.queue_id, {r.id for r in one.recipients}) for one in waiting]
            return await self.store.claim(wanted)

        return [
            (one.message, (one.trace + b"".join(one.content.pieces())).replace(b"\r\n", b"\n"))
            for one in asyncio.run(claim())
        ]

    def header_of(self, line, content=LETTER, **more):
        """The header lines of the one message that a command line queues, by name."""
        ended = self.submit(line, content, **more)
        assert (ended.exit_code, ended.complaint) == (0, "")
        ((_, text),) = self.queued()
        lines = text.partition(b"\n\n")[0].replace(b"\n\t", b" ").decode().split("\n")
        return dict(line.split(": ", 1) for line in lines)


@pytest.fixture
def play(tmp_path):
    return Play(tmp_path)


# What header-fixing of an ordinary user looks like was seen with real sendmail.


def test_a_user_is_named_with_his_full_name_if_he_has_one(play):
    header = play.header_of("bob", name="Alice A")
    assert list(header) == ["Received", "Date", "From", "Message-Id", "Subject"]
    assert header["From"] == "Alice A <alice>"
    assert header["Received"].startswith(f"(from alice@localhost) by {HOST} (relaynode ")
    assert " for bob; " in header["Received"]


def test_a_user_who_is_somebody_else_is_told_of(play):
    header = play.header_of("-f someone@example.com bob", name="Alice A")
    assert header["From"] == "someone@example.com"
    assert header["X-Authentication-Warning"] == (
        f"{HOST}: alice set sender to someone@example.com using -f"
    )
    assert list(header)[3:] == ["Message-Id", "X-Authentication-Warning", "Subject"]


@pytest.mark.parametrize("sender", ["alice", "ALICE", f"alice@{HOST}"])
def test_a_user_who_names_himself_is_believed(play, sender):
    header = play.header_of(f"-f {sender} bob", name="Alice A")
    assert "X-Authentication-Warning" not in header
    assert header["From"] == f"Alice A <{sender}>"


@pytest.mark.parametrize("user", ["root", "daemon", "uucp", "alice", "Carol"])
def test_root_and_the_trusted_users_may_be_anybody(tmp_path, user):
    play = Play(tmp_path, **{"trusted-users": "# these\nalice\ncarol\n"})
    header = play.header_of("-f someone@example.com bob", user=user)
    assert "X-Authentication-Warning" not in header


def test_the_name_of_another_user_of_ours_is_his_own(play, monkeypatch):
    entry = pwd.struct_passwd(("carol", "x", 1, 1, "Carol C,room 5", "/", "/bin/sh"))
    known = {"carol": entry}
    monkeypatch.setattr(pwd, "getpwnam", known.__getitem__)
    header = play.header_of(f"-f carol@{HOST} bob", name="Alice A", user="root")
    assert header["From"] == f"Carol C <carol@{HOST}>"


@pytest.mark.parametrize(
    ("line", "content", "value"),
    [
        ("-F Al bob", LETTER, "Al <alice>"),
        ("-F Al bob", b"Full-Name: Zed\n" + LETTER, "Zed <alice>"),
        ("bob", b"Full-Name: Zed\n" + LETTER, "Zed <alice>"),
        ("bob", b"From: me@x\nFull-Name: Zed\n" + LETTER, "me@x"),
        ("bob", b"From:\n" + LETTER, "A <alice>"),
    ],
)
def test_a_full_name_field_counts_more_than_an_option_and_that_more_than_ours(
    play, line, content, value
):
    header = play.header_of(line, content, name="A")
    assert header["From"] == value
    assert "Full-Name" not in header


def test_what_comes_by_uucp_says_so_in_received(play):
    header = play.header_of("-pUUCP:horus bob")
    assert header["Received"].startswith(f"from horus (alice@localhost) by {HOST} (relaynode ")
    assert " with UUCP id " in header["Received"]
    assert " for bob; " in header["Received"]


@pytest.mark.parametrize(
    ("line", "content", "shown"),
    [
        ("bob", LETTER, "bob"),
        ("bob carol", LETTER, ""),
        ("bob,carol", LETTER, ""),
        ("-t", b"To: bob\n" + LETTER, ""),
        ("-t carol", b"To: bob\n" + LETTER, "carol"),
    ],
)
def test_received_names_the_recipient_if_the_command_line_has_just_one(play, line, content, shown):
    _, _, tail = play.header_of(line, content)["Received"].partition(" for ")
    assert tail.partition(";")[0] == shown


@pytest.mark.parametrize("step", [1, 2, 7, None])
@pytest.mark.parametrize("first", [b"", b"From alice Sat Nov 21 16:32:40 2026\n"])
def test_however_slowly_it_is_written_the_header_is_read_whole(tmp_path, first, step):
    play = Play(tmp_path)
    content = first + b"Subject: a\nTo: bob\nBcc: carol\n\nhello\n"
    header = play.header_of("-t", content, step=step)
    assert header["To"] == "bob"
    assert "Bcc" not in header


@pytest.mark.parametrize(
    ("content", "body_bytes"),
    [
        (b"Subject: test\nTo: x\n\nhello\n", 6),
        (b"Subject: test\r\nTo: x\r\n\r\nhello\r\n", 6),
        (b"just text\nmore\n", 15),
        (b"Subject: x\nthis is not a header\nTo: y\n\nbody\n", 33),
        (b"Subject: x\n\n" + b"line of body text\n" * 200, 3600),
        (b"Bcc: carol\nSubject: x\n\nlast line without end", 21),
        (b"", 0),
    ],
)
def test_the_size_of_the_body_is_counted_as_mailq_shows_it(play, content, body_bytes):
    assert play.submit("bob", content).exit_code == 0
    ((message, _),) = play.queued()
    assert message.body_bytes == body_bytes


@pytest.mark.parametrize(
    ("hops", "option", "shown"),
    [
        (24, "", 0),
        (25, "", 26),
        (27, "", 28),
        (0, "-h 25 ", 0),
        (0, "-h 26 ", 26),
        (3, "-h 30 ", 30),
    ],
)
def test_mail_that_has_come_round_too_often_is_refused(play, hops, option, shown):
    content = b"Received: by x; Mon, 1 Jan 2001 00:00:00 +0000\n" * hops + LETTER
    ended = play.submit(f"{option}bob carol", content)
    text = f"Too many hops {shown} (25 max): from alice@{HOST} via localhost, to bob"
    expected = (69, f"554 5.4.6 {text}") if shown else (0, "")
    assert (ended.exit_code, ended.complaint) == expected
    assert len(play.queued()) == (not shown)


@pytest.mark.parametrize(
    ("line", "announced"), [("bob", 1), ("-odb bob", 1), ("-odq bob", 0), ("-odd bob", 0)]
)
def test_the_workers_are_told_unless_the_next_queue_run_shall_do_it(play, line, announced):
    assert play.submit(line).exit_code == 0
    assert len(play.announced) == announced


@pytest.mark.parametrize(
    ("line", "state", "status", "ended"),
    [
        ("-odi bob", RecipientState.DELIVERED, None, (0, "")),
        ("-odi bob", RecipientState.WAITING, temporary("disk full"), (0, "")),
        ("-odi bob", RecipientState.FAILED, permanent("gone", "5.1.1"), (67, "")),
        ("-odi -oee bob", RecipientState.FAILED, permanent("gone", "5.1.1"), (0, "")),
        ("-v bob", RecipientState.DELIVERED, None, (0, "bob... Sent")),
        ("-v bob", RecipientState.WAITING, None, (0, "bob... queued")),
        ("-v bob", RecipientState.WAITING, temporary("full"), (0, "bob... Deferred: full")),
        ("-v bob", RecipientState.FAILED, permanent("gone"), (69, "bob... gone")),
    ],
)
def test_who_waits_for_the_delivery_is_told_how_it_went(play, line, state, status, ended):
    async def deliver(queue_id):
        message = await play.store.message(queue_id)
        (one,) = message.recipients
        return replace(message, recipients=(replace(one, state=state, last_status=status),))

    submission = play.submit(line, deliver=deliver)
    assert (submission.exit_code, submission.complaint) == ended
    assert play.announced == [submission.queue_id], "the rest of the way is for the workers"


def test_a_list_with_an_owner_is_waited_for_whole(tmp_path):
    play = Play(tmp_path, aliases="staff: bob, carol\nowner-staff: postmaster\n")
    tried = []

    async def deliver(queue_id):
        tried.append(queue_id)
        return await play.store.message(queue_id)

    ended = play.submit("-odi alice staff", deliver=deliver)
    assert ended.exit_code == 0
    queued = {message.envelope.reverse_path: message.queue_id for message, _ in play.queued()}
    assert set(queued) == {f"alice@{HOST}", f"postmaster@{HOST}"}
    assert sorted(tried) == sorted(play.announced) == sorted(queued.values())


def test_only_what_can_never_be_delivered_is_dropped_in_quiet_mode(tmp_path):
    tables = {"mailertable": "now.example\terror:4.7.1:450 not now\nno.example\terror:5.7.1:no\n"}
    play = Play(tmp_path, **tables)
    ended = play.submit("-oeq bob a@now.example b@no.example")
    assert (ended.exit_code, ended.complaint) == (65, "")
    ((message, _),) = play.queued()
    addresses = {one.address for one in message.envelope.recipients}
    assert addresses == {"bob", "a@now.example"}
