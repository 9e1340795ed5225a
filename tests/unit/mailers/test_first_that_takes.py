"""Several next hops, one after the other: what moves on to the next, and what does not."""

import asyncio
from dataclasses import replace

import pytest

from relaynode.errors import (
    ConnectFailed,
    LineLost,
    LoginRefused,
    RefusedError,
    RemoteProtocolError,
    StoreError,
    TlsFailed,
)
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import ok, permanent, temporary
from relaynode.mailers.first_that_takes import FirstThatTakes
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.smtp_hop import NextHop
from relaynode.queue.content import Content
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient


async def no_line():
    raise ConnectFailed("nobody")


def hop(name, **more):
    return NextHop(name, no_line, **more)


def consignment(number, *addresses):
    recipients = tuple(
        QueuedRecipient(number * 10 + place, Recipient(address))
        for place, address in enumerate(addresses)
    )
    content = Content.of(b"\r\n")
    envelope = Envelope("a@b.example", tuple(one.forward_path for one in recipients))
    message = QueuedMessage(f"Q{number}", MessageState.QUEUED, 0.0, "test", envelope, 2, recipients)
    return Consignment(Delivery(message, recipients, b"", content), addresses)


class Play:
    """Hops that do what they are told; what came of it."""

    def __init__(self, *work):
        self.work = work
        self.told = []
        self.asked = []

    async def consignments(self):
        for one in self.work:
            yield one

    async def report(self, attempts):
        self.told += [
            (one.recipient.forward_path.address, one.host, one.status.code) for one in attempts
        ]

    def run(self, hops, deliver):
        async def find():
            return hops

        def mailer(hop):
            self.asked.append((hop.name, hop.tls))
            return Scripted(deliver, hop)

        async def play():
            source = self.consignments()
            try:
                await FirstThatTakes(find, mailer).deliver(source, self.report)
            finally:
                await source.aclose()

        asyncio.run(play())


class Scripted:
    def __init__(self, deliver, hop):
        self._deliver, self._hop = deliver, hop

    async def deliver(self, consignments, report):
        await self._deliver(self._hop, consignments, report)


def sent(consignment, status=None, only=None):
    return [
        Attempt(consignment.delivery, recipient, status or ok("sent"))
        for recipient in consignment.delivery.recipients
        if only is None or recipient.forward_path.address in only
    ]


async def take_all(consignments, report):
    async for one in consignments:
        await report(sent(one))


ENDS = [
    ConnectFailed("refused"),
    LineLost("lost"),
    RefusedError(temporary("busy", code=421), "mx"),
    RefusedError(permanent("no mail from you"), "mx"),
    RemoteProtocolError("nonsense"),
    TlsFailed("no trust"),
]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_the_next_host_gets_what_the_one_before_did_not_take(error):
    async def deliver(hop, consignments, report):
        if hop.name == "first":
            raise error
        await take_all(consignments, report)

    play = Play(consignment(1, "x@a"), consignment(2, "y@a"))
    play.run([hop("first"), hop("second"), hop("third")], deliver)
    assert [name for name, _ in play.asked] == ["first", "second"]
    assert play.told == [("x@a", "second", 250), ("y@a", "second", 250)]


def test_what_was_pulled_and_has_no_outcome_moves_on_and_nothing_else_does():
    async def deliver(hop, consignments, report):
        if hop.name == "second":
            await take_all(consignments, report)
            return
        await report(sent(await anext(consignments)))
        half = await anext(consignments)
        await report(sent(half, permanent("no"), only={"y@a"}))
        await anext(consignments)
        raise LineLost("in the middle")

    play = Play(
        consignment(1, "x@a"),
        consignment(2, "y@a", "z@a"),
        consignment(3, "u@a"),
        consignment(4, "v@a"),
    )
    play.run([hop("first"), hop("second")], deliver)
    assert play.told == [
        ("x@a", "first", 250),
        ("y@a", "first", 554),
        ("z@a", "second", 250),
        ("u@a", "second", 250),
        ("v@a", "second", 250),
    ]


def test_a_mailer_that_is_cancelled_while_it_waits_leaves_the_source_whole():
    async def deliver(hop, consignments, report):
        if hop.name == "second":
            await take_all(consignments, report)
            return
        waiting = asyncio.ensure_future(anext(consignments))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        raise LineLost("while we waited")

    play = Play(consignment(1, "x@a"), consignment(2, "y@a"))
    play.run([hop("first"), hop("second")], deliver)
    assert [one[:2] for one in play.told] == [("x@a", "second"), ("y@a", "second")]


def test_several_connections_of_one_mailer_share_the_work():
    async def deliver(hop, consignments, report):
        await asyncio.gather(*(take_all(consignments, report) for _ in range(3)))

    play = Play(*(consignment(number, f"x{number}@a") for number in range(1, 7)))
    play.run([hop("first")], deliver)
    assert sorted(address for address, _, _ in play.told) == [f"x{n}@a" for n in range(1, 7)]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([ConnectFailed("a"), ConnectFailed("b")], "a"),
        ([RefusedError(temporary("busy"), "a"), ConnectFailed("b")], "a: 451 4.0.0 busy"),
        ([ConnectFailed("a"), RefusedError(temporary("busy"), "b")], "b: 451 4.0.0 busy"),
        ([LineLost("a"), LineLost("b")], "b"),
    ],
)
def test_if_none_takes_it_the_error_is_that_of_one_who_answered(errors, expected):
    left = {"first": errors[0], "second": errors[1]}

    async def deliver(hop, consignments, report):
        raise left[hop.name]

    play = Play(consignment(1, "x@a"))
    with pytest.raises((type(errors[0]), type(errors[1]))) as caught:
        play.run([hop("first"), hop("second")], deliver)
    assert str(caught.value) == expected
    assert left[caught.value.host] is caught.value
    assert play.told == []


def test_an_error_of_our_own_is_not_the_hosts():
    async def deliver(hop, consignments, report):
        raise StoreError("our disk")

    play = Play(consignment(1, "x@a"))
    with pytest.raises(StoreError):
        play.run([hop("first"), hop("second")], deliver)
    assert play.asked == [("first", "none")]


def test_tls_that_fails_where_it_is_not_demanded_is_left_out_once():
    async def deliver(hop, consignments, report):
        if hop.name == "first":
            raise TlsFailed("handshake")
        await take_all(consignments, report)

    play = Play(consignment(1, "x@a"))
    play.run([hop("first", tls="opportunistic"), hop("second", tls="starttls")], deliver)
    assert play.asked == [("first", "opportunistic"), ("first", "none"), ("second", "starttls")]


def test_tls_that_is_demanded_is_not_left_out():
    async def deliver(hop, consignments, report):
        raise TlsFailed("handshake")

    play = Play(consignment(1, "x@a"))
    with pytest.raises(TlsFailed):
        play.run([hop("first", tls="starttls")], deliver)
    assert play.asked == [("first", "starttls")]


def test_a_login_that_is_refused_is_not_tried_again_at_the_same_host():
    async def deliver(hop, consignments, report):
        raise LoginRefused(permanent("no", "5.7.8", 535), hop.name)

    play = Play(consignment(1, "x@a"))
    one = hop("isp")
    with pytest.raises(LoginRefused):
        play.run([one, replace(one), hop("backup")], deliver)
    assert [name for name, _ in play.asked] == ["isp", "backup"]


def test_if_there_is_no_host_everybody_gets_the_reason():
    play = Play(consignment(1, "x@a", "y@a"), consignment(2, "z@a"))
    play.run(permanent("takes no mail", "5.1.10", 556), None)
    assert play.told == [("x@a", "", 556), ("y@a", "", 556), ("z@a", "", 556)]
