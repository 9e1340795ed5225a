"""What a proxy says by XCLIENT of its client stands in Received, in the log and before filters."""

import ipaddress
import logging

import pytest

from relaynode.smtp.terms import Terms
from relaynode.sources.smtp_guard import Guard
from unit.sources.scripted_filter import Scripted, filters_that_ask
from unit.sources.smtp_talk import node_in, talk_to

PROXY = "127.0.0.1"
LETTER = (
    b"MAIL FROM:<a@b.example>",
    b"RCPT TO:<user@bsd.home>",
    b"DATA",
    b"Subject: s\r\n\r\nx\r\n.",
)


def through_proxy(folder, words, hello, **more):
    """The trace of what is queued when a proxy says this, and then hello."""
    node = node_in(folder)
    guard = Guard(terms=Terms(takes_xclient=True), xclient_hosts=[ipaddress.ip_address(PROXY)])
    introduced = b"XCLIENT ADDR=203.0.113.9 " + words
    talk_to(node, PROXY, *introduced.split(b"\r\n"), hello, *LETTER, guard=guard, **more)
    (entry,) = node.store._entries.values()
    return entry.message.trace.decode()


@pytest.mark.parametrize(
    ("words", "hello", "said", "protocol"),
    [
        (b"HELO=pc.far", b"EHLO proxy", "pc.far", "ESMTP"),
        (b"HELO=pc.far PROTO=SMTP", b"EHLO proxy", "pc.far", "SMTP"),
        (b"PROTO=ESMTP", b"HELO proxy", "proxy", "ESMTP"),
        (b"PROTO=smtp", b"EHLO proxy", "proxy", "SMTP"),
        (b"PROTO=ESMTP LOGIN=joe", b"HELO proxy", "proxy", "ESMTPA"),
        (b"HELO=[UNAVAILABLE]", b"EHLO proxy", "proxy", "ESMTP"),
        (b"HELO=one PROTO=SMTP\r\nXCLIENT HELO=two", b"EHLO proxy", "two", "SMTP"),
        (b"HELO=one\r\nXCLIENT HELO=[UNAVAILABLE]", b"EHLO proxy", "proxy", "ESMTP"),
    ],
)
def test_helo_and_protocol_stand_in_received_and_in_the_log(
    tmp_path, caplog, words, hello, said, protocol
):
    caplog.set_level(logging.INFO, "relaynode")
    trace = through_proxy(tmp_path, words, hello)
    assert trace.startswith(f"Received: from {said} ([203.0.113.9])\r\n")
    assert f" with {protocol} id " in trace
    assert f", proto={protocol}," in caplog.text


def test_filters_are_told_the_clients_helo(tmp_path):
    scripted = Scripted()
    through_proxy(tmp_path, b"HELO=pc.far", b"EHLO proxy", filters=filters_that_ask(scripted))
    assert [one.data for one in scripted.packets if one.code == b"H"][-1] == b"pc.far\0"
