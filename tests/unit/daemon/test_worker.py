"""Who looks at new mail: the workers that it is for."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.daemon.daemon import Daemon
from relaynode.daemon.worker import Worker
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.sources.intake import Arrival

SECTIONS = """
[link.isp]
kind = "event"
[smart_host.isp]
host = "127.0.0.1:9"
link = "isp"
"""


@pytest.mark.parametrize(
    ("address", "looking"),
    [("user@bsd.home", {None, "isp"}), ("x@far.example", {"isp"})],
)
def test_mail_that_leaves_is_nothing_for_the_worker_at_home(
    tmp_path, monkeypatch, address, looking
):
    told = set()
    monkeypatch.setattr(Worker, "queued", lambda worker, _: told.add(worker._link))

    async def run():
        node = TestNode(tmp_path, SECTIONS, node_keys='smart_host = "isp"').open()
        daemon = Daemon(node)
        await daemon.start()
        collector = node.intake.collector()
        collector.write(b"Subject: x\r\n\r\nbody\r\n")
        envelope = Envelope("user@bsd.home", (Recipient(address),))
        await node.intake.accept(collector, envelope, Arrival("from x", "SMTP", "smtp 192.0.2.1"))
        await daemon.stop()

    asyncio.run(run())
    assert told & {None, "isp"} == looking
