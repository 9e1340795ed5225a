"""kill -9 of the receiving node behind its commit and before its reply: nothing comes twice."""

import asyncio
import contextlib
import re

from nodes import TestNode
from peers.processes import free_port, wait_until
from relaynode.links.wish import Wish

KILLS = 2
MAILS = 3

SENDING = '[smart_host.next]\nhost = "127.0.0.1:{port}"\ntls = "none"\n'
RECEIVING = '[listen.lan]\nsmtp = ["127.0.0.1:{port}"]\n'


class ReplyEater:
    """A line to `target_port` that ends, after `on_reply`, with the first reply to a content."""

    def __init__(self, target_port):
        self._target_port = target_port
        self.on_reply = None

    async def serve(self, reader, writer):
        try:
            there, to_there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except ConnectionError:  # it was killed, and nobody has started it again
            writer.transport.abort()
            return
        up = asyncio.ensure_future(_pump(reader, to_there, lambda data: data))
        down = asyncio.ensure_future(_pump(there, writer, self._passed))
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            task.cancel()
        for one in (writer, to_there):
            one.transport.abort()

    def _passed(self, data):
        before, found, _ = data.partition(b" Message accepted for delivery")
        if not found or self.on_reply is None:
            return data
        on_reply, self.on_reply = self.on_reply, None
        on_reply()
        return before.rpartition(b"\r\n")[0] + b"\r\n"


async def _pump(reader, writer, passed):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(kept := passed(data))
            await writer.drain()
            if kept != data:
                return


def test_a_receiver_killed_behind_its_commit_delivers_nothing_twice(tmp_path):
    port = free_port()
    far = TestNode(tmp_path / "far", RECEIVING.format(port=port), node_keys='local_domains = ["f"]')
    far.path.write_text(far.path.read_text().replace("bsd.home", "far.home"))
    daemon = far.daemon()

    async def run():
        eater = ReplyEater(port)
        async with await asyncio.start_server(eater.serve, "127.0.0.1", 0) as listening:
            through = listening.sockets[0].getsockname()[1]
            node = TestNode(tmp_path / "near", SENDING.format(port=through))
            for number in range(MAILS):
                mail = b"Subject: mail %d\n\nbody\n" % number
                assert node.sendmail("user@f", stdin=mail).returncode == 0
            near = node.open()
            for _ in range(KILLS):
                await asyncio.to_thread(daemon.start)
                eater.on_reply = daemon.process.kill
                await near.links.run("default", Wish(poll=False))
                await asyncio.to_thread(daemon.stop)
            await asyncio.to_thread(daemon.start)
            summary = await near.links.run("default", Wish(poll=False))
            left = await near.store.messages()
            await near.close()
            await asyncio.to_thread(wait_until, lambda: len(far.mails("user")) >= MAILS, 15)
        return summary, left

    try:
        summary, left = asyncio.run(run())
    finally:
        daemon.stop()
    assert not left, summary
    subjects = [re.search(rb"Subject: (.*)", mail)[1] for mail in far.mails("user")]
    assert sorted(subjects) == [b"mail %d" % number for number in range(MAILS)]
    assert daemon.log().count("not queued again") >= 1
