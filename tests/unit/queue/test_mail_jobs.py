"""Recipients bound to the job that carries them to a neighbour, in each home of the queue."""

import asyncio

import pytest

from relaynode.errors import NotClaimed
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import ok, temporary
from relaynode.queue.content import Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage, Outcome, RecipientState, Result, Verb
from relaynode.queue.sqlite import SqliteStore
from relaynode.queue.uucp.model import JobKind, MailJob, NewJob, Settled, WorkOutcome, WorkState

NOW = 1_800_000_000.0


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


async def claim(store, queue_id, *recipients):
    envelope = Envelope("a@x", tuple(Recipient(one) for one in recipients))
    await store.add([NewMessage(queue_id, envelope, b"", Content.of(b"x\r\n"), "test", NOW)])
    (message,) = await store.waiting(queue_ids={queue_id})
    (delivery,) = await store.claim([(queue_id, {one.id for one in message.recipients})])
    return delivery


def mail_job(*deliveries, job_id="J1"):
    job = NewJob(job_id, "beta", JobKind.MAIL, "uucp", NOW, content=Content.of(b"the mail"))
    return MailJob(job, tuple(one.id for each in deliveries for one in each.recipients))


def outcome(delivery, result, status, number=0):
    recipient = delivery.recipients[number]
    return Outcome(delivery.message.queue_id, recipient.id, result, status)


def ended(state, job_id="J1"):
    return Settled(NOW, jobs=(WorkOutcome(job_id, state, "so", NOW),))


async def waiting(store):
    return {
        recipient.forward_path.address
        for message in await store.waiting()
        for recipient in message.recipients
    }


def test_whom_a_job_carries_waits_for_nothing_else(run):
    async def scenario(store):
        delivery = await claim(store, "M1", "b@y", "c@y")
        (bound,) = await store.bind([mail_job(delivery)])
        assert (bound.job.is_claimed, bound.content.inline) == (True, b"the mail")
        await store.unclaim([one.id for one in delivery.recipients])
        assert await waiting(store) == set()
        ids = {one.id for one in delivery.recipients}
        assert await store.claim([("M1", ids)]) == []

    run(scenario)


def test_done_means_delivered_in_one_transaction(run):
    async def scenario(store):
        delivery = await claim(store, "M1", "b@y")
        await store.bind([mail_job(delivery)])
        await store.record(
            [outcome(delivery, Result.DELIVERED, ok("there"))],
            NOW,
            settled=ended(WorkState.DONE),
        )
        message = await store.message("M1")
        assert message.recipients[0].state is RecipientState.DELIVERED
        assert (await store.uucp.jobs.job("J1")).state is WorkState.DONE

    run(scenario)


def test_after_a_cut_the_job_goes_again_with_whom_it_carries(run):
    async def scenario(store):
        first, second = await claim(store, "M1", "b@y"), await claim(store, "M2", "c@y", "d@y")
        await store.bind([mail_job(first, second)])
        await store.record(
            [outcome(first, Result.DEFERRED, temporary("cut"))]
            + [outcome(second, Result.DEFERRED, temporary("cut"), n) for n in (0, 1)],
            NOW,
            settled=ended(WorkState.WAITING),
        )
        assert await waiting(store) == set()
        (job,) = await store.uucp.jobs.due("beta", NOW)
        assert (job.kind, job.tries) == (JobKind.MAIL, 1)
        (again,) = await store.uucp.jobs.claim([job.job_id])
        assert again.content.inline == b"the mail"
        carried = await store.carried([job.job_id])
        assert [
            (one.message.queue_id, [r.forward_path.address for r in one.recipients])
            for one in carried["J1"]
        ] == [("M1", ["b@y"]), ("M2", ["c@y", "d@y"])]

    run(scenario)


def test_what_ends_without_success_frees_whom_it_carried(run):
    async def scenario(store):
        delivery = await claim(store, "M1", "b@y", "c@y")
        await store.bind([mail_job(delivery)])
        await store.record(
            [outcome(delivery, Result.FAILED, temporary("too old"))],
            NOW,
            settled=ended(WorkState.FAILED),
        )
        assert await waiting(store) == {"c@y"}

    run(scenario)


def test_a_job_that_was_not_begun_is_undone(run):
    async def scenario(store):
        delivery = await claim(store, "M1", "b@y")
        await store.bind([mail_job(delivery)])
        await store.unbind(["J1"])
        assert await waiting(store) == {"b@y"}
        assert await store.uucp.jobs.find(finished=True) == []
        assert await store.uucp.history("J1") == []

    run(scenario)


def test_only_what_is_claimed_can_be_bound_and_only_once(run):
    async def scenario(store):
        delivery = await claim(store, "M1", "b@y")
        await store.bind([mail_job(delivery)])
        for job in (mail_job(delivery, job_id="J2"),):
            with pytest.raises(NotClaimed):
                await store.bind([job])
        other = await claim(store, "M2", "c@y")
        await store.unclaim([other.recipients[0].id])
        with pytest.raises(NotClaimed):
            await store.bind([mail_job(other, job_id="J3")])
        assert [job.job_id for job in await store.uucp.jobs.find()] == ["J1"]
        assert await waiting(store) == {"c@y"}

    run(scenario)


@pytest.mark.parametrize("verb", [Verb.HOLD, Verb.REMOVE])
def test_what_the_operator_takes_back_goes_by_no_job(run, verb):
    async def scenario(store):
        mine, other = await claim(store, "M1", "b@y"), await claim(store, "M2", "c@y")
        await store.bind([mail_job(mine, other)])
        await store.record(
            [outcome(one, Result.DEFERRED, temporary("cut")) for one in (mine, other)],
            NOW,
            settled=ended(WorkState.WAITING),
        )
        await store.operate(verb, ["M1"], NOW)
        assert await store.uucp.jobs.due("beta") == []
        assert await waiting(store) == {"c@y"}
        (message,) = await store.waiting()
        assert message.recipients[0].in_doubt, "the neighbour may have the job"

    run(scenario)


def test_a_job_of_mail_is_none_for_the_operator(run):
    async def scenario(store):
        await store.bind([mail_job(await claim(store, "M1", "b@y"))])
        for verb in (Verb.HOLD, Verb.REMOVE):
            assert await store.uucp.jobs.operate(verb, ["J1"], NOW) == []

    run(scenario)


def test_when_its_owner_dies_a_job_waits_and_whom_it_carries_is_not_in_doubt(tmp_path):
    async def scenario():
        dying = SqliteStore(tmp_path, clock=lambda: NOW)
        await dying.bind([mail_job(await claim(dying, "M1", "b@y"))])
        dying._owner.close()  # as the kernel does when a process is killed
        heir = SqliteStore(tmp_path, clock=lambda: NOW)
        try:
            (job,) = await heir.uucp.jobs.due("beta")
            assert job.tries == 1
            assert await waiting(heir) == set()
            await heir.uucp.jobs.claim([job.job_id])
            ((delivery,),) = (await heir.carried([job.job_id])).values()
            assert not delivery.recipients[0].in_doubt
        finally:
            await heir.close()

    asyncio.run(scenario())
