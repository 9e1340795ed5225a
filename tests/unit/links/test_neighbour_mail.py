"""The mail for a neighbour in one session, over the memory twin of the store."""

import asyncio
from dataclasses import replace

import pytest

from nodes import TestNode
from relaynode.links.calling import CallRun
from relaynode.links.neighbour_mail import (
    LEAST_BATCH_BYTES,
    MOST_BATCH_BYTES,
    USUAL_BATCH_BYTES,
    suitable_batch_bytes,
    tried_to_call,
)
from relaynode.links.purse import Purse
from relaynode.links.run_parts import RunResult
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mailers import uucp_form
from relaynode.policy import rewrite
from relaynode.policy.budget import Room
from relaynode.queue.content import Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage, RecipientState, Verb
from relaynode.queue.retry import DAY
from relaynode.queue.uucp.model import JobKind, WorkState
from relaynode.sources.dsn import DOUBLE_BOUNCE, DSN
from relaynode.uucp.commands import Code
from relaynode.uucp.record import Record, Status
from relaynode.uucp.work import Ending, Outcome

NOW = 1_800_000_000.0
WORST = "z"
DONE = Outcome(Ending.DONE)
CUT = Outcome(Ending.LATER, "the line was lost", sent_bytes=100)
NOT_BEGUN = Outcome(Ending.LATER, "the line was lost")


def message(queue_id, *to, size=10, sender="user@bsd.home", arrived_at=NOW):
    content = Content.of(b"Subject: s\r\n\r\n" + b"x" * size + b"\r\n")
    recipients = tuple(Recipient(address) for address in to or ("bob@beta.example",))
    return NewMessage(queue_id, Envelope(sender, recipients), b"", content, "test", arrived_at)


class Play:
    """A node with a neighbour beta, and one session's mail for it."""

    def __init__(self, tmp_path, keys="", mailer="uucp-dom"):
        self.now = NOW
        self.store = MemoryStore(tmp_path / "scratch")
        node = TestNode(
            tmp_path,
            f'[neighbour.beta]\n{keys}[uucp]\nnodename = "alpha"\n',
            tables={"mailertable": f"beta.example {mailer}:beta\n.example smtp:[192.0.2.1]\n"},
        )
        self.node = node.open(store=self.store, clock=lambda: self.now)
        self.mail = self.session()

    def session(self):
        return self.node.links._calling.mail_for(self.node.neighbours.find("beta"))

    def run(self, work):
        return asyncio.run(work)

    def queue(self, *messages):
        self.run(self.store.add(messages))

    def more(self, grade=WORST, max_bytes=None):
        return self.run(self.mail.more(grade, max_bytes))

    def ended(self, claimed, outcome=DONE):
        self.run(self.mail.ended(claimed.job, outcome))

    def next_session(self):
        """The jobs that are taken over by another session."""
        self.run(self.mail.close())
        self.mail = self.session()

        async def take_over():
            jobs = self.store.uucp.jobs
            due = await jobs.due("beta")
            claimed = await jobs.claim([job.job_id for job in due])
            return await self.mail.take_over(claimed)

        return self.run(take_over())

    def states(self):
        return {
            recipient.forward_path.address: recipient
            for message in self.run(self.store.messages(finished=True))
            for recipient in message.recipients
        }

    def dsns(self):
        found = self.run(self.store.messages())
        mine = [one for one in found if one.source in (DSN, DOUBLE_BOUNCE)]
        return [one.recipients[0].forward_path.address for one in mine]


def sizes(claimed):
    return [one.content.size_bytes for one in claimed]


def text(claimed):
    return b"".join(claimed.content.pieces())


def test_a_message_becomes_one_rmail_as_its_mailer_writes_it(tmp_path):
    play = Play(tmp_path)
    play.queue(message("A", "bob@beta.example", "eve@beta.example", "x@other.example"))
    (claimed,) = play.more()
    job = claimed.job
    assert (job.kind, job.command) == (JobKind.MAIL, "rmail bob@beta.example eve@beta.example")
    assert (job.grade, job.options, job.notify) == ("C", "R", "user@bsd.home")
    assert text(claimed).startswith(b"From user@bsd.home ")
    assert text(claimed).endswith(b"\n\nxxxxxxxxxx\n")
    assert play.more() == []


def test_what_is_done_is_delivered_and_what_is_not_begun_waits_as_before(tmp_path):
    play = Play(tmp_path)
    play.queue(message("A"), message("B", "eve@beta.example"))
    first, second = play.more()
    play.ended(first)
    play.ended(second, NOT_BEGUN)
    play.next_session()
    states = play.states()
    assert states["bob@beta.example"].state is RecipientState.DELIVERED
    assert states["bob@beta.example"].last_status.is_success
    waiting = states["eve@beta.example"]
    assert (waiting.state, waiting.attempts, waiting.claim) == (RecipientState.WAITING, 0, None)
    assert len(play.more()) == 1


@pytest.mark.parametrize("is_told", [True, False], ids=["ended", "session closed"])
def test_a_job_whose_line_broke_is_offered_again_as_it_was(tmp_path, is_told):
    play = Play(tmp_path)
    play.queue(message("A"))
    (claimed,) = play.more()
    play.ended(claimed, CUT)
    (again,) = play.next_session()
    assert (again.job.temp, text(again)) == (claimed.job.temp, text(claimed))
    if not is_told:  # nor was it begun in the second one
        (again,) = play.next_session()
        assert again.job.temp == claimed.job.temp
    assert play.more() == []
    play.ended(again)
    assert play.states()["bob@beta.example"].state is RecipientState.DELIVERED


def test_a_mail_that_is_too_old_when_its_line_breaks_is_returned(tmp_path):
    play = Play(tmp_path)
    play.queue(message("A"))
    for _ in range(5):
        (claimed,) = play.next_session() or play.more()
        play.ended(claimed, CUT)
        play.now += DAY
    (claimed,) = play.next_session()
    play.ended(claimed, CUT)
    recipient = play.states()["bob@beta.example"]
    assert (recipient.state, recipient.in_doubt) == (RecipientState.FAILED, True)
    assert play.dsns() == ["user@bsd.home"] * 2, "warned, then told"
    assert play.next_session() == []


def test_order_is_by_grade_then_size_then_age(tmp_path):
    play = Play(tmp_path, 'mail_grades = ["C", "N 2000"]\n')
    play.queue(
        message("A", size=5000),
        message("B", size=300, arrived_at=NOW - 1),
        message("C", size=3000, arrived_at=NOW - 9),
        message("D", size=300, arrived_at=NOW - 2),
        message("E", size=10),
    )
    taken = [*play.more(), *play.more()]
    assert [one.job.grade for one in taken] == list("CCCNN")
    assert sizes(taken) == sorted(sizes(taken))
    first = play.run(play.store.message("D")).recipients[0]
    carried = play.mail._carried[taken[1].job.job_id]
    assert carried.parts[0][1][0].id == first.id


def test_mail_of_a_worse_grade_than_the_hour_allows_stays(tmp_path):
    play = Play(tmp_path, 'mail_grades = ["C", "N 2000"]\n')
    play.queue(message("A", size=5000), message("B", "eve@beta.example"))
    (claimed,) = play.more("C")
    assert "eve" in claimed.job.command
    assert play.more("C") == []
    assert len(play.more()) == 1


def test_mail_that_does_not_fit_into_the_budget_waits_and_smaller_mail_goes(tmp_path):
    play = Play(tmp_path)
    purse = Purse()
    purse.begin(Room(size_bytes=5000))
    neighbour = play.node.neighbours.find("beta")
    over = CallRun(RunResult(), count=purse)
    play.mail = play.node.links._calling.mail_for(
        neighbour, play.node.links._calling._run(neighbour, over)
    )
    play.queue(
        message("A", "a@beta.example", size=9000),
        message("B", "b@beta.example", size=100),
        message("C", "c@beta.example", size=2000),
    )
    found = play.more()
    assert len(found) == 2
    assert play.more() == []
    for one in found:
        play.ended(one)
    waiting = play.states()["a@beta.example"]
    assert (waiting.reason, waiting.attempts, waiting.claim) == ("budget", 0, None)
    assert (purse.passed, purse.till.out.under_way) == (1, 0)


def test_what_came_meanwhile_goes_in_the_same_session_in_its_place(tmp_path):
    play = Play(tmp_path)
    play.queue(*(message(f"A{n}", size=100) for n in range(20)))
    play.more()
    play.queue(message("B", "eve@beta.example", size=1))
    play.mail.wake()
    assert "eve" in play.more()[0].job.command


def test_mail_that_is_too_large_for_the_neighbour_is_returned(tmp_path):
    play = Play(tmp_path, "max_mail_bytes = 1000\n")
    play.queue(message("A", size=2000), message("B", "eve@beta.example", size=500))
    (claimed,) = play.more()
    assert "eve" in claimed.job.command
    failed = play.states()["bob@beta.example"]
    assert failed.state is RecipientState.FAILED
    assert failed.last_status.enhanced == "5.3.4"
    assert play.dsns() == ["user@bsd.home"]


def test_a_session_with_a_limit_of_its_own_returns_more(tmp_path):
    play = Play(tmp_path)
    play.queue(message("A", size=2000))
    assert play.more(max_bytes=1000) == []
    assert play.states()["bob@beta.example"].state is RecipientState.FAILED


def test_a_refusal_is_told_to_the_sender_and_that_of_a_bounce_to_the_postmaster(tmp_path):
    play = Play(tmp_path)
    play.queue(message("A"), message("B", "eve@beta.example", sender=""))
    refused = Outcome(Ending.REFUSED, "not permitted", Code.NOT_PERMITTED)
    for claimed in play.more():
        assert (claimed.job.options == "N") == ("eve" in claimed.job.command)
        play.ended(claimed, refused)
    assert {one.state for one in play.states().values() if one.attempts} == {RecipientState.FAILED}
    assert play.dsns() == ["user@bsd.home", "postmaster"]
    assert [job.state for job in play.run(play.store.uucp.jobs.find(finished=True))] == [
        WorkState.FAILED
    ] * 2


def test_batches_hold_several_mails_and_as_much_as_they_may(tmp_path):
    play = Play(tmp_path, 'batch = "rsmtp"\nbatch_bytes = 1000\n')
    play.queue(*(message(f"A{n}", f"u{n}@beta.example", size=400) for n in range(4)))
    first, second = play.more()
    assert {first.job.command, second.job.command} == {"rsmtp"}
    assert text(first).count(b"MAIL FROM:<user@bsd.home>\n") == 2
    assert text(first).startswith(b"HELO bsd.home\nMAIL FROM:<user@bsd.home>\nRCPT TO:<u0@")
    assert text(first).endswith(b"\n.\nQUIT\n")
    play.ended(first)
    done = [one for one in play.states().values() if one.state is RecipientState.DELIVERED]
    assert len(done) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        Outcome(Ending.REFUSED, "not permitted", Code.NOT_PERMITTED),
        Outcome(Ending.REFUSED, "too large", Code.TOO_LARGE),
        Outcome(Ending.LATER, "too large now", Code.TOO_LARGE_NOW),
    ],
    ids=lambda refusal: refusal.reason,
)
def test_a_neighbour_that_takes_no_such_batch_gets_its_mail_singly(tmp_path, refusal):
    play = Play(tmp_path, 'batch = "rgsmtp"\n')
    play.queue(message("A"), message("B", "eve@beta.example", sender=""))
    (batch,) = play.more()
    play.ended(batch, refusal)
    singles = play.more()
    assert sorted(one.job.command for one in singles) == [
        "rmail bob@beta.example",
        "rmail eve@beta.example",
    ]
    for one in singles:
        play.ended(one)
    assert play.dsns() == []
    assert {one.state for one in play.states().values()} == {RecipientState.DELIVERED}


def test_where_a_batch_cannot_be_packed_mail_goes_singly(tmp_path, monkeypatch):
    monkeypatch.setattr("relaynode.mail.packing.has_zstd", lambda: False)
    play = Play(tmp_path, 'batch = "rzsmtp"\n')
    play.queue(message("A"))
    assert play.more()[0].job.command == "rmail bob@beta.example"


def test_the_null_reverse_path_stays_one_in_a_batch(tmp_path):
    play = Play(tmp_path, 'batch = "rsmtp"\n')
    play.queue(message("A", sender=""))
    (batch,) = play.more()
    assert b"\nMAIL FROM:<>\n" in text(batch)


def test_an_address_that_cannot_go_is_returned_and_the_others_go(tmp_path):
    play = Play(tmp_path)
    play.queue(message("A", '"a b"@beta.example', "eve@beta.example"))
    (claimed,) = play.more()
    assert claimed.job.command == "rmail eve@beta.example"
    assert play.dsns() == ["user@bsd.home"]


def test_what_the_operator_removed_while_it_was_on_the_line_is_not_offered_again(tmp_path):
    play = Play(tmp_path)
    play.queue(message("A"))
    (claimed,) = play.more()
    play.run(play.store.operate(Verb.REMOVE, ["A"], NOW))
    play.ended(claimed, CUT)
    assert play.next_session() == []
    assert play.run(play.store.uucp.jobs.due("beta")) == []


def test_a_batch_suits_what_the_line_has_shown(tmp_path):
    assert suitable_batch_bytes([]) == USUAL_BATCH_BYTES
    assert suitable_batch_bytes([(100, 1.0)]) == USUAL_BATCH_BYTES, "too little to say anything"
    assert suitable_batch_bytes([(30_000, 1200.0)]) == LEAST_BATCH_BYTES
    assert suitable_batch_bytes([(10_000_000, 1.0)]) == MOST_BATCH_BYTES
    modem = suitable_batch_bytes([(40_000, 60.0), (410_000, 100.0)])
    assert 4100 * 30 <= modem <= 4100 * 30 * 4


@pytest.mark.parametrize("batch", ["", 'batch = "bsmtp"\n'], ids=["singly", "in a batch"])
@pytest.mark.parametrize("where", ["header", "rewrite"])
def test_a_message_that_breaks_us_keeps_no_other_back(tmp_path, monkeypatch, batch, where):
    as_it_is = getattr(rewrite, where)

    def breaks(masquerade, text, *more, **others):
        if b"bad" in (text if isinstance(text, bytes) else text.encode()):
            raise ZeroDivisionError("surprise")
        return as_it_is(masquerade, text, *more, **others)

    play = Play(tmp_path, batch)
    bad = replace(message("B", "eve@beta.example", sender="bad@bsd.home"), trace=b"X-Bad: bad\r\n")
    play.queue(message("A"), bad, message("C", "cy@beta.example"))
    monkeypatch.setattr(rewrite, where, breaks)
    monkeypatch.setattr(uucp_form, "rewrite", rewrite.rewrite)
    for _ in range(3):
        for claimed in play.more():
            play.ended(claimed)
        play.next_session()
    states = play.states()
    assert states["bob@beta.example"].state is RecipientState.DELIVERED
    assert states["cy@beta.example"].state is RecipientState.DELIVERED
    assert (states["eve@beta.example"].reason, states["eve@beta.example"].attempts) == (
        "message-broke",
        3,
    )
    assert play.run(play.store.message("B")).held_for == "poison"


@pytest.mark.parametrize(
    ("status", "kept", "reason"),
    [
        (Status.DIAL_FAILED, "", "call-failed"),
        (Status.DIAL_FAILED, "connect-refused", "connect-refused"),
        (Status.PORT_UNAVAILABLE, "", "call-failed"),
        (Status.WRONG_TIME, "", "call-failed"),
        (Status.LOGIN_FAILED, "", "auth-refused"),
        (Status.HANDSHAKE_FAILED, "", "refused"),
        (Status.CALL_FAILED, "", "line-lost"),
    ],
)
def test_what_became_of_a_call_is_named(status, kept, reason):
    assert tried_to_call("beta", Record(status=status, reason=kept), "x").code == reason
