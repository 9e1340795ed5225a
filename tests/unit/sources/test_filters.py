"""Filters behind the listener and behind `sendmail`, played by the test: order, failures, reuse."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.milter.packets import encode
from relaynode.policy.client import Client
from relaynode.queue.memory import MemoryStore
from relaynode.smtp.events import Mail
from relaynode.smtp.server import Session
from relaynode.sources.sendmail_options import parse_options
from relaynode.sources.smtp_filtering import Filtering
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.sources.smtp_transaction import Transaction
from relaynode.sources.submit import Submitter, submit
from relaynode.wire.memory import pair
from unit.sources.scripted_filter import CONTINUE, Scripted, filters_that_ask

MAIL = ["MAIL FROM:<a@b.example>", "RCPT TO:<user>", "DATA", "Subject: s", "", "body", "."]


class Play:
    """A node whose listener and `sendmail` ask these filters."""

    def __init__(self, folder, *scripted):
        self.store = MemoryStore(folder / "scratch")
        self.node = TestNode(folder).open(store=self.store)
        self.filters = filters_that_ask(*scripted)

    def talk(self, *lines):
        """The last lines of the replies to a session."""
        return asyncio.run(self._talk([*lines, "QUIT"]))

    def source(self):
        return SmtpSource(
            self.node.intake,
            self.node.rules,
            hostname="bsd.home",
            networks=[],
            max_size_bytes=10**6,
            filters=self.filters,
        )

    async def _talk(self, lines):
        ours, client = pair("client", "server")
        serving = asyncio.ensure_future(self.source().serve(ours, "127.0.0.1"))
        await client.write(("\r\n".join(lines) + "\r\n").encode())
        said = b""
        while data := await client.read(5):
            said += data
        await serving
        return [line for line in said.decode().splitlines() if line[3] == " "]

    def submit(self, content=b"Subject: s\n\nbody\n"):
        async def pieces():
            yield content

        options = parse_options(["user"])
        who = Submitter("user")
        return asyncio.run(
            submit(self.node.intake, options, who, pieces(), "bsd.home", None, self.filters)
        )

    def queued(self):
        """What is in the queue, as it would be sent."""
        stored = [entry.message for entry in self.store._entries.values()]
        return [one.trace + b"".join(one.content.pieces()) for one in stored]

    def held(self):
        return [entry.message.hold_reason for entry in self.store._entries.values()]


def test_one_connection_serves_a_session_and_filters_are_asked_in_their_order(tmp_path):
    first, second = Scripted(name="a"), Scripted(name="b")
    said = Play(tmp_path, first, second).talk("EHLO x", *MAIL, *MAIL)
    assert [line[:3] for line in said] == ["220", "250"] + ["250", "250", "354", "250"] * 2 + [
        "221"
    ]
    whole = "OD" + "CH" + ("DM" + "DR" + "DT" + "LLLL" + "DN" + "B" + "DE") * 2 + "Q"
    assert first.calls == second.calls == [whole]


def test_who_comes_after_a_filter_that_says_no_is_not_asked(tmp_path):
    first, second = Scripted({"M": encode(b"r")}, name="a"), Scripted(name="b")
    play = Play(tmp_path, first, second)
    assert play.talk("EHLO x", *MAIL)[2:5] == [
        "550 5.7.1 Command rejected",
        "503 5.0.0 Need MAIL before RCPT",
        "503 5.0.0 Need MAIL command",
    ]
    assert "M" not in second.calls[0]


@pytest.mark.parametrize("step", list("OCHMRTLNBE"))
@pytest.mark.parametrize("trouble", [None, b"", b"\xff\xff\xff\xff", encode(b"Z")])
def test_a_filter_that_fails_at_any_step_costs_that_message_and_is_asked_about_the_next(
    step, trouble, tmp_path, caplog
):
    seconds = 30 if trouble else 0.02
    limits = {"command_seconds": seconds, "content_seconds": seconds}
    bad = Scripted({step: trouble}, name="bad", **limits)
    if step == "O":
        bad.is_there = False
    play = Play(tmp_path, bad)
    said = play.talk("EHLO x", *MAIL, *MAIL)
    refusals = [line for line in said if line.startswith("451")]
    assert refusals == ["451 4.3.2 Please try again later"] * 2
    assert play.queued() == []
    assert "milter bad: " in caplog.text and "default_action: tempfail" in caplog.text


@pytest.mark.parametrize(
    ("action", "reply", "held"),
    [
        ("accept", "250", [""]),
        ("quarantine", "250", ["milter gone could not be asked"]),
        ("reject", "550", []),
        ("tempfail", "451", []),
    ],
)
def test_mail_that_a_filter_cannot_be_asked_about_goes_as_its_default_action_says(
    action, reply, held, tmp_path
):
    play = Play(tmp_path, Scripted(name="gone", is_there=False, action=action))
    said = play.talk("EHLO x", *MAIL)
    assert said[2][:3] == reply if held == [] else said[-2][:3] == reply
    assert play.held() == held


async def started(play, *lines):
    """A session that has come to where it waits: its task, and the client's end."""
    ours, client = pair("client", "server")
    serving = asyncio.ensure_future(play.source().serve(ours, "127.0.0.1"))
    await client.write(("\r\n".join(lines) + "\r\n").encode())
    return serving, client


def test_while_one_client_waits_for_a_filter_others_are_served(tmp_path):
    slow = Scripted()
    play = Play(tmp_path, slow)

    async def run():
        slow.answers["E"] = None
        waiting, _ = await started(play, "EHLO x", *MAIL)
        while "E" not in "".join(slow.calls):
            await asyncio.sleep(0)
        slow.answers.clear()
        said = await play._talk(["EHLO y", *MAIL, "QUIT"])
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return said

    assert "Message accepted" in asyncio.run(run())[-2]
    assert len(play.queued()) == 1


def test_a_daemon_that_ends_does_not_wait_for_a_filter(tmp_path):
    slow = Scripted({"E": None})
    play = Play(tmp_path, slow)

    async def run():
        serving, client = await started(play, "EHLO x", *MAIL[:5], *["y" * 900] * 200, ".")
        while "E" not in "".join(slow.calls):
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        said = b""
        while data := await client.read(5):
            said += data
        return said.splitlines()[-1]

    assert asyncio.run(run()).startswith(b"421 ")
    assert play.queued() == []
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_a_filter_that_comes_back_is_told_where_the_client_is(tmp_path):
    late = Scripted({"E": None}, name="late", action="accept", content_seconds=0.05)
    play = Play(tmp_path, late)
    play.talk("EHLO x", *MAIL, *MAIL)
    assert [call[:6] for call in late.calls] == ["ODCHDM", "ODCHDM"]
    assert len(play.queued()) == 2


@pytest.mark.parametrize(
    ("step", "answer", "said"),
    [
        ("C", encode(b"r"), "550 5.7.1 Command rejected"),
        ("C", encode(b"y", b"554 5.7.1 not you\0"), "554 5.7.1 not you"),
        ("H", encode(b"t"), "451 4.3.2 Please try again later"),
    ],
)
def test_a_client_that_is_refused_is_told_so_at_each_command(step, answer, said, tmp_path):
    play = Play(tmp_path, Scripted({step: answer}))
    replies = play.talk("EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<user>")
    assert replies[-3:-1] == [said, said]


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("C", encode(b"4")),
        ("H", encode(b"f")),
        ("M", encode(b"y", b"421 4.7.0 enough\0")),
        ("E", encode(b"4")),
    ],
)
def test_a_filter_can_end_the_session(step, answer, tmp_path):
    play = Play(tmp_path, Scripted({step: answer}))
    said = play.talk("EHLO x", *MAIL)
    assert said[-1].startswith("421 ")
    assert play.queued() == []


def test_a_message_that_is_thrown_away_is_said_to_be_taken(tmp_path):
    for step in "MRTLNBE":
        play = Play(tmp_path / step, Scripted({step: encode(b"d")}))
        assert "Message accepted for delivery" in play.talk("EHLO x", *MAIL)[-2]
        assert play.queued() == []


def test_recipients_that_a_filter_adds_are_expanded_and_unknown_ones_passed_over(tmp_path, caplog):
    changes = encode(b"+", b"<postmaster>\0") + encode(b"+", b"<nobody1>\0")
    changes += encode(b"+", b"<a b>\0") + encode(b"-", b"<USER>\0")
    play = Play(tmp_path, Scripted({"E": changes + CONTINUE}))
    play.talk("EHLO x", *MAIL)
    (entry,) = play.store._entries.values()
    assert [one.address for one in entry.message.envelope.recipients] == ["postmaster"]
    assert "<nobody1> is passed over" in caplog.text and "<a b> is passed over" in caplog.text


def test_a_message_that_a_filter_takes_all_recipients_from_goes_nowhere(tmp_path):
    play = Play(tmp_path, Scripted({"E": encode(b"-", b"<user>\0") + CONTINUE}))
    assert "Message accepted" in play.talk("EHLO x", *MAIL)[-2]
    assert play.queued() == []


def test_changes_of_a_filter_that_fails_behind_them_are_not_made(tmp_path):
    changes = encode(b"h", b"X-A\0b\0") + encode(b"b", b"new") + encode(b"Z")
    play = Play(tmp_path, Scripted({"E": changes}, action="accept"))
    play.talk("EHLO x", *MAIL)
    (content,) = play.queued()
    assert b"X-A" not in content and content.endswith(b"\r\n\r\nbody\r\n")


def test_a_body_larger_than_any_message_is_a_failure(tmp_path):
    piece = encode(b"b", b"x" * 65535)
    play = Play(tmp_path, Scripted({"E": piece * 20 + CONTINUE}))
    assert play.talk("EHLO x", *MAIL)[-2].startswith("451 ")
    assert not list((tmp_path / "scratch").rglob("*.*"))


def test_a_long_message_keeps_its_bytes_and_leaves_no_file_behind(tmp_path):
    play = Play(tmp_path, Scripted({"E": encode(b"h", b"X-A\0b\0") + CONTINUE}))
    body = ["y" * 900] * 200
    play.talk("EHLO x", *MAIL[:5], *body, ".")
    (content,) = play.queued()
    header, _, rest = content.partition(b"\r\n\r\n")
    assert header.endswith(b"Subject: s\r\nX-A: b")
    assert rest == ("\r\n".join(body) + "\r\n").encode()
    assert len([path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(
    ("lines", "content"),
    [
        # Where there is no empty line, the mailer puts one, as it does without filters.
        ([], b"\r\nX-A: b\r\n"),
        (["no header at all"], b"\r\nX-A: b\r\nno header at all\r\n"),
        ([" Subject: s", "", "body"], b"\r\nX-A: b\r\n Subject: s\r\n\r\nbody\r\n"),
        (["", "body"], b"\r\nX-A: b\r\n\r\nbody\r\n"),
        (["Subject: s"], b"\r\nSubject: s\r\nX-A: b\r\n"),
    ],
)
def test_odd_messages_keep_their_form(lines, content, tmp_path):
    play = Play(tmp_path, Scripted({"E": encode(b"h", b"X-A\0b\0") + CONTINUE}))
    play.talk("EHLO x", *MAIL[:3], *lines, ".")
    (found,) = play.queued()
    assert found.endswith(content), found


def test_what_a_program_submits_is_filtered_before_it_is_queued(tmp_path):
    signer = Scripted({"E": encode(b"i", b"\0\0\0\1X-Signed\0yes\0") + CONTINUE})
    play = Play(tmp_path, signer)
    assert play.submit().exit_code == 0
    (content,) = play.queued()
    assert b"\r\nX-Signed: yes\r\n" in content
    shown = [packet.data for packet in signer.packets if packet.code == b"L"]
    # What we add is shown, too: a signature has to cover it.
    assert [one.partition(b"\0")[0] for one in shown] == [
        b"Date",
        b"From",
        b"Message-Id",
        b"Subject",
    ]


@pytest.mark.parametrize(
    ("answer", "code", "complaint"),
    [
        (encode(b"r"), 69, "554 5.7.1 Command rejected"),
        (encode(b"t"), 75, "451 4.3.2 Please try again later"),
        (encode(b"d"), 0, ""),
    ],
)
def test_a_submission_that_a_filter_refuses_ends_with_its_reply(answer, code, complaint, tmp_path):
    play = Play(tmp_path, Scripted({"E": answer}))
    ended = play.submit()
    assert (ended.exit_code, ended.complaint) == (code, complaint)
    assert play.queued() == []


def test_filters_are_told_of_tls_and_of_who_has_logged_in(tmp_path):
    watching = Scripted()
    play = Play(tmp_path, watching)

    async def run():
        filtering = Filtering.of(play.filters, play.node.intake, 10**6)
        await filtering.connect(Client(address="2001:db8::1"), pair("a", "b")[0])
        await filtering.hello("x", Session("bsd.home", max_size_bytes=1), ("AES", "TLSv1.3", 256))
        transaction = Transaction("a@b.example", "", smtputf8=False)
        mail = Mail("a@b.example", 9, "8BITMIME", smtputf8=False)
        assert await filtering.mail(mail, None, transaction, "joe", "PLAIN") is None
        await filtering.close()
        return transaction.queue_id

    queue_id = asyncio.run(run())
    shown = [packet.data for packet in watching.packets]
    assert b"H{tls_version}\0TLSv1.3\0{cipher}\0AES\0{cipher_bits}\x00256\0" in shown
    login = "{auth_authen}\0joe\0{auth_type}\0PLAIN\0{mail_addr}\0a@b.example\0"
    assert f"Mi\0{queue_id}\0{login}".encode() in shown
    assert b"<a@b.example>\0SIZE=9\0BODY=8BITMIME\0" in shown
    assert b"[IPv6:2001:db8:0:0:0:0:0:1]\x006\0\0IPv6:2001:db8::1\0" in shown
