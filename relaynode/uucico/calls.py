"""Calls to neighbours and from them, from the open line to the written record (Taylor's uucico)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.config.uucp_values import DirectCall, Modem, ModemCall, TcpCall, TlsCall
from relaynode.errors import BusyError, ConnectFailed, StoreError, WireError
from relaynode.queue.uucp.model import NeighbourStatus, SessionRecord
from relaynode.uucico.commands import is_permitted
from relaynode.uucico.driver import Driver
from relaynode.uucico.from_thread import FromThread
from relaynode.uucico.gate import StoreGate
from relaynode.uucico.journal import FileFigures, Journal
from relaynode.uucico.mail_feed import NoMail
from relaynode.uucico.session_work import SessionWork
from relaynode.uucico.terms import SessionTerms
from relaynode.uucp.answerer import Answerer
from relaynode.uucp.call import Talk
from relaynode.uucp.caller import Caller
from relaynode.uucp.chat import ChatSettings
from relaynode.uucp.events import FileMoved, LogLine
from relaynode.uucp.handshake import CalledSettings, CallerSettings
from relaynode.uucp.protocols import Connection, known, make_ready, usual_protocols
from relaynode.uucp.record import Record, Status
from relaynode.uucp.session import SessionSettings
from relaynode.wire.metered import MeteredStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from relaynode.config.uucp_values import Parameters
    from relaynode.neighbours import Answer, Neighbour, Neighbours, Terms, Way
    from relaynode.queue.store import Store
    from relaynode.uucico.mail_feed import MailFeed
    from relaynode.uucico.post import Post
    from relaynode.uucp.events import CallEvent
    from relaynode.wire.meter import ByteCount
    from relaynode.wire.stream import Stream

log = logging.getLogger("relaynode.uucico")

RETRY_SECONDS = 600.0
"""After n failed calls in a row the next one waits n times this, as Taylor's does."""

LONGEST_RETRY_SECONDS = 86400.0

LIKELY_PROTOCOLS = 2
"""Of those that we offer, so many of the first are loaded before anybody calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What calls need of their node.

    `open_line`: from a way to a stream; raises BusyError, WireError. `mail_for`: the mail for a
    neighbour in one session. `journal`: told what happens.
    `clock`: epoch seconds. `monotonic`: for measuring.
    """

    neighbours: Callable[[], Neighbours]
    store: Store
    post: Post
    open_line: Callable[[Neighbour, Way], Awaitable[Stream]]
    mail_for: Callable[[Neighbour], MailFeed] = lambda _: NoMail()
    journal: Journal = field(default_factory=Journal)
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    local_time: Callable[[float], time.struct_time] = time.localtime


@dataclass(slots=True)
class _Bell:
    """Wakes the driver of a call, which is made after what rings."""

    wake: Callable[[], None] = field(default=lambda: None)

    def ring(self) -> None:
        self.wake()


class Calls:
    """Places calls and answers them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: set[SessionWork] = set()
        self._ports: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def wake(self) -> None:
        """Something was queued: the sessions under way look again."""
        for work in self._open:
            work.wake()

    def may_call(self, neighbour: Neighbour, best_grade: str) -> bool:
        """Do its hours allow a call now, for work of this grade?"""
        grades = [way.grade_at(*self._minute()) for way in neighbour.ways]
        return any(grade is not None and best_grade <= grade for grade in grades)

    async def place(
        self,
        name: str,
        *,
        worst_grade: str | None = None,
        has_patience: bool = False,
        mail: MailFeed | None = None,
        opening: asyncio.Task[Stream] | None = None,
        on_begun: Callable[[Record], None] = lambda _: None,
        count: ByteCount | None = None,
    ) -> Record:
        """Call a neighbour, by one way after the other, until one of them leads to it.

        `has_patience`: not before the wait is over that followed the last call. `mail`: instead of
        the desk's. `opening`: the line of the first way, which somebody has begun to open.
        `on_begun`: given the record of each conversation, which is kept up to date. `count`: told
        of its bytes, and asked whether they may cross. Raises:
        ConnectFailed if there is no such neighbour, no way to it, or it is too early; BusyError if
        there is a session with it; StoreError.
        """
        desk = self._desk
        neighbour = desk.neighbours().find(name)
        if neighbour is None:
            raise ConnectFailed(f"{name}: no such neighbour")
        if not neighbour.ways:
            raise ConnectFailed(f"{name}: it calls us, and nothing says how to call it")
        before = (await desk.store.uucp.neighbours.statuses()).get(neighbour.name)
        if has_patience and before is not None and desk.clock() < before.at + before.wait_seconds:
            raise ConnectFailed(f"{name}: retry time not reached")
        if not await desk.store.uucp.neighbours.begin_session(neighbour.name):
            raise BusyError(f"{name}: there is a session with it already")
        record = Record(neighbour=neighbour.name, status=Status.WRONG_TIME)
        try:
            for way in neighbour.ways:
                grade = self._grade(way, worst_grade)
                if grade is not None:
                    async with self._port(way):
                        opened = opening if way is neighbour.ways[0] else None
                        record = await self._by(
                            neighbour, way, grade, mail, opened, on_begun, count
                        )
                    if record.protocol or record.status is Status.COMPLETE:
                        break
        finally:
            await self._note_status(neighbour, record, before.tries if before is not None else 0)
            await self._write_down(neighbour.name, record, is_caller=True)
        return record

    async def _note_status(self, neighbour: Neighbour, record: Record, tries: int) -> None:
        """How the call was, and how long not to call again. `tries`: failures before it."""
        tries = 0 if record.status is Status.COMPLETE else tries + 1
        minutes = [way.retry_minutes_at(*self._minute()) for way in neighbour.ways]
        wait = waiting_seconds(neighbour, tries, minutes[0])
        status = NeighbourStatus(
            neighbour.name,
            int(record.status),
            record.status.text,
            tries,
            self._desk.clock(),
            wait,
        )
        await self._desk.store.uucp.neighbours.set_status(status)

    def _grade(self, way: Way, worst_grade: str | None) -> str | None:
        """Down to which grade jobs are done by this way now; None: not for `worst_grade`."""
        allowed = way.grade_at(*self._minute())
        if allowed is None or worst_grade is None:
            return allowed
        return worst_grade if worst_grade <= allowed else None

    def _minute(self) -> tuple[int, int]:
        """Day of the week and minute of the day."""
        now = self._desk.local_time(self._desk.clock())
        return now.tm_wday, now.tm_hour * 60 + now.tm_min

    def _port(self, way: Way) -> AbstractAsyncContextManager[object]:
        """Calls of ours over one serial line wait for each other; other programs have it locked."""
        match way.call:
            case DirectCall(line) | ModemCall(Modem(line=line)):
                return self._ports[line.device]
        return contextlib.nullcontext()

    async def _by(
        self,
        neighbour: Neighbour,
        way: Way,
        grade: str,
        mail: MailFeed | None,
        opening: asyncio.Task[Stream] | None,
        on_begun: Callable[[Record], None],
        count: ByteCount | None,
    ) -> Record:
        desk, name = self._desk, neighbour.name
        self._say(name, "", f"Calling system {name} ({way.call})")
        record = Record(neighbour=name, began_at=desk.monotonic())
        make_ready(way.protocols[:1])
        try:
            stream = await (opening or desk.open_line(neighbour, way))
        except BusyError as error:
            return self._failed(record, Status.PORT_UNAVAILABLE, str(error))
        except WireError as error:
            record.reason = error.reason if isinstance(way.call, TcpCall | TlsCall) else ""
            return self._failed(record, Status.DIAL_FAILED, str(error))
        if count is not None:
            stream = MeteredStream(stream, count)
        bell = _Bell()
        terms = self._session_terms(name, way.terms, grade, is_caller=True)
        work = await self._open_work(terms, bell, mail or desk.mail_for(neighbour))
        try:
            handshake = await self._caller_settings(neighbour, way)
            talk = _talk(terms, way.parameters, is_end_to_end=way.is_end_to_end)
            call = Caller(name, handshake, talk, work, _chat(name, way))
            record = call.record
            on_begun(record)
            await self._converse(call, stream, bell)
        finally:
            await self._close_work(work, record)
        return record

    async def _caller_settings(self, neighbour: Neighbour, way: Way) -> CallerSettings:
        sequence = None
        if way.terms.has_sequence:
            sequence = await self._desk.store.uucp.neighbours.next_sequence(neighbour.name)
        return CallerSettings(
            own_name=way.terms.our_name,
            peer_names=neighbour.names,
            protocols=known(way.protocols),
            sequence=sequence,
            worst_grade=way.request_grade_at(*self._minute()),
        )

    # --- answering

    def prepare(self) -> None:
        """Have at hand what an answer begins with: the first caller pays for the line meanwhile."""
        make_ready(usual_protocols(Connection(is_end_to_end=True))[:LIKELY_PROTOCOLS])

    async def answer(
        self,
        stream: Stream,
        *,
        login: str = "",
        has_prompts: bool = False,
        shows: Callable[[Neighbour], bool] | None = None,
        is_end_to_end: bool = False,
    ) -> Record:
        """Serve a caller to the end.

        `login`: as whom the system has let it in. `has_prompts`: we ask for login and password.
        `shows`: whether its certificate is a neighbour's; None where there is no TLS. Raises:
        StoreError.
        """
        self._say("-", "", f"Incoming call (login {login or '-'} port {stream.peer})")
        visit = _Visit(self, shows)
        neighbours = self._desk.neighbours()
        our_name = neighbours.our_name_for(login)
        protocols = usual_protocols(Connection(is_end_to_end=is_end_to_end))
        make_ready(protocols[:1])
        call = Answerer(
            CalledSettings(our_name, protocols),
            visit.talk_for,
            visit.gate_for,
            visit.work_for,
            login=login,
            check=neighbours.is_login if has_prompts else None,
        )
        try:
            await self._converse(call, stream, visit.bell, is_gated=True)
        finally:
            if visit.work is not None:
                await self._close_work(visit.work, call.record)
            if visit.gate is not None and visit.gate.is_locked:
                await self._write_down(call.record.neighbour, call.record, is_caller=False)
        return call.record

    # --- both sides

    async def _converse(
        self, call: Caller | Answerer, stream: Stream, bell: _Bell, *, is_gated: bool = False
    ) -> None:
        driver = Driver(
            call,
            stream,
            clock=self._desk.monotonic,
            on_event=lambda event: self._tell(call.record.neighbour, event, stream.peer),
            is_gated=is_gated,
        )
        bell.wake = driver.wake
        try:
            await driver.run()
        except BaseException:
            stream.abort()
            raise
        await stream.close()

    async def _open_work(self, terms: SessionTerms, bell: _Bell, mail: MailFeed) -> SessionWork:
        for folder in (terms.spool, terms.terms.public):
            _make(folder)
        work = await SessionWork.open(
            terms,
            self._desk.store,
            self._desk.post,
            may_run=lambda command: is_permitted(command, terms.terms),
            mail=mail,
            on_change=bell.ring,
            monotonic=self._desk.monotonic,
        )
        self._open.add(work)
        return work

    async def _close_work(self, work: SessionWork, record: Record) -> None:
        """Raises: StoreError."""
        self._open.discard(work)
        await work.close(is_in_order=record.status is Status.COMPLETE)

    def _session_terms(
        self, name: str, terms: Terms, grade: str | None, *, is_caller: bool
    ) -> SessionTerms:
        desk = self._desk
        spool = desk.neighbours().spool
        return SessionTerms(name, terms, is_caller, spool, desk.clock, desk.local_time, grade)

    async def _write_down(self, name: str, record: Record, *, is_caller: bool) -> None:
        """Give the session back, with how it was."""
        now, known = self._desk.clock(), self._desk.store.uucp.neighbours
        session = SessionRecord(
            name,
            is_caller,
            record.protocol,
            now - record.seconds,
            record.seconds,
            record.sent_bytes,
            record.received_bytes,
            record.sent_files,
            record.received_files,
            record.failed_files,
            "" if record.status is Status.COMPLETE else record.error or record.status.text,
        )
        await known.end_session(name, session)

    # --- what is told

    def _failed(self, record: Record, status: Status, reason: str) -> Record:
        record.status, record.error = status, reason
        self._say(record.neighbour, "", f"ERROR: {reason}")
        return record

    def _tell(self, neighbour: str, event: CallEvent, port: str) -> None:
        match event:
            case LogLine(text, user):
                self._say(neighbour or "-", user, text)
            case FileMoved():
                verb = "sent" if event.is_sent else "received"
                failure = f", failed: {event.error}" if event.error else ""
                text = f"{verb} {event.size_bytes} bytes in {event.seconds:.3f} seconds{failure}"
                _say(neighbour, event.user, text)
                moved = FileFigures(
                    event.is_sent, event.size_bytes, event.seconds, port, bool(event.error)
                )
                self._desk.journal.note_file(neighbour, event.user, moved)

    def _say(self, neighbour: str, user: str, text: str) -> None:
        _say(neighbour, user, text)
        self._desk.journal.note("uucico", neighbour, user, text)


def waiting_seconds(neighbour: Neighbour, tries: int, retry_minutes: int | None) -> float:
    """How long to leave a neighbour alone after `tries` failed calls in a row, as Taylor does.

    `retry_minutes`: what its time string says.
    """
    if not tries:
        return neighbour.success_wait_seconds
    if tries >= neighbour.max_tries:
        return LONGEST_RETRY_SECONDS
    if retry_minutes is not None:
        return retry_minutes * 60.0
    return min(tries * RETRY_SECONDS, LONGEST_RETRY_SECONDS)


class _Visit:
    """One incoming call: its gate and its work, which are made in a thread, when they are asked
    for, and belong to the loop."""

    def __init__(self, calls: Calls, shows: Callable[[Neighbour], bool] | None) -> None:
        self._calls = calls
        self._shows = shows
        self._from_thread = FromThread(asyncio.get_running_loop())
        self.bell = _Bell()
        self.gate: StoreGate | None = None
        self.work: SessionWork | None = None

    def gate_for(self, login: str) -> StoreGate:
        """See Answerer."""
        desk = self._calls._desk
        self.gate = StoreGate(
            desk.neighbours(),
            login,
            desk.store.uucp,
            clock=desk.clock,
            from_thread=self._from_thread,
            shows=self._shows,
        )
        return self.gate

    def talk_for(self, name: str) -> Talk:
        """See Answerer."""
        answer = self._answer()
        return _talk(self._terms(name), answer.parameters)

    def work_for(self, name: str) -> SessionWork:
        """See Answerer."""
        desk = self._calls._desk
        found = desk.neighbours().find(name)
        mail = NoMail() if found is None else desk.mail_for(found)
        opening = self._calls._open_work(self._terms(name), self.bell, mail)
        self.work = self._from_thread.wait(opening)
        return self.work

    def _terms(self, name: str) -> SessionTerms:
        answer, calls = self._answer(), self._calls
        grade = answer.grade_at(*calls._minute())
        return calls._session_terms(name, answer.terms, grade, is_caller=False)

    def _answer(self) -> Answer:
        assert self.gate is not None
        assert self.gate.answer is not None
        return self.gate.answer


def _make(folder: Path) -> None:
    """Raises: StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}") from error


def _talk(terms: SessionTerms, parameters: Parameters, *, is_end_to_end: bool = False) -> Talk:
    settings = SessionSettings(
        terms.terms.our_name,
        is_caller=terms.is_caller,
        public=str(terms.terms.public),
        max_file_bytes=terms.max_bytes(by_us=False),
    )
    return Talk(settings, parameters, is_end_to_end=is_end_to_end)


def _chat(name: str, way: Way) -> ChatSettings | None:
    """The login, if there is one to be made."""
    if not any(way.chat.words):
        return None
    password = way.password.reveal() if way.password is not None else ""
    values = {
        "L": way.login.encode(),
        "P": password.encode("utf-8", "surrogateescape"),
        "Z": name.encode(),
    }
    chat = way.chat
    return ChatSettings(chat.words, values, chat.timeout_seconds, chat.fails, chat.is_seven_bit)


def _say(neighbour: str, user: str, text: str) -> None:
    """A line as Taylor's log has it: system, user, text."""
    log.log(
        logging.ERROR if text.startswith("ERROR: ") else logging.INFO,
        "%s %s %s",
        neighbour,
        user or "-",
        text,
    )
