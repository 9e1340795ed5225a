"""Two links at the same time: the first that is there takes the mail, and none goes over both."""

import asyncio
import threading
from collections import Counter

import pytest

from nodes import TestNode
from oddball import Oddball
from peers.plain_server import PlainServer, _Session
from relaynode.errors import CalledOff
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.model import NewMessage

NOW = 1_800_000_000.0
MAILS = 12
SECTIONS = """
[link.dsl]
kind = "{kind}"
[link.modem]
[smart_host.one]
host = "127.0.0.1:{one}"
link = "dsl"
tls = "none"
max_connections = 1
[smart_host.two]
host = "127.0.0.1:{two}"
link = "modem"
tls = "none"
"""


class Mortal(PlainServer):
    """Takes some mails and dies with the next in hand. `is_dying`: set then. `hangs`: it keeps the
    connection; else it is gone."""

    def __init__(self, takes, *, hangs):
        super().__init__()
        self.takes, self.hangs = takes, hangs
        self.is_dying, self.is_over = threading.Event(), threading.Event()
        self._server.RequestHandlerClass = _MortalSession


class _MortalSession(_Session):
    def _data(self, line):
        server = self.server.kept
        if len(server.taken) < server.takes:
            super()._data(line)
            return
        self._say("354 go")
        self.rfile.readline()
        server.is_dying.set()
        if server.hangs:
            server.is_over.wait(20)
        raise ConnectionError


class Home:
    def __init__(self, folder, one, two, kind="event"):
        sections = SECTIONS.format(one=one, two=two, kind=kind)
        tables = {"mailertable": f"two.example relay:[127.0.0.1]:{two}\n"}
        self.test_node = TestNode(
            folder, sections, node_keys='smart_host = ["one", "two"]', tables=tables
        )

    def play(self, work, mails=MAILS):
        async def play():
            node = self.test_node.open(clock=lambda: NOW)
            try:
                for number in range(mails):
                    for domain in ("x.example", "two.example"):
                        await self._queue(node, f"M{number}@{domain}")
                return await work(node)
            finally:
                await node.close()

        return asyncio.run(play())

    async def _queue(self, node, address):
        queue_id = address.replace("@", "-")
        draft = node.store.draft(queue_id)
        draft.write(b"Subject: " + address.encode() + b"\r\n\r\ntext\r\n")
        envelope = Envelope("user@bsd.home", (Recipient(address),))
        new = NewMessage(queue_id, envelope, b"", draft.finish(), "test", NOW)
        await node.store.add([new])


async def both_up(node):
    for link in ("dsl", "modem"):
        await node.store.set_link(link, True, NOW)


def taken(*servers):
    """How often each recipient's mail was taken."""
    return Counter(rcpt for one in servers for mail in one.taken for rcpt in mail.rcpts)


def everyone_once(count):
    assert len(count) == 2 * MAILS
    assert set(count.values()) == {1}


def test_a_host_that_dies_in_the_middle_leaves_the_rest_to_the_other_link(tmp_path):
    """But for the mail whose last reply was lost: that goes at its next turn."""
    with Mortal(4, hangs=False) as one, PlainServer() as two:

        async def work(node):
            await both_up(node)
            runs = await asyncio.gather(node.links.run("dsl"), node.links.run("modem"))
            assert [run.flush.delivered for run in runs] == [MAILS - 1, MAILS]
            assert [run.flush.in_doubt for run in runs] == [1, 0]
            await node.store.set_link("dsl", False, NOW)
            await node.links.run("modem")

        Home(tmp_path, one.port, two.port).play(work)
        assert len(one.taken) == 4
    everyone_once(taken(one, two))


def test_a_link_that_goes_down_in_the_middle_leaves_the_rest_to_the_other(tmp_path):
    with Mortal(4, hangs=True) as one, PlainServer() as two:

        async def work(node):
            await both_up(node)
            runs = asyncio.gather(
                node.links.run("dsl"), node.links.run("modem"), return_exceptions=True
            )
            assert await asyncio.to_thread(one.is_dying.wait, 20)
            await node.store.set_link("dsl", False, NOW)
            node.links.call_off("dsl")
            (over_dsl, _) = await runs
            one.is_over.set()
            assert isinstance(over_dsl, CalledOff)
            await node.links.run("modem")

        Home(tmp_path, one.port, two.port).play(work)
        assert len(one.taken) == 4
    everyone_once(taken(one, two))


@pytest.mark.parametrize("kind", ["event", "always"])
def test_when_the_host_of_the_first_link_is_silent_the_second_takes_the_mail(tmp_path, kind):
    """Also one that is said to be always up: until it answers again."""
    with Oddball({b"greeting": None}) as one, PlainServer() as two:

        async def work(node):
            await node.store.set_link("dsl", True, NOW)
            assert (await node.links.run("dsl")).flush.deferred == MAILS
            await node.links.run("modem")

        Home(tmp_path, one.port, two.port, kind).play(work)
    everyone_once(taken(two))
