"""Taylor's `sys` file: the systems we call and that call us, with defaults and alternates.

What stands before the first `system` holds for all of the file. `alternate` begins another set of
settings of the same system: another way to call it, or what holds for another login. Of two sets
the later one has what is not written in it from the system's first; then come the file's defaults
for that alternate, then the file's defaults.

Only the reading; what the settings amount to is made in `relaynode/neighbours`.
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.config.taylor_keywords import (
    Keyword,
    Problems,
    Settings,
    Table,
    chat_keywords,
    flag,
    ignored,
    letters,
    name,
    parameter,
    path,
    said,
    text,
    texts,
    whole,
)
from relaynode.config.taylor_reader import Line, lines_of, number
from relaynode.config.timestring import TimeString
from relaynode.config.uucp_values import LOWEST_GRADE, GradeTime, SizeLimit, is_grade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_ALTERNATES = 64
"""Of one system."""

Tables = dict[str, TimeString]


@dataclass(frozen=True, slots=True)
class SystemSet:
    """One alternate. `is_written`: in the system itself, not only in the file's defaults."""

    name: str
    settings: Mapping[str, Any] = field(repr=False)  # there are passwords in it
    is_first: bool = True
    is_written: bool = True


@dataclass(frozen=True, slots=True)
class System:
    """One system, with at least one set. `line`: where it begins in `file`."""

    name: str
    file: str
    line: int
    aliases: tuple[str, ...]
    sets: tuple[SystemSet, ...]


def read_systems(file_text: str, problems: Problems, tables: Tables) -> list[System]:
    """All systems of a `sys` file. `tables`: timetables by name in lower case."""
    return _Reader(problems, _table(tables)).read(lines_of(file_text))


def read_unknown(lines: Iterable[Line], problems: Problems, tables: Tables) -> System | None:
    """What the `unknown` lines of `config` say of systems that we do not know, if there are any."""
    lines = list(lines)
    if not lines:
        return None
    reader = _Reader(problems, _table(tables))
    (system,) = reader.read([Line(lines[0].number, ("system", "unknown")), *lines])
    return system


class _Raw:
    """A system, or the file's defaults, being read."""

    def __init__(self, system: str = "", line: int = 0) -> None:
        self.name = system
        self.line = line
        self.names = [""]
        self.sets: list[Settings] = [{}]
        self.aliases: list[str] = []
        self.has_default_alternates = True


class _Reader:
    def __init__(self, problems: Problems, table: Table) -> None:
        self._problems = problems
        self._table = table

    def read(self, lines: Iterable[Line]) -> list[System]:
        defaults = current = _Raw()
        systems: dict[str, _Raw] = {}
        for line in lines:
            if line.keyword == "system":
                current = self._begin(line, systems) or _Raw()
            else:
                self._take(line, current)
        return [self._system(raw, defaults) for raw in systems.values()]

    def _begin(self, line: Line, systems: dict[str, _Raw]) -> _Raw | None:
        if len(line.arguments) != 1:
            self._problems.add(line.number, "system takes one name")
            return None
        system = line.arguments[0]
        if system in systems:
            before = f"{system} is there already, on line {systems[system].line}"
            self._problems.add(line.number, before, "the first one counts")
            return None
        systems[system] = _Raw(system, line.number)
        return systems[system]

    def _take(self, line: Line, raw: _Raw) -> None:
        if line.keyword == "alternate":
            self._alternate(line, raw)
        elif line.keyword == "alias":
            if len(line.arguments) == 1:
                raw.aliases.append(line.arguments[0])
            else:
                self._problems.add(line.number, "alias takes one name")
        elif line.keyword == "default-alternates":
            self._default_alternates(line, raw)
        elif line.keyword == "protocol-parameter":
            parameter(line, raw.sets[-1], self._problems)
        elif line.keyword == "port":
            _port(line, raw.sets[-1], self._problems)
        else:
            self._table.take(line, raw.sets[-1], self._problems)

    def _alternate(self, line: Line, raw: _Raw) -> None:
        if len(line.arguments) > 1:
            self._problems.add(line.number, "alternate takes one name, or none")
        if len(raw.sets) == MAX_ALTERNATES:
            self._problems.add(line.number, f"more than {MAX_ALTERNATES} alternates")
            raw.sets.pop()
            raw.names.pop()
        raw.sets.append({})
        raw.names.append(line.arguments[0] if line.arguments else "")

    def _default_alternates(self, line: Line, raw: _Raw) -> None:
        try:
            raw.has_default_alternates = flag(line.arguments)
        except ValueError as error:
            self._problems.add(line.number, f"{line.keyword}: {error}")

    def _system(self, raw: _Raw, defaults: _Raw) -> System:
        count = len(raw.sets)
        if raw.has_default_alternates:
            count = max(count, len(defaults.sets))
        return System(
            name=raw.name,
            file=str(self._problems.file),
            line=raw.line,
            aliases=tuple(raw.aliases),
            sets=tuple(_set(raw, defaults, index) for index in range(count)),
        )


def _set(raw: _Raw, defaults: _Raw, index: int) -> SystemSet:
    is_written = index < len(raw.sets)
    layers = [raw.sets[0]]
    if index > 0 and is_written:
        layers.insert(0, raw.sets[index])
    # A system with more alternates than the defaults have goes on with the last of those.
    layers.append(defaults.sets[min(index, len(defaults.sets) - 1)])
    if index > 0:
        layers.append(defaults.sets[0])
    set_name = (
        raw.names[index] if is_written else defaults.names[min(index, len(defaults.names) - 1)]
    )
    return SystemSet(set_name, dict(ChainMap(*layers)), index == 0, is_written)


def _port(line: Line, settings: Settings, problems: Problems) -> None:
    """`port NAME`, or `port KEYWORD ...` as in the port file, one line after the other."""
    if not line.arguments:
        problems.add(line.number, "port: write port NAME")
    elif len(line.arguments) == 1:
        settings["port"] = line.arguments[0]
        settings["port-lines"] = ()  # also where the first set describes one
    else:
        settings["port-lines"] = (
            *settings.get("port-lines", ()),
            Line(line.number, line.arguments),
        )
        settings["port"] = ""


# --- the keywords


def _table(tables: Tables) -> Table:
    def times(word: str) -> TimeString:
        return TimeString.parse(word, tables)

    def call_time(words: Sequence[str]) -> GradeTime:
        if not 1 <= len(words) <= 2:
            raise ValueError("write time TIMES [RETRY-MINUTES]")
        return GradeTime(times(words[0]), LOWEST_GRADE, number(words[1]) if words[1:] else None)

    def grade_time(words: Sequence[str]) -> GradeTime:
        if not 2 <= len(words) <= 3 or not is_grade(words[0]):
            raise ValueError("write timegrade GRADE TIMES [RETRY-MINUTES], the grade as one letter")
        return GradeTime(times(words[1]), words[0], number(words[2]) if words[2:] else None)

    def size(when_calling: bool, by_us: bool) -> Keyword:
        def parse(words: Sequence[str]) -> SizeLimit:
            if len(words) != 2:
                raise ValueError("takes a number of bytes and a time string")
            return SizeLimit(when_calling, by_us, number(words[0]), times(words[1]))

        return said(parse, "size", adds_up=True)

    return Table(
        "of a system",
        {
            **_PLAIN,
            "time": said(call_time, "time", adds_up=True),
            "timegrade": said(grade_time, "time", adds_up=True),
            "call-timegrade": said(grade_time, "call-timegrade", adds_up=True),
            "called-timegrade": said(grade_time, "called-timegrade", adds_up=True),
            "call-local-size": size(True, True),
            "call-remote-size": size(True, False),
            "called-local-size": size(False, True),
            "called-remote-size": size(False, False),
        },
    )


def _logins(words: Sequence[str]) -> tuple[str, ...]:
    if not words:
        raise ValueError("takes a login name, and the systems that may use it")
    return tuple(words)


_PLAIN: dict[str, Keyword] = {
    **chat_keywords(),
    **chat_keywords("called-"),
    "myname": said(name, "myname"),
    "max-retries": said(whole, "max-retries"),
    "success-wait": said(whole, "success-wait"),
    "speed": said(whole, "speed"),
    "baud": said(whole, "speed"),
    "phone": said(text, "phone"),
    "address": said(text, "phone"),
    "call-login": said(text, "call-login"),
    "call-password": said(text, "call-password"),
    "called-login": said(_logins, "called-login"),
    "callback": said(flag, "callback"),
    "sequence": said(flag, "sequence"),
    "protocol": said(letters, "protocol"),
    "send-request": said(flag, "send-request"),
    "receive-request": said(flag, "receive-request"),
    "request": said(flag, "send-request", "receive-request"),
    "call-transfer": said(flag, "call-transfer"),
    "called-transfer": said(flag, "called-transfer"),
    "transfer": said(flag, "call-transfer", "called-transfer"),
    "local-send": said(texts, "local-send"),
    "remote-send": said(texts, "remote-send"),
    "local-receive": said(texts, "local-receive"),
    "remote-receive": said(texts, "remote-receive"),
    "forward-to": said(texts, "forward-to"),
    "forward-from": said(texts, "forward-from"),
    "forward": said(texts, "forward-to", "forward-from"),
    "commands": said(texts, "commands"),
    "command-path": said(texts, "command-path"),
    "free-space": said(whole, "free-space"),
    "pubdir": said(path, "pubdir"),
    "max-file-time": said(whole, "max-file-time"),
    "debug": ignored(),
    "max-remote-debug": ignored(),
}
