"""Mail that neighbours bring: what is queued, together with the end of the execution."""

import asyncio
import zlib

import pytest

from nodes import TestNode
from relaynode.errors import NotClaimed, StoreFull, TableError
from relaynode.mail.bsmtp import BatchMessage, BatchRecipient, batch
from relaynode.mail.packing import Packing, has_zstd, packed
from relaynode.queue.model import RecipientState
from relaynode.queue.uucp.model import Completed, Need, NewExecution, SpoolFile, WorkState
from relaynode.sources import uucp_incoming
from relaynode.sources.dsn import DOUBLE_BOUNCE, DSN
from relaynode.sources.uucp_mail import COMMANDS
from relaynode.uucico.commands import MAIL_COMMANDS

DATE = "Sat Nov 21 10:00:00 2026"
FROM = f"From alice@far.example {DATE} remote from alpha\n".encode()
TEXT = (
    b"From: Alice <alice@far.example>\nTo: user\nDate: x\nMessage-Id: <1@far>\n\n.\n>From x\n\xe4\n"
)
WIRE = TEXT.replace(b"\n", b"\r\n")
MAX_BYTES = 100_000

SECTIONS = """
[uucp]
nodename = "bsd"
[neighbour.alpha]
call = ["tcp:127.0.0.1:1"]
commands = ["rmail", "rsmtp", "rgsmtp", "rcsmtp", "rbsmtp", "rzsmtp", "rfsmtp"]
[queue]
message_size_bytes = 100000
min_free_bytes = 0
"""


class Stage:
    """A node, and executions that alpha has asked for."""

    def __init__(self, node):
        self.node = node
        self.count = 0

    async def run(self, *command, data=FROM + TEXT, flags=""):
        """Run one; how it stands then."""
        self.count += 1
        name, execution_id = f"D.alphaN{self.count:04}", f"E{self.count}"
        received, now = self.node.store.uucp.received, self.node.clock()
        needs, input_name = (), ""
        if data is not None:
            draft = self.node.store.draft(f"F{self.count}")
            for start in range(0, len(data), 30_000):
                draft.write(data[start : start + 30_000])
            file = SpoolFile("alpha", name, draft.finish(), now)
            await received.complete(Completed(file=file))
            needs, input_name = (Need(name),), name
        new = NewExecution(
            execution_id, "alpha", "uucp", command, now, "N", input_name, needs, flags=flags
        )
        await received.complete(Completed(execution=new))
        await self.node.executor.run_due()
        found = await self.node.store.uucp.executions.find(finished=True)
        return next(one for one in found if one.new.execution_id == execution_id)

    async def queued(self):
        """What waits: envelope, trace and content of each message, in order."""
        found = []
        for message in await self.node.store.waiting():
            ids = {one.id for one in message.recipients}
            (delivery,) = await self.node.store.claim([(message.queue_id, ids)])
            content = b"".join(delivery.content.pieces())
            found.append((message.envelope, delivery.trace.decode(), content))
            await self.node.store.unclaim(ids)
        return found

    async def dsns(self):
        """Deliver what goes nowhere; the text of the DSNs that come of it, by who gets them."""
        before = {one.queue_id for one in await self.node.store.messages()}
        await self.node.links.run_due(None, before)
        found = {}
        for message in await self.node.store.messages():
            if message.source in (DSN, DOUBLE_BOUNCE):
                ids = {one.id for one in message.recipients}
                (delivery,) = await self.node.store.claim([(message.queue_id, ids)])
                await self.node.store.unclaim(ids)
                (to,) = [one.forward_path.address for one in message.recipients]
                text = b"".join(delivery.content.pieces()).decode("latin-1")
                found[to] = found.get(to, "") + text
        return found


@pytest.fixture
def play(tmp_path):
    def run(scenario, **more):
        async def act():
            node = TestNode(tmp_path, SECTIONS, **more).open()
            try:
                await scenario(Stage(node))
            finally:
                await node.close()

        asyncio.run(act())

    return run


def addresses(envelope):
    return [one.address for one in envelope.recipients]


def made(*mails, end=b"QUIT\n"):
    """A batch: (from, to, wire content) each."""
    messages = [
        (BatchMessage(sender, tuple(map(BatchRecipient, to))), [content])
        for sender, to, content in mails
    ]
    return b"".join(batch("alpha", messages)).removesuffix(b"QUIT\n") + end


# --- rmail


def test_a_mail_and_the_end_of_its_execution_are_one(play):
    async def scenario(stage):
        ended = await stage.run("rmail", "user", "bob@far.example", "bsd!postmaster")
        assert ended.state is WorkState.DONE
        ((envelope, trace, content),) = await stage.queued()
        assert envelope.reverse_path == "alice@far.example"
        assert addresses(envelope) == ["user", "bob@far.example", "postmaster"]
        assert envelope.body == "8BITMIME"
        assert content == WIRE
        assert trace.startswith("Received: from alpha\r\n\tby bsd.home (relaynode ")
        assert ") with UUCP id " in trace
        assert trace.count("\r\n") == 3
        (message,) = await stage.node.store.messages()
        assert message.source == "uucp alpha"

    play(scenario)


def test_the_one_recipient_is_in_received(play):
    async def scenario(stage):
        await stage.run("rmail", "user")
        ((_, trace, _),) = await stage.queued()
        assert "\r\n\tfor <user>; " in trace

    play(scenario)


def test_what_the_header_lacks_is_added(play):
    async def scenario(stage):
        await stage.run("rmail", "user", data=FROM + b"Subject: x\n\ny\n")
        ((_, trace, content),) = await stage.queued()
        assert content == b"Subject: x\r\n\r\ny\r\n"
        for field in ("Date: ", "From: alice@far.example\r\n", "Message-Id: <"):
            assert f"\r\n{field}" in trace

    play(scenario)


def test_a_bang_path_begins_with_the_neighbour_that_logged_in(play):
    async def scenario(stage):
        line = f"From carl {DATE} remote from bank\n".encode()
        await stage.run("rmail", "user", data=line + TEXT)
        ((envelope, _, _),) = await stage.queued()
        assert envelope.reverse_path == "alpha!bank!carl"

    play(scenario)


def test_a_dsn_keeps_the_null_reverse_path(play):
    async def scenario(stage):
        await stage.run("rmail", "user", data=b"From <> remote from alpha\r\n" + WIRE)
        ((envelope, _, content),) = await stage.queued()
        assert envelope.reverse_path == ""
        assert content == WIRE

    play(scenario)


def test_a_long_mail_goes_by_the_disk(play):
    async def scenario(stage):
        body = b"x\r\n" * 25_000
        await stage.run("rmail", "user", data=FROM + b"\n" + body)
        ((_, _, content),) = await stage.queued()
        assert content == b"\r\n" + body

    play(scenario)


def test_an_alias_counts_and_one_user_gets_one_copy(play):
    async def scenario(stage):
        await stage.run("rmail", "staff", "user", "user@bsd.home")
        ((envelope, _, _),) = await stage.queued()
        assert sorted(addresses(envelope)) == ["postmaster", "user"]

    play(scenario, tables={"aliases": "staff: user, postmaster\n"})


def test_an_unknown_user_is_told_to_the_sender_and_the_others_get_theirs(play):
    async def scenario(stage):
        ended = await stage.run("rmail", "nobody-here", "user", "a b")
        assert ended.state is WorkState.DONE
        ((envelope, _, _),) = await stage.queued()
        assert addresses(envelope) == ["nobody-here", "user", "a b"]
        dsns = await stage.dsns()
        assert list(dsns) == ["alice@far.example"]
        text = dsns["alice@far.example"]
        assert "550 5.1.1 nobody-here... User unknown" in text
        assert "553 5.1.3 a b... " in text
        (mail,) = [
            one
            for one in await stage.node.store.messages(finished=True)
            if one.source not in (DSN, DOUBLE_BOUNCE)
        ]
        assert [one.state for one in mail.recipients] == [
            RecipientState.FAILED,
            RecipientState.DELIVERED,
            RecipientState.FAILED,
        ]

    play(scenario)


def test_a_recipient_is_no_program_and_no_file(play):
    async def scenario(stage):
        data = made(("a@b.example", ["|evil", "/etc/passwd", ":include:/etc/passwd"], WIRE))
        await stage.run("rsmtp", data=data)
        (text,) = (await stage.dsns()).values()
        assert "Cannot mail directly to programs" in text
        assert "Cannot mail directly to files" in text
        assert "553 5.1.3 :include:/etc/passwd... " in text

    play(scenario)


@pytest.mark.parametrize(
    ("command", "data", "text"),
    [
        (["rmail"], FROM + TEXT, "usage: rmail user ..."),
        (["rmail", "user"], TEXT, "missing or empty From line"),
        (["rmail", "user"], b"", "missing or empty From line"),
        (["rmail", "user"], None, "missing or empty From line"),
        (["rmail", "user"], b"From a;b\n" + TEXT, "bad sender in From line"),
        (["rmail", "-oQ/tmp", "user"], FROM + TEXT, "is no address"),
        (["rmail", "|evil"], FROM + TEXT, "is no address"),
    ],
)
def test_what_is_no_mail_fails_and_whoever_asked_gets_a_letter(play, command, data, text):
    async def scenario(stage):
        ended = await stage.run(*command, data=data)
        assert ended.state is WorkState.FAILED
        ((envelope, _, content),) = await stage.queued()
        assert envelope.reverse_path == ""
        assert addresses(envelope) == ["alpha!uucp"]
        assert b"Subject: Execution failed\r\n" in content
        assert text.encode() in content

    play(scenario)


def test_no_letter_is_written_where_none_is_wanted(play):
    async def scenario(stage):
        assert (await stage.run("rmail", data=TEXT, flags="N")).state is WorkState.FAILED
        assert await stage.queued() == []

    play(scenario)


def test_a_mail_that_is_too_large_goes_back_with_the_reason(play):
    async def scenario(stage):
        data = FROM + b"Subject: huge\n\n" + b"x" * MAX_BYTES + b"\n"
        assert (await stage.run("rmail", "user", data=data)).state is WorkState.DONE
        (text,) = (await stage.dsns()).values()
        assert "552 5.3.4 user... Message is too large; 100000 bytes max" in text
        assert "Subject: huge" in text
        assert "xxx" not in text

    play(scenario)


def test_a_mail_as_large_as_it_may_be_is_taken(play):
    async def scenario(stage):
        data = b"\n" + b"x" * (MAX_BYTES - 4) + b"\n"
        await stage.run("rmail", "user", data=FROM + data)
        ((_, _, content),) = await stage.queued()
        assert len(content) == MAX_BYTES

    play(scenario)


def test_a_mail_that_goes_round_goes_back(play):
    async def scenario(stage):
        assert (
            await stage.run("rmail", "user", data=FROM + b"Received: x\n" * 26 + TEXT)
        ).state is WorkState.DONE
        (text,) = (await stage.dsns()).values()
        assert "Too many hops 27 (25 max)" in text

    play(scenario)


# --- trouble of ours


def test_a_table_that_cannot_be_read_keeps_all_of_it_for_later(play, monkeypatch):
    async def scenario(stage):
        def unreadable(_):
            raise TableError("aliases: permission denied")

        monkeypatch.setattr(stage.node.intake, "expand", unreadable)
        ended = await stage.run("rmail", "user")
        assert (ended.state, ended.tries) == (WorkState.WAITING, 1)
        assert ended.next_attempt_at > stage.node.clock()
        assert await stage.queued() == []
        assert left_over(stage) == []

    play(scenario)


def left_over(stage):
    """Content files but those of executions."""
    spool = stage.node.config.spool
    return [path for path in spool.glob("incoming/*") if not path.name.startswith("F")]


@pytest.mark.parametrize("size", [10, 90_000])
def test_a_full_disk_keeps_all_of_it_untried(play, monkeypatch, size):
    async def scenario(stage):
        async def full(*_, **more):
            raise StoreFull("no room")

        monkeypatch.setattr(stage.node.store, "add", full)
        mail = ("a@b.example", ["user"], b"x" * size + b"\r\n")
        with pytest.raises(StoreFull):
            await stage.run("rsmtp", data=made(mail, mail))
        (execution,) = await stage.node.store.uucp.executions.find()
        assert (execution.state, execution.tries) == (WorkState.WAITING, 0)
        assert not execution.is_claimed
        contents = [path.name for path in (stage.node.config.spool / "content").iterdir()]
        assert [name for name in contents if not name.startswith("F1.")] == []
        assert left_over(stage) == []
        monkeypatch.undo()
        await stage.node.executor.run_due()
        assert len(await stage.queued()) == 2

    play(scenario)


def test_what_is_not_ours_any_more_is_not_queued(play, monkeypatch):
    async def scenario(stage):
        async def taken(*_, **more):
            raise NotClaimed("E1")

        monkeypatch.setattr(stage.node.store, "add", taken)
        await stage.run("rmail", "user")
        monkeypatch.undo()
        assert await stage.queued() == []

    play(scenario)


# --- batches


NEEDS_ZSTD = pytest.mark.skipif(not has_zstd(), reason="the extra zstd is not installed")
BODIES = [b"Subject: %d\r\n\r\n.\r\nQUIT\r\n%s\r\n" % (n, b"x" * 30_000 * n) for n in range(3)]


@pytest.mark.parametrize("command", ["rsmtp", "rgsmtp", "rcsmtp", "rbsmtp", "rzsmtp", "rfsmtp"])
@pytest.mark.parametrize(
    "packing",
    [pytest.param(one, marks=NEEDS_ZSTD if one is Packing.ZSTD else ()) for one in Packing],
)
def test_the_messages_of_a_batch_are_queued_whatever_it_is_packed_with(play, command, packing):
    async def scenario(stage):
        mails = [
            (f"a{n}@b.example", ["user", "x@c.example"], body) for n, body in enumerate(BODIES)
        ]
        ended = await stage.run(command, data=b"".join(packed([made(*mails)], packing)))
        assert ended.state is WorkState.DONE
        queued = await stage.queued()
        assert [content for _, _, content in queued] == BODIES
        assert [one.reverse_path for one, _, _ in queued] == [sender for sender, _, _ in mails]
        assert addresses(queued[0][0]) == ["user", "x@c.example"]
        assert all("with UUCP id" in trace for _, trace, _ in queued)

    play(scenario)


def test_what_an_envelope_says_is_kept(play):
    async def scenario(stage):
        text = (
            b"MAIL FROM:<far!carl> RET=HDRS ENVID=x+2By BODY=8BITMIME\n"
            b"RCPT TO:<user> NOTIFY=NEVER ORCPT=rfc822;u+40x\nDATA\n\n.\n"
        )
        await stage.run("rsmtp", data=text)
        ((envelope, _, _),) = await stage.queued()
        assert envelope.reverse_path == "alpha!far!carl"
        assert (envelope.ret, envelope.envid, envelope.body) == ("HDRS", "x+2By", "8BITMIME")
        assert (envelope.recipients[0].notify, envelope.recipients[0].orcpt) == (
            "NEVER",
            "rfc822;u+40x",
        )

    play(scenario)


GOOD = ("a@b.example", ["user"], BODIES[0])


async def check_loss(stage, ended, reason, whole=1):
    """It failed with that reason, what was whole is queued, and our postmaster is told."""
    assert ended.state is WorkState.FAILED
    assert reason in ended.last_error
    queued = await stage.queued()
    good = [one for one in queued if "error" not in {each.mailer for each in one[0].recipients}]
    assert [content for _, _, content in good[:-1]] == [BODIES[0]] * whole
    envelope, _, content = good[-1]
    assert (envelope.reverse_path, addresses(envelope)) == ("", ["postmaster"])
    assert reason.encode() in content
    assert f"kept as execution {ended.new.execution_id}".encode() in content
    claimed = await stage.node.store.uucp.executions.find(finished=True)
    assert claimed
    return [one for one in queued if one not in good]


@pytest.mark.parametrize("packing", [Packing.PLAIN, Packing.GZIP, Packing.COMPRESS])
def test_of_a_batch_that_was_cut_the_whole_messages_are_delivered(play, packing):
    async def scenario(stage):
        mails = (GOOD, ("c@d.example", ["user", "e@f.example"], BODIES[0] + b"lost\r\n"))
        plain = made(*mails, end=b"")
        if packing is Packing.PLAIN:
            data = plain[:-5]
        else:
            data = b"".join(packed([plain[:-5]], packing))
            data = data[: len(data) - (8 if packing is Packing.GZIP else 0)]
        ended = await stage.run("rgsmtp", data=data)
        (cut,) = await check_loss(stage, ended, "ends in its middle")
        assert addresses(cut[0]) == ["user", "e@f.example"]
        dsns = await stage.dsns()
        assert "cut off on its way" in dsns["c@d.example"]
        assert "lost" not in dsns["c@d.example"]

    play(scenario)


def test_a_batch_without_quit_is_whole_if_its_last_message_is(play):
    async def scenario(stage):
        assert (await stage.run("rsmtp", data=made(GOOD, GOOD, end=b""))).state is WorkState.DONE
        assert len(await stage.queued()) == 2

    play(scenario)


def test_a_packed_batch_that_lost_its_end_behind_quit_lost_nothing(play):
    async def scenario(stage):
        data = b"".join(packed([made(GOOD)], Packing.GZIP))[:-4]
        assert (await stage.run("rgsmtp", data=data)).state is WorkState.DONE
        assert len(await stage.queued()) == 1

    play(scenario)


def test_a_packed_batch_that_was_cut_between_messages_may_have_lost_some(play):
    async def scenario(stage):
        compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
        data = compressor.compress(made(GOOD, end=b"")) + compressor.flush(zlib.Z_SYNC_FLUSH)
        ended = await stage.run("rgsmtp", data=data)
        assert await check_loss(stage, ended, "ends in its middle") == []

    play(scenario)


def test_of_a_damaged_batch_nothing_is_delivered(play):
    async def scenario(stage):
        data = b"".join(packed([made(GOOD)], Packing.GZIP))
        ended = await stage.run("rgsmtp", data=data[:-8] + b"\0\0\0\0" + data[-4:])
        assert ended.state is WorkState.FAILED
        ((envelope, _, content),) = await stage.queued()
        assert addresses(envelope) == ["alpha!uucp"]
        assert b"damaged compressed data" in content
        assert left_over(stage) == []

    play(scenario)


@pytest.mark.parametrize("packing", [Packing.GZIP, Packing.BZIP2, Packing.COMPRESS])
def test_a_bomb_is_refused_and_what_was_before_it_delivered(play, packing):
    async def scenario(stage):
        plain = made(GOOD, ("c@d.example", ["user"], b"\r\n" + bytes(5_000_000)))
        ended = await stage.run("rgsmtp", data=b"".join(packed([plain], packing)))
        (bomb,) = await check_loss(stage, ended, "unpacks to more than 200000 bytes")
        assert len(bomb[2]) < 70_000
        assert "Message is too large" in (await stage.dsns())["c@d.example"]

    play(scenario)


def test_a_message_that_is_too_large_goes_back_and_the_rest_of_the_batch_is_delivered(play):
    async def scenario(stage):
        huge = ("c@d.example", ["user"], b"Subject: huge\r\n\r\n" + b"x" * MAX_BYTES + b"\r\n")
        assert (await stage.run("rsmtp", data=made(GOOD, huge, GOOD))).state is WorkState.DONE
        assert [content for _, _, content in await stage.queued()][::2] == [BODIES[0]] * 2
        assert "Message is too large" in (await stage.dsns())["c@d.example"]

    play(scenario)


@pytest.mark.parametrize(
    ("commands", "told", "reason"),
    [
        (b"MAIL FROM:<c@d.example>\n", "c@d.example", "the message names no recipient"),
        (b"MAIL FROM:<c@@d>\nRCPT TO:<user>\n", "postmaster", "bad sender"),
        (b"RCPT TO:<nobody>\n", "postmaster", "RCPT without MAIL"),
        (b"", "postmaster", "DATA without MAIL"),
        (b"MAIL FROM:<>\n", "postmaster", "the message names no recipient"),
    ],
)
def test_an_envelope_that_is_wrong_goes_back_and_the_rest_is_delivered(
    play, commands, told, reason
):
    async def scenario(stage):
        data = made(GOOD, end=commands + b"DATA\nSubject: bad\n\nx\n.\n") + made(GOOD)
        assert (await stage.run("rsmtp", data=data)).state is WorkState.DONE
        assert [content for _, _, content in await stage.queued()][::2] == [BODIES[0]] * 2
        dsns = await stage.dsns()
        assert list(dsns) == [told]
        assert reason in dsns[told]
        assert "Subject: bad" in dsns[told]

    play(scenario)


def test_an_envelope_without_text_goes_back(play):
    async def scenario(stage):
        data = made(end=b"MAIL FROM:<c@d.example>\nRCPT TO:<user>\n") + made(GOOD)
        assert (await stage.run("rsmtp", data=data)).state is WorkState.DONE
        assert "without any text" in (await stage.dsns())["c@d.example"]

    play(scenario)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "this is no batch of mail"),
        (FROM + TEXT, "this is no batch of mail: unknown command 'From alice"),
        (b"\x1f\x9fxxx", "freeze(1) is not understood here"),
        (b"\x1f\x8bxxx" + bytes(20), "damaged compressed data"),
        (None, "this is no batch of mail"),
    ],
)
def test_what_is_no_batch_fails_and_whoever_asked_gets_a_letter(play, data, reason):
    async def scenario(stage):
        assert (await stage.run("rsmtp", data=data)).state is WorkState.FAILED
        ((envelope, _, content),) = await stage.queued()
        assert addresses(envelope) == ["alpha!uucp"]
        assert reason.encode() in content

    play(scenario)


def test_a_batch_of_nothing_is_done(play):
    async def scenario(stage):
        assert (await stage.run("rsmtp", data=made())).state is WorkState.DONE
        assert await stage.queued() == []

    play(scenario)


def test_chunks_end_the_batch_and_our_postmaster_is_told(play):
    async def scenario(stage):
        data = made(GOOD, end=b"BDAT 10 LAST\nRSET\nQUIT\n")
        assert await check_loss(stage, await stage.run("rsmtp", data=data), "BDAT in a batch") == []

    play(scenario)


def test_messages_without_end_end_the_batch(play, monkeypatch):
    monkeypatch.setattr(uucp_incoming, "MAX_BATCH_MESSAGES", 2)

    async def scenario(stage):
        ended = await stage.run("rsmtp", data=made(GOOD, GOOD, GOOD, GOOD))
        refused = await check_loss(stage, ended, "more than 2 messages", whole=2)
        assert len(refused) == 1

    play(scenario)


# --- which commands


def test_the_commands_whose_arguments_are_addresses_are_ours():
    assert set(COMMANDS) == MAIL_COMMANDS


def test_a_command_that_is_not_on_the_list_is_refused_though_rmail_is(play):
    async def scenario(stage):
        assert (await stage.run("bsmtp", data=made(GOOD))).state is WorkState.FAILED
        ((_, _, content),) = await stage.queued()
        assert b"not permitted to execute bsmtp" in content

    play(scenario)


# --- the programs


async def _given(*pieces):
    for piece in pieces:
        yield piece


def test_as_a_program_it_does_the_same(play):
    async def scenario(stage):
        mail = stage.node.uucp_mail
        code, text = await mail.run(["rmail", "user"], "uucp", "alpha", _given(FROM, TEXT))
        assert (code, text) == (0, "")
        ((envelope, trace, content),) = await stage.queued()
        assert envelope.reverse_path == "alice@far.example"
        assert trace.startswith("Received: from alpha.UUCP (uucp@localhost)\r\n\tby bsd.home (")
        assert "X-Authentication-Warning" not in trace
        assert content == WIRE
        assert list((stage.node.config.spool / "content").iterdir()) == []

    play(scenario)


@pytest.mark.parametrize("words", [["-D", "far.net"], ["-Dfar.net"], ["-T", "-Dfar.net", "--"]])
def test_the_domain_of_neighbours_can_be_named(play, words):
    async def scenario(stage):
        mail = stage.node.uucp_mail
        code, _ = await mail.run(["rmail", *words, "user"], "uucp", "alpha", _given(FROM, TEXT))
        assert code == 0
        ((_, trace, _),) = await stage.queued()
        assert trace.startswith("Received: from alpha.far.net (uucp@localhost)")

    play(scenario)


def test_who_is_not_trusted_is_named_and_without_a_neighbour_a_name_is_ours(play):
    async def scenario(stage):
        line = f"From carl {DATE}\n".encode()
        code, _ = await stage.node.uucp_mail.run(
            ["rmail", "user"], "mallory", "", _given(line, TEXT)
        )
        assert code == 0
        ((envelope, trace, _),) = await stage.queued()
        assert envelope.reverse_path == "carl@bsd.home"
        assert trace.startswith("Received: (from mallory@localhost)\r\n")
        assert "X-Authentication-Warning: bsd.home: mallory set sender using rmail\r\n" in trace

    play(scenario)


@pytest.mark.parametrize(
    ("words", "data", "code", "text"),
    [
        (["rmail"], FROM + TEXT, 64, "usage: rmail user ..."),
        (["rmail", "-oQ/tmp", "user"], FROM + TEXT, 64, "rmail: illegal option -oQ/tmp"),
        (["rmail", "-D"], FROM + TEXT, 64, "rmail: illegal option -D"),
        (["rmail", "--", "-f"], FROM + TEXT, 64, "rmail: -f is no address"),
        (["rmail", "user"], TEXT, 65, "rmail: missing or empty From line"),
        (["rsmtp"], TEXT, 65, "rsmtp: this is no batch of mail: unknown command 'From: Alice"),
        (["rsmtp"], b"\x1f\x9f", 69, "rsmtp: freeze(1) is not understood here"),
        (["rsmtp"], made(GOOD)[:-8], 65, "rsmtp: the batch ends in its middle"),
    ],
)
def test_a_program_ends_with_the_true_code(play, words, data, code, text):
    async def scenario(stage):
        ended, said = await stage.node.uucp_mail.run(words, "uucp", "alpha", _given(data))
        assert ended == code
        assert said.startswith(text)

    play(scenario)


def test_trouble_of_ours_is_75(play, monkeypatch):
    async def scenario(stage):
        async def full(*_, **more):
            raise StoreFull("no room")

        mail = stage.node.uucp_mail
        monkeypatch.setattr(stage.node.store, "add", full)
        assert await mail.run(["rmail", "user"], "uucp", "alpha", _given(FROM, TEXT)) == (
            75,
            "rmail: no room",
        )
        monkeypatch.undo()

        def unreadable(_):
            raise TableError("aliases: permission denied")

        monkeypatch.setattr(stage.node.intake, "expand", unreadable)
        assert await mail.run(["rmail", "user"], "uucp", "alpha", _given(FROM, TEXT)) == (
            75,
            "aliases: permission denied",
        )
        assert await stage.queued() == []

    play(scenario)
