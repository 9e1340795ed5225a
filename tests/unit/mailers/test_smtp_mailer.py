"""The SMTP mailer against a scripted server in memory that fails at one step, in every way."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING

import pytest

from relaynode.errors import (
    LineLost,
    LoginRefused,
    RefusedError,
    RemoteProtocolError,
    TimedOut,
    TlsFailed,
)
from relaynode.logins import Known
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.smtp import SmtpMailer
from relaynode.mailers.smtp_hop import NextHop
from relaynode.mailers.smtp_window import LOW_BACKLOG_BYTES, MAX_UNMEASURED, MIN_IN_FLIGHT
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.queue.content import Content
from relaynode.queue.finish import finish
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient
from relaynode.sasl import Credentials
from relaynode.smtp.client_events import Mode
from relaynode.wire.memory import MemoryStream, pair

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from relaynode.wire.stream import Stream

LONG = 10.0
"""Seconds that no test comes near."""

KEYWORDS = {
    Mode.CHUNKED: ("PIPELINING", "CHUNKING"),
    Mode.PIPELINED: ("PIPELINING",),
    Mode.LOCKSTEP: (),
}
ALL_MODES = pytest.mark.parametrize("mode", Mode, ids=lambda mode: mode.name)


# --- the server


NO_MAIL = "503 5.5.1 need MAIL"
NO_RECIPIENTS = "554 5.5.1 no valid recipients"


class Stop(Exception):
    """The double has done what it was to do."""


@dataclass
class Double:
    """A server that takes everything, and fails once: at the `nth` time of `step`, in a way.

    Steps: greeting EHLO AUTH STARTTLS MAIL RCPT DATA CONTENT RSET QUIT. Ways: lose (the line),
    close (without an answer), 421, nonsense, hang, or a whole reply. `is_lazy`: final replies are
    given only when the client waits for them. `refuses`: what it answers to a recipient.
    """

    keywords: Sequence[str] = ()
    step: str = ""
    nth: int = 1
    way: str = ""
    is_lazy: bool = False
    refuses: dict[str, str] = field(default_factory=dict)
    auth: Sequence[str] = ()
    stream: MemoryStream = field(init=False)
    commands: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    refused: set[tuple[int, str]] = field(default_factory=set)
    open_at_mail: list[int] = field(default_factory=list)
    has_failed: asyncio.Event = field(default_factory=asyncio.Event)
    _count: Counter[str] = field(default_factory=Counter)
    _buffer: bytes = b""
    _number: int = -1
    _said: list[tuple[bytes, int | None]] = field(default_factory=list)
    _open: int = 0
    _is_open: bool = False
    _has_recipients: bool = False

    @property
    def most_open(self) -> int:
        """How many messages were under way at the same time, as the server saw it."""
        return max(self.open_at_mail)

    async def run(self) -> None:
        with suppress(Stop, LineLost):
            await self._answer("greeting", "220 mx.example.net")
            while True:
                line = (await self._until(b"\r\n")).decode()
                self.commands.append(line)
                verb, _, rest = line.partition(" ")
                await self._command(verb, rest)

    async def _command(self, verb: str, rest: str) -> None:
        match verb:
            case "EHLO":
                *texts, last = ["mx.example.net", *self.keywords]
                lines = [*(f"250-{text}" for text in texts), f"250 {last}"]
                await self._answer("EHLO", "\r\n".join(lines))
            case "AUTH":
                await self._authenticate()
            case "MAIL":
                self._number = int(rest.partition("<sender")[2].partition("@")[0])
                self._open += 1
                self.open_at_mail.append(self._open)
                self._is_open = await self._answer("MAIL", "250 2.1.0 sender ok")
                self._has_recipients = False
            case "RCPT":
                path = rest.partition("<")[2].partition(">")[0]
                reply = self.refuses.get(path, "250 2.1.5 ok")
                is_taken = await self._answer("RCPT", reply if self._is_open else NO_MAIL, path)
                self._has_recipients = self._has_recipients or is_taken
            case "DATA" if self._has_recipients:
                if await self._answer("DATA", "354 go"):
                    await self._take(await self._until(b"\r\n.\r\n") + b"\r\n")
            case "BDAT":
                await self._take(await self._exactly(int(rest.split()[0])))
            case "DATA":
                self.answered.add(self._number)
                await self._say(NO_RECIPIENTS.encode(), self._number)
            case "QUIT":
                await self._answer("QUIT", "221 bye")
                await self._flush()
                await self.stream.close()
                raise Stop
            case _:
                await self._answer(verb, "220 go" if verb == "STARTTLS" else "250 ok")

    async def _take(self, content: bytes) -> None:
        if self._has_recipients:
            self.contents.append(content)
        reply = f"250 2.0.0 taken {self._number}" if self._has_recipients else NO_RECIPIENTS
        await self._answer("CONTENT", reply)
        self._is_open = self._has_recipients = False

    async def _authenticate(self) -> None:
        for challenge in self.auth:
            await self._say(f"334 {challenge}".encode(), None)
            self.commands.append((await self._until(b"\r\n")).decode())
        await self._answer("AUTH", "235 2.7.0 welcome")

    async def _answer(self, step: str, reply: str, path: str = "") -> bool:
        """Give the reply, or fail; was it a good one?"""
        self._count[step] += 1
        is_now = (self.step, self.nth) == (step, self._count[step])
        if is_now and self.way in ("421", "lose", "close", "nonsense", "hang"):
            if self.way == "421":
                self._note(step, "421", path)
            await self._flush()
            await self._fail()
        reply = self.way if is_now else reply
        self._note(step, reply, path)
        await self._say(reply.encode(), self._number if step == "CONTENT" else None)
        return reply[0] in "23"

    def _note(self, step: str, reply: str, path: str) -> None:
        """What the client may know once it has read this."""
        if step == "CONTENT":
            self.answered.add(self._number)
        elif step == "RCPT" and reply[0] in "45":
            self.refused.add((self._number, path))
        elif step == "MAIL" and reply[0] in "45":
            self.refused |= {(self._number, path) for path in paths(self._number)}

    async def _fail(self) -> None:
        self.has_failed.set()
        match self.way:
            case "lose":
                self.stream.abort()
            case "close":
                await self.stream.close()
            case "nonsense":
                await self.stream.write(b"what's that?\r\n")
            case "421":
                await self.stream.write(b"421 4.3.2 going down\r\n")
                await self.stream.close()
            case "hang":
                await asyncio.get_running_loop().create_future()
        raise Stop

    # --- bytes

    async def _say(self, line: bytes, finishes: int | None) -> None:
        self._said.append((line + b"\r\n", finishes))
        if not self.is_lazy:
            await self._flush()

    async def _flush(self, *, one_message: bool = False) -> None:
        while self._said:
            line, finishes = self._said.pop(0)
            await self.stream.write(line)
            if finishes is not None:
                self._open -= 1
                if one_message:
                    return

    async def _more(self) -> None:
        while self.is_lazy:
            for _ in range(20):  # turns in which a client that can send would have sent
                with suppress(TimedOut):
                    self._buffer += await self.stream.read(timeout=0)
                    return
            if not self._said:
                break
            await self._flush(one_message=True)
        data = await self.stream.read()
        if not data:
            raise Stop
        self._buffer += data

    async def _until(self, end: bytes) -> bytes:
        start = b"\r\n" if end.startswith(b"\r\n.") else b""  # a text begins at a line start
        while end not in start + self._buffer:
            await self._more()
        found, _, self._buffer = (start + self._buffer).partition(end)
        return found[len(start) :]

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found


class Recorded:
    """The client's end: keeps what was written, and can pretend TLS and a backlog.

    `is_hung`: the server will say no more, so that any time limit may run out at once.
    """

    def __init__(self, inner: MemoryStream) -> None:
        self.inner = inner
        self.is_hung: Callable[[], bool] | None = None
        self.peer = "mx.example.net [192.0.2.25]"
        self.written = b""
        self.takes_content = True
        self.has_tls = False
        self.is_given_up = False
        self.backlogs: list[int] = []
        self.usual_backlog = 0
        self.after_read: Callable[[bytes], None] = lambda data: None

    async def read(self, timeout: float | None = None) -> bytes:
        data = await (self.inner.read(timeout) if self.is_hung is None else self._poll())
        self.after_read(data)
        return data

    async def _poll(self) -> bytes:
        assert self.is_hung is not None
        while True:
            is_hung = self.is_hung()
            try:
                return await self.inner.read(timeout=0)
            except TimedOut:
                if is_hung:
                    raise

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        if not self.takes_content and b"Subject:" in data:
            raise TimedOut("took nothing")
        self.written += data
        await self.inner.write(data, timeout)

    def backlog(self) -> int:
        return self.backlogs.pop(0) if self.backlogs else self.usual_backlog

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        self.has_tls = True

    async def close(self) -> None:
        await self.inner.close()

    def abort(self) -> None:
        self.is_given_up = True
        self.inner.abort()


# --- the queue's side


def paths(number: int) -> tuple[str, ...]:
    return (f"bob{number}@example.org", f"carol{number}@example.org")


def marker(number: int) -> bytes:
    return b"end of %d\r\n" % number


def consignment(
    number: int,
    *addresses: str,
    envelope: Envelope | None = None,
    content: Content | None = None,
) -> Consignment:
    """A claimed message to two recipients."""
    addresses = addresses or paths(number)
    recipients = tuple(
        QueuedRecipient(10 * number + index, Recipient(address))
        for index, address in enumerate(addresses)
    )
    if envelope is None:
        forward_paths = tuple(one.forward_path for one in recipients)
        envelope = Envelope(f"sender{number}@example.com", forward_paths)
    content = content or Content.of(b"Subject: %d\r\n\r\n" % number + marker(number))
    message = QueuedMessage(
        f"Q{number}", MessageState.QUEUED, 0.0, "test", envelope, content.size_bytes, recipients
    )
    return Consignment(Delivery(message, recipients, b"", content), addresses)


class Ledger:
    """What was handed out and what was reported.

    Like the queue's, a report that was begun is finished whatever happens to its caller.
    """

    def __init__(self) -> None:
        self.taken: list[Consignment] = []
        self.attempts: list[Attempt] = []
        self.before_report: Callable[[Sequence[Attempt]], Awaitable[object]] | None = None

    async def supply(self, consignments: Iterable[Consignment]) -> AsyncIterator[Consignment]:
        for one in consignments:
            await asyncio.sleep(0)
            self.taken.append(one)
            yield one

    async def report(self, attempts: Sequence[Attempt]) -> None:
        await finish(self._record(attempts))

    async def _record(self, attempts: Sequence[Attempt]) -> None:
        if self.before_report is not None:
            await self.before_report(attempts)
        for _ in range(3):
            await asyncio.sleep(0)
        self.attempts += attempts

    def of(self, number: int) -> list[Attempt]:
        return [one for one in self.attempts if one.delivery.message.queue_id == f"Q{number}"]

    def codes(self) -> dict[str, int]:
        """The code for each recipient; each must have been reported once."""
        found = {one.recipient.forward_path.address: one.status.code for one in self.attempts}
        assert len(found) == len(self.attempts)
        return found


@dataclass
class Visit:
    """One session of a mailer with a double."""

    double: Double
    ledger: Ledger = field(default_factory=Ledger)
    max_in_flight: int = 64
    tls: str = "none"
    user: str | None = None
    clock: Callable[[], float] = lambda: 0.0
    refused_certificate: TlsFailed | None = None
    stream: Recorded = field(init=False)

    def __post_init__(self) -> None:
        client, self.double.stream = pair()
        self.stream = Recorded(client)
        if self.double.way == "hang":
            self.stream.is_hung = self.double.has_failed.is_set

    def check_certificate(self, stream: Stream) -> None:
        assert stream is self.stream
        if self.refused_certificate is not None:
            raise self.refused_certificate

    def mailer(self) -> SmtpMailer:
        async def open_stream() -> Recorded:
            return self.stream

        next_hop = NextHop(
            "mx.example.net",
            open_stream,
            tls=self.tls,
            tls_context=lambda: None,  # type: ignore[arg-type,return-value]
            check=self.check_certificate,
            login=Known(Credentials(self.user, "geheim")) if self.user else None,
            timeout_seconds=LONG,
            max_in_flight=self.max_in_flight,
            max_connections=1,
        )
        masquerade = Masquerade(names=Names(hostname="pc.lan"))
        return SmtpMailer(next_hop, hostname="pc.lan", masquerade=masquerade, clock=self.clock)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        serving = asyncio.ensure_future(self.double.run())
        try:
            yield
            for _ in range(10):
                await asyncio.sleep(0)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def deliver(self, consignments: Iterable[Consignment]) -> None:
        async with self.served():
            await self.mailer().deliver(self.ledger.supply(consignments), self.ledger.report)

    def run(self, consignments: Iterable[Consignment]) -> BaseException | None:
        """Deliver; the error that came out, if any."""
        try:
            asyncio.run(self.deliver(consignments))
        except Exception as error:  # noqa: BLE001 - which one is what the tests are about
            return error
        return None

    def check(self) -> None:
        """What must hold however a session ended."""
        assert self.stream.is_given_up
        assert set(Counter(one.recipient.id for one in self.ledger.attempts).values()) <= {1}
        for one in self.ledger.taken:
            number = int(one.delivery.message.queue_id[1:])
            attempts = self.ledger.of(number)
            was_begun = b"MAIL FROM:<sender%d@" % number in self.stream.written
            assert len(attempts) == (len(one.addresses) if was_begun else 0), number
            was_sent = marker(number) in self.stream.written
            for attempt in attempts:
                path = attempt.recipient.forward_path.address
                is_known = number in self.double.answered or (number, path) in self.double.refused
                assert attempt.in_doubt == (was_sent and not is_known), (number, path)
                assert not (attempt.in_doubt and not attempt.status.is_temporary)


# --- all is well


@ALL_MODES
def test_every_message_arrives_and_every_recipient_is_reported_once(mode: Mode) -> None:
    visit = Visit(Double(KEYWORDS[mode]))
    assert visit.run(consignment(number) for number in range(5)) is None
    visit.check()
    assert [content.partition(b"\r\n\r\n")[2] for content in visit.double.contents] == [
        marker(number) for number in range(5)
    ]
    assert visit.ledger.codes() == {path: 250 for n in range(5) for path in paths(n)}
    assert visit.double.commands[0] == "EHLO pc.lan"
    assert visit.double.commands[-1] == "QUIT"
    assert {one.relay for one in visit.ledger.attempts} == {"mx.example.net [192.0.2.25]"}
    assert [str(one.status) for one in visit.ledger.of(3)] == ["250 2.0.0 taken 3"] * 2


@ALL_MODES
def test_with_nothing_to_send_the_session_is_greeting_and_goodbye(mode: Mode) -> None:
    visit = Visit(Double(KEYWORDS[mode]))
    assert visit.run([]) is None
    assert visit.double.commands == ["EHLO pc.lan", "QUIT"]
    assert visit.ledger.attempts == []


@ALL_MODES
def test_a_long_message_arrives_as_it_was(mode: Mode) -> None:
    body = b"".join(b"line %d\r\n.dot\r\n" % number for number in range(20_000))
    visit = Visit(Double(KEYWORDS[mode]))
    content = Content.of(b"Subject: long\r\n\r\n" + body + marker(0))
    assert visit.run([consignment(0, content=content), consignment(1)]) is None
    visit.check()
    wire = body if mode is Mode.CHUNKED else body.replace(b"\r\n.", b"\r\n..")
    assert visit.double.contents[0].endswith(b"\r\n\r\n" + wire + marker(0))


@ALL_MODES
def test_each_recipient_has_the_status_the_server_gave_it(mode: Mode) -> None:
    refuses = {
        "bob0@example.org": "550 5.1.1 unknown",
        "carol1@example.org": "450 4.2.0 later",
        "bob2@example.org": "550 5.1.1 unknown",
        "carol2@example.org": "551 5.1.6 moved",
    }
    visit = Visit(Double(KEYWORDS[mode], refuses=refuses))
    assert visit.run(consignment(number) for number in range(4)) is None
    visit.check()
    expected = {path: 250 for number in range(4) for path in paths(number)}
    assert visit.ledger.codes() == expected | {path: int(r[:3]) for path, r in refuses.items()}
    assert len(visit.double.contents) == 3


@ALL_MODES
@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("MAIL", "550 5.7.1 no"),
        ("DATA", "451 4.3.0 later"),
        ("CONTENT", "451 4.3.0 later"),
        ("CONTENT", "554 5.6.0 bad"),
    ],
)
def test_a_refused_message_does_not_touch_the_others(mode: Mode, step: str, reply: str) -> None:
    step = "CONTENT" if mode is Mode.CHUNKED and step == "DATA" else step
    visit = Visit(Double(KEYWORDS[mode], step, 2, reply))
    assert visit.run(consignment(number) for number in range(4)) is None
    visit.check()
    codes = [{one.status.code for one in visit.ledger.of(number)} for number in range(4)]
    assert codes == [{250}, {int(reply[:3])}, {250}, {250}]


# --- failures


ERRORS: dict[str, type[Exception]] = {
    "lose": LineLost,
    "close": LineLost,
    "421": RefusedError,
    "nonsense": RemoteProtocolError,
    "hang": TimedOut,
}
WAYS = pytest.mark.parametrize("way", ERRORS)
STEPS = {
    Mode.CHUNKED: {"MAIL": 4, "RCPT": 8, "CONTENT": 4, "RSET": 1},
    Mode.PIPELINED: {"MAIL": 4, "RCPT": 8, "DATA": 4, "CONTENT": 4},
    Mode.LOCKSTEP: {"MAIL": 4, "RCPT": 8, "DATA": 4, "CONTENT": 4},
}
PLACES = [
    pytest.param(mode, step, nth, id=f"{mode.name}-{step}-{nth}")
    for mode, steps in STEPS.items()
    for step, count in steps.items()
    for nth in range(1, count + 1)
]


def failing(mode: Mode, step: str, nth: int, way: str) -> Visit:
    # RSET goes only where something is under way.
    return Visit(Double(KEYWORDS[mode], step, nth, way, is_lazy=step == "RSET"))


@WAYS
@pytest.mark.parametrize("step", ["greeting", "EHLO"])
def test_a_session_that_does_not_open_takes_nothing(step: str, way: str) -> None:
    visit = failing(Mode.CHUNKED, step, 1, way)
    assert type(visit.run([consignment(0)])) is ERRORS[way]
    assert visit.ledger.taken == []
    assert visit.ledger.attempts == []


@WAYS
@pytest.mark.parametrize(("mode", "step", "nth"), PLACES)
def test_whatever_goes_wrong_each_try_is_reported_once_and_doubt_is_exact(
    mode: Mode, step: str, nth: int, way: str
) -> None:
    visit = failing(mode, step, nth, way)
    error = visit.run(consignment(number) for number in range(4))
    assert visit.double.has_failed.is_set()
    if way == "421" and (step, nth) == ("CONTENT", 4):  # nothing was left to be done
        assert error is None or isinstance(error, RefusedError)
    else:
        assert type(error) is ERRORS[way]
    visit.check()
    answers = [f"250 2.0.0 taken {number}" for number in range(4)]
    reason = "421 4.3.2 going down" if way == "421" else f"451 4.4.2 {error}"
    assert {str(one.status) for one in visit.ledger.attempts} <= {reason, *answers}
    for number in visit.double.answered:
        is_failed = way == "421" and step == "CONTENT" and number == nth - 1
        codes = {one.status.code for one in visit.ledger.of(number)}
        assert codes == ({421} if is_failed else {250})


@WAYS
@ALL_MODES
def test_a_failure_at_quit_changes_nothing(mode: Mode, way: str) -> None:
    visit = failing(mode, "QUIT", 1, way)
    error = visit.run(consignment(number) for number in range(3))
    assert type(error) is (RemoteProtocolError if way == "nonsense" else type(None))
    visit.check()
    assert set(visit.ledger.codes().values()) == {250}


@pytest.mark.parametrize(("mode", "step", "nth"), PLACES)
def test_a_session_that_is_called_off_reports_too(mode: Mode, step: str, nth: int) -> None:
    async def play() -> None:
        visit = failing(mode, step, nth, "hang")
        visit.stream.is_hung = None  # it is patient
        consignments = [consignment(number) for number in range(4)]
        async with visit.served():
            delivering = asyncio.ensure_future(
                visit.mailer().deliver(visit.ledger.supply(consignments), visit.ledger.report)
            )
            await visit.double.has_failed.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            assert delivering.cancelled()
        visit.check()
        open_ones = [one for one in visit.ledger.attempts if one.status.code != 250]
        assert open_ones
        assert {one.status.text for one in open_ones} == {"the session was called off"}

    asyncio.run(play())


@ALL_MODES
@pytest.mark.parametrize("turns", range(0, 120, 3))
def test_a_session_can_be_called_off_at_any_moment(mode: Mode, turns: int) -> None:
    async def play() -> None:
        visit = Visit(Double(KEYWORDS[mode]))
        consignments = [consignment(number) for number in range(4)]
        async with visit.served():
            delivering = asyncio.ensure_future(
                visit.mailer().deliver(visit.ledger.supply(consignments), visit.ledger.report)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            delivering.cancel()
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
        assert set(Counter(one.recipient.id for one in visit.ledger.attempts).values()) <= {1}
        for one in visit.ledger.taken:
            number = int(one.delivery.message.queue_id[1:])
            was_begun = b"MAIL FROM:<sender%d@" % number in visit.stream.written
            attempts = visit.ledger.of(number)
            assert len(attempts) == (2 if was_begun else 0)
            # What the server said may not have been read, but nothing is claimed that it did not.
            if any(attempt.status.is_success for attempt in attempts):
                assert number in visit.double.answered
            elif number in visit.double.answered:
                assert all(attempt.in_doubt for attempt in attempts)

    asyncio.run(play())


def test_an_unasked_421_ends_the_session_and_fails_no_message() -> None:
    async def play() -> None:
        visit = Visit(Double(KEYWORDS[Mode.CHUNKED]))
        closing = asyncio.Event()
        visit.stream.after_read = lambda data: closing.set() if b"421" in data else None

        async def supply() -> AsyncIterator[Consignment]:
            yield consignment(0)
            while not visit.ledger.attempts:
                await asyncio.sleep(0)
            await visit.double.stream.write(b"421 4.4.2 idle for too long\r\n")
            await closing.wait()
            yield consignment(1)

        async with visit.served():
            with pytest.raises(RefusedError, match="idle for too long"):
                await visit.mailer().deliver(supply(), visit.ledger.report)
        assert visit.ledger.codes() == dict.fromkeys(paths(0), 250)

    asyncio.run(play())


def test_a_421_behind_the_last_reply_ends_the_session_in_order() -> None:
    visit = Visit(Double(KEYWORDS[Mode.CHUNKED], "CONTENT", 1, "250 taken\r\n421 4.3.2 bye"))
    error = visit.run([consignment(0)])
    assert error is None or isinstance(error, RefusedError)
    assert visit.ledger.codes() == dict.fromkeys(paths(0), 250)


@ALL_MODES
def test_what_a_server_promised_before_it_spoke_nonsense_is_reported(mode: Mode) -> None:
    visit = Visit(Double(KEYWORDS[mode], "CONTENT", 1, "250 2.0.0 taken\r\nwhat's that?"))
    assert isinstance(visit.run([consignment(0)]), RemoteProtocolError)
    visit.check()
    assert visit.ledger.codes() == dict.fromkeys(paths(0), 250)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("220 hi\r\n421 4.3.2 bye", RefusedError),
        ("220 hi\r\nnonsense", RemoteProtocolError),
        ("220 hi\r\n250 unasked", RemoteProtocolError),
        ("554 5.7.1 go away", RefusedError),
    ],
)
def test_what_comes_with_the_greeting_is_named(reply: str, error: type[Exception]) -> None:
    visit = Visit(Double((), "greeting", 1, reply))
    assert type(visit.run([consignment(0)])) is error


def test_replies_that_came_before_the_line_was_lost_are_read() -> None:
    async def play() -> None:
        visit = Visit(Double(KEYWORDS[Mode.CHUNKED]), clock=far_away())
        lost = asyncio.Event()

        async def supply() -> AsyncIterator[Consignment]:
            yield consignment(0)
            yield consignment(1)
            yield consignment(2)
            await lost.wait()
            yield consignment(3)

        read = visit.stream.read
        said = b""

        async def hold(timeout: float | None = None) -> bytes:
            # Before the last reply is read it comes, the line is lost, and the sender finds that
            # out.
            nonlocal said
            if b"taken 1" in said and not lost.is_set():
                assert b"taken 2" not in said
                while 2 not in visit.double.answered:
                    await asyncio.sleep(0)
                visit.double.stream.abort()
                lost.set()
                for _ in range(20):
                    await asyncio.sleep(0)
            data = await read(timeout)
            said += data
            return data

        visit.stream.read = hold  # type: ignore[method-assign]
        async with visit.served():
            with pytest.raises(LineLost):
                await visit.mailer().deliver(supply(), visit.ledger.report)
        assert [one.status.code for one in visit.ledger.of(2)] == [250, 250]
        assert [one.status.code for one in visit.ledger.of(3)] == [451, 451]

    asyncio.run(play())


# --- the window


def far_away() -> Callable[[], float]:
    """A clock that sees a long round trip and a fast line: the window is as wide as it may be."""
    times = iter([0.0, 0.0, 1000.0])
    now = 1000.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return next(times, now)

    return clock


@pytest.mark.parametrize("max_in_flight", [1, 2, 3, 7])
def test_no_more_messages_are_under_way_than_allowed(max_in_flight: int) -> None:
    double = Double(KEYWORDS[Mode.CHUNKED], is_lazy=True)
    visit = Visit(double, max_in_flight=max_in_flight, clock=far_away())
    assert visit.run(consignment(number) for number in range(20)) is None
    visit.check()
    assert double.most_open == max_in_flight
    assert len(visit.ledger.attempts) == 40


def test_the_window_stays_as_wide_as_it_was() -> None:
    double = Double(KEYWORDS[Mode.CHUNKED], is_lazy=True)
    # The line holds some 20 of our messages, fewer than there are.
    times = chain([0.0, 0.0, 0.01], count(0.01, 0.001))
    visit = Visit(double, max_in_flight=5, clock=lambda: next(times))
    assert visit.run(consignment(number) for number in range(100)) is None
    assert max(double.open_at_mail[-20:]) == 5


def test_on_a_slow_line_no_more_than_needed_is_under_way() -> None:
    double = Double(KEYWORDS[Mode.CHUNKED], is_lazy=True)
    times = chain([0.0, 0.0, 0.001], count(1.0))  # a short round trip, and then it takes its time
    visit = Visit(double, clock=lambda: next(times))
    visit.stream.usual_backlog = LOW_BACKLOG_BYTES
    assert visit.run(consignment(number) for number in range(10)) is None
    assert double.most_open == MIN_IN_FLIGHT


def test_a_line_that_is_not_measured_yet_is_not_left_idle() -> None:
    double = Double(KEYWORDS[Mode.CHUNKED], is_lazy=True)
    times = chain([0.0, 0.0, 0.001], count(1.0))
    visit = Visit(double, clock=lambda: next(times))
    visit.stream.usual_backlog = LOW_BACKLOG_BYTES - 1
    assert visit.run(consignment(number) for number in range(40)) is None
    assert double.most_open == MAX_UNMEASURED


@pytest.mark.parametrize(
    ("mode", "most"), [(Mode.PIPELINED, 2), (Mode.LOCKSTEP, 1)], ids=["PIPELINED", "LOCKSTEP"]
)
def test_without_chunking_the_mode_is_the_window(mode: Mode, most: int) -> None:
    double = Double(KEYWORDS[mode], is_lazy=True)
    visit = Visit(double, clock=far_away())
    assert visit.run(consignment(number) for number in range(10)) is None
    assert double.most_open == most


# --- patience


def test_a_server_is_not_silent_while_what_was_sent_is_still_on_its_way() -> None:
    async def play(backlogs: list[int]) -> Visit:
        visit = Visit(Double((), "EHLO", 1, "hang"))
        visit.stream.backlogs = backlogs
        async with visit.served():
            delivering = asyncio.ensure_future(
                visit.mailer().deliver(visit.ledger.supply([consignment(0)]), visit.ledger.report)
            )
            with pytest.raises(TimedOut):
                await delivering
        return visit

    # Two a read: before it, and once it has timed out. The first is the greeting's, which came.
    moving = asyncio.run(play([0, 900, 800, 800, 700, 700, 600, 600, 600]))
    assert moving.stream.backlogs == []
    standing = asyncio.run(play([0, 900, 900, 800, 700]))
    assert standing.stream.backlogs == [800, 700]


def test_a_server_that_takes_nothing_ends_the_session() -> None:
    visit = Visit(Double(KEYWORDS[Mode.PIPELINED]))
    visit.stream.takes_content = False
    visit.stream.is_hung = lambda: False  # nobody else's patience ends first
    assert isinstance(visit.run([consignment(0)]), TimedOut)
    assert [one.status.code for one in visit.ledger.of(0)] == [451, 451]


# --- messages that are not sent


def test_a_message_larger_than_the_server_takes_is_not_sent() -> None:
    visit = Visit(Double((*KEYWORDS[Mode.CHUNKED], "SIZE 200")))
    large = Content.of(b"Subject: x\r\n\r\n" + b"x" * 300)
    assert visit.run([consignment(0), consignment(1, content=large), consignment(2)]) is None
    assert {str(one.status)[:9] for one in visit.ledger.of(1)} == {"552 5.3.4"}
    assert b"sender1" not in visit.stream.written
    assert len(visit.double.contents) == 2


@pytest.mark.parametrize("address", ["bøb@example.org", "bob@exämple.org"])
def test_an_address_outside_ascii_needs_a_server_that_takes_it(address: str) -> None:
    visit = Visit(Double(KEYWORDS[Mode.CHUNKED]))
    assert visit.run([consignment(0, address), consignment(1)]) is None
    assert [str(one.status)[:9] for one in visit.ledger.of(0)] == ["550 5.6.7"]
    visit = Visit(Double((*KEYWORDS[Mode.CHUNKED], "SMTPUTF8")))
    assert visit.run([consignment(0, address), consignment(1)]) is None
    visit.check()
    assert "MAIL FROM:<sender0@example.com> SMTPUTF8" in visit.double.commands
    assert "MAIL FROM:<sender1@example.com>" in visit.double.commands


def test_a_path_that_cannot_be_sent_fails_and_the_session_goes_on() -> None:
    visit = Visit(Double(KEYWORDS[Mode.PIPELINED]))
    assert visit.run([consignment(0, "bob\r\nRSET\r\n@x"), consignment(1)]) is None
    assert [str(one.status)[:9] for one in visit.ledger.of(0)] == ["553 5.1.3"]
    assert visit.ledger.of(1)[0].status.code == 250
    assert "RSET" not in visit.double.commands


def test_content_that_cannot_be_read_defers_its_message_only(tmp_path: Path) -> None:
    missing = Content(1000, path=tmp_path / "missing")
    visit = Visit(Double(KEYWORDS[Mode.CHUNKED]))
    assert visit.run([consignment(0), consignment(1, content=missing), consignment(2)]) is None
    assert {str(one.status)[:9] for one in visit.ledger.of(1)} == {"451 4.3.0"}
    assert [one.status.code for n in (0, 2) for one in visit.ledger.of(n)] == [250] * 4


@ALL_MODES
def test_content_that_ends_early_ends_the_session_and_leaves_nothing_in_doubt(
    mode: Mode, tmp_path: Path
) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 100_000)
    visit = Visit(Double(KEYWORDS[mode]))
    error = visit.run([consignment(0), consignment(1, content=Content(200_000, path=path))])
    assert isinstance(error, LineLost)
    assert [one.status.code for one in visit.ledger.of(0)] == [250, 250]
    assert [one.status.code for one in visit.ledger.of(1)] == [451, 451]
    assert not any(one.in_doubt for one in visit.ledger.attempts)
    assert len(visit.double.contents) == 1


# --- TLS and login


def test_tls_that_is_not_offered_is_not_gone_without() -> None:
    visit = Visit(Double(KEYWORDS[Mode.CHUNKED]), tls="starttls", user="tim")
    error = visit.run([consignment(0)])
    assert isinstance(error, TlsFailed)
    assert "offers no STARTTLS" in str(error)
    assert visit.double.commands == ["EHLO pc.lan"]


@WAYS
def test_a_failure_at_starttls_ends_the_session(way: str) -> None:
    visit = failing(Mode.CHUNKED, "STARTTLS", 1, way)
    visit.double.keywords = ["STARTTLS"]
    visit.tls = "starttls"
    assert type(visit.run([consignment(0)])) is ERRORS[way]
    assert not visit.stream.has_tls
    assert visit.ledger.taken == []


def test_starttls_refused_is_not_gone_without() -> None:
    visit = Visit(Double(["STARTTLS"], "STARTTLS", 1, "454 4.7.0 no"), tls="starttls")
    error = visit.run([consignment(0)])
    assert isinstance(error, RefusedError)
    assert "STARTTLS refused: 454 4.7.0 no" in str(error)


def test_tls_where_it_can_be_had_is_used_if_it_is_offered() -> None:
    visit = Visit(Double(["STARTTLS"]), tls="opportunistic")
    assert visit.run([consignment(0)]) is None
    assert visit.stream.has_tls
    assert visit.double.commands[:3] == ["EHLO pc.lan", "STARTTLS", "EHLO pc.lan"]


@pytest.mark.parametrize(
    "double", [Double(), Double(["STARTTLS"], "STARTTLS", 1, "454 4.7.0 no")], ids=["none", "454"]
)
def test_tls_where_it_can_be_had_is_done_without_if_the_server_has_none(double: Double) -> None:
    visit = Visit(double, tls="opportunistic")
    assert visit.run([consignment(0)]) is None
    assert not visit.stream.has_tls
    assert set(visit.ledger.codes().values()) == {250}


@WAYS
def test_any_other_failure_at_starttls_ends_the_session_whatever_was_demanded(way: str) -> None:
    visit = failing(Mode.CHUNKED, "STARTTLS", 1, way)
    visit.double.keywords = ["STARTTLS"]
    visit.tls = "opportunistic"
    assert type(visit.run([consignment(0)])) is ERRORS[way]
    assert visit.ledger.taken == []


def test_a_certificate_that_will_not_do_ends_the_session_before_it_has_mail() -> None:
    visit = Visit(Double(["STARTTLS"]), tls="starttls")
    visit.refused_certificate = TlsFailed("another one")
    assert visit.run([consignment(0)]) is visit.refused_certificate
    assert visit.double.commands == ["EHLO pc.lan", "STARTTLS"]
    assert visit.ledger.taken == []


def test_what_is_injected_behind_starttls_ends_the_session() -> None:
    for reply in ("220 go\r\n250 AUTH PLAIN", "220 go\r\n250-AUTH PLAIN\r\n250"):
        double = Double(["STARTTLS"], "STARTTLS", 1, reply)
        visit = Visit(double, tls="starttls", user="tim")
        assert isinstance(visit.run([consignment(0)]), RemoteProtocolError)
        assert b"AUTH" not in visit.stream.written


def test_after_starttls_ehlo_is_said_again_and_the_login_is_private() -> None:
    keywords = ["STARTTLS", "AUTH PLAIN CRAM-MD5"]
    visit = Visit(Double(keywords), tls="starttls", user="tim")
    assert visit.run([consignment(0)]) is None
    assert visit.stream.has_tls
    plain = base64.b64encode(b"\0tim\0geheim").decode()
    expected = ["EHLO pc.lan", "STARTTLS", "EHLO pc.lan", f"AUTH PLAIN {plain}"]
    assert visit.double.commands[:4] == expected
    assert set(visit.ledger.codes().values()) == {250}


def test_tls_from_the_start_comes_before_the_greeting() -> None:
    visit = Visit(Double(["AUTH LOGIN"], auth=("VXNlcm5hbWU6", "UGFzc3dvcmQ6")), tls="tls")
    visit.user = "tim"
    assert visit.run([consignment(0)]) is None
    assert visit.stream.has_tls
    words = [base64.b64encode(word).decode() for word in (b"tim", b"geheim")]
    assert visit.double.commands[:4] == ["EHLO pc.lan", "AUTH LOGIN", *words]


def test_on_an_open_line_the_password_is_not_shown_if_that_can_be_helped() -> None:
    challenge = base64.b64encode(b"<1@mx>").decode()
    visit = Visit(Double(["AUTH PLAIN LOGIN CRAM-MD5"], auth=(challenge,)), user="tim")
    assert visit.run([consignment(0)]) is None
    assert visit.double.commands[1] == "AUTH CRAM-MD5"


@pytest.mark.parametrize("reply", ["535 5.7.8 no", "454 4.7.0 later"])
def test_a_refused_login_is_named_and_shows_no_password(reply: str) -> None:
    visit = Visit(Double(["AUTH PLAIN"], "AUTH", 1, reply), user="tim")
    error = visit.run([consignment(0)])
    assert isinstance(error, LoginRefused)
    assert error.status.code == int(reply[:3])
    assert "geheim" not in str(error)
    assert visit.ledger.taken == []


@WAYS
def test_a_failure_at_login_ends_the_session(way: str) -> None:
    visit = failing(Mode.CHUNKED, "AUTH", 1, way)
    visit.double.keywords = ["AUTH PLAIN"]
    visit.user = "tim"
    assert type(visit.run([consignment(0)])) is ERRORS[way]
    assert visit.ledger.taken == []


@pytest.mark.parametrize("keywords", [(), ("AUTH GSSAPI XOAUTH2",)])
def test_a_server_without_a_login_we_know_is_named(keywords: tuple[str, ...]) -> None:
    visit = Visit(Double(keywords), user="tim")
    error = visit.run([consignment(0)])
    assert isinstance(error, LoginRefused)
    assert error.status.is_temporary
    offered = "GSSAPI XOAUTH2" if keywords else "nothing"
    assert f"no way to log in: the server offers {offered}" in str(error)
