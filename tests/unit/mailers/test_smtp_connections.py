"""The SMTP mailer over several connections and visits, against servers in memory that change."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import pytest

from relaynode.errors import ConnectFailed, LineLost, RemoteProtocolError, TableError
from relaynode.logins.auth_info import AuthInfoLogin
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.smtp import SmtpMailer
from relaynode.mailers.smtp_hop import NextHop
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.queue.content import Content
from relaynode.queue.finish import finish
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient
from relaynode.queue.servers import KnownServer, MemoryServers
from relaynode.tables.authinfo import AuthInfo
from relaynode.wire.memory import pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from relaynode.logins import Login
    from relaynode.wire.memory import MemoryStream

CHUNKED = ("PIPELINING", "CHUNKING", "SIZE 1000000")
PIPELINED = ("PIPELINING",)
SERVER = "mx.example.net [192.0.2.25]:25 none"


@dataclass
class Visit:
    """What one connection brought. `flights`: what came between two replies, commands only."""

    flights: list[list[str]] = field(default_factory=list)
    mails: list[tuple[list[str], bytes]] = field(default_factory=list)

    @property
    def commands(self) -> list[str]:
        return [command for flight in self.flights for command in flight]


@dataclass
class Server:
    """A server whose visits are told apart.

    `keywords`: of each visit, the last one again and again. `knows_bdat`: or it takes that for an
    unknown command, and what follows for commands. `most_recipients`: of one transaction.
    `most_connections`: others find nobody. `lost_after`: the first line breaks after so many mails.
    `insists`: what it does when something comes behind EHLO before its answer: "refuse", "close".
    """

    keywords: Sequence[Sequence[str]] = (CHUNKED,)
    knows_bdat: bool = True
    most_recipients: int = 1000
    most_connections: int = 100
    lost_after: int | None = None
    holds_ehlo: bool = False
    final_reply: str = "250 2.0.0 taken"
    refuses: dict[str, str] = field(default_factory=dict)
    insists: str = ""
    visits: list[Visit] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self) -> MemoryStream:
        if self.open_now >= self.most_connections:
            raise ConnectFailed("mx.example.net: no answer")
        near, far = pair("mx.example.net [192.0.2.25]", "pc.lan")
        visit = Visit()
        self.visits.append(visit)
        keywords = self.keywords[min(len(self.visits), len(self.keywords)) - 1]
        self._tasks.append(asyncio.ensure_future(self._serve(far, visit, keywords)))
        return near

    async def _serve(self, stream: MemoryStream, visit: Visit, keywords: Sequence[str]) -> None:
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await _Talk(self, stream, visit, keywords).run()
        except LineLost:
            pass
        finally:
            self.open_now -= 1
            await stream.close()

    async def end(self) -> None:
        await asyncio.gather(*self._tasks)

    @property
    def mails(self) -> list[tuple[list[str], bytes]]:
        return [mail for visit in self.visits for mail in visit.mails]

    def copies(self) -> Counter[tuple[str, bytes]]:
        """Recipient and content of everything that was accepted."""
        return Counter((path, content) for paths, content in self.mails for path in paths)


class _Talk:
    def __init__(
        self, server: Server, stream: MemoryStream, visit: Visit, keywords: Sequence[str]
    ) -> None:
        self.server = server
        self.stream = stream
        self.visit = visit
        self.keywords = keywords
        self.buffer = b""
        self.paths: list[str] = []

    async def run(self) -> None:
        await self.say("220 mx.example.net")
        while True:
            while b"\r\n" not in self.buffer:
                await self.more()
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            if not await self.command(line.decode()):
                return

    async def more(self) -> None:
        if not self.buffer:
            self.visit.flights.append([])
        data = await self.stream.read()
        if not data:
            raise LineLost("closed")
        self.buffer += data

    async def say(self, *lines: str) -> None:
        text = "".join(f"{line}\r\n" for line in lines)
        await self.stream.write(text.encode())

    async def command(self, line: str) -> bool:
        verb, _, rest = line.partition(" ")
        self.visit.flights[-1].append(verb)
        match verb:
            case "EHLO" if self.buffer and self.server.insists:
                if self.server.insists == "refuse":
                    await self.say("554 5.5.0 synchronization error")
                return False
            case "EHLO":
                if self.server.holds_ehlo:
                    await self.server.may_answer.wait()
                *texts, last = ["mx.example.net", *self.keywords]
                await self.say(*(f"250-{text}" for text in texts), f"250 {last}")
            case "RCPT" if len(self.paths) >= self.server.most_recipients:
                await self.say("452 4.5.3 too many recipients")
            case "RCPT" if (
                path := rest.partition("<")[2].partition(">")[0]
            ) in self.server.refuses:
                await self.say(self.server.refuses[path])
            case "RCPT":
                self.paths.append(rest.partition("<")[2].partition(">")[0])
                await self.say("250 2.1.5 ok")
            case "BDAT" if self.server.knows_bdat:
                await self.take(await self.exactly(int(rest.split()[0])))
            case "DATA":
                await self.say("354 go")
                await self.take((await self.until(b"\r\n.\r\n")) + b"\r\n")
            case "QUIT":
                await self.say("221 bye")
                return False
            case "MAIL" | "RSET":
                self.paths = []
                await self.say("250 2.0.0 ok")
            case _:
                await self.say("502 5.5.1 what?")
        return True

    async def take(self, content: bytes) -> None:
        if self.server.lost_after == len(self.visit.mails) and self.visit is self.server.visits[0]:
            self.stream.abort()
            raise LineLost("cut")
        if self.server.final_reply.startswith("250"):
            self.visit.mails.append((self.paths, content))
        await self.say(self.server.final_reply)

    async def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            await self.more()
        content, self.buffer = self.buffer[:size], self.buffer[size:]
        return content

    async def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            await self.more()
        content, _, self.buffer = self.buffer.partition(end)
        return content


def consignment(number: int, recipients: int = 1, body: bytes = b"body\r\n") -> Consignment:
    paths = tuple(f"r{number}.{place}@example.net" for place in range(recipients))
    queued = tuple(
        QueuedRecipient(1000 * number + place, Recipient(path)) for place, path in enumerate(paths)
    )
    envelope = Envelope("sender@example.com", tuple(one.forward_path for one in queued))
    content = Content.of(b"Subject: %d\r\n\r\n" % number + body)
    message = QueuedMessage(
        f"Q{number}", MessageState.QUEUED, 0.0, "test", envelope, content.size_bytes, queued
    )
    return Consignment(Delivery(message, queued, b"", content), paths)


@dataclass
class Sender:
    """A mailer and what it reports. `seconds`: between two looks at the clock."""

    server: Server
    memory: MemoryServers = field(default_factory=MemoryServers)
    max_connections: int = 5
    seconds: float = 0.01
    login: Login | None = None
    attempts: list[Attempt] = field(default_factory=list)

    async def send(self, consignments: Sequence[Consignment]) -> None:
        ticks = count()
        next_hop = NextHop(
            "mx.example.net",
            self.server.open,
            servers=self.memory,
            max_connections=self.max_connections,
            login=self.login,
            timeout_seconds=10.0,
        )
        mailer = SmtpMailer(
            next_hop,
            hostname="pc.lan",
            masquerade=Masquerade(names=Names(hostname="pc.lan")),
            clock=lambda: next(ticks) * self.seconds,
        )
        try:
            await mailer.deliver(supply(consignments), self.report)
        finally:
            await self.server.end()

    async def report(self, attempts: Sequence[Attempt]) -> None:
        await finish(self._record(attempts))

    async def _record(self, attempts: Sequence[Attempt]) -> None:
        await asyncio.sleep(0)
        self.attempts += attempts

    def run(self, consignments: Sequence[Consignment]) -> None:
        asyncio.run(self.send(consignments))

    def codes(self) -> Counter[int]:
        """How often each code was reported; each recipient must have been once."""
        assert max(Counter(one.recipient.id for one in self.attempts).values()) == 1
        return Counter(one.status.code for one in self.attempts)

    def known(self) -> KnownServer | None:
        return asyncio.run(self.memory.recall(SERVER))


async def supply(consignments: Sequence[Consignment]) -> AsyncIterator[Consignment]:
    for one in consignments:
        await asyncio.sleep(0)
        yield one


def known_to(sender: Sender, **more: object) -> Sender:
    """A sender that has met the server before."""
    offered = {"PIPELINING": "", "CHUNKING": "", "SIZE": "1000000"}
    known = KnownServer(offered, **more)  # type: ignore[arg-type]
    asyncio.run(sender.memory.remember(SERVER, known))
    return sender


# --- visits


def test_what_a_server_offers_is_remembered() -> None:
    sender = Sender(Server())
    sender.run([consignment(0)])
    known = sender.known()
    assert known is not None
    assert dict(known.extensions) == {"PIPELINING": "", "CHUNKING": "", "SIZE": "1000000"}


def test_a_known_server_gets_the_first_mail_behind_ehlo() -> None:
    sender = known_to(Sender(Server()))
    sender.run([consignment(0)])
    assert sender.server.visits[0].flights[0][:4] == ["EHLO", "MAIL", "RCPT", "BDAT"]
    assert sender.codes() == {250: 1}


def test_tables_without_a_login_for_a_known_server_cost_it_nothing() -> None:
    sender = known_to(Sender(Server(), login=AuthInfoLogin(lambda *_: None)))
    sender.run([consignment(0)])
    assert sender.server.visits[0].flights[0][:2] == ["EHLO", "MAIL"]


def test_a_known_server_that_there_is_a_login_for_is_asked_first() -> None:
    """It may want a login today, and refuse the mail of who has none."""
    entry = AuthInfo("ann", "geheim")
    sender = known_to(Sender(Server(), login=AuthInfoLogin(lambda *_: entry)))
    sender.run([consignment(0)])
    assert sender.server.visits[0].flights[0] == ["EHLO"]
    assert sender.codes() == {250: 1}


def test_tables_that_cannot_be_read_matter_only_to_servers_that_offer_a_login() -> None:
    def find(host: str, address: str) -> AuthInfo | None:
        raise TableError("authinfo: cannot be read")

    sender = known_to(Sender(Server(), login=AuthInfoLogin(find)))
    sender.run([consignment(0)])
    assert sender.server.visits[0].flights[0] == ["EHLO"]
    assert sender.codes() == {250: 1}
    other = Sender(Server(keywords=((*CHUNKED, "AUTH PLAIN"),)), login=AuthInfoLogin(find))
    with pytest.raises(TableError):
        other.run([consignment(0)])


def test_a_stranger_is_asked_first() -> None:
    sender = Sender(Server())
    sender.run([consignment(0)])
    assert sender.server.visits[0].flights[0] == ["EHLO"]


def test_goodbye_does_not_wait_for_the_last_answer() -> None:
    sender = known_to(Sender(Server()))
    sender.run([consignment(0)])
    assert sender.server.visits[0].commands[-1] == "QUIT"
    assert len(sender.server.visits[0].flights) <= 3  # hello and mail; content; goodbye


@pytest.mark.parametrize("offered", [("CHUNKING", "PIPELINING"), (*CHUNKED, "8BITMIME", "DSN")])
def test_a_server_that_offers_what_was_used_goes_on_as_if_asked(offered: Sequence[str]) -> None:
    sender = known_to(Sender(Server(keywords=[[*offered, "SIZE 5"]])))
    sender.run([consignment(0)])
    assert len(sender.server.visits) == 1
    assert sender.codes() == {250: 1}


@pytest.mark.parametrize("offered", [(), ("PIPELINING",), ("CHUNKING", "PIPELINING")])
def test_mail_that_met_a_changed_server_goes_out_again_to_what_it_is_now(
    offered: Sequence[str],
) -> None:
    server = Server(keywords=[offered], knows_bdat="CHUNKING" in offered)
    sender = known_to(Sender(server))
    sender.run([consignment(number) for number in range(5)])
    assert sender.codes() == {250: 5}
    assert set(server.copies().values()) == {1}
    known = sender.known()
    assert known is not None
    assert set(known.extensions) == {*offered}


def test_a_server_that_changes_each_time_is_given_up() -> None:
    keywords = [[] if number % 2 else CHUNKED for number in range(20)]
    server = Server(keywords=keywords, knows_bdat=False)
    sender = known_to(Sender(server))
    try:
        sender.run([consignment(0)])
    except RemoteProtocolError:
        assert len(server.visits) <= 4
    assert len(server.mails) <= 1


def test_a_server_that_advertises_what_it_cannot_do_is_not_asked_for_it_again() -> None:
    server = Server(knows_bdat=False)
    sender = Sender(server)
    sender.run([consignment(number) for number in range(3)])
    assert sender.codes() == {250: 3}
    assert set(server.copies().values()) == {1}
    known = sender.known()
    assert known is not None
    assert known.broken == {"CHUNKING"}
    again = Sender(Server(knows_bdat=False), sender.memory)
    again.run([consignment(9)])
    assert "BDAT" not in again.server.visits[0].commands
    assert again.codes() == {250: 1}


SMUGGLED = b"hello\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n"


def test_content_that_looks_like_commands_waits_for_the_answer() -> None:
    async def play() -> Server:
        server = Server(holds_ehlo=True)
        sender = Sender(server)
        await sender.memory.remember(SERVER, KnownServer({"PIPELINING": "", "CHUNKING": ""}))
        sending = asyncio.ensure_future(sender.send([consignment(0, body=SMUGGLED)]))
        for _ in range(50):
            await asyncio.sleep(0)
        server.may_answer.set()
        await sending
        return server

    server = asyncio.run(play())
    (mail,) = server.mails
    assert mail[1].endswith(SMUGGLED)


def test_what_a_message_says_is_never_done_in_our_name() -> None:
    server = Server(keywords=[PIPELINED], knows_bdat=False)
    sender = known_to(Sender(server))
    sender.run([consignment(0, body=SMUGGLED), consignment(1)])
    assert {path for path, _ in server.copies()} == {"r0.0@example.net", "r1.0@example.net"}
    assert sender.codes() == {250: 2}


@pytest.mark.parametrize("way", ["refuse", "close"])
def test_a_server_that_insists_on_being_heard_is_not_hurried_again(way: str) -> None:
    server = Server(insists=way)
    sender = known_to(Sender(server))
    with suppress(LineLost):
        sender.run([consignment(number) for number in range(5)])
    known = sender.known()
    assert known is not None
    assert known.insists
    again = Sender(Server(insists=way), sender.memory)
    again.run([consignment(number) for number in range(5, 10)])
    assert len(again.server.visits) == 1
    assert again.codes() == {250: 5}


def test_a_server_that_insists_gets_its_mail_in_the_same_run() -> None:
    server = Server(insists="refuse")
    sender = known_to(Sender(server))
    sender.run([consignment(number) for number in range(5)])
    assert sender.codes() == {250: 5}
    assert set(server.copies().values()) == {1}


# --- many recipients


@pytest.mark.parametrize("keywords", [CHUNKED, PIPELINED, ()], ids=["chunked", "pipelined", "-"])
def test_recipients_that_are_too_many_get_a_transaction_of_their_own(
    keywords: Sequence[str],
) -> None:
    server = Server(keywords=[keywords], most_recipients=10)
    sender = Sender(server, max_connections=1)
    sender.run([consignment(0, recipients=25), consignment(1)])
    assert sender.codes() == {250: 26}
    assert set(server.copies().values()) == {1}
    known = sender.known()
    assert known is not None
    assert known.max_recipients == 10


def test_how_many_a_server_takes_is_remembered() -> None:
    server = Server(most_recipients=10)
    sender = known_to(Sender(server), max_recipients=10)
    sender.run([consignment(0, recipients=25)])
    assert [len(paths) for paths, _ in server.mails] == [10, 10, 5]
    assert sender.server.visits[0].commands.count("RCPT") == 25


def test_a_server_may_tell_how_many_it_takes() -> None:
    server = Server(keywords=[(*CHUNKED, "LIMITS MAILMAX=9 RCPTMAX=10")], most_recipients=10)
    sender = Sender(server)
    sender.run([consignment(0, recipients=25)])
    assert [len(paths) for paths, _ in server.mails] == [10, 10, 5]


def test_a_server_that_takes_no_recipient_at_all_is_not_asked_for_ever() -> None:
    sender = Sender(Server(most_recipients=0))
    sender.run([consignment(0, recipients=3)])
    assert sender.codes() == {452: 3}


@pytest.mark.parametrize("keywords", [CHUNKED, PIPELINED, ()], ids=["chunked", "pipelined", "-"])
def test_a_server_without_room_for_a_message_is_not_asked_for_ever(
    keywords: Sequence[str],
) -> None:
    sender = Sender(Server(keywords=[keywords], final_reply="452 no room"))
    sender.run([consignment(0, recipients=3)])
    assert sender.codes() == {452: 3}


@pytest.mark.parametrize("reply", ["502 5.5.1 not him", "452 4.2.2 full"])
def test_one_recipient_s_refusal_says_nothing_of_chunks(reply: str) -> None:
    server = Server(refuses={"r0.2@example.net": reply})
    sender = Sender(server)
    sender.run([consignment(0, recipients=3)])
    assert sender.codes() == {250: 2, int(reply[:3]): 1}
    assert set(server.copies().values()) == {1}
    known = sender.known()
    assert known is not None
    assert known.broken == frozenset()


def test_what_a_server_once_refused_is_not_returned_before_it_has_said_so_again() -> None:
    small = KnownServer({"PIPELINING": "", "CHUNKING": "", "SIZE": "10"})
    sender = Sender(Server())
    asyncio.run(sender.memory.remember(SERVER, small))
    sender.run([consignment(0)])
    assert sender.codes() == {250: 1}


# --- connections


def test_one_connection_is_enough_where_mail_follows_mail() -> None:
    sender = Sender(Server())
    sender.run([consignment(number) for number in range(50)])
    assert len(sender.server.visits) == 1


@pytest.mark.parametrize("keywords", [PIPELINED, ()], ids=["pipelined", "lockstep"])
def test_where_each_mail_waits_others_use_the_line(keywords: Sequence[str]) -> None:
    sender = Sender(Server(keywords=[keywords]))
    sender.run([consignment(number) for number in range(50)])
    assert 1 < sender.server.most_open <= 5
    assert sender.codes() == {250: 50}
    assert set(sender.server.copies().values()) == {1}
    known = sender.known()
    assert known is not None
    assert known.connections > 1


def test_there_are_no_more_connections_than_allowed() -> None:
    sender = Sender(Server(keywords=[PIPELINED]), max_connections=2)
    sender.run([consignment(number) for number in range(50)])
    assert sender.server.most_open == 2


def test_a_single_mail_gets_a_single_connection() -> None:
    sender = Sender(Server(keywords=[PIPELINED]))
    sender.run([consignment(0)])
    assert len(sender.server.visits) == 1


def test_connections_that_do_not_come_about_are_done_without() -> None:
    sender = Sender(Server(keywords=[PIPELINED], most_connections=1))
    sender.run([consignment(number) for number in range(20)])
    assert sender.codes() == {250: 20}


def test_a_line_that_is_lost_leaves_its_mail_to_be_reported_and_the_rest_to_the_others() -> None:
    server = Server(keywords=[PIPELINED], lost_after=5)
    sender = Sender(server)
    try:
        sender.run([consignment(number) for number in range(50)])
    except LineLost:
        assert len(server.visits) == 1  # no other was there yet
    failed = [one for one in sender.attempts if one.status.code != 250]
    assert [one.in_doubt for one in failed] == [True]
    assert sender.codes()[250] == len(server.mails)


def test_nobody_there_is_told() -> None:
    sender = Sender(Server(most_connections=0))
    with pytest.raises(ConnectFailed):
        sender.run([consignment(0)])
    assert sender.attempts == []


@pytest.mark.parametrize("turns", range(0, 120, 7))
def test_a_delivery_can_be_called_off_at_any_moment(turns: int) -> None:
    async def play() -> None:
        server = Server(keywords=[PIPELINED])
        sender = Sender(server)
        consignments = [consignment(number) for number in range(30)]
        sending = asyncio.ensure_future(sender.send(consignments))
        for _ in range(turns):
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        accepted = {path for paths, _ in server.mails for path in paths}
        reported = {one.recipient.forward_path.address: one for one in sender.attempts}
        assert len(reported) == len(sender.attempts)
        for path in accepted:
            assert reported[path].status.is_success or reported[path].in_doubt
        assert server.open_now == 0

    asyncio.run(play())
