"""Letters about UUCP jobs: ordinary messages, queued with the end of the work they are about."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.errors import NotClaimed
from relaynode.queue.uucp.model import JobKind, NewJob, Settled, WorkOutcome, WorkState
from relaynode.sources.uucp_letters import UucpLetters
from relaynode.uucico.post import Letter

NOW = 1_800_000_000.0
SETTLED = Settled(NOW, (WorkOutcome("J1", WorkState.FAILED, "refused"),))


@pytest.fixture
def play(tmp_path):
    def run(scenario, *, claims=True):
        async def act():
            node = TestNode(tmp_path).open()
            try:
                job = NewJob("J1", "beta", JobKind.SEND, "user", NOW)
                await node.store.uucp.jobs.add([job])
                if claims:
                    await node.store.uucp.jobs.claim(["J1"])
                letters = UucpLetters(node.intake, node.store, postmaster="postmaster")
                await scenario(node.store, letters)
            finally:
                await node.close()

        asyncio.run(act())

    return run


async def queued(store):
    """The one message, and its text."""
    (message,) = await store.waiting()
    (delivery,) = await store.claim([(message.queue_id, {r.id for r in message.recipients})])
    content = b"".join(delivery.content.pieces())
    return message, (delivery.trace + content).decode()


def test_a_letter_and_the_end_of_the_job_are_one(play):
    async def scenario(store, letters):
        await letters.send(Letter("user", "Failed at beta", "It failed.\n\nSorry\n"), SETTLED)
        message, text = await queued(store)
        assert message.envelope.reverse_path == ""
        assert [r.forward_path.address for r in message.recipients] == ["user"]
        for line in (
            "To: user\r\n",
            "Subject: Failed at beta\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "\r\n\r\nIt failed.\r\n\r\nSorry\r\n",
            "Date: ",
            "Message-Id: <",
            "From: uucp",
        ):
            assert line in text
        assert (await store.uucp.jobs.job("J1")).state is WorkState.FAILED

    play(scenario)


def test_without_the_claim_there_is_neither_letter_nor_end(play):
    async def scenario(store, letters):
        with pytest.raises(NotClaimed):
            await letters.send(Letter("user", "x", "y"), SETTLED)
        assert await store.waiting() == []
        assert (await store.uucp.jobs.job("J1")).state is WorkState.WAITING

    play(scenario, claims=False)


@pytest.mark.parametrize("to", ["nobody-here", "a b@c", "<@>", "x@@y", '"', "\udcff@x", ""])
def test_what_nobody_can_have_goes_to_the_postmaster_and_the_job_ends(play, to):
    async def scenario(store, letters):
        await letters.send(Letter(to, "x", "y"), SETTLED)
        message, _ = await queued(store)
        assert [r.forward_path.address for r in message.recipients] == ["postmaster"]
        assert (await store.uucp.jobs.job("J1")).state is WorkState.FAILED

    play(scenario)


def test_a_stranger_cannot_put_lines_into_the_header(play):
    async def scenario(store, letters):
        await letters.send(Letter("user", "x\r\nBcc: evil@example.org\r\n\r\nHa", "caf\xe9"))
        _, text = await queued(store)
        header, _, body = text.partition("\r\n\r\n")
        assert "\r\nBcc" not in header
        assert body == "caf?\r\n"

    play(scenario)


def test_an_address_elsewhere_is_taken_as_it_is(play):
    async def scenario(store, letters):
        await letters.send(Letter("carl@example.org", "x", "y"))
        message, _ = await queued(store)
        assert [r.forward_path.address for r in message.recipients] == ["carl@example.org"]

    play(scenario)
