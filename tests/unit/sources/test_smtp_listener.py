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

    async def add(self, messages, seen=()):
        self.is_committing.set()
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        await super().add(messages, seen)


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
