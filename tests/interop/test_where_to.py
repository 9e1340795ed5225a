"""Several smart hosts, senders' own ones, and mail in the queue that a change sends elsewhere."""

import asyncio
import os
import signal

import pytest

from nodes import TestNode
from peers.postfix import Postfix
from peers.processes import free_port, wait_until
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.model import NewMessage


@pytest.fixture(scope="module")
def one():
    with Postfix() as postfix:
        yield postfix


@pytest.fixture(scope="module")
def other():
    with Postfix() as postfix:
        yield postfix


def smart_host(name, port, link="default", host="127.0.0.1"):
    return f'[smart_host.{name}]\nhost = "{host}:{port}"\ntls = "none"\nlink = "{link}"\n'


def letter(recipient, sender="user@bsd.home"):
    content = Content.of(b"Subject: s\r\n\r\nbody\r\n")
    envelope = Envelope(sender, (Recipient(recipient),))
    return NewMessage(recipient.partition("@")[0], envelope, b"", content, "test", 1.8e9)


def run(node, link, *letters):
    """The summary of a run in this process, and the hosts that were spoken to."""

    async def play():
        opened = node.open()
        try:
            await opened.store.add(letters)
            summary = await opened.links.run(link)
            return summary.as_json(), [host.host for host in await opened.store.host_status()]
        finally:
            await opened.close()

    return asyncio.run(play())


def reached(postfix, *recipients):
    return wait_until(
        lambda: set(recipients) <= {one.recipient for one in postfix.deliveries()}, 10
    )


def test_the_next_smart_host_takes_what_the_first_cannot(tmp_path, one):
    sections = smart_host("isp", free_port(), host="127.0.0.5") + smart_host("backup", one.port)
    node = TestNode(tmp_path, sections, node_keys='smart_host = ["isp", "backup"]')
    summary, hosts = run(node, "default", letter("fallback@far.example"))
    assert summary["sent"] == 1, summary
    assert hosts == ["127.0.0.1"]
    assert reached(one, "fallback@far.example")


def test_a_smart_host_on_another_line_is_used_when_that_is_up_and_the_first_is_not(
    tmp_path, one, other
):
    sections = (
        "[link.isp]\n[link.phone]\n"
        + smart_host("isp", one.port, "isp")
        + smart_host("backup", other.port, "phone")
    )
    node = TestNode(tmp_path, sections, node_keys='smart_host = ["isp", "backup"]')
    run(node, "isp", letter("by-isp@far.example"))
    assert reached(one, "by-isp@far.example")
    run(node, "phone", letter("by-phone@far.example"))
    assert reached(other, "by-phone@far.example")


def test_each_senders_mail_goes_to_its_own_smart_host(tmp_path, one, other):
    sections = (
        smart_host("isp", one.port)
        + smart_host("work", other.port)
        + '[sender."boss@work.example"]\nsmart_host = "work"\n'
    )
    node = TestNode(tmp_path, sections)
    letters = [letter("of-user@far.example"), letter("of-boss@far.example", "boss@work.example")]
    summary, _ = run(node, "default", *letters)
    assert summary["sent"] == 2, summary
    assert reached(one, "of-user@far.example")
    assert reached(other, "of-boss@far.example")


def test_mail_in_the_queue_follows_a_changed_table(tmp_path, one):
    node = TestNode(tmp_path, tables={"mailertable": f". smtp:[127.0.0.1]:{free_port()}\n"})
    summary, _ = run(node, "default", letter("moved@far.example"))
    assert summary["deferred"] == 1
    (tmp_path / "tables" / "mailertable").write_text(f". smtp:[127.0.0.1]:{one.port}\n")
    summary, _ = run(node, "default")
    assert summary["sent"] == 1, summary
    assert reached(one, "moved@far.example")


def test_mail_in_the_queue_follows_a_changed_smart_host(tmp_path, one):
    closed = free_port()
    node = TestNode(tmp_path, smart_host("isp", closed))
    with node.daemon() as daemon:
        run(node, "default", letter("changed@far.example"))
        node.path.write_text(node.path.read_text().replace(f":{closed}", f":{one.port}"))
        os.kill(daemon.process.pid, signal.SIGHUP)
        assert wait_until(lambda: "configuration read again" in daemon.log(), 10), daemon.log()
        flushed = node.run("flush")
        assert flushed.returncode == 0, flushed.stderr
        assert reached(one, "changed@far.example")
