"""Receivers: the daemon's help when it has more clients than one process can serve.

Here daemon and receivers are of one process, each with a node of its own on the same spool;
tests/interop/test_receivers.py has them as they are.
"""

import asyncio
import socket

import pytest

from nodes import TestNode
from peers.processes import free_port
from relaynode.accounts.accounts import Accounts
from relaynode.daemon.daemon import Daemon
from relaynode.daemon.receiver import Receiver
from relaynode.daemon.receivers import (
    AGAIN_SECONDS,
    AWAY,
    CONNECTIONS_EACH,
    IDLE_SECONDS,
    QUEUED,
    READY,
    Receivers,
    usual_number,
)
from relaynode.sources.crowd import Crowd, CrowdLimits
from relaynode.wire.channel import Channel

SECTIONS = """
[listen.lan]
smtp = ["127.0.0.1:{port}"]
networks = ["127.0.0.0/8"]
{listen}
[user.user]
password_file = "password"
[limits]
receivers = {receivers}
{more}
"""


class Started:
    """A receiver that was started, as the daemon sees its process."""

    def __init__(self, receiver):
        self.receiver = receiver
        self.task = asyncio.ensure_future(receiver.serve())

    async def wait(self):
        await asyncio.gather(self.task, return_exceptions=True)
        return 0

    def kill(self):
        self.task.cancel()


class Gateway:
    """A daemon with receivers, and clients of its port."""

    def __init__(self, folder, *, receivers=1, more="", listen=""):
        self.port = free_port()
        text = SECTIONS.format(port=self.port, listen=listen, receivers=receivers, more=more)
        self.test_node = TestNode(folder, text)
        self.test_node.password("password")
        self.started = []
        self.clients = []

    async def __aenter__(self):
        self.daemon = Daemon(self.test_node.open(), receivers_of=lambda config: self._start)
        await self.daemon.start()
        return self

    async def __aexit__(self, *_):
        for client in self.clients:
            client.close()
        await self.daemon.stop()

    async def _start(self, channel):
        self.started.append(Started(Receiver(self.test_node.open(), channel.dup())))
        return self.started[-1]

    async def come(self, count):
        """So many clients more, each greeted."""
        for _ in range(count):
            client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
            self.clients.append(client)
            assert (await client.line()).startswith(b"220")

    def told(self):
        """What the daemon is told of queued mail from now on."""
        told, tell = [], self.daemon._queued

        def note(queue_id, stays_here):
            told.append((queue_id, stays_here))
            tell(queue_id, stays_here)

        self.daemon.receivers.on_queued = self.daemon.node.intake.on_queued = note
        return told

    async def fill(self):
        """As many clients as the daemon serves alone; a receiver is ready then."""
        await self.come(CONNECTIONS_EACH + 1)
        while not any(one.is_ready for one in self.daemon.receivers.there):
            await asyncio.sleep(0)

    @property
    def received(self):
        """How many clients each receiver has."""
        return [len(one.receiver.reception) for one in self.started]


class Client:
    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    async def line(self):
        return await self._reader.readline()

    async def say(self, line):
        """What the last line of the answer is."""
        self._writer.write(line + b"\r\n")
        while (answer := await self.line())[3:4] == b"-":
            pass
        return answer

    async def send(self, text):
        """A mail for the user; the answer to it."""
        await self.say(b"EHLO client.example")
        await self.say(b"MAIL FROM:<a@home.example>")
        await self.say(b"RCPT TO:<user@bsd.home>")
        await self.say(b"DATA")
        return await self.say(b"Subject: " + text + b"\r\n\r\nbody\r\n.")

    def close(self):
        self._writer.close()


def test_few_clients_are_the_daemons_own(tmp_path):
    async def run():
        async with Gateway(tmp_path) as gateway:
            await gateway.come(CONNECTIONS_EACH)
            assert not gateway.started

    asyncio.run(run())


def test_many_clients_are_shared_and_all_their_mail_is_delivered_once(tmp_path):
    async def run():
        async with gateway:
            told = gateway.told()
            await gateway.fill()
            await gateway.come(12)
            assert gateway.received[0] >= 6
            answers = await asyncio.gather(
                *(client.send(b"%d" % n) for n, client in enumerate(gateway.clients))
            )
            assert all(answer.startswith(b"250") for answer in answers)
            while len(gateway.test_node.mails("user")) < len(answers):  # its workers were told
                await asyncio.sleep(0)
            assert [stays_here for _, stays_here in told] == [True] * len(answers)

    gateway = Gateway(tmp_path)
    asyncio.run(run())
    mails = gateway.test_node.mails("user")
    found = [int(mail.partition(b"Subject: ")[2].split()[0]) for mail in mails]
    assert sorted(found) == list(range(CONNECTIONS_EACH + 1 + 12))


@pytest.mark.parametrize(
    "settings",
    [{"more": "exempt_networks = false"}, {"listen": 'xclient_hosts = ["127.0.0.1"]'}],
    ids=["counted one by one", "of a proxy"],
)
def test_clients_that_the_daemon_must_know_stay_with_it(tmp_path, settings):
    async def run():
        async with Gateway(tmp_path, **settings) as gateway:
            await gateway.come(3 * CONNECTIONS_EACH)
            assert not gateway.started

    asyncio.run(run())


def test_receivers_count_in_the_number_of_all_clients(tmp_path):
    async def run():
        most = CONNECTIONS_EACH + 4
        async with Gateway(tmp_path, more=f"connections = {most}") as gateway:
            await gateway.fill()
            await gateway.come(most - len(gateway.clients))
            one_more = Client(*await asyncio.open_connection("127.0.0.1", gateway.port))
            gateway.clients.append(one_more)
            assert (await one_more.line()).startswith(b"421 4.3.2")
            assert gateway.received[0] > 0
            for client in gateway.clients:
                await client.say(b"QUIT")
            while gateway.daemon.receivers.crowd.total:
                await asyncio.sleep(0)

    asyncio.run(run())


def test_who_has_failed_to_log_in_comes_to_the_daemon(tmp_path):
    async def run():
        async with Gateway(tmp_path) as gateway:
            await gateway.fill()
            await gateway.come(2)
            assert gateway.received == [2]
            receivers = gateway.daemon.receivers
            await gateway.clients[-1].say(b"EHLO client.example")
            guess = asyncio.ensure_future(
                gateway.clients[-1].say(b"AUTH PLAIN AHVzZXIAd3Jvbmc=")  # user, wrong
            )
            while not receivers.accounts.has_failed("127.0.0.1"):
                await asyncio.sleep(0)
            await gateway.come(6)
            assert gateway.received == [2]
            guess.cancel()

    asyncio.run(run())


def test_a_client_of_a_receiver_hears_that_the_daemon_ends(tmp_path):
    async def run():
        async with Gateway(tmp_path) as gateway:
            await gateway.fill()
            await gateway.come(2)
            assert gateway.received == [2]
            waiting = [asyncio.ensure_future(client.line()) for client in gateway.clients]
            await gateway.daemon._close_listeners()
            said = await asyncio.gather(*waiting)
            assert all(line.startswith(b"421") for line in said)

    asyncio.run(run())


def test_what_is_lost_with_a_receiver_is_its_clients_alone(tmp_path):
    async def run():
        async with Gateway(tmp_path) as gateway:
            await gateway.fill()
            await gateway.come(2)
            served = [client for client in gateway.clients if client is not None]
            gateway.started[0].kill()
            while gateway.daemon.receivers.there:
                await asyncio.sleep(0)
            said = await asyncio.gather(*(client.say(b"NOOP") for client in served[:-2]))
            assert all(line.startswith(b"250") for line in said)
            assert gateway.daemon.receivers.crowd.total == len(served) - 2
            await gateway.come(2)
            assert len(gateway.started) == 1  # the next one is started after a while

    asyncio.run(run())


# --- by a clock of the test


class Alone:
    """Receivers whose processes the test plays."""

    def __init__(self, own, most=2):
        self.now, self.ends, self.queued = 1000.0, [], []
        self.crowd = Crowd(CrowdLimits(), lambda: self.now)
        self.receivers = Receivers(
            self._start,
            most,
            self.crowd,
            Accounts(None, now=lambda: self.now),
            own=lambda: own,
            on_queued=lambda *told: self.queued.append(told),
            clock=lambda: self.now,
        )
        self.pass_on = self.receivers.door("smtp lan", lambda address: True)

    async def _start(self, channel):
        end = End(channel.dup())
        self.ends.append(end)
        return end

    async def started(self, count):
        """The one that was started as number `count` says that it is ready."""
        while len(self.ends) < count:
            await asyncio.sleep(0)
        self.ends[-1].channel.say(READY)
        while not self.receivers.there[-1].is_ready:
            await asyncio.sleep(0)

    def offer(self):
        """A connection; is it taken?"""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return self.pass_on(theirs, "192.0.2.1")


class End:
    """A receiver's end of the channel."""

    def __init__(self, connection):
        self.heard, self.ended = [], asyncio.Event()
        self.channel = Channel(connection, self._hear, self.ended.set)

    def _hear(self, words, connected):
        self.heard.append(words)
        connected.close()

    async def wait(self):
        await self.ended.wait()
        return 0

    def kill(self):
        self.channel.close()
        self.ended.set()


def test_one_that_has_had_nothing_to_do_for_a_while_ends_and_may_be_started_again():
    async def run():
        alone = Alone(own=CONNECTIONS_EACH)
        assert not alone.offer()
        await alone.started(1)
        assert alone.offer()
        alone.now += 2 * IDLE_SECONDS
        alone.receivers.end_idle()
        assert alone.receivers.there  # its client is silent, not gone
        alone.ends[0].channel.say("left 1")
        while alone.crowd.total:
            await asyncio.sleep(0)
        alone.now += IDLE_SECONDS
        alone.receivers.end_idle()
        assert not alone.receivers.there
        await alone.ends[0].ended.wait()
        assert not alone.offer()
        await alone.started(2)
        assert alone.offer()
        await alone.receivers.close()

    asyncio.run(run())


def test_after_one_has_failed_the_next_waits():
    async def run():
        alone = Alone(own=CONNECTIONS_EACH)
        alone.offer()
        await alone.started(1)
        alone.ends[0].kill()
        while alone.receivers.there:
            await asyncio.sleep(0)
        alone.now += AGAIN_SECONDS - 1
        assert not alone.offer()
        assert not alone.receivers.there
        alone.now += 1
        alone.offer()
        assert alone.receivers.there
        await alone.receivers.close()

    asyncio.run(run())


def test_what_cannot_be_started_is_told_and_tried_again_later(caplog):
    async def refuse(channel):
        raise PermissionError(13, "Permission denied", "python")

    async def run():
        alone = Alone(own=CONNECTIONS_EACH)
        alone.receivers.start = refuse
        assert not alone.offer()
        while alone.receivers.there:
            await asyncio.sleep(0)
        assert not alone.offer()
        await alone.receivers.close()

    asyncio.run(run())
    assert [one.getMessage() for one in caplog.records] == [
        "no receiver could be started: [Errno 13] Permission denied: 'python'"
    ]


def test_whoever_has_fewest_clients_gets_the_next():
    async def run():
        alone = Alone(own=3 * CONNECTIONS_EACH)
        alone.offer()
        await alone.started(1)
        alone.offer()  # for which one alone is too few
        await alone.started(2)
        for _ in range(6):
            assert alone.offer()
        assert sorted(one.connections for one in alone.receivers.there) == [3, 4]
        await alone.receivers.close()

    asyncio.run(run())


@pytest.mark.parametrize("words", ["left x", "left 99", "nonsense", "queued", "", "left -1"])
def test_what_a_receiver_says_wrongly_does_no_harm(words):
    async def run():
        alone = Alone(own=CONNECTIONS_EACH)
        alone.offer()
        await alone.started(1)
        assert alone.offer()
        if words:
            alone.ends[0].channel.say(words)
        alone.ends[0].channel.say(f"{QUEUED} A B")
        alone.ends[0].channel.say(f"{AWAY} C")
        while len(alone.queued) < 3:
            await asyncio.sleep(0)
        assert alone.queued == [("A", True), ("B", True), ("C", False)]
        assert alone.crowd.total in (0, 1)
        await alone.receivers.close()
        assert alone.crowd.total == 0

    asyncio.run(run())


def test_there_is_one_process_for_each_processor_at_most():
    assert 0 <= usual_number() <= 3
