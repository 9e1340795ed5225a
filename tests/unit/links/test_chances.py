"""Mail ages by the chances it had: a month of a dead line, a server that always says later."""

import asyncio
import os

import pytest

from relaynode.errors import ConnectFailed, LineLost, RefusedError
from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.mailers.mailer import Attempt
from relaynode.queue.model import RecipientState
from relaynode.queue.retry import DAY, HOUR
from relaynode.sources.dsn import Told
from unit.links.scripted import NOW, Play, answering, message


def failing(error):
    async def deliver(consignments, report):
        raise error

    return deliver


def nobody(reason):
    return failing(ConnectFailed("nobody answers", reason=reason))


def letters(play, source="DSN"):
    """The subjects of what was sent about mail."""

    async def contents():
        found = [m for m in await play.store.messages(finished=True) if m.source == source]
        wanted = [(m.queue_id, {r.id for r in m.recipients}) for m in found]
        deliveries = await play.store.claim(wanted)
        await play.store.unclaim([r.id for d in deliveries for r in d.recipients])
        return [b"".join(d.content.pieces()) for d in deliveries]

    return [
        next(line[9:].decode() for line in content.splitlines() if line.startswith(b"Subject: "))
        for content in asyncio.run(contents())
    ]


def history(play, queue_id="A"):
    return [event.kind for event in asyncio.run(play.store.history(queue_id))]


@pytest.mark.parametrize("reason", ["connect-timeout", "no-route", "dns-temporary", "no-network"])
def test_a_month_of_a_dead_line_ages_nothing_and_then_all_is_delivered(tmp_path, reason):
    is_durable = reason == "no-network"
    play = Play(tmp_path, nobody(reason), link_kind="event", is_durable=is_durable)
    play.run(message("A", "a@x.example"), message("B", "b@x.example", "c@y.example"))
    for _ in range(30):  # cron, hooks that lie, and a machine that is switched off at night
        for _ in range(2):
            play.now += DAY / 2
            assert play.run().is_unreachable
        if is_durable:
            play.restart()
    assert {(r.attempts, r.aged_seconds) for r in play.recipients().values()} == {(0, 0.0)}
    assert {r.reason for r in play.recipients().values()} == {reason}
    assert history(play) == ["queued", "deferred"], "one line tells of a month"
    play.ways.script = answering(ok("sent"))
    assert play.run().delivered == 3
    assert letters(play) == []


def test_a_line_that_was_dead_for_a_month_leaves_mail_its_days(tmp_path):
    play = Play(tmp_path, answering(temporary("later")), link_kind="event")
    play.run(message("A", "a@x.example"))
    play.now += 30 * DAY
    for _ in range(20):
        play.now += HOUR / 4
        play.run()
    recipient = play.recipients()["a@x.example"]
    assert recipient.state is RecipientState.WAITING
    assert recipient.attempts == 21
    assert recipient.aged_seconds == DAY + 19 * HOUR / 4


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_server_that_always_says_later_makes_one_warning_and_one_return(tmp_path, is_durable):
    play = Play(tmp_path, answering(temporary("later")), link_kind="event", is_durable=is_durable)
    play.run(message("A", "a@x.example", "b@x.example"))
    warned_after = returned_after = None
    for hour in range(2, 200, 2):
        play.now = NOW + hour * HOUR
        play.run()
        if is_durable and hour % 20 == 0:
            play.restart()
        found = letters(play)
        if warned_after is None and found:
            warned_after = hour
        if returned_after is None and len(found) == 2:
            returned_after = hour
    assert letters(play) == [
        "Warning: could not send message for past 4 hours",
        "Returned mail: see transcript for details",
    ]
    assert (warned_after, returned_after) == (4, 120)
    states = {(r.state, r.reason) for a, r in play.recipients().items() if "@x." in a}
    assert states == {(RecipientState.FAILED, "expired")}


def test_many_tries_are_wanted_before_mail_is_returned_however_old_it_is(tmp_path):
    play = Play(tmp_path, answering(temporary("later")), sections="[queue]\ngive_up_after_days=1\n")
    play.run(message("A", "a@x.example"))
    for attempts in range(2, 6):
        play.now += 20 * DAY
        play.run()
        state = play.recipients()["a@x.example"].state
        assert state is (RecipientState.WAITING if attempts < 5 else RecipientState.FAILED)


def test_a_dead_host_over_a_line_that_is_always_up_is_given_up_in_time(tmp_path):
    play = Play(tmp_path, nobody("connect-timeout"))
    play.run(message("A", "a@x.example"))
    for _ in range(5):
        play.now += DAY
        play.run()
    assert play.recipients()["a@x.example"].reason == "expired"


@pytest.mark.parametrize(
    "error",
    [
        ConnectFailed("port closed", reason="connect-refused"),
        ConnectFailed("no such name", reason="dns-no-such-host"),
        LineLost("gone"),
        RefusedError(Status(554, "5.3.2", "go away"), "greeting"),
    ],
)
def test_who_answers_whatever_it_says_makes_a_try_an_attempt(tmp_path, error):
    play = Play(tmp_path, failing(error), link_kind="event")
    play.run(message("A", "a@x.example"))
    assert play.recipients()["a@x.example"].attempts == 1


def test_another_host_that_answers_shows_that_the_line_is_there(tmp_path):
    async def deliver(consignments, report):
        consignment = await anext(consignments)
        if consignment.delivery.message.queue_id == "A":
            raise ConnectFailed("silent", reason="connect-timeout")
        delivery = consignment.delivery
        await report([Attempt(delivery, r, ok("sent")) for r in delivery.recipients])

    play = Play(tmp_path, deliver, link_kind="event")
    play.ways.by_host = True
    play.run(message("A", "a@dead.example"), message("B", "b@alive.example"))
    assert play.recipients()["a@dead.example"].attempts == 1


def test_a_host_that_does_not_answer_is_asked_once_in_a_run(tmp_path):
    asked = []

    async def deliver(consignments, report):
        asked.append(1)
        await play.store.add([message(f"LATE{len(asked)}", "late@x.example")])
        raise ConnectFailed("silent", reason="connect-timeout")

    play = Play(tmp_path, deliver)
    play.run(*(message(f"M{n}", f"u{n}@x.example") for n in range(5)))
    assert len(asked) == 1
    assert play.recipients()["late@x.example"].attempts == 0, "it may try in the next run"


@pytest.mark.parametrize(
    ("given", "is_warned"),
    [
        ({}, True),
        ({"notify": "DELAY,FAILURE"}, True),
        ({"notify": "FAILURE"}, False),
        ({"notify": "NEVER"}, False),
        ({"sender": ""}, False),
    ],
)
def test_who_is_warned_that_mail_still_waits(tmp_path, given, is_warned):
    play = Play(tmp_path, answering(temporary("later")))
    play.run(message("A", "a@x.example", **given))
    for _ in range(4):
        play.now += 5 * HOUR
        play.run()
    assert len(letters(play)) == is_warned
    assert asyncio.run(play.store.message("A")).warned_at == (NOW + 5 * HOUR if is_warned else 0)


def test_a_next_hop_that_cannot_be_used_is_warned_of_too(tmp_path):
    play = Play(tmp_path, failing(LineLost("gone")))
    play.run(message("A", "a@x.example"))
    for _ in range(3):
        play.now += 5 * HOUR
        play.run()
    assert letters(play) == ["Warning: could not send message for past 5 hours"]


def test_a_warning_can_be_switched_off(tmp_path):
    sections = "[queue]\nwarn_after_hours = 0\n"
    play = Play(tmp_path, answering(temporary("later")), sections=sections)
    play.run(message("A", "a@x.example"))
    play.now += 2 * DAY
    play.run()
    assert letters(play) == []


@pytest.mark.parametrize(
    ("notify", "passes_dsn", "subjects"),
    [
        ("SUCCESS", False, ["Return receipt"]),
        ("SUCCESS,FAILURE", False, ["Return receipt"]),
        ("SUCCESS", True, []),
        ("FAILURE", False, []),
        ("", False, []),
    ],
)
def test_success_is_told_if_the_sender_wants_it_and_nobody_else_will(
    tmp_path, notify, passes_dsn, subjects
):
    async def deliver(consignments, report):
        async for consignment in consignments:
            delivery = consignment.delivery
            await report(
                [
                    Attempt(delivery, r, ok("sent"), "mx [192.0.2.1]", passes_dsn=passes_dsn)
                    for r in delivery.recipients
                ]
            )

    play = Play(tmp_path, deliver)
    play.run(message("A", "a@x.example", notify=notify))
    assert letters(play) == subjects


def test_a_double_bounce_goes_to_the_postmaster_and_no_further(tmp_path, caplog):
    play = Play(tmp_path, answering(permanent("no")))
    play.run(message("A", "a@x.example", sender=""))
    assert letters(play, "double bounce") == ["Postmaster notify: see transcript for details"]
    (bounce,) = [m for m in play.messages() if m.source == "double bounce"]

    async def fail():
        (delivery,) = await play.store.claim([(bounce.queue_id, {bounce.recipients[0].id})])
        return play.parts.dsns.notice(
            delivery, [Told(delivery.recipients[0], permanent("no"), "")], NOW
        )

    assert asyncio.run(fail()) is None
    assert f"{bounce.queue_id}: dropped" in caplog.text


def test_an_unexpected_error_is_temporary_and_blamed_on_the_message_at_hand(tmp_path):
    async def deliver(consignments, report):
        async for consignment in consignments:
            delivery = consignment.delivery
            if delivery.message.queue_id == "BAD":
                raise ZeroDivisionError("surprise")
            await report([Attempt(delivery, r, ok("sent")) for r in delivery.recipients])

    play = Play(tmp_path, deliver, is_durable=True)
    play.run(
        message("A", "a@x.example"),
        message("BAD", "bad@x.example", arrived_at=NOW + 1),
        message("C", "c@x.example", arrived_at=NOW + 2),
    )
    found = play.recipients()
    assert found["a@x.example"].state is RecipientState.DELIVERED
    assert found["bad@x.example"].reason == "message-broke"
    assert found["c@x.example"].reason == "local-error"
    for _ in range(2):
        play.restart()
        play.now += HOUR
        play.run()
    (bad,) = [m for m in play.messages() if m.queue_id == "BAD"]
    assert (bad.state, bad.held_for) == ("held", "poison")
    play.run()
    play.run()
    assert play.recipients()["c@x.example"].state is RecipientState.DELIVERED
    assert letters(play, "double bounce") == ["Message BAD was set aside"]


def test_a_message_that_kills_the_process_is_found(tmp_path):
    play = Play(tmp_path, answering(ok("sent")), is_durable=True)

    asyncio.run(play.store.add([message("A", "a@x.example"), message("B", "b@x.example")]))
    dead = []
    for _ in range(3):

        async def die_with_one():
            waiting = await play.store.waiting()
            (one,) = [m for m in waiting if m.queue_id == "A"]
            (delivery,) = await play.store.claim([("A", {r.id for r in one.recipients})])
            holding = delivery.in_hand()
            holding.__enter__()
            dead.append(holding)

        asyncio.run(die_with_one())
        killed(play)
        play.start()
    asyncio.run(play.store.waiting())
    states = {m.queue_id: (m.state, m.held_for) for m in play.messages()}
    assert states == {"A": ("held", "poison"), "B": ("queued", "")}
    assert history(play).count("broke") == 3
    play.run()
    assert letters(play, "double bounce") == ["Message A was set aside"]


def killed(play):
    """The kernel drops the lock of a process that died; nothing else happens."""
    os.close(play.store._owner._descriptor)


def test_what_a_server_said_is_kept_as_a_code(tmp_path):
    play = Play(tmp_path, answering({"a@x.example": temporary("full", "4.2.2")}))
    play.run(message("A", "a@x.example", "b@x.example"))
    found = play.recipients()
    assert found["a@x.example"].reason == "mailbox-full"
    assert found["b@x.example"].reason == "delivered"
