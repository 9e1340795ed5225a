"""What the SMTP source offers its clients and bears from them."""

import asyncio
import ipaddress

import pytest

from relaynode.errors import TimedOut
from relaynode.mail.header import MAX_HEADER_BYTES
from relaynode.smtp import etrn
from relaynode.smtp.terms import Terms
from relaynode.sources.crowd import Crowd, CrowdLimits
from relaynode.sources.recent_logins import RecentLogins
from relaynode.sources.smtp_guard import Guard, has_endless_header
from relaynode.wire.memory import pair
from unit.sources.smtp_talk import node_in, source_of, talk_to

STRANGER = "203.0.113.9"
NEIGHBOUR = "192.168.1.7"
ENVELOPE = (b"MAIL FROM:<a@b.example>", b"RCPT TO:<user@bsd.home>")
LETTER = (*ENVELOPE, b"DATA", b"Subject: s\r\n\r\nbody\r\n.")
ALIASES = {"aliases": 'staff: user, postmaster, x@far.example\nprog: "|/bin/true"\n'}


def crowd(**limits):
    return Crowd(CrowdLimits(**limits), lambda: 0.0)


def replies(said):
    """The first word of each reply, but for the greeting, the hello and the goodbye."""
    lines = [line for line in said.decode().splitlines() if line[3:4] == " "]
    return [line[:9] for line in lines[2:-1]]


# --- DSN


def test_what_is_wanted_of_dsns_is_queued_with_the_message(tmp_path):
    node = node_in(tmp_path, tables=ALIASES)
    _, queued = talk_to(
        node,
        STRANGER,
        b"MAIL FROM:<a@b.example> RET=HDRS ENVID=QQ1",
        b"RCPT TO:<user@bsd.home> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;u+2Bx@old.example",
        b"RCPT TO:<staff@bsd.home> NOTIFY=NEVER",
        *LETTER[2:],
    )
    (message,) = queued
    assert (message.envelope.ret, message.envelope.envid) == ("HDRS", "QQ1")
    wishes = {
        one.forward_path.address: (one.forward_path.notify, one.forward_path.orcpt)
        for one in message.recipients
    }
    assert wishes == {
        "user@bsd.home": ("SUCCESS,DELAY", "rfc822;u+2Bx@old.example"),
        "postmaster": ("NEVER", ""),
        "x@far.example": ("NEVER", ""),
    }


# --- limits


def test_who_has_too_many_connections_is_sent_away_at_once(tmp_path):
    node, guard = node_in(tmp_path), Guard(crowd=crowd(connections_per_client=1))

    async def run():
        source = source_of(node, guard=guard)
        first, client = pair("client", "server")
        serving = asyncio.ensure_future(source.serve(first, STRANGER))
        assert (await client.read(5)).startswith(b"220 ")
        second, other = pair("client", "server")
        await source.serve(second, STRANGER)
        assert (await other.read(5)).startswith(b"421 4.7.0 Too many connections from ")
        assert await other.read(5) == b""
        await client.write(b"QUIT\r\n")
        await serving
        third, again = pair("client", "server")
        await again.write(b"QUIT\r\n")
        await source.serve(third, STRANGER)
        assert (await again.read(5)).startswith(b"220 ")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("messages_per_minute", ["250 2.1.0", "250 2.0.0", "450 4.7.1"]),
        ("recipients_per_minute", ["250 2.1.0", "250 2.1.5", "450 4.7.1"]),
    ],
)
def test_who_sends_too_much_in_a_minute_is_told_to_wait(tmp_path, limit, expected):
    node, guard = node_in(tmp_path), Guard(crowd=crowd(**{limit: 1}))
    second = b"RSET" if limit.startswith("messages") else ENVELOPE[1]
    third = ENVELOPE[0] if limit.startswith("messages") else b"RCPT TO:<postmaster@bsd.home>"
    said, _ = talk_to(node, STRANGER, ENVELOPE[0], second, third, guard=guard)
    assert replies(said) == expected


def test_those_we_serve_are_not_counted_unless_that_is_wanted(tmp_path):
    node = node_in(tmp_path)
    for is_exempt, code in ((True, "250 2.1.0"), (False, "450 4.7.1")):
        guard = Guard(crowd=crowd(messages_per_minute=1), is_exempt_network=is_exempt)
        for client in (NEIGHBOUR, "127.0.0.1"):
            said, _ = talk_to(node, client, ENVELOPE[0], b"RSET", ENVELOPE[0], guard=guard)
            assert replies(said)[-1] == code


def test_a_message_for_which_there_is_no_room_is_refused_before_it_comes(tmp_path):
    node, guard = node_in(tmp_path), Guard(has_room=lambda size_bytes: size_bytes < 1000)
    said, _ = talk_to(
        node, STRANGER, b"MAIL FROM:<> SIZE=1000", b"MAIL FROM:<> SIZE=999", guard=guard
    )
    assert replies(said) == ["452 4.3.1", "250 2.1.0"]


def test_a_header_without_an_end_is_refused_and_the_session_goes_on(tmp_path):
    node = node_in(tmp_path)
    header = b"".join(b"X-%d: %s\r\n" % (n, b"x" * 900) for n in range(80))
    said, queued = talk_to(node, STRANGER, *ENVELOPE, b"DATA", header + b"\r\nhi\r\n.", *LETTER)
    assert replies(said)[-5:] == [
        "552 5.3.4",
        "250 2.1.0",
        "250 2.1.5",
        "354 End d",
        "250 2.0.0",
    ]
    assert len(queued) == 1


def test_only_a_header_counts_as_one():
    assert has_endless_header(b"Subject: " + b"x" * MAX_HEADER_BYTES)
    assert not has_endless_header(b"Subject: s\r\n\r\n" + b"x" * MAX_HEADER_BYTES)
    assert not has_endless_header(b"Subject: s\r\n")


# --- time


class SilentStream:
    """A client that says these things, and then nothing. `waits`: how long it was waited for."""

    peer = "client"

    def __init__(self, *pieces):
        self.pieces, self.waits, self.said = list(pieces), [], b""

    async def read(self, timeout=None):
        self.waits.append(timeout)
        if not self.pieces or not timeout:
            raise TimedOut("silent")
        return self.pieces.pop(0)

    async def write(self, data, timeout=None):
        self.said += data

    async def close(self):
        self.said += b"(closed)"


def test_a_client_that_falls_silent_is_told_and_let_go(tmp_path):
    stream = SilentStream(b"EHLO x.example\r\n")
    guard = Guard(command_seconds=60.0, clock=lambda: 0.0)
    asyncio.run(source_of(node_in(tmp_path), guard=guard).serve(stream, STRANGER))
    assert stream.said.endswith(b"421 4.4.2 bsd.home timeout exceeded\r\n(closed)")
    assert stream.waits == [60.0, 60.0]


def test_a_client_that_sends_a_byte_now_and_then_is_let_go_as_well(tmp_path):
    ticks = iter(range(0, 10_000, 50))
    stream = SilentStream(*(b"x" for _ in range(100)))
    guard = Guard(command_seconds=300.0, clock=lambda: next(ticks))
    asyncio.run(source_of(node_in(tmp_path), guard=guard).serve(stream, STRANGER))
    assert len(stream.pieces) == 94
    assert b"421 4.4.2 " in stream.said


def test_so_is_one_whose_content_comes_a_byte_at_a_time(tmp_path):
    ticks = iter(range(0, 100_000, 50))
    envelope = b"EHLO x\r\n" + b"".join(line + b"\r\n" for line in ENVELOPE) + b"DATA\r\n"
    stream = SilentStream(envelope, *(b"x" for _ in range(100)))
    guard = Guard(command_seconds=300.0, slowest_bytes_per_second=10, clock=lambda: next(ticks))
    node = node_in(tmp_path)
    asyncio.run(source_of(node, guard=guard).serve(stream, STRANGER))
    assert len(stream.pieces) == 93
    assert b"421 4.4.2 " in stream.said
    assert asyncio.run(node.store.messages()) == []


def test_who_talks_before_the_greeting_is_sent_away_if_that_is_wanted(tmp_path):
    guard = Guard(greeting_delay_seconds=5.0)
    source = source_of(node_in(tmp_path), guard=guard)
    early = SilentStream(b"EHLO x.example\r\n")
    asyncio.run(source.serve(early, STRANGER))
    assert early.said.startswith(b"554 5.5.1 ")
    assert early.waits == [5.0]
    patient = SilentStream()
    asyncio.run(source.serve(patient, STRANGER))
    assert patient.said.startswith(b"220 ")
    ours = SilentStream(b"QUIT\r\n")
    asyncio.run(source.serve(ours, NEIGHBOUR))
    assert ours.said.startswith(b"220 ")


# --- VRFY, EXPN


def test_vrfy_and_expn_tell_what_the_aliases_say_where_they_are_on(tmp_path):
    node = node_in(tmp_path, tables=ALIASES)
    guard = Guard(terms=Terms(verifies=True, expands=True))
    said, _ = talk_to(
        node,
        STRANGER,
        *(b"VRFY user", b"VRFY nobody1", b"VRFY x@far.example", b"VRFY <", b"VRFY a b"),
        *(b"EXPN staff", b"EXPN nobody1", b"EXPN prog"),
        guard=guard,
    )
    assert replies(said) == [
        *("252 2.1.5", "550 5.1.1", "252 2.1.5", "553 5.1.3", "553 5.1.3"),
        *("250 2.1.5", "550 5.1.1", "252 2.1.5"),
    ]
    assert b"2.1.5 <user@bsd.home>\r\n" in said
    assert b"<x@far.example>" in said
    assert b"/bin/true" not in said


# --- ETRN


def test_etrn_is_for_domains_that_we_relay_for_and_for_those_who_may_relay(tmp_path):
    tables = {"relay-domains": "kept.example\n"}
    node = node_in(tmp_path, tables=tables)
    asked = []

    async def send_now(event):
        asked.append(event.domain)
        return etrn.started(event.domain, 2)

    guard = Guard(terms=Terms(takes_etrn=True), send_now=send_now)
    commands = [b"ETRN " + name for name in (b"kept.example", b"far.example", b"bsd.home")]
    said, _ = talk_to(node, STRANGER, *commands, guard=guard)
    assert replies(said) == ["253 2.0.0", "459 4.7.1", "459 4.7.1"]
    said, _ = talk_to(node, NEIGHBOUR, *commands, guard=guard)
    assert replies(said) == ["253 2.0.0", "253 2.0.0", "459 4.7.1"]
    assert asked == ["kept.example", "kept.example", "far.example"]


# --- who the client is


def test_a_proxy_is_believed_and_nobody_else(tmp_path):
    node = node_in(tmp_path)
    guard = Guard(
        terms=Terms(takes_xclient=True), xclient_hosts=[ipaddress.ip_address("127.0.0.1")]
    )
    far = (b"MAIL FROM:<a@b.example>", b"RCPT TO:<x@far.example>")
    stranger = (b"XCLIENT ADDR=203.0.113.9 NAME=h.example", b"EHLO h.example", *far)
    said, _ = talk_to(node, "127.0.0.1", *stranger, guard=guard)
    assert replies(said)[-1] == "550 5.7.1"
    assert b"XCLIENT NAME ADDR" in said
    unknown = (b"XCLIENT ADDR=[UNAVAILABLE]", b"EHLO h.example", *far)
    said, _ = talk_to(node, "127.0.0.1", *unknown, guard=guard)
    assert replies(said)[-1] == "550 5.7.1"
    ours = (b"XCLIENT ADDR=192.168.1.9", b"EHLO h.example", *far)
    said, _ = talk_to(node, "127.0.0.1", *ours, guard=guard)
    assert replies(said)[-1] == "250 2.1.5"
    login = (b"XCLIENT ADDR=203.0.113.9 LOGIN=joe", b"EHLO h.example", *far)
    said, _ = talk_to(node, "127.0.0.1", *login, guard=guard)
    assert replies(said)[-1] == "250 2.1.5"
    said, _ = talk_to(node, STRANGER, b"XCLIENT ADDR=127.0.0.1", *far, guard=guard)
    assert replies(said) == ["500 5.5.1", "250 2.1.0", "550 5.7.1"]
    assert b"XCLIENT NAME" not in said


def test_a_client_that_a_proxy_names_stands_in_the_trace(tmp_path):
    node = node_in(tmp_path)
    guard = Guard(
        terms=Terms(takes_xclient=True), xclient_hosts=[ipaddress.ip_address("127.0.0.1")]
    )
    introduction = (b"XCLIENT ADDR=203.0.113.9 NAME=h.example", b"EHLO h.example")
    _, queued = talk_to(node, "127.0.0.1", *introduction, *LETTER, guard=guard)
    assert queued[0].source == "smtp 203.0.113.9"


def test_who_has_just_logged_in_to_a_mailbox_may_relay_for_a_while(tmp_path):
    node, now = node_in(tmp_path), [0.0]
    recent = RecentLogins(600, lambda: now[0])
    far = (b"MAIL FROM:<a@b.example>", b"RCPT TO:<x@far.example>")
    said, _ = talk_to(node, STRANGER, *far, recent=recent)
    assert replies(said)[-1] == "550 5.7.1"
    recent.note(STRANGER)
    said, _ = talk_to(node, STRANGER, *far, recent=recent)
    assert replies(said)[-1] == "250 2.1.5"
    now[0] = 600.0
    said, _ = talk_to(node, STRANGER, *far, recent=recent)
    assert replies(said)[-1] == "550 5.7.1"
