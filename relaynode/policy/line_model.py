"""What sessions over a thin line take: bytes each way, seconds, and when each message has gone.

A model, in numbers alone: nothing is opened, and no clock is read. A session is a script of steps,
"so many bytes up", "wait a round trip", "so many bytes down"; the scripts of one link-up go side by
side and share the line in turns, as connections do. So what `mailers/smtp_session.py` does on a
real line is told here in short:

    opening     the call and the greeting, two round trips; EHLO, one, unless the server is known;
                STARTTLS, TLS and EHLO again, three; a login, one or more
    CHUNKED     messages one behind the other, the line is never idle
    PIPELINED   a round trip a message, and several connections that use each other's waiting
    LOCKSTEP    a round trip a command
    QUIT        behind the last message, unanswered until all is answered

All of it is without what TCP and IP add, like the counts of the record. Not here: which mail waits
(`links/plan.py`), what a minute costs.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEGMENT_BYTES = 512
"""What one session sends before another has its turn."""

GREETING_BYTES = 50
HELLO_REPLY_BYTES = 220
"""What servers answer to EHLO: a dozen keywords."""
SHORT_REPLY_BYTES = 14
"""`250 2.1.0 Ok`"""
FINAL_REPLY_BYTES = 44
"""`250 2.0.0 Ok: queued as ...`"""
QUIT_BYTES, QUIT_REPLY_BYTES = 6, 15
STARTTLS_BYTES, STARTTLS_REPLY_BYTES = 10, 30
TLS_UP_BYTES, TLS_DOWN_BYTES = 700, 3500
"""A full TLS 1.3 handshake with a chain of two certificates."""
TLS_RECORD_BYTES, TLS_RECORD_CONTENT = 22, 16 * 1024
"""RFC 8446 section 5.2: header, type and tag around each record, and how much one holds for us."""
LOGIN_UP_BYTES, LOGIN_DOWN_BYTES = 60, 40
"""Of each round trip of a login."""

LONG_ROUND_TRIP_SECONDS, VERY_LONG_ROUND_TRIP_SECONDS = 0.1, 0.3
"""Where one, or two, connections more are used before the line is measured (smtp_session.py)."""

UUCP_ROUND_TRIPS = 6
"""Of a call: the call itself, login, password, Shere, S, ROK and P, U; and the goodbye's."""
UUCP_CALL_BYTES = 150
UUCP_OVERHEAD = 1.02
"""Frames of the line protocol, and the commands around each file."""

Mode: TypeAlias = Literal["chunked", "pipelined", "lockstep"]
Security: TypeAlias = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True)
class Line:
    """Bytes per second each way, and the round trip of a short question in seconds."""

    up: float
    down: float
    round_trip_seconds: float


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for one session. `key`: by which its moments are asked for. `content_bytes`: as
    it goes out. `command_bytes`: MAIL, RCPT and BDAT or DATA, with RSET where one is sent."""

    key: object
    content_bytes: int
    command_bytes: int = 120
    recipients: int = 1

    @property
    def reply_bytes(self) -> int:
        """What the server answers."""
        return SHORT_REPLY_BYTES * (1 + self.recipients) + FINAL_REPLY_BYTES


@dataclass(frozen=True, slots=True)
class Server:
    """How an SMTP server is spoken to.

    `is_known`: EHLO's answer is not waited for. `login_round_trips`: 0 without a login.
    `connections`: that are known to be of use at once; a server that may be far off gets more, up
    to `max_connections`. Bytes are those of our EHLO and of its answer.
    """

    mode: Mode = "chunked"
    is_known: bool = False
    security: Security = "none"
    login_round_trips: int = 0
    connections: int = 1
    max_connections: int = 5
    hello_bytes: int = 30
    hello_reply_bytes: int = HELLO_REPLY_BYTES


@dataclass(frozen=True, slots=True)
class Moment:
    """When a message began to go out and when it was known that it has arrived; seconds."""

    begins: float
    ends: float


@dataclass(slots=True)
class Played:
    """What scripts came to. `moments`: of each letter, by its key, in the order of their ends."""

    seconds: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    moments: dict[object, Moment] = field(default_factory=dict)


class Do(Enum):
    """A step: bytes that leave here, bytes that arrive here, or seconds that pass."""

    UP = "up"
    DOWN = "down"
    WAIT = "wait"


@dataclass(slots=True)
class Course:
    """What a script is given: the line, and a place to write down what it has done. `now`: seconds
    since the link came up, as far as this script has got."""

    line: Line
    played: Played
    now: float = 0.0

    def mark(self, letter: Letter, begins: float, ends: float) -> None:
        """A message's moments are known."""
        self.played.moments[letter.key] = Moment(begins, ends)


Steps: TypeAlias = "Iterator[tuple[Do, float]]"


class Session(ABC):
    """Something that uses the line: one script for each connection."""

    @abstractmethod
    def scripts(self, line: Line) -> list[Script]:
        """Its connections."""


class Script(ABC):
    """One connection."""

    @abstractmethod
    def steps(self, course: Course) -> Steps:
        """What it does, one step after another; after each, `course.now` is when it was done."""


def play(line: Line, sessions: Sequence[Session]) -> Played:
    """All sessions begin at once and share the line; what it comes to."""
    played = Played()
    turns: list[_Turn] = []
    for session in sessions:
        for script in session.scripts(line):
            course = Course(line, played)
            turns.append(_Turn(0.0, len(turns), course, script.steps(course)))
    _run(line, played, turns)
    by_end = sorted(played.moments.items(), key=lambda one: one[1].ends)
    played.moments = dict(by_end)
    return played


@dataclass(slots=True)
class _Turn:
    """A script that is ready at a moment, with what is left of its step."""

    ready: float
    number: int
    course: Course
    steps: Steps
    do: Do = Do.WAIT
    left: float = 0.0

    def __lt__(self, other: _Turn) -> bool:
        return (self.ready, self.number) < (other.ready, other.number)


def _run(line: Line, played: Played, turns: list[_Turn]) -> None:
    heapq.heapify(turns)
    rates = {Do.UP: line.up, Do.DOWN: line.down}
    free_at = {Do.UP: 0.0, Do.DOWN: 0.0}
    while turns:
        turn = heapq.heappop(turns)
        if turn.left <= 0:
            turn.course.now = turn.ready
            played.seconds = max(played.seconds, turn.ready)
            step = next(turn.steps, None)
            if step is None:
                continue
            turn.do, turn.left = step
            _count(played, turn)
        if turn.do is Do.WAIT:
            turn.ready += turn.left
            turn.left = 0
        elif turn.left > 0:
            size = _segment(turn) if turns else turn.left
            start = max(turn.ready, free_at[turn.do])
            turn.ready = free_at[turn.do] = start + size / rates[turn.do]
            turn.left -= size
        heapq.heappush(turns, turn)


def _segment(turn: _Turn) -> float:
    """Long steps take longer turns, so that the model's own time has a bound."""
    return min(turn.left, max(SEGMENT_BYTES, turn.left / 512))


def _count(played: Played, turn: _Turn) -> None:
    if turn.do is Do.UP:
        played.bytes_up += int(turn.left)
    elif turn.do is Do.DOWN:
        played.bytes_down += int(turn.left)


# --- SMTP


@dataclass(slots=True)
class SmtpSession(Session):
    """Letters to one server, in this order."""

    server: Server
    letters: Sequence[Letter]

    def scripts(self, line: Line) -> list[Script]:
        """See Session."""
        supply = deque(self.letters)
        most = min(_connections(self.server, line), len(supply))
        return [SmtpConnection(self.server, supply, place) for place in range(most)]


def _connections(server: Server, line: Line) -> int:
    if server.mode == "chunked":
        return 1
    trip = line.round_trip_seconds
    at_least = 1 + (trip >= LONG_ROUND_TRIP_SECONDS) + (trip >= VERY_LONG_ROUND_TRIP_SECONDS)
    return min(max(at_least, server.connections), server.max_connections)


@dataclass(slots=True)
class SmtpConnection(Script):
    """One of the connections that share a supply. `place`: 0 for the first, which the others
    wait for."""

    server: Server
    supply: deque[Letter]
    place: int = 0

    def steps(self, course: Course) -> Steps:
        """See Script."""
        if self.place:  # when the first has been greeted
            yield Do.WAIT, _greeting_seconds(course.line)
        yield from self._opening(course)
        match self.server.mode:
            case "chunked":
                yield from self._chunked(course)
            case "pipelined":
                yield from self._pipelined(course)
            case "lockstep":
                yield from self._lockstep(course)

    def _opening(self, course: Course) -> Steps:
        server, trip = self.server, course.line.round_trip_seconds
        yield Do.WAIT, 2 * trip
        if server.security == "tls":
            yield from _tls(trip)
        yield Do.DOWN, GREETING_BYTES
        hello = (server.hello_bytes, server.hello_reply_bytes)
        is_sure = server.security == "starttls" or server.login_round_trips
        if (server.is_known or self.place) and not is_sure:
            yield Do.UP, hello[0]
            course.played.bytes_down += hello[1]
            return
        yield from _ask(trip, *hello)
        if server.security == "starttls":
            yield from _ask(trip, STARTTLS_BYTES, STARTTLS_REPLY_BYTES)
            yield from _tls(trip)
            yield from _ask(trip, *hello)
        for _ in range(server.login_round_trips):
            yield from _ask(trip, LOGIN_UP_BYTES, LOGIN_DOWN_BYTES)

    def _chunked(self, course: Course) -> Steps:
        """Replies come while others go out: only the last ones are waited for."""
        trip, down = course.line.round_trip_seconds, course.line.down
        while self.supply:
            letter = self.supply.popleft()
            begins = course.now
            yield Do.UP, self._wire(letter.command_bytes + letter.content_bytes)
            course.played.bytes_down += letter.reply_bytes
            course.mark(letter, begins, course.now + trip + letter.reply_bytes / down)
        yield Do.UP, QUIT_BYTES
        yield Do.WAIT, trip
        yield Do.DOWN, QUIT_REPLY_BYTES

    def _pipelined(self, course: Course) -> Steps:
        """A message's content goes out together with the next one's commands."""
        trip = course.line.round_trip_seconds
        letter = self._next()
        begins = course.now
        ahead = 0 if letter is None else self._wire(letter.command_bytes)
        before: tuple[Letter, float] | None = None
        while letter is not None:
            yield from _ask(trip, ahead, letter.reply_bytes)
            if before is not None:
                course.mark(*before, course.now)
            before = (letter, begins)
            yield Do.UP, self._wire(letter.content_bytes + len(".\r\n"))
            letter, begins = self._next(), course.now
            ahead = 0 if letter is None else self._wire(letter.command_bytes)
        yield from _ask(trip, QUIT_BYTES, QUIT_REPLY_BYTES)
        if before is not None:
            course.mark(*before, course.now)

    def _lockstep(self, course: Course) -> Steps:
        trip = course.line.round_trip_seconds
        while (letter := self._next()) is not None:
            begins = course.now
            commands = 2 + letter.recipients
            for _ in range(commands):
                size = self._wire(letter.command_bytes // commands)
                yield from _ask(trip, size, SHORT_REPLY_BYTES)
            yield from _ask(trip, self._wire(letter.content_bytes + 3), FINAL_REPLY_BYTES)
            course.mark(letter, begins, course.now)
        yield from _ask(trip, QUIT_BYTES, QUIT_REPLY_BYTES)

    def _next(self) -> Letter | None:
        return self.supply.popleft() if self.supply else None

    def _wire(self, size: int) -> int:
        """With TLS's own bytes."""
        if self.server.security == "none":
            return size
        return size + TLS_RECORD_BYTES * -(-size // TLS_RECORD_CONTENT)


def _ask(trip: float, up: float, down: float) -> Steps:
    """A question and its answer."""
    yield Do.UP, up
    yield Do.WAIT, trip
    yield Do.DOWN, down


def _tls(trip: float) -> Steps:
    """RFC 8446 section 2: what the client says last needs no answer."""
    yield from _ask(trip, TLS_UP_BYTES, TLS_DOWN_BYTES)


def _greeting_seconds(line: Line) -> float:
    return 2 * line.round_trip_seconds + GREETING_BYTES / line.down


# --- what else uses a line


@dataclass(slots=True)
class Visit(Session, Script):
    """A poll of a mailbox, by what such visits take: so many questions one after another, and so
    many bytes. `sizes`: the messages that are fetched, if that is known, one behind the other.
    """

    sizes: Sequence[int] = ()
    round_trips: int = 6
    bytes_up: int = 120
    bytes_down: int = 600
    security: Security = "none"

    def scripts(self, line: Line) -> list[Script]:
        """See Session."""
        return [self]

    def steps(self, course: Course) -> Steps:
        """See Script."""
        trip = course.line.round_trip_seconds
        yield Do.WAIT, 2 * trip
        if self.security != "none":
            yield from _tls(trip)
        if self.security == "starttls":
            yield from _ask(trip, STARTTLS_BYTES, STARTTLS_REPLY_BYTES)
        yield Do.WAIT, max(self.round_trips - 1, 0) * trip
        yield from _ask(trip, self.bytes_up, self.bytes_down)
        for size in self.sizes:
            course.played.bytes_up += len("RETR 123\r\nDELE 123\r\n")
            yield Do.DOWN, size + len("+OK 12345 octets\r\n.\r\n")


@dataclass(slots=True)
class Call(Session, Script):
    """A UUCP call: jobs one behind the other, `letters` to them and `sizes` from them."""

    letters: Sequence[Letter] = ()
    sizes: Sequence[int] = ()

    def scripts(self, line: Line) -> list[Script]:
        """See Session."""
        return [self]

    def steps(self, course: Course) -> Steps:
        """See Script."""
        trip = course.line.round_trip_seconds
        yield Do.WAIT, (UUCP_ROUND_TRIPS - 1) * trip
        yield from _ask(trip, UUCP_CALL_BYTES, UUCP_CALL_BYTES)
        for letter in self.letters:
            begins = course.now
            size = (letter.command_bytes + letter.content_bytes) * UUCP_OVERHEAD
            yield Do.UP, round(size)
            course.mark(letter, begins, course.now + trip)
        for one in self.sizes:
            yield Do.DOWN, round(one * UUCP_OVERHEAD)
        yield Do.WAIT, trip
