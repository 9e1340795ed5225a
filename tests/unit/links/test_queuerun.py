"""The queue run with mailers that do as they are told, over the memory twin of the store."""

import asyncio

import pytest

from relaynode.errors import (
    ConnectFailed,
    FarHostSilent,
    LineLost,
    NameServerFailed,
    RefusedError,
    StoreError,
)
from relaynode.links.queuerun import MAX_SESSIONS, QueueRun
from relaynode.links.supply import CLAIM_MESSAGES
from relaynode.links.ways import Way
from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.mailers.mailer import Attempt
from relaynode.queue.model import MessageState, RecipientState
from relaynode.queue.retry import DAY
from relaynode.wire.meter import ByteCount
from unit.links.scripted import NOW, Play, answering, message


def test_each_recipient_gets_what_its_status_means(tmp_path):
    statuses = {"bad@x.example": permanent("no", "5.1.1"), "later@x.example": temporary("busy")}
    play = Play(tmp_path, answering(statuses))
    result = play.run(message("A", "good@x.example", "bad@x.example", "later@x.example"))
    assert (result.delivered, result.failed, result.deferred) == (1, 1, 1)
    found = play.recipients()
    assert found["good@x.example"].state is RecipientState.DELIVERED
    assert found["bad@x.example"].state is RecipientState.FAILED
    assert found["later@x.example"].state is RecipientState.WAITING
    assert found["later@x.example"].next_attempt_at > NOW
    assert found["later@x.example"].claim is None


def test_a_failure_is_told_to_the_sender_with_the_message(tmp_path):
    play = Play(tmp_path, answering(permanent("no such user", "5.1.1", 550)))
    play.run(message("A", "bad@x.example"))
    ((to, dsn),) = play.dsns().items()
    assert to == "user@bsd.home"
    assert b"Final-Recipient: RFC822; bad@x.example" in dsn
    assert b"Diagnostic-Code: SMTP; 550 5.1.1 no such user" in dsn
    assert b"Remote-MTA: DNS; mx.example" in dsn
    assert b"the body" in dsn


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sender": ""}, {"postmaster"}),
        ({"notify": "NEVER"}, set()),
        ({"notify": "SUCCESS,DELAY"}, set()),
        ({"notify": "FAILURE"}, {"user@bsd.home"}),
    ],
)
def test_who_is_told_of_a_failure(tmp_path, given, told):
    play = Play(tmp_path, answering(permanent("no")))
    play.run(message("A", "bad@x.example", **given))
    assert set(play.dsns()) == told


def test_a_dsn_to_the_postmaster_that_fails_makes_no_other(tmp_path):
    play = Play(tmp_path, answering(permanent("no")))
    play.run(message("A", "postmaster@x.example", sender=""))
    assert play.dsns() == {}


def test_ret_hdrs_returns_the_header_only(tmp_path):
    play = Play(tmp_path, answering(permanent("no")))
    play.run(message("A", "bad@x.example", ret="HDRS"))
    (dsn,) = play.dsns().values()
    assert b"Subject: s" in dsn
    assert b"the body" not in dsn


@pytest.mark.parametrize(
    "error",
    [
        ConnectFailed("nobody there"),
        LineLost("gone"),
        RefusedError(Status(554, "5.3.2", "go away"), "greeting"),
    ],
)
def test_a_next_hop_that_cannot_be_used_is_a_try_for_all_its_mail(tmp_path, error):
    async def deliver(consignments, report):
        raise error

    play = Play(tmp_path, deliver)
    result = play.run(message("A", "a@x.example", "b@x.example"), message("B", "c@x.example"))
    assert result.deferred == 3
    assert result.problems == [f"next: {error}"]
    assert result.is_unreachable == isinstance(error, ConnectFailed)
    for recipient in play.recipients().values():
        assert (recipient.attempts, recipient.claim) == (1, None)
        assert recipient.last_status.is_temporary


def many_messages():
    """For several groups of claims."""
    count = 3 * CLAIM_MESSAGES
    return [message(f"M{n:03}", f"u{n}@x.example") for n in range(count)]


def test_a_mailer_that_stops_early_leaves_the_rest_free(tmp_path):
    taken = []

    async def deliver(consignments, report):
        while len(taken) < 2:
            taken.append(await anext(consignments))
        if len(taken) == 2:
            taken.append(None)
            await report([Attempt(taken[0].delivery, taken[0].delivery.recipients[0], ok("sent"))])

    play = Play(tmp_path, deliver)
    play.run(*many_messages())
    found = play.recipients()
    assert [r.state for r in found.values()].count(RecipientState.DELIVERED) == 1
    assert {r.claim for r in found.values()} == {None}
    assert {r.attempts for r in found.values()} == {0, 1}


def test_all_groups_of_claims_are_sent_and_the_next_is_claimed_meanwhile(tmp_path):
    claimed_at_first = []

    async def deliver(consignments, report):
        async for one in consignments:
            if not claimed_at_first:
                for _ in range(20):
                    await asyncio.sleep(0)
                waiting = await play.store.messages()
                claimed_at_first.append(sum(bool(r.claim) for m in waiting for r in m.recipients))
            await report([Attempt(one.delivery, r, ok("sent")) for r in one.delivery.recipients])

    play = Play(tmp_path, deliver)
    result = play.run(*many_messages())
    assert result.delivered == 3 * CLAIM_MESSAGES
    assert claimed_at_first == [2 * CLAIM_MESSAGES]


def test_what_a_broken_session_took_and_did_not_try_is_free_again(tmp_path):
    async def deliver(consignments, report):
        first = await anext(consignments)
        await report([Attempt(first.delivery, first.delivery.recipients[0], ok("sent"))])
        await anext(consignments)
        raise LineLost("gone")

    play = Play(tmp_path, deliver)
    play.run(*many_messages())
    found = play.recipients()
    assert found["u0@x.example"].state is RecipientState.DELIVERED
    assert {r.claim for r in found.values()} == {None}
    assert {r.attempts for r in found.values()} == {1}


@pytest.mark.parametrize("is_taken", [True, False])
def test_mail_that_is_too_old_is_returned_when_its_next_hop_fails_again(tmp_path, is_taken):
    async def deliver(consignments, report):
        if is_taken:
            await anext(consignments)
        raise LineLost("gone")

    play = Play(tmp_path, deliver)
    play.run(message("A", "a@x.example"))
    for _ in range(10):
        play.now += DAY
        play.run()
    (recipient,) = [r for a, r in play.recipients().items() if a == "a@x.example"]
    assert recipient.state is RecipientState.FAILED
    assert recipient.attempts == 6, "given up after five days and five tries, not before"
    assert set(play.dsns()) == {"user@bsd.home"}


def test_tries_alone_do_not_return_mail_nor_does_age_alone(tmp_path):
    play = Play(tmp_path, answering(temporary("busy")))
    play.run(message("A", "a@x.example"))
    for _ in range(30):
        play.now += 60
        play.run()
    assert play.recipients()["a@x.example"].state is RecipientState.WAITING
    old = Play(tmp_path / "old", answering(temporary("busy")))
    old.run(message("B", "b@x.example", arrived_at=NOW - 400 * DAY))
    assert old.recipients()["b@x.example"].state is RecipientState.WAITING


def test_mail_that_comes_while_a_session_is_open_goes_out_in_it(tmp_path):
    sessions = []

    async def deliver(consignments, report):
        sessions.append(1)
        seen = 0
        async for consignment in consignments:
            seen += 1
            if seen == 1:
                await play.store.add([message("LATE", "late@x.example")])
            delivery = consignment.delivery
            await report([Attempt(delivery, r, ok("sent")) for r in delivery.recipients])

    play = Play(tmp_path, deliver)
    result = play.run(message("A", "a@x.example"))
    assert result.delivered == 2
    assert len(sessions) == 1


def test_nobody_is_tried_twice_in_a_run(tmp_path):
    play = Play(tmp_path, answering(temporary("busy")))
    assert play.run(message("A", "a@x.example")).deferred == 1
    assert play.recipients()["a@x.example"].attempts == 1


def test_only_what_is_due_is_tried_if_that_is_asked_for(tmp_path):
    play = Play(tmp_path, answering(temporary("busy")))
    play.run(message("A", "a@x.example"))
    assert play.run(due_only=True).deferred == 0
    play.now += DAY
    assert play.run(due_only=True).deferred == 1


def test_a_run_over_given_messages_leaves_the_others_alone(tmp_path):
    play = Play(tmp_path, answering(ok("sent")))
    result = play.run(message("A", "a@x.example"), message("B", "b@x.example"), queue_ids={"B"})
    assert result.sent_messages == {"B"}


@pytest.mark.parametrize("times", [1, 3])
def test_a_run_that_is_called_off_gives_its_claims_back(tmp_path, times):
    """Also if it is called off again while it does so."""

    async def deliver(consignments, report):
        await anext(consignments)
        await asyncio.Event().wait()

    async def play_it(play):
        await play.store.add([message("A", "a@x.example"), message("B", "b@x.example")])
        run = QueueRun(play.parts, ByteCount(), takes_way=lambda way: True)
        task = asyncio.ensure_future(run.run())
        while not any(r.claim for m in await play.store.messages() for r in m.recipients):
            await asyncio.sleep(0)
        unclaim = play.store.unclaim

        async def slow_unclaim(recipient_ids):
            for _ in range(10):
                await asyncio.sleep(0)
            await unclaim(recipient_ids)

        play.store.unclaim = slow_unclaim
        for _ in range(times):
            task.cancel()
            for _ in range(3):
                await asyncio.sleep(0)
        await asyncio.gather(task, return_exceptions=True)

    play = Play(tmp_path, deliver)
    asyncio.run(play_it(play))
    assert {(r.claim, r.attempts) for r in play.recipients().values()} == {(None, 0)}
    assert {m.state for m in play.messages()} == {MessageState.QUEUED}


def test_what_was_delivered_and_could_not_be_recorded_is_in_doubt(tmp_path):
    """The next try has to look whether it is there: see mailers/local.py."""

    async def deliver(consignments, report):
        first = await anext(consignments)
        await anext(consignments)
        await report(
            [Attempt(first.delivery, one, ok("taken")) for one in first.delivery.recipients]
        )

    async def full(*_):
        raise StoreError("the disk is full")

    play = Play(tmp_path, deliver)
    play.store.record = full
    with pytest.raises(StoreError):
        play.run(message("A", "a@x.example"), message("B", "b@x.example"))
    told = {name: (r.claim, r.in_doubt) for name, r in play.recipients().items()}
    assert told == {"a@x.example": (None, True), "b@x.example": (None, False)}


@pytest.mark.parametrize(
    ("error", "is_unreachable", "status"),
    [
        (ConnectFailed("smart host: refused"), True, "4.4.1"),
        (FarHostSilent("one of many: refused"), False, "4.4.1"),
        (NameServerFailed("nobody answers", is_silent=True), True, "4.4.3"),
        (NameServerFailed("SERVFAIL"), False, "4.4.3"),
    ],
)
def test_what_a_failure_says_of_the_line(tmp_path, error, is_unreachable, status):
    async def deliver(consignments, report):
        error.host = "mx.example"
        raise error

    play = Play(tmp_path, deliver)
    result = play.run(message("A", "x@far.example"))
    assert (result.is_unreachable, result.deferred) == (is_unreachable, 1)
    assert play.recipients()["x@far.example"].last_status.enhanced == status
    (host,) = asyncio.run(play.store.host_status())
    assert host.host == "mx.example"


def test_the_host_that_was_spoken_to_is_the_one_in_the_host_status(tmp_path):
    async def deliver(consignments, report):
        async for one in consignments:
            attempt = Attempt(one.delivery, one.delivery.recipients[0], ok("sent"), host="mx2")
            await report([attempt])

    play = Play(tmp_path, deliver)
    play.run(message("A", "x@far.example"))
    (host,) = asyncio.run(play.store.host_status())
    assert host.host == "mx2"


def test_only_so_many_sessions_are_held_at_a_time(tmp_path):
    now = most = 0

    async def deliver(consignments, report):
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await asyncio.sleep(0)
        await answering(ok("sent"))(consignments, report)
        now -= 1

    play = Play(tmp_path, deliver)

    def way_of(route, reverse_path=""):
        return Way("smtp", route.user.partition("@")[2])

    play.parts.ways.way_of = way_of
    many = MAX_SESSIONS + 10
    result = play.run(message("A", *(f"x@d{number}.example" for number in range(many))))
    assert result.delivered == many
    assert most == MAX_SESSIONS
