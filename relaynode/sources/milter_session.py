"""One filter during one session of a client: drives `milter.conversation` over a stream.

A filter that fails (is not there, is silent for too long, breaks the rules) is asked no more about
the message at hand: its `default_action` says what becomes of that. For the next message it is
called anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from relaynode.errors import LineLost, RemoteProtocolError, TimedOut, WireError
from relaynode.milter.conversation import Agreed, Conversation, NeedData, Phase
from relaynode.milter.packets import CHUNK_BYTES
from relaynode.milter.replies import Kind, Progress
from relaynode.milter.replies import Verdict as Answer
from relaynode.policy.verdict import ACCEPTED, Verdict, refused
from relaynode.sources.letter import Changes
from relaynode.wire import tcp, unix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from relaynode.config.milter_values import MilterSocket
    from relaynode.milter.replies import Modification
    from relaynode.sources.letter import Letter
    from relaynode.wire.stream import Stream

    Opener = Callable[["Filter"], Awaitable[Stream]]

GOODBYE_SECONDS = 1.0
"""A filter that does not take our last word goes without."""

log = logging.getLogger("relaynode")


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as it is configured. Times in seconds: see [milter.NAME]."""

    name: str
    socket: MilterSocket
    default_action: Literal["accept", "tempfail", "reject", "quarantine"] = "tempfail"
    connect_seconds: float = 30
    command_seconds: float = 30
    content_seconds: float = 300

    def failed(self) -> Verdict:
        """What happens to mail that it cannot be asked about."""
        match self.default_action:
            case "accept":
                return ACCEPTED
            case "reject":
                return _REJECTED
            case "quarantine":
                return Verdict(quarantine=f"milter {self.name} could not be asked")
        return _TEMPFAILED


_REJECTED = refused(550, "5.7.1", "Command rejected")
_CONTENT_REJECTED = refused(554, "5.7.1", "Command rejected")
_TEMPFAILED = refused(451, "4.3.2", "Please try again later")
_GOODBYE = refused(421, "4.3.2", "Closing connection")


async def open_stream(filter: Filter) -> Stream:
    """A connection to a filter. Raises: ConnectFailed."""
    where, seconds = filter.socket, filter.connect_seconds
    if where.path:
        return await unix.connect(Path(where.path), timeout=seconds)
    return await tcp.connect(where.host, where.port, timeout=seconds, version=where.version)


@dataclass(frozen=True, slots=True)
class Caller:
    """The client, as filters are told of it. `name`: its host name, or its address in brackets.
    `address`: its IP address. `macros`: of the connection."""

    name: str
    address: str
    port: int = 0
    macros: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the client called itself, with the macros of that step."""

    name: str
    macros: Mapping[str, str] = field(default_factory=dict)


class MilterSession:
    """See the module. Every step gives what it means for the client, and raises nothing but
    CancelledError, `content` also StoreError (what went wrong is ours)."""

    def __init__(self, filter: Filter, opener: Opener = open_stream) -> None:
        self.filter = filter
        self._opener = opener
        self._stream: Stream | None = None
        self._talk = Conversation()
        self._caller: Caller | None = None
        self._greeting: Greeting | None = None
        self._has_failed = False
        self._deadline = 0.0

    # --- steps

    async def connect(self, caller: Caller) -> Verdict:
        """A client has come. A filter that fails here is held to have failed for the first
        message: that it is not there is no reason to send the client away."""
        self._caller = caller
        verdict = await self._try(self._call)
        return ACCEPTED if self._has_failed else verdict

    async def hello(self, greeting: Greeting) -> Verdict:
        """HELO or EHLO."""
        self._greeting = greeting
        if self._has_failed or self._stream is None:
            return ACCEPTED
        verdict = await self._command(lambda: self._talk.hello(greeting.name, greeting.macros))
        return ACCEPTED if self._has_failed else verdict

    async def mail(self, arguments: Sequence[str], macros: Mapping[str, str]) -> Verdict:
        """MAIL."""
        if not self._has_failed and self._stream is None:
            verdict = await self._try(self._call_again)
            if not verdict.is_accepted or self._has_failed:
                return verdict
        return await self._command(lambda: self._talk.mail(arguments, macros))

    async def rcpt(self, arguments: Sequence[str], macros: Mapping[str, str]) -> Verdict:
        """RCPT."""
        return await self._command(lambda: self._talk.rcpt(arguments, macros))

    async def data(self, macros: Mapping[str, str]) -> Verdict:
        """DATA."""
        return await self._command(lambda: self._talk.data(macros))

    async def content(self, letter: Letter, macros: Mapping[str, str]) -> Verdict:
        """The whole content; the filter's changes are made in `letter`. Raises: StoreError."""
        changes = Changes(letter)
        try:
            return await self._try(lambda: self._content(letter, changes, macros))
        finally:
            changes.discard()

    def end_message(self) -> None:
        """The message is over, whatever became of it."""
        self._has_failed = False
        if self._stream is not None:
            self._talk.abort()

    async def close(self) -> None:
        """The client is gone. Never raises but CancelledError."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        try:
            if self._talk.phase is not Phase.NEW and not self._talk.is_waiting:
                self._talk.quit()
                with contextlib.suppress(WireError):
                    await stream.write(self._talk.data_to_send(), GOODBYE_SECONDS)
        finally:
            await stream.close()

    # --- how they are done

    async def _command(self, begin: Callable[[], None]) -> Verdict:
        async def work() -> Verdict:
            self._rearm(self.filter.command_seconds)
            return self._meaning(await self._step(begin))

        return await self._try(work)

    async def _try(self, work: Callable[[], Awaitable[Verdict]]) -> Verdict:
        """What `work` gives; if the filter fails, what is to happen then."""
        if self._has_failed:
            return self.filter.failed()
        try:
            return await work()
        except (WireError, RemoteProtocolError) as error:
            log.warning(
                "milter %s: %s; default_action: %s",
                self.filter.name,
                error,
                self.filter.default_action,
            )
            self._drop()
            self._has_failed = True
            return self.filter.failed()
        except BaseException:
            self._drop()  # its conversation is in the middle of something
            raise

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()

    async def _call(self) -> Verdict:
        """A connection, and who the client is."""
        assert self._caller is not None
        caller = self._caller
        self._talk = Conversation()
        self._stream = await self._opener(self.filter)
        self._rearm(self.filter.command_seconds)
        self._talk.negotiate()
        await self._flush()
        await self._answer()
        return self._meaning(
            await self._step(
                lambda: self._talk.connect(caller.name, caller.address, caller.port, caller.macros)
            )
        )

    async def _call_again(self) -> Verdict:
        """After a failure: up to where the client is by now."""
        verdict = await self._call()
        if verdict.is_accepted and (greeting := self._greeting) is not None:
            self._rearm(self.filter.command_seconds)
            answer = await self._step(lambda: self._talk.hello(greeting.name, greeting.macros))
            return self._meaning(answer)
        return verdict

    async def _content(
        self, letter: Letter, changes: Changes, macros: Mapping[str, str]
    ) -> Verdict:
        self._rearm(self.filter.content_seconds)
        talk = self._talk
        for name, value in letter.fields():
            answer = await self._step(lambda: talk.header(name, value))  # noqa: B023
            if talk.is_done:
                return self._meaning(answer, is_content=True)
        answer = await self._step(lambda: talk.end_of_header(macros))
        answer = await self._body(letter) if not talk.is_done else answer
        if talk.is_done:
            return self._meaning(answer, is_content=True)
        answer = await self._step(lambda: talk.end_of_message(macros), changes.take)
        verdict = self._meaning(answer, is_content=True)
        if verdict.is_accepted and not verdict.is_discarded:
            assert talk.agreement is not None
            await _make(changes, keeps_blank=talk.agreement.keeps_blank)
        return verdict

    async def _body(self, letter: Letter) -> Answer:
        talk, answer = self._talk, _CONTINUE
        for piece in letter.body():
            for start in range(0, len(piece), CHUNK_BYTES):
                if talk.is_done or talk.has_enough:
                    return answer
                chunk = piece[start : start + CHUNK_BYTES]
                answer = await self._step(lambda: talk.body(chunk))  # noqa: B023
                await self._flush()
        return answer

    async def _step(
        self, begin: Callable[[], None], take: Callable[[Modification], None] | None = None
    ) -> Answer:
        """Begin a step, and wait for its verdict if there is to be one. Raises: WireError,
        RemoteProtocolError."""
        begin()
        if not self._talk.is_waiting:
            return _CONTINUE  # what it wrote goes with the next step
        await self._flush()
        answer = await self._answer(take)
        return answer if isinstance(answer, Answer) else _CONTINUE

    async def _answer(self, take: Callable[[Modification], None] | None = None) -> Answer | Agreed:
        assert self._stream is not None
        while True:
            event = self._talk.next_event()
            if isinstance(event, Answer | Agreed):
                return event
            if isinstance(event, NeedData):
                data = await self._stream.read(self._left())
                if not data:
                    raise LineLost(f"{self.filter.socket}: closed the connection")
                self._talk.receive(data)
            elif isinstance(event, Progress):
                self._rearm(self.filter.content_seconds)
            elif take is not None:
                take(event)

    async def _flush(self) -> None:
        assert self._stream is not None
        if data := self._talk.data_to_send():
            await self._stream.write(data, self._left())

    def _rearm(self, seconds: float) -> None:
        self._deadline = asyncio.get_running_loop().time() + seconds

    def _left(self) -> float:
        """Seconds until the filter has had its time. Raises: TimedOut."""
        left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise TimedOut(f"{self.filter.socket}: took too long")
        return left

    def _meaning(self, answer: Answer, *, is_content: bool = False) -> Verdict:
        """What the client is told."""
        match answer.kind:
            case Kind.REJECT:
                verdict = _CONTENT_REJECTED if is_content else _REJECTED
            case Kind.TEMPFAIL:
                verdict = _TEMPFAILED
            case Kind.REPLY:
                verdict = Verdict(answer.status)
            case Kind.DISCARD:
                verdict = Verdict(is_discarded=True)
            case Kind.CONNECTION_FAILURE | Kind.SHUTDOWN:
                verdict = _GOODBYE
            case _:
                return ACCEPTED
        said = "discard" if verdict.is_discarded else verdict.status
        client = "" if self._caller is None else self._caller.address
        log.info("milter %s: %s, for client %s", self.filter.name, said, client)
        return verdict


async def _make(changes: Changes, *, keeps_blank: bool) -> None:
    """Make the changes; where that may mean to copy a long message, off the event loop. It cannot
    be called off in the middle: whoever discards the letter then has to know all its files."""
    if not changes.may_take_long:
        changes.make(keeps_blank=keeps_blank)
        return
    making = asyncio.ensure_future(asyncio.to_thread(changes.make, keeps_blank=keeps_blank))
    try:
        await asyncio.shield(making)
    except asyncio.CancelledError:
        await making
        raise


_CONTINUE = Answer(Kind.CONTINUE)
