"""The SMTP source over memory streams: what a client is told when, and what is queued by then."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.errors import StoreError, StoreFull
from relaynode.queue.memory import MemoryStore
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.memory import pair

MAIL = (
    b"EHLO client.test\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<user>\r\nDATA\r\n"
    b"Subject: s\r\n\r\nbody\r\n.\r\n"
)


class SlowStore(MemoryStore):
    """A store whose commits wait until they are let go, and may fail."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.is_committing = asyncio.Event()
        self.go_on = asyncio.Event()
        self.failure = None

    async def add(self, messages, seen=(), settled=None, **more):
        self.is_committing.set()
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        await super().add(messages, seen, settled, **more)


def play(tmp_path, scenario):
    async def run():
        test_node = TestNode(tmp_path)
        store = SlowStore(tmp_path / "scratch")
        node = test_node.open(store=store)
        source = SmtpSource(
            node.intake, node.rules, hostname="bsd.home", networks=[], max_size_bytes=10**6
        )
        ours, client = pair("client", "server")
        serving = asyncio.ensure_future(source.serve(ours, "127.0.0.1"))
        try:
            await scenario(store, client, serving)
        finally:
            store.go_on.set()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(run())


async def all_of(client):
    answer = b""
    while data := await client.read(5):
        answer += data
    return answer


def codes(answer):
    return [line[:3] for line in answer.splitlines() if line[3:4] == b" "]


def test_250_comes_after_the_commit_and_not_before(tmp_path):
    async def scenario(store, client, serving):
        commands, _, content = MAIL.partition(b"Subject")
        await client.write(commands)
        early = b""
        while b"354 " not in early:
            early += await client.read(5)
        await client.write(b"Subject" + content)
        await store.is_committing.wait()
        assert await store.messages() == []
        store.go_on.set()
        assert (await client.read(5)).startswith(b"250 2.0.0 ")
        assert len(await store.messages()) == 1

    play(tmp_path, scenario)


def test_a_daemon_that_ends_during_a_commit_tells_the_client_how_it_went(tmp_path):
    async def scenario(store, client, serving):
        await client.write(MAIL)
        await store.is_committing.wait()
        serving.cancel()
        await asyncio.sleep(0)
        store.go_on.set()
        answer = await all_of(client)
        assert codes(answer)[-2:] == [b"250", b"421"]
        assert len(await store.messages()) == 1

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("failure", "code"), [(StoreFull("full"), b"452 4.3.1"), (StoreError("broken"), b"451 4.3.0")]
)
def test_our_own_faults_are_temporary(tmp_path, failure, code):
    async def scenario(store, client, serving):
        store.failure = failure
        store.go_on.set()
        await client.write(MAIL + b"QUIT\r\n")
        answer = await all_of(client)
        assert code in answer
        assert codes(answer)[-1] == b"221"

    play(tmp_path, scenario)


def test_a_client_that_goes_in_the_middle_leaves_nothing(tmp_path):
    async def scenario(store, client, serving):
        await client.write(MAIL[:-20])
        await client.close()
        await serving
        assert await store.messages() == []

    play(tmp_path, scenario)


def test_several_mails_in_one_session_are_several_messages(tmp_path):
    async def scenario(store, client, serving):
        store.go_on.set()
        await client.write(MAIL + MAIL.partition(b"\r\n")[2] + b"RSET\r\nQUIT\r\n")
        answer = await all_of(client)
        assert codes(answer).count(b"354") == 2
        assert len(await store.messages()) == 2

    play(tmp_path, scenario)


def test_one_user_named_in_two_ways_gets_one_copy(tmp_path):
    async def scenario(store, client, serving):
        store.go_on.set()
        twice = b"RCPT TO:<user>\r\nRCPT TO:<User@BSD.home>\r\nRCPT TO:<a@x.ex>\r\nRCPT TO:<A@X.ex>"
        await client.write(MAIL.replace(b"RCPT TO:<user>", twice) + b"QUIT\r\n")
        await all_of(client)
        (queued,) = await store.messages()
        assert [r.forward_path.address for r in queued.recipients] == ["user", "a@x.ex"]

    play(tmp_path, scenario)


def test_a_client_from_elsewhere_may_write_to_us_and_to_nobody_else(tmp_path):
    async def run():
        node = TestNode(tmp_path).open(store=MemoryStore(tmp_path / "scratch"))
        source = SmtpSource(
            node.intake, node.rules, hostname="bsd.home", networks=[], max_size_bytes=10**6
        )
        ours, client = pair("client", "server")
        serving = asyncio.ensure_future(source.serve(ours, "192.0.2.9"))
        await client.write(
            b"EHLO x\r\nMAIL FROM:<user@bsd.home>\r\nRCPT TO:<x@far.example>\r\n"
            b"RCPT TO:<x%far.example@bsd.home>\r\nRCPT TO:<user@bsd.home>\r\nQUIT\r\n"
        )
        answer = await all_of(client)
        await serving
        return codes(answer)

    assert asyncio.run(run()) == [b"220", b"250", b"250", b"550", b"550", b"250", b"221"]


# --- whom mail is taken from, and what is said


def talk(tmp_path, lines, client="192.0.2.9", *, sections="", tables=None, store=None, user=""):
    """The replies to `lines` and what is in the queue afterwards."""

    async def run():
        kept = store or MemoryStore(tmp_path / "scratch")
        node = TestNode(tmp_path, sections, tables=tables).open(store=kept)
        source = SmtpSource(
            node.intake, node.rules, hostname="bsd.home", networks=[], max_size_bytes=10**6
        )
        ours, stream = pair("client", "server")
        serving = asyncio.ensure_future(source.serve(ours, client, trusted_user=user))
        await stream.write(("\r\n".join([*lines, "QUIT"]) + "\r\n").encode())
        said = (await all_of(stream)).decode()
        await serving
        return said.splitlines(), await kept.messages(), kept

    return asyncio.run(run())


LETTER = ["DATA", "Subject: s", "", "body", "."]


def test_addresses_are_echoed_as_they_were_typed(tmp_path):
    lines = [
        "HELO x",
        "MAIL FROM:A@b.Example",
        "RCPT TO:<@bsd.home:User@BSD.home.>",
        "RCPT TO:user",
    ]
    said, _, _ = talk(tmp_path, lines)
    assert said[2:5] == [
        "250 2.1.0 A@b.Example... Sender ok",
        "250 2.1.5 <@bsd.home:User@BSD.home.>... Recipient ok",
        "250 2.1.5 <@bsd.home:User@BSD.home.>... Recipient ok",
    ]


def test_refusals_name_the_address_where_sendmail_does(tmp_path):
    access = "From:bad@a.example REJECT\nTo:full@bsd.home 452 over quota\nTo:out@bsd.home REJECT\n"
    lines = [
        *("HELO x", "MAIL FROM:<Bad@a.example>", "RCPT TO:<user>", "MAIL FROM:<a@a.example>"),
        *("RCPT TO:<full@bsd.home>", "RCPT TO:<out@bsd.home>", "RCPT TO:<Nobody1>"),
        *("RCPT TO:<x@far.example>", "DATA"),
    ]
    said, _, _ = talk(tmp_path, lines, tables={"access": access})
    assert said[2:10] == [
        "550 5.7.1 <Bad@a.example>... Access denied",
        "503 5.0.0 Need MAIL before RCPT",
        "250 2.1.0 <a@a.example>... Sender ok",
        "452 4.0.0 over quota",
        "550 5.2.1 <out@bsd.home>... Mailbox disabled for this recipient",
        "550 5.1.1 <Nobody1>... User unknown",
        "550 5.7.1 <x@far.example>... Relaying denied",
        "503 5.0.0 Need RCPT (recipient)",
    ]


def test_a_client_that_is_rejected_is_told_so_and_offered_nothing(tmp_path):
    lines = ["EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<user>", "RSET"]
    said, _, _ = talk(tmp_path, lines, tables={"access": "Connect:192.0.2 REJECT\n"})
    assert said[1:] == [
        "250-bsd.home Hello x, pleased to meet you",
        "250 ENHANCEDSTATUSCODES",
        "550 5.7.1 Access denied",
        "550 5.7.1 Access denied",
        "250 2.0.0 Reset state",
        "221 2.0.0 bsd.home closing connection",
    ]


def test_a_client_may_be_sent_away_at_once(tmp_path):
    said, _, _ = talk(tmp_path, [], tables={"access": "Connect:192.0.2 421 not now\n"})
    assert said == ["421 4.0.0 not now"]


@pytest.mark.parametrize("entry", ["Connect:192.0.2", "From:a@b.example", "To:user@bsd.home"])
def test_discarded_mail_is_accepted_logged_and_gone(tmp_path, caplog, entry):
    caplog.set_level("INFO", "relaynode")
    lines = ["HELO x", "MAIL FROM:<a@b.example>", "RCPT TO:<user@bsd.home>", "RCPT TO:<nobody1>"]
    said, queued, _ = talk(tmp_path, [*lines, *LETTER], tables={"access": f"{entry} DISCARD\n"})
    assert [line[:3] for line in said[2:]] == ["250", "250", "250", "354", "250", "221"]
    assert said[6].endswith(" Message accepted for delivery")
    assert queued == []
    (logged,) = [record.message for record in caplog.records if "discarded" in record.message]
    assert logged == "discarded: from <a@b.example> to user@bsd.home, nobody1 (smtp 192.0.2.9)"


def test_the_next_message_of_a_session_is_not_discarded_with_the_one_before(tmp_path):
    first = ["MAIL FROM:<bad@b.example>", "RCPT TO:<user>", *LETTER]
    second = ["MAIL FROM:<good@b.example>", "RCPT TO:<user>", *LETTER]
    tables = {"access": "From:bad@b.example DISCARD\n"}
    _, queued, _ = talk(tmp_path, ["HELO x", *first, *second], tables=tables)
    assert [message.envelope.reverse_path for message in queued] == ["good@b.example"]


def test_quarantined_mail_is_accepted_and_held_with_the_reason(tmp_path):
    lines = ["HELO x", "MAIL FROM:<a@b.example>", "RCPT TO:<user>", *LETTER]
    tables = {"access": "From:b.example QUARANTINE:looks odd\n"}
    said, (queued,), store = talk(tmp_path, lines, tables=tables)
    assert said[-2].startswith("250 2.0.0 ")
    assert queued.state == "held"
    assert asyncio.run(store.waiting()) == []
    assert asyncio.run(store.history(queued.queue_id))[-1].text == "looks odd"


def test_what_a_table_refuses_is_refused_before_relaying_is_asked_about(tmp_path):
    mailertable = "shut.example error:5.7.1:550 Mail to this host is refused\n"
    lines = ["HELO x", "MAIL FROM:<>", "RCPT TO:<x@shut.example>", "MAIL FROM:<x@shut.example>"]
    said, _, _ = talk(tmp_path, [*lines[:3], "RSET", lines[3]], tables={"mailertable": mailertable})
    refusal = "550 5.7.1 <x@shut.example>... Mail to this host is refused"
    assert (said[3], said[5]) == (refusal, refusal)


def test_a_program_of_this_machine_may_send_anywhere(tmp_path):
    lines = ["HELO x", "MAIL FROM:<joe>", "RCPT TO:<x@far.example>"]
    tables = {"access": "Connect:127 REJECT\n"}
    said, _, _ = talk(tmp_path, lines, "127.0.0.1", tables=tables, user="joe")
    assert [line[:3] for line in said] == ["220", "250", "250", "250", "221"]


def test_an_unreadable_access_table_lets_nothing_pass(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "access").mkdir()
    said, _, _ = talk(tmp_path, ["HELO x", "MAIL FROM:<a@b.example>", "RCPT TO:<user>"])
    text = "451 4.3.0 Temporary system failure. Please try again later."
    assert said[2:4] == [text, text]


def test_settings_of_the_access_section_are_heeded(tmp_path):
    lines = ["HELO x", "MAIL FROM:<joe@bsd.home>", "RCPT TO:<x@far.example>", "RCPT TO:<user>"]
    access = {"access": "Connect:192.0.2 REJECT\nSpam:user@ FRIEND\n"}
    sections = '[access]\ndelay_checks = "friend"\nrelay_domains = ["far.example"]\n'
    said, _, _ = talk(tmp_path, lines, sections=sections, tables=access)
    assert said[2:5] == [
        "250 2.1.0 <joe@bsd.home>... Sender ok",
        "550 5.7.1 <x@far.example>... Access denied",
        "250 2.1.5 <user>... Recipient ok",
    ]


def test_an_address_outside_ascii_is_not_echoed_to_a_client_that_could_not_read_it(tmp_path):
    said, _, _ = talk(tmp_path, ["EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<ä@bsd.home>"])
    assert said[-2] == "553 5.6.7 Address outside ASCII without SMTPUTF8"
