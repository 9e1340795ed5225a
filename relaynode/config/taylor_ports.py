"""Taylor's `port`, `dial` and `dialcode` files: the lines, and how modems on them are told to dial.

A port file may have several ports of one name: each of them is tried. What belongs to a type of
port that we have not (tli) is a problem.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.config.taylor_keywords import (
    Keyword,
    Problems,
    Settings,
    Table,
    chat_keywords,
    chat_of,
    flag,
    ignored,
    letters,
    name,
    parameter,
    said,
    text,
    texts,
    whole,
)
from relaynode.config.taylor_reader import Line, boolean, lines_of, number
from relaynode.config.uucp_values import NO_CHAT, ChatScript, Dialer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Port:
    """One port. `kind`: modem, direct, tcp, pipe or stdin. `file` and `line`: where it begins."""

    name: str
    kind: str
    settings: Mapping[str, Any]
    file: str
    line: int

    def has_speed(self, speed: int) -> bool:
        """May it run at this many bit/s?"""
        if self.kind not in ("modem", "direct"):
            return True  # as Taylor has it: speed means nothing to it
        low, high = self.settings.get("speed-range", (0, 0))
        own = self.settings.get("speed", 0)
        return own in (0, speed) or low <= speed <= high


@dataclass(frozen=True, slots=True)
class DialerEntry:
    """One dialer, with what it says of the line beyond it."""

    dialer: Dialer
    settings: Mapping[str, Any] = field(repr=False)


def read_ports(file_text: str, problems: Problems) -> list[Port]:
    """All ports of a `port` file."""
    defaults: list[Line] = []
    entries: list[tuple[Line, list[Line]]] = []
    for line in lines_of(file_text):
        if line.keyword == "port":
            if len(line.arguments) == 1:
                entries.append((line, []))
                continue
            problems.add(line.number, "port takes one name")
        elif entries:
            entries[-1][1].append(line)
        else:
            defaults.append(line)
    return [
        port
        for head, lines in entries
        if (port := port_of(head.arguments[0], head.number, lines, problems, defaults))
    ]


def port_of(
    port_name: str,
    line: int,
    lines: Iterable[Line],
    problems: Problems,
    defaults: Iterable[Line] = (),
) -> Port | None:
    """A port out of its lines; None if its type is none that we have."""
    lines = [*defaults, *lines]
    kinds = [one for one in lines if one.keyword == "type"]
    kind = "modem"
    for one in kinds:
        kind = one.arguments[0].lower() if one.arguments else ""
    if kind not in _TYPES:
        accepted = ", ".join(_TYPES)
        problems.add(kinds[-1].number, f"port {port_name}: no such type: {kind}", accepted)
        return None
    settings: Settings = {}
    for one in lines:
        if one.keyword == "protocol-parameter":
            parameter(one, settings, problems)
        elif one.keyword != "type":
            _TYPES[kind].take(one, settings, problems)
    return Port(port_name, kind, settings, str(problems.file), line)


def read_dialers(file_text: str, problems: Problems) -> dict[str, DialerEntry]:
    """The dialers of a `dial` file by name; the first of a name counts."""
    defaults: Settings = {}
    entries: dict[str, Settings] = {}
    current = defaults
    for line in lines_of(file_text):
        if line.keyword == "dialer" and len(line.arguments) == 1:
            current = {}
            entries.setdefault(line.arguments[0], current)
        elif line.keyword == "dialer":
            problems.add(line.number, "dialer takes one name")
            current = {}
        elif line.keyword == "protocol-parameter":
            parameter(line, current, problems)
        else:
            _DIALER.take(line, current, problems)
    return {key: dialer_of(key, {**defaults, **found}) for key, found in entries.items()}


def dialer_of(dialer_name: str, settings: Mapping[str, Any]) -> DialerEntry:
    """A dialer out of its settings."""
    dialer = Dialer(
        name=dialer_name,
        chat=chat_of(settings, "", NO_CHAT),
        dialtone=settings.get("dialtone", ","),
        pause=settings.get("pause", ","),
        has_carrier=settings.get("carrier", True),
        carrier_wait_seconds=settings.get("carrier-wait", 60),
        has_dtr_toggle=settings.get("dtr-toggle", False),
        complete=_closing(settings, "complete"),
        abort=_closing(settings, "abort"),
    )
    return DialerEntry(dialer, settings)


def _closing(settings: Mapping[str, Any], which: str) -> ChatScript:
    """`complete STRING` is short for `complete-chat "" STRING`."""
    simple = settings.get(which)
    words = ('""', simple) if simple else ()
    return chat_of(settings, f"{which}-", ChatScript(words))


def read_dialcodes(file_text: str, problems: Problems) -> dict[str, str]:
    """Letters at the beginning of a number, and what they stand for."""
    codes: dict[str, str] = {}
    for line in lines_of(file_text):
        if len(line.words) != 2:
            problems.add(line.number, "a dial code is two words: letters, and what to dial")
        else:
            codes.setdefault(*line.words)
    return codes


# --- the keywords


def _pair(words: Sequence[str]) -> tuple[int, int]:
    if len(words) != 2:
        raise ValueError("takes two numbers")
    return number(words[0]), number(words[1])


def _toggle(words: Sequence[str]) -> bool:
    if not 1 <= len(words) <= 2:
        raise ValueError("takes yes or no, and whether to wait afterwards")
    toggled, *_ = [boolean(word) for word in words]
    return toggled


def _service(words: Sequence[str]) -> str:
    service = name(words)
    if service.isdigit() and not 0 < int(service) < 65536:
        raise ValueError(f"{service} is no port number")
    return service


def _version(words: Sequence[str]) -> int:
    if name(words) not in ("0", "4", "6"):
        raise ValueError(f"{words[0]} is neither 0, 4 nor 6")
    return int(words[0])


_ALL_PORTS: dict[str, Keyword] = {
    "protocol": said(letters, "protocol"),
    "seven-bit": said(flag, "seven-bit"),
    "reliable": said(flag, "reliable"),
    "half-duplex": said(flag, "half-duplex"),
}
_SERIAL: dict[str, Keyword] = {
    **_ALL_PORTS,
    "device": said(name, "device"),
    "speed": said(whole, "speed"),
    "baud": said(whole, "speed"),
    "carrier": said(flag, "carrier"),
    "hardflow": said(flag, "hardflow"),
    "lockname": said(name, "lockname"),
}
_TYPES = {
    "modem": Table(
        "of a modem port",
        {
            **_SERIAL,
            "speed-range": said(_pair, "speed-range"),
            "baud-range": said(_pair, "speed-range"),
            "dial-device": said(name, "dial-device"),
            "dialer-sequence": said(texts, "dialer-sequence"),
            # `dialer NAME`, or a dialer's own keyword, one line after the other
            "dialer": said(texts, "dialer-lines", adds_up=True),
        },
    ),
    "direct": Table("of a direct port", _SERIAL),
    "tcp": Table(
        "of a tcp port",
        {
            **_ALL_PORTS,
            "service": said(_service, "service"),
            "version": said(_version, "version"),
            "dialer-sequence": said(texts, "dialer-sequence"),
        },
    ),
    "pipe": Table("of a pipe port", {**_ALL_PORTS, "command": said(texts, "command")}),
    "stdin": Table("of a stdin port", _ALL_PORTS),
}

_DIALER = Table(
    "of a dialer",
    {
        **chat_keywords(),
        **chat_keywords("complete-"),
        **chat_keywords("abort-"),
        "dialtone": said(text, "dialtone"),
        "pause": said(text, "pause"),
        "carrier": said(flag, "carrier"),
        "carrier-wait": said(whole, "carrier-wait"),
        "dtr-toggle": said(_toggle, "dtr-toggle"),
        "complete": said(name, "complete"),
        "abort": said(name, "abort"),
        "seven-bit": said(flag, "seven-bit"),
        "reliable": said(flag, "reliable"),
        "half-duplex": said(flag, "half-duplex"),
        "debug": ignored(),
    },
)


def dialer_lines(
    lines: Iterable[tuple[str, ...]], problems: Problems, line: int
) -> DialerEntry | None:
    """The dialer that a port's `dialer KEYWORD ...` lines describe; None if they only name one."""
    settings: Settings = {}
    for words in lines:
        if len(words) > 1:
            one = Line(line, words)
            if one.keyword == "protocol-parameter":
                parameter(one, settings, problems)
            else:
                _DIALER.take(one, settings, problems)
    return dialer_of("", settings) if settings else None
