"""Reads a trace: one event a line, with its moment before it. docs/simulate.md has the whole of it.

2026-11-01 06:10  up isp 9600 1000ms for 20m
+35m              mail 14k from ann@bsd.home to bob@far.example grade A
every 3h          mail 2k..40k x20
+30d              end
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from relaynode.errors import Problem
from relaynode.simulate.events import Event, LineChange, MailIn, MailOut, Trace
from relaynode.simulate.quantities import Sizes, duration, rate, share
from relaynode.timetable.local_time import local_time, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from relaynode.timetable.local_time import Zone

MOST_EVENTS = 250_000
"""More are not one month of anybody's mail, and would take its time."""

MOST_AT_ONCE = 10_000

WHEN = '"2026-11-01 06:10", "06:10", "+35m", or "every 3h"'
WHAT = (
    '"up LINK [RATE] [ROUND-TRIP] [for TIME]", "down LINK", "rate LINK RATE [ROUND-TRIP]",'
    ' "loss LINK 5%", "mail SIZE [xCOUNT] [from ADDRESS] [to ADDRESS] [grade G]",'
    ' "fetch ACCOUNT SIZE [xCOUNT]", "seed NUMBER", "end"'
)
_TOO_MANY = (f"makes more than {MOST_EVENTS:,} events", "end the trace earlier, or write fewer")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_COUNT = re.compile(r"x([0-9]{1,6})")
_GRADE = re.compile(r"[0-9A-Za-z]?")


class _WrongError(Exception):
    """A line that cannot be read: what is wrong, and the remedy."""


@dataclass(frozen=True, slots=True)
class _Repeated:
    """An `every` line, until the trace's end is known."""

    line: int
    begins_at: float
    every_seconds: float
    words: list[str]


@dataclass(slots=True)
class Reader:
    """Reads one trace. `links`, `accounts`: the names that there are. `problems`: what is wrong."""

    file: str
    zone: Zone
    links: Collection[str]
    accounts: Collection[str]
    problems: list[Problem] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _repeated: list[_Repeated] = field(default_factory=list)
    _chance: Random = field(default_factory=lambda: Random(1))
    _now: float | None = None
    _begins_at: float | None = None
    _ends_at: float | None = None

    def read(self, text: str) -> Trace:
        """The trace, of no use if there are `problems`."""
        for number, line in enumerate(text.splitlines(), 1):
            self._guarded(number, self._line, number, line.partition("#")[0].split())
        if self._begins_at is None and not self.problems:
            self._problem(None, "has no event", f"write one, behind {WHEN}")
        for one in self._repeated:
            self._guarded(one.line, self._repeat, one)
        self._events.sort(key=lambda event: event.at)
        begins_at = self._begins_at or 0.0
        last = self._events[-1].at if self._events else begins_at
        ends_at = self._ends_at if self._ends_at is not None else math.inf
        kept = tuple(event for event in self._events if event.at <= ends_at)
        return Trace(kept, begins_at, max(last, begins_at) if ends_at == math.inf else ends_at)

    @property
    def has_end(self) -> bool:
        """Does the trace say when it ends?"""
        return self._ends_at is not None

    def _guarded(self, number: int, read: Callable[..., None], *what: object) -> None:
        try:
            read(*what)
        except _WrongError as wrong:
            self._problem(number, *wrong.args)

    def _problem(self, number: int | None, text: str, remedy: str) -> None:
        self.problems.append(Problem(self.file, number, text, remedy))

    # --- when

    def _line(self, number: int, words: list[str]) -> None:
        if not words:
            return
        if words[0] == "seed":
            self._seed(words[1:])
            return
        if self._ends_at is not None:
            raise _WrongError("stands behind the end", 'move it above the line with "end"')
        if words[0] != "every":
            words = self._moment(words)
        if words[:1] == ["every"]:
            self._every(number, words[1:])
            return
        assert self._now is not None
        if words == ["end"]:
            self._ends_at = self._now
        else:
            self._what(self._now, words, 0.0)

    def _moment(self, words: list[str]) -> list[str]:
        """Move on to the line's moment; the words behind it."""
        before = self._now
        at, rest = self._read_moment(words)
        if before is not None and at < before:
            raise _WrongError(
                "is earlier than the line before it", "write events in the order of their times"
            )
        self._now = at
        self._begins_at = at if self._begins_at is None else self._begins_at
        return rest

    def _read_moment(self, words: list[str]) -> tuple[float, list[str]]:
        first, rest = words[0], words[1:]
        if first.startswith("+"):
            seconds = duration(first[1:])
            if seconds is None:
                raise _WrongError(
                    f'"{first}" is no time that passes', 'write "+90s", "+35m", "+2h"'
                )
            return self._known() + seconds, rest
        if found := _CLOCK.fullmatch(first):
            today = local_time(self._known(), self.zone)
            local = _at_clock(today, found)
            return moment_of(
                local if local >= today else local + timedelta(days=1), self.zone
            ), rest
        try:
            day = datetime.strptime(first, "%Y-%m-%d")
        except ValueError:
            raise _WrongError(f'"{first}" is no moment', f"begin with {WHEN}") from None
        found = _CLOCK.fullmatch(rest[0]) if rest else None
        if found is None:
            return moment_of(day, self.zone), rest
        return moment_of(_at_clock(day, found), self.zone), rest[1:]

    def _known(self) -> float:
        if self._now is None:
            raise _WrongError(
                "counts from a moment that is not there",
                'give the first event a date: "2026-11-01 06:10"',
            )
        return self._now

    def _every(self, number: int, words: list[str]) -> None:
        seconds = duration(words[0]) if words else None
        if not seconds or seconds < 1:
            raise _WrongError("repeats at no interval", 'write "every 3h", a second at least')
        begins_at = self._known()
        self._what(begins_at, words[1:], 0.0, is_tried=True)
        self._repeated.append(_Repeated(number, begins_at, seconds, words[1:]))

    def _repeat(self, one: _Repeated) -> None:
        if self._ends_at is None:
            raise _WrongError("repeats without end", 'write a last line as "+30d end"')
        at = one.begins_at
        while at < self._ends_at:
            self._what(at, one.words, one.every_seconds)
            at += one.every_seconds

    # --- what

    def _seed(self, words: list[str]) -> None:
        if len(words) != 1 or not words[0].isdecimal():
            raise _WrongError("the seed is no number", 'write "seed 7"')
        self._chance.seed(int(words[0]))

    def _what(
        self, at: float, words: list[str], within_seconds: float, *, is_tried: bool = False
    ) -> None:
        """Add the event. `within_seconds`: mail comes at some moment of so many after `at`.
        `is_tried`: it is only looked at."""
        read = _VERBS.get(words[0]) if words else None
        if read is None:
            found = f'"{words[0]}" is no event' if words else "says nothing"
            raise _WrongError(found, f"write one of {WHAT}")
        chance = Random(0) if is_tried else self._chance
        if len(self._events) > MOST_EVENTS:
            raise _WrongError(*_TOO_MANY)
        events = read(self, at, words[1:], within_seconds, chance)
        if not is_tried:
            self._events += events

    def _up(self, at: float, words: list[str], _: float, __: Random) -> list[Event]:
        link, words = self._link(words)
        back_down: list[Event] = []
        if len(words) >= 2 and words[-2] == "for":
            seconds = duration(words[-1])
            if seconds is None:
                raise _WrongError(f'"{words[-1]}" is no time that passes', 'write "for 20m"')
            back_down = [LineChange(at + seconds, link, is_up=False)]
            words = words[:-2]
        bits, round_trip = _rates(words)
        return [LineChange(at, link, True, bits, round_trip), *back_down]

    def _down(self, at: float, words: list[str], _: float, __: Random) -> list[Event]:
        link, words = self._link(words)
        _nothing_more(words)
        return [LineChange(at, link, is_up=False)]

    def _rate(self, at: float, words: list[str], _: float, __: Random) -> list[Event]:
        link, words = self._link(words)
        bits, round_trip = _rates(words)
        if bits is None and round_trip is None:
            raise _WrongError("says no rate", 'write for example "rate isp 2400 600ms"')
        return [LineChange(at, link, None, bits, round_trip)]

    def _loss(self, at: float, words: list[str], _: float, __: Random) -> list[Event]:
        link, words = self._link(words)
        lost = share(words[0]) if words else None
        if lost is None:
            raise _WrongError("says no share that is lost", 'write for example "loss isp 5%"')
        _nothing_more(words[1:])
        return [LineChange(at, link, loss=lost)]

    def _mail(
        self, at: float, words: list[str], within_seconds: float, chance: Random
    ) -> list[Event]:
        sizes, count, words = _sizes(words)
        said = {"from": "", "to": "", "grade": ""}
        while words:
            name, value = words[0], words[1] if len(words) > 1 else ""
            if name not in said or not value:
                raise _WrongError(
                    f'"{name}" is not understood',
                    "behind the size stand xCOUNT, from ADDRESS, to ADDRESS, grade LETTER",
                )
            said[name], words = value, words[2:]
        if not _GRADE.fullmatch(said["grade"]):
            raise _WrongError(f'"{said["grade"]}" is no grade', "write one of 0-9, A-Z, a-z")
        return [
            MailOut(
                at + chance.random() * within_seconds,
                sizes.draw(chance),
                said["from"],
                said["to"],
                said["grade"],
            )
            for _ in range(count)
        ]

    def _fetch(
        self, at: float, words: list[str], within_seconds: float, chance: Random
    ) -> list[Event]:
        account, words = _name(words, self.accounts, "account")
        sizes, count, words = _sizes(words)
        _nothing_more(words)
        return [
            MailIn(at + chance.random() * within_seconds, sizes.draw(chance), account)
            for _ in range(count)
        ]

    def _link(self, words: list[str]) -> tuple[str, list[str]]:
        return _name(words, self.links, "link")


_VERBS: dict[str, Callable[[Reader, float, list[str], float, Random], list[Event]]] = {
    "up": Reader._up,
    "down": Reader._down,
    "rate": Reader._rate,
    "loss": Reader._loss,
    "mail": Reader._mail,
    "fetch": Reader._fetch,
}


def _at_clock(day: datetime, clock: re.Match[str]) -> datetime:
    hour, minute, second = (int(part or 0) for part in clock.groups())
    try:
        return day.replace(hour=hour, minute=minute, second=second, microsecond=0)
    except ValueError:
        raise _WrongError(f'"{clock[0]}" is no time of the day', 'write "06:10"') from None


def _name(words: list[str], names: Collection[str], what: str) -> tuple[str, list[str]]:
    if not words:
        raise _WrongError(f"names no {what}", f"name one of {_listed(names)}")
    if words[0] not in names:
        text = f'the configuration has no {what} "{words[0]}"'
        raise _WrongError(text, f"name one of {_listed(names)}, or add [{what}.{words[0]}]")
    return words[0], words[1:]


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "(there is none)"


def _rates(words: list[str]) -> tuple[float | None, float | None]:
    """RATE, ROUND-TRIP, or none of them."""
    bits, words = (rate(words[0]), words[1:]) if words and rate(words[0]) else (None, words)
    seconds, words = (
        (duration(words[0]), words[1:]) if words and duration(words[0]) else (None, words)
    )
    if words:
        raise _WrongError(
            f'"{words[0]}" is no rate and no round trip',
            'write bits per second and the time there and back, as "9600 1000ms" or "33.6k 200ms"',
        )
    return bits, seconds


def _sizes(words: list[str]) -> tuple[Sizes, int, list[str]]:
    """SIZE [xCOUNT], or COUNT x SIZE."""
    if len(words) >= 3 and words[1] == "x":
        words = [words[2], f"x{words[0]}", *words[3:]]
    sizes = Sizes.parse(words[0]) if words else None
    if sizes is None:
        found = f'"{words[0]}" is no size' if words else "says no size"
        raise _WrongError(found, 'write for example "14k", "2k..40k", "800"')
    count = _COUNT.fullmatch(words[1]) if len(words) > 1 else None
    if count is None:
        return sizes, 1, words[1:]
    if int(count[1]) > MOST_AT_ONCE:
        raise _WrongError(*_TOO_MANY)
    return sizes, int(count[1]), words[2:]


def _nothing_more(words: list[str]) -> None:
    if words:
        raise _WrongError(f'"{words[0]}" is not understood', "leave it out")
