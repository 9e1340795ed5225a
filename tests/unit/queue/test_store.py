"""What every store promises, held against each home of the queue."""

import asyncio
from dataclasses import replace

import pytest

from relaynode.errors import TakenBefore
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import ok, permanent, temporary
from relaynode.queue.content import INLINE_BYTES, Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import (
    OPERATOR_MOVES,
    MessageState,
    NewMessage,
    OnceMark,
    Outcome,
    RecipientState,
    Result,
    SeenMark,
    Verb,
)
from relaynode.queue.sqlite import SqliteStore

NOW = 1_800_000_000.0
EVERYTHING = float("inf")


@pytest.fixture(params=[SqliteStore, MemoryStore])
def run(request, tmp_path):
    """Runs a coroutine function against a fresh store."""

    def runner(scenario):
        async def play():
            store = request.param(tmp_path, clock=lambda: NOW)
            try:
                return await scenario(store)
            finally:
                await store.close()

        return asyncio.run(play())

    return runner


def message(queue_id="A1", to=("bob@example.net",), content=b"x\r\n", arrived_at=NOW):
    envelope = Envelope("alice@home.example", tuple(Recipient(address) for address in to))
    return NewMessage(
        queue_id, envelope, b"Received: r\r\n", Content.of(content), "test", arrived_at
    )


def outcome(recipient, result, status, queue_id="A1", **more):
    return Outcome(queue_id, recipient.id, result, status, **more)


async def claim_all(store):
    waiting = await store.waiting()
    return await store.claim([(m.queue_id, {r.id for r in m.recipients}) for m in waiting])


def test_what_was_added_waits_with_its_envelope_and_content(run):
    envelope = Envelope(
        "",
        (Recipient("b@x.example", "FAILURE,DELAY", "rfc822;c", "c@y.example"),),
        body="8BITMIME",
        smtputf8=True,
        ret="HDRS",
        envid="e1",
    )
    new = replace(message(content=b"caf\xe9\r\n"), envelope=envelope)

    async def scenario(store):
        await store.add([new])
        (delivery,) = await claim_all(store)
        return delivery

    delivery = run(scenario)
    assert delivery.message.envelope == envelope
    assert delivery.trace == b"Received: r\r\n"
    assert b"".join(delivery.content.pieces()) == b"caf\xe9\r\n"
    assert delivery.message.size_bytes == 6
    assert delivery.recipients[0].forward_path == envelope.recipients[0]


def test_older_messages_come_first(run):
    async def scenario(store):
        await store.add([message("B", arrived_at=NOW + 1), message("A", arrived_at=NOW)])
        return [m.queue_id for m in await store.waiting()]

    assert run(scenario) == ["A", "B"]


def test_a_claimed_recipient_is_given_to_nobody_else(run):
    async def scenario(store):
        await store.add([message(to=("a@x", "b@x"))])
        (waiting,) = await store.waiting()
        first, second = waiting.recipients
        (delivery,) = await store.claim([("A1", {first.id})])
        assert [r.id for r in delivery.recipients] == [first.id]
        assert await store.claim([("A1", {first.id})]) == []
        (rest,) = await store.waiting()
        assert [r.id for r in rest.recipients] == [second.id]
        await store.unclaim([first.id])
        (both,) = await store.waiting()
        assert len(both.recipients) == 2
        assert [r.attempts for r in both.recipients] == [0, 0]

    run(scenario)


def test_claiming_what_does_not_exist_gives_nothing(run):
    async def scenario(store):
        await store.add([message()])
        assert await store.claim([("NOPE", {1}), ("A1", {999})]) == []

    run(scenario)


def test_a_message_ends_when_its_last_recipient_does(run):
    async def scenario(store):
        await store.add([message(to=("a@x", "b@x"))])
        (delivery,) = await claim_all(store)
        a, b = delivery.recipients
        await store.record([outcome(a, Result.DELIVERED, ok("sent"), relay="r [1]")], NOW)
        (listed,) = await store.messages()
        assert [r.state for r in listed.recipients] == [
            RecipientState.DELIVERED,
            RecipientState.WAITING,
        ]
        await store.record([outcome(b, Result.FAILED, permanent("no such user", "5.1.1"))], NOW)
        assert await store.messages() == []
        (ended,) = await store.messages(finished=True)
        assert ended.state is MessageState.DONE
        assert ended.recipients[0].relay == "r [1]"
        assert ended.recipients[1].last_status == permanent("no such user", "5.1.1")

    run(scenario)


def test_a_deferred_recipient_waits_until_its_next_attempt(run):
    async def scenario(store):
        await store.add([message()])
        (delivery,) = await claim_all(store)
        later = outcome(
            delivery.recipients[0],
            Result.DEFERRED,
            temporary("busy", "4.3.2"),
            next_attempt_at=NOW + 300,
        )
        await store.record([later], NOW)
        assert await store.waiting(NOW + 299) == []
        (due,) = await store.waiting(NOW + 300)
        assert due.recipients[0].attempts == 1
        assert due.recipients[0].last_status == temporary("busy", "4.3.2")
        assert len(await store.waiting()) == 1

    run(scenario)


def test_doubt_about_a_delivery_stays_on_the_recipient_and_in_the_history(run):
    async def scenario(store):
        await store.add([message()])
        (delivery,) = await claim_all(store)
        lost = temporary("line lost", "4.4.2")
        await store.record(
            [outcome(delivery.recipients[0], Result.DEFERRED, lost, in_doubt=True)], NOW
        )
        (again,) = await claim_all(store)
        await store.record([outcome(again.recipients[0], Result.DELIVERED, ok("sent"))], NOW)
        (ended,) = await store.messages(finished=True)
        assert ended.recipients[0].in_doubt
        return [event.kind for event in await store.history("A1")]

    assert run(scenario) == ["queued", "deferred", "in_doubt", "delivered"]


def test_a_dsn_is_queued_with_the_failure_it_reports(run):
    async def scenario(store):
        await store.add([message()])
        (delivery,) = await claim_all(store)
        dsn = replace(message("D1"), envelope=Envelope("", (Recipient("alice@home.example"),)))
        await store.record(
            [outcome(delivery.recipients[0], Result.FAILED, permanent("no"))], NOW, [dsn]
        )
        return [m.queue_id for m in await store.waiting()]

    assert run(scenario) == ["D1"]


def test_a_duplicate_queue_id_adds_nothing_of_its_batch(run):
    async def scenario(store):
        if isinstance(store, MemoryStore):
            return
        await store.add([message("A1")])
        with pytest.raises(Exception, match="UNIQUE"):
            await store.add([message("A2"), message("A1")], [SeenMark("isp", "u1")])
        assert [m.queue_id for m in await store.messages()] == ["A1"]
        assert await store.mailboxes.seen("isp") == set()

    run(scenario)


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("state", list(MessageState))
def test_an_operator_can_do_what_the_table_of_moves_says(run, state, verb):
    async def bring_to(store):
        await store.add([message()])
        if state is MessageState.HELD:
            await store.operate(Verb.HOLD, ["A1"], NOW)
        elif state is MessageState.REMOVED:
            await store.operate(Verb.REMOVE, ["A1"], NOW)
        elif state is MessageState.DONE:
            (delivery,) = await claim_all(store)
            await store.record([outcome(delivery.recipients[0], Result.DELIVERED, ok("ok"))], NOW)

    async def scenario(store):
        await bring_to(store)
        moved = await store.operate(verb, ["A1", "UNKNOWN"], NOW)
        (after,) = await store.messages(finished=True)
        return moved, after.state

    target = OPERATOR_MOVES.get((state, verb))
    assert run(scenario) == (([], state) if target is None else (["A1"], target))


def test_mail_may_be_held_from_the_start_with_the_reason(run):
    async def scenario(store):
        await store.add([replace(message("A1"), hold_reason="looks odd"), message("A2")])
        assert [waiting.queue_id for waiting in await store.waiting()] == ["A2"]
        held = (await store.messages())[0]
        assert (held.queue_id, held.state) == ("A1", MessageState.HELD)
        assert [(event.kind, event.text) for event in await store.history("A1")] == [
            ("queued", "test"),
            ("hold", "looks odd"),
        ]
        assert await store.operate(Verb.RELEASE, ["A1"], NOW) == ["A1"]
        assert len(await store.waiting()) == 2

    run(scenario)


def test_held_mail_is_not_waiting_and_cannot_be_claimed(run):
    async def scenario(store):
        await store.add([message()])
        (waiting,) = await store.waiting()
        await store.operate(Verb.HOLD, ["A1"], NOW)
        assert await store.waiting() == []
        assert await store.claim([("A1", {waiting.recipients[0].id})]) == []
        await store.operate(Verb.RELEASE, ["A1"], NOW)
        assert len(await store.waiting()) == 1

    run(scenario)


def test_an_outcome_for_a_removed_recipient_changes_nothing(run):
    async def scenario(store):
        await store.add([message()])
        (delivery,) = await claim_all(store)
        await store.operate(Verb.REMOVE, ["A1"], NOW)
        await store.record([outcome(delivery.recipients[0], Result.DELIVERED, ok("ok"))], NOW)
        (after,) = await store.messages(finished=True)
        return after.state, after.recipients[0].state

    assert run(scenario) == (MessageState.REMOVED, RecipientState.REMOVED)


def test_the_seen_list_is_kept_by_account(run):
    async def scenario(store):
        await store.add([message("A1")], [SeenMark("isp", "u1")])
        await store.add([], [SeenMark("isp", "u1"), SeenMark("isp", "u2"), SeenMark("job", "u1")])
        await store.mailboxes.forget("isp", ["u1", "never"])
        return (
            await store.mailboxes.seen("isp"),
            await store.mailboxes.seen("job"),
            await store.mailboxes.seen("none"),
        )

    assert run(scenario) == ({"u2"}, {"u1"}, set())


def test_links_are_remembered_up_or_down(run):
    async def scenario(store):
        await store.set_link("isp", True, NOW)
        await store.set_link("hf", True, NOW)
        await store.set_link("isp", False, NOW + 1)
        return await store.links_up()

    assert run(scenario) == {"hf"}


def test_only_messages_that_ended_long_ago_are_forgotten(run):
    async def scenario(store):
        await store.add([message("OLD"), message("NEW"), message("WAITING")])
        await store.operate(Verb.REMOVE, ["OLD"], NOW)
        await store.operate(Verb.REMOVE, ["NEW"], NOW + 100)
        assert await store.prune(NOW + 100) == 1
        return sorted(m.queue_id for m in await store.messages(finished=True))

    assert run(scenario) == ["NEW", "WAITING"]


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 5 * INLINE_BYTES])
def test_content_of_any_size_comes_back_byte_for_byte_and_leaves_no_file(run, tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)

    async def scenario(store):
        draft = store.draft("A1")
        for start in range(0, size, 1000):
            draft.write(data[start : min(start + 1000, size)])
        new = replace(message(), content=draft.finish())
        assert (new.content.path is not None) == (size > INLINE_BYTES)
        await store.add([new])
        (delivery,) = await claim_all(store)
        assert b"".join(delivery.content.pieces()) == data[:size]
        assert b"".join(delivery.content.pieces(10)) == data[10:size]
        assert delivery.content.head(5) == data[: min(5, size)]
        await store.record([outcome(delivery.recipients[0], Result.DELIVERED, ok("ok"))], NOW)

    run(scenario)
    assert list((tmp_path / "content").iterdir()) == []
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_discarded_draft_leaves_nothing(run, tmp_path):
    async def scenario(store):
        for queue_id in ("A", "B"):
            draft = store.draft(queue_id)
            draft.write(b"x" * (2 * INLINE_BYTES))
            if queue_id == "B":
                draft.finish()
            draft.discard()

    run(scenario)
    assert list((tmp_path / "content").iterdir()) == []
    assert list((tmp_path / "incoming").iterdir()) == []


def test_lines_and_body_size_are_kept_for_listings(run):
    async def scenario(store):
        await store.add([replace(message(), lines=3, body_bytes=17)])
        (waiting,) = await store.waiting()
        (listed,) = await store.messages()
        assert (waiting.lines, waiting.body_bytes) == (listed.lines, listed.body_bytes) == (3, 17)

    run(scenario)


def test_one_message_is_found_in_whatever_state(run):
    async def scenario(store):
        await store.add([message(), message("A2")])
        (delivery, _) = await claim_all(store)
        (recipient,) = delivery.recipients
        await store.record([outcome(recipient, Result.FAILED, permanent("no"))], NOW)
        found = await store.message("A1")
        assert found.state is MessageState.DONE
        assert [one.state for one in found.recipients] == [RecipientState.FAILED]
        assert await store.message("A9") is None

    run(scenario)


def test_a_host_is_known_by_what_it_said_last_until_that_is_forgotten(run):
    async def scenario(store):
        await store.add([message(), message("A2"), message("A3")])
        first, second, third = await claim_all(store)

        async def say(delivery, status, host, at):
            (recipient,) = delivery.recipients
            queue_id = delivery.message.queue_id
            result = Result.DELIVERED if status.is_success else Result.DEFERRED
            said = outcome(recipient, result, status, queue_id, host=host)
            await store.record([said], at)

        await say(first, ok("accepted"), "relay.example", NOW)
        await say(second, temporary("busy"), "relay.example", NOW + 5)
        await say(third, ok("here"), "local", NOW + 1)
        found = [(one.host, one.at, str(one.status)) for one in await store.host_status()]
        assert found == [
            ("relay.example", NOW + 5, "451 4.0.0 busy"),
            ("local", NOW + 1, "250 2.0.0 here"),
        ]
        assert await store.forget_host_status(NOW + 2) == 1
        assert [one.host for one in await store.host_status()] == ["relay.example"]

    run(scenario)


def test_the_reason_for_a_move_is_in_the_history(run):
    async def scenario(store):
        await store.add([message()])
        await store.operate(Verb.HOLD, ["A1"], NOW, "suspicious")
        assert [(one.kind, one.text) for one in await store.history("A1")][1:] == [
            ("hold", "suspicious")
        ]

    run(scenario)


def test_what_was_decided_about_a_recipient_is_kept(run):
    decided = (
        Recipient("|vacation joe", expanded_from="joe", mailer="prog", run_as="joe"),
        Recipient("joe@hub", mailer="relay", host="hub.example.net"),
        Recipient("plain@example.net"),
    )

    async def scenario(store):
        one = message()
        await store.add([replace(one, envelope=replace(one.envelope, recipients=decided))])
        (found,) = await store.waiting()
        return tuple(recipient.forward_path for recipient in found.recipients)

    assert run(scenario) == decided


@pytest.mark.parametrize("size", [10, INLINE_BYTES + 1])
def test_messages_that_share_their_content_end_one_after_the_other(run, size):
    async def scenario(store):
        draft = store.draft("A1")
        draft.write(b"x" * size)
        content = draft.finish()
        twin = store.twin(content, "A2")
        await store.add(
            [
                replace(message("A1"), content=content),
                replace(message("A2"), content=twin),
            ]
        )
        first, second = await claim_all(store)
        for delivery in (first, second):
            assert b"".join(delivery.content.pieces()) == b"x" * size
            (recipient,) = delivery.recipients
            queue_id = delivery.message.queue_id
            await store.record([outcome(recipient, Result.DELIVERED, ok("x"), queue_id)], NOW)
        return [path for path in (content.path, twin.path) if path is not None and path.exists()]

    assert run(scenario) == []


# --- mail that comes twice

MARK = OnceMark("A.1@home.example", "d1", ("a@x", "b@x"))


def test_mail_is_known_again_by_id_content_and_recipient_together(run):
    async def scenario(store):
        await store.add([message("Q1")], once=MARK)
        return [
            await store.taken(mark)
            for mark in (
                MARK,
                replace(MARK, recipients=("b@x", "c@x")),
                replace(MARK, digest="d2"),
                replace(MARK, once_id="B.1@home.example"),
            )
        ]

    assert run(scenario) == [{"a@x": "Q1", "b@x": "Q1"}, {"b@x": "Q1"}, {}, {}]


def test_of_two_sessions_that_bring_one_mail_at_a_time_one_queues_it(run):
    async def scenario(store):
        bring = (store.add([message(name)], once=MARK) for name in ("Q1", "Q2"))
        ends = await asyncio.gather(*bring, return_exceptions=True)
        return ends, [m.queue_id for m in await store.messages()], await store.taken(MARK)

    ends, queued, taken = run(scenario)
    assert sorted(type(end) for end in ends if end is not None) == [TakenBefore]
    assert len(queued) == 1
    assert set(taken.values()) == set(queued)


def test_mail_is_known_again_when_the_message_itself_is_forgotten_until_its_time_is_over(run):
    async def scenario(store):
        await store.add([message("Q1")], once=MARK)
        await store.operate(Verb.REMOVE, ["Q1"], NOW)
        await store.prune(NOW + 1)
        kept = await store.message("Q1"), await store.forget_taken(NOW), await store.taken(MARK)
        return *kept, await store.forget_taken(NOW + 1), await store.taken(MARK)

    assert run(scenario) == (None, 0, {"a@x": "Q1", "b@x": "Q1"}, 2, {})


# ---- poison, warnings, what is kept of a try


def test_what_is_kept_of_a_try(run):
    async def scenario(store):
        await store.add([message()])
        (delivery,) = await claim_all(store)
        made = outcome(
            delivery.recipients[0],
            Result.DEFERRED,
            temporary("later"),
            reason="greylisted",
            aged_seconds=60.0,
        )
        await store.record([made], NOW)
        return await store.message("A1")

    (recipient,) = run(scenario).recipients
    assert (recipient.reason, recipient.aged_seconds) == ("greylisted", 60.0)
    assert (recipient.attempts, recipient.last_attempt_at) == (1, NOW)


def test_a_try_that_is_no_attempt_counts_nothing_and_is_told_of_once(run):
    async def scenario(store):
        await store.add([message()])
        for _ in range(5):
            (delivery,) = await claim_all(store)
            made = outcome(
                delivery.recipients[0],
                Result.DEFERRED,
                temporary("nobody there"),
                reason="connect-timeout",
                is_attempt=False,
            )
            await store.record([made], NOW)
        return await store.message("A1"), await store.history("A1")

    found, history = run(scenario)
    (recipient,) = found.recipients
    assert (recipient.attempts, recipient.last_attempt_at) == (0, 0.0)
    assert [event.kind for event in history] == ["queued", "deferred"]


def test_a_message_is_warned_of_once_whoever_wants_to(run):
    async def scenario(store):
        await store.add([message()])
        for number in range(2):
            (delivery,) = await store.claim(
                [("A1", {r.id for m in await store.waiting() for r in m.recipients})]
            )
            made = outcome(delivery.recipients[0], Result.DEFERRED, temporary("later"))
            warning = message(f"W{number}", to=("alice@home.example",))
            await store.record([made], NOW + number, (), None, [("A1", warning)])
        return {m.queue_id: m.warned_at for m in await store.messages()}

    assert run(scenario) == {"A1": NOW, "W0": 0.0}


def test_a_message_that_broke_us_three_times_is_set_aside_and_told_of_once(run):
    async def scenario(store):
        await store.add([message(to=("a@x", "b@x"))])
        for times in range(1, 4):
            (delivery,) = await claim_all(store)
            made = [
                outcome(r, Result.DEFERRED, temporary("oops"), reason="message-broke")
                for r in delivery.recipients
            ]
            await store.record(made, NOW)
            assert len(await store.poisoned()) == (times == 3)
        assert await store.waiting() == []
        (aside,) = await store.poisoned()
        assert (aside.state, aside.held_for) == (MessageState.HELD, "poison")
        for letter in ("L1", "L2"):
            await store.tell_poison(["A1"], [message(letter)], NOW)
        assert await store.poisoned() == []
        assert {m.queue_id for m in await store.messages()} == {"A1", "L1"}
        assert await store.operate(Verb.RELEASE, ["A1"], NOW) == ["A1"]
        (delivery, _) = await claim_all(store)
        assert delivery.message.held_for == ""
        made = outcome(
            delivery.recipients[0], Result.DEFERRED, temporary("oops"), reason="message-broke"
        )
        await store.record([made], NOW)
        assert await store.poisoned() == [], "it has three chances more"

    run(scenario)


@pytest.mark.parametrize(("reason", "held_for"), [("", ""), ("spam", "quarantined")])
def test_it_is_known_why_a_message_is_held(run, reason, held_for):
    async def scenario(store):
        await store.add([replace(message(), hold_reason=reason)])
        before = (await store.message("A1")).held_for
        await store.operate(Verb.HOLD, ["A1"], NOW)
        return before, (await store.message("A1")).held_for

    assert run(scenario) == (held_for, held_for or "held")
