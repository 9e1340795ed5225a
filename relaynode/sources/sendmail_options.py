"""The command line of sendmail(8), as scripts use it.

Options may be joined (`-ti`), carry their value with or without a blank, and end at the first word
that is none, as getopt(3) of POSIX has it. Messages and exit codes are sendmail's. What only tunes
a real sendmail's own delivery is accepted and has no effect.

    -b MODE   m deliver   a the same, ARPANET style    s SMTP on standard input
              d daemon    D daemon in the foreground   t address test mode
              v verify    p list the queue             P count it
              i aliases   h host status                H purge host status

`q` (run the queue) and `Q` (hold or release queued mail) are modes of ours for -q and -Q, which
sendmail has as flags beside the mode.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from relaynode.errors import AddressError, UsageError
from relaynode.mail.xtext import xtext_decode
from relaynode.sources.sendmail_settings import (
    LETTERS,
    UnknownSetting,
    check_time,
    is_on,
    long_setting,
)

MODES_BY_NAME = {"mailq": "p", "newaliases": "i", "hoststat": "h", "purgestat": "H", "smtpd": "d"}
"""What a program name means when no -b says otherwise."""

_WITH_VALUE = frozenset("ABCDFLMNORVXbefhopr")
_WITH_OPTIONAL_VALUE = frozenset("dqQ")
# -x, -E and -J are ignored where sendmail was built for the systems that had them; here, always.
_FLAGS = frozenset("EGIJTUcimnstvx")
_MODES = frozenset("aDHPdhimpstv")
_WITH_QUEUE = frozenset("DHPQdhpq")
"""Modes that -q may stand beside: it chooses messages, or is the daemon's interval."""

_DELIVERIES = frozenset("bidq")
_QUEUE_GROUP = "mqueue"
"""The one queue we have, by the name that it has in sendmail."""


@dataclass(slots=True)
class SendmailOptions:
    """What was asked for.

    `mode`: see the table above. `recipients`: the words as given, each of which may name several.
    `delivery`: -od, "b" in the background, "i" waited for, "q" or "d"
    at the next queue run. `errors`: -oe, "p" print, "q" exit code only, "m", "w" mail back, "e"
    mail back and exit 0. `queue_only`: (kind, text) pairs of `-qRtext`, `-qStext`, `-qItext`, with
    `!` in front of the kind for `-q!`. `queue_kind`: "Q" for held mail, "L" for lost mail, else "".
    `has_queue`: false if -qG named one that is not there. `interval`: the text of `-q30m`, which is
    a daemon's affair. `quarantine`: the reason of -Q, "" to release, None if not asked for.
    `envid`: as it is, no longer in the xtext that the command line wants. `hops`: what the message
    has behind it. `protocol`, `host`: how and whence it came (-p). `remarks` and `exit_code`: what
    is wrong but stops nothing. `words`: the whole command line.
    """

    mode: str = "m"
    recipients: list[str] = field(default_factory=list)
    reads_recipients: bool = False
    ignores_dots: bool = False
    uses_aliases: bool = True
    sender: str | None = None
    full_name: str = ""
    notify: str = ""
    ret: str = ""
    envid: str = ""
    body: str = ""
    hops: int = 0
    protocol: str = ""
    host: str = ""
    delivery: str = "b"
    errors: str = "p"
    config_file: str = ""
    queue_only: list[tuple[str, str]] = field(default_factory=list)
    queue_kind: str = ""
    has_queue: bool = True
    interval: str = ""
    quarantine: str | None = None
    is_verbose: bool = False
    shows_identity: bool = False
    remarks: list[str] = field(default_factory=list)
    exit_code: int = 0
    words: list[str] = field(default_factory=list, compare=False)


def parse_options(arguments: list[str], program: str = "sendmail") -> SendmailOptions:
    """Understand a command line without the program's name, which is `program`.

    Raises: UsageError, whose text begins with "PROGRAM: " where getopt complains.
    """
    parser = _Parser(program)
    options = parser.options
    options.words = arguments
    words = list(arguments)
    while words:
        word = words[0]
        if word == "-" or not word.startswith("-"):
            break
        del words[0]
        if word.startswith("--"):  # seen: `--help` ends the options like a bare `--`
            break
        parser.letters(word[1:], words)
    options.recipients = words
    parser.finish()
    return options


class _Parser:
    def __init__(self, program: str) -> None:
        self.program = program
        self.options = SendmailOptions(mode=MODES_BY_NAME.get(program, "m"))
        self._asks_for_queue = False

    def letters(self, letters: str, words: list[str]) -> None:
        """The letters of one word; `words` are those behind it."""
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _WITH_OPTIONAL_VALUE:
                self._apply(letter, letters)
                return
            if letter in _WITH_VALUE:
                if not letters and not words:
                    raise UsageError(f"{self.program}: option requires an argument -- {letter}")
                self._apply(letter, letters or words.pop(0))
                return
            if letter not in _FLAGS:
                raise UsageError(f"{self.program}: illegal option -- {letter}")
            self._apply(letter, "")

    def finish(self) -> None:
        """What only shows when all is read. Raises: UsageError."""
        options = self.options
        if options.quarantine is not None and options.mode == "m":
            options.mode = "Q"
        if self._asks_for_queue and options.mode in ("m", "a"):
            options.mode = "q"
        if self._asks_for_queue and options.mode not in _WITH_QUEUE:
            raise UsageError(f"Can not use -q with -b{options.mode}")

    def _apply(self, letter: str, value: str) -> None:
        options = self.options
        match letter:
            case "b":
                options.mode = _mode(value)
            case "I":
                options.mode = "i"
            case "t":
                options.reads_recipients = True
            case "f" | "r":
                self._sender(value)
            case "F":
                options.full_name = value
            case "h":
                options.hops = _hops(value)
            case "p":
                protocol, _, host = value.partition(":")
                options.protocol, options.host = protocol, host or options.host
            case "B":
                options.body = _body(value)
            case "C":
                options.config_file = value
            case "N":
                options.notify = _notify(value)
            case "R":
                options.ret = _ret(value)
            case "V":
                options.envid = _envid(value)
            case "n":
                options.uses_aliases = False
            case "d":
                options.shows_identity |= _is_about_identity(value)
            case "q":
                self._queue(value)
            case "Q":
                options.quarantine = value
            case "O":
                self._long_setting(value)
            case "o":
                self._setting(value[:1], value[1:])
            case "M" | "i" | "v" | "e":
                self._setting(letter, value)

    def _sender(self, value: str) -> None:
        if self.options.sender is not None:
            raise UsageError('More than one "from" person')
        self.options.sender = "" if value == "<>" else value

    def _long_setting(self, value: str) -> None:
        try:
            name, setting, remark = long_setting(value)
        except UnknownSetting as error:
            self.options.remarks.append(str(error))
            self.options.exit_code = self.options.exit_code or error.exit_code
            return
        if remark:
            self.options.remarks.append(remark)
        self._setting(LETTERS.get(name.lower(), ""), setting)

    def _setting(self, letter: str, value: str) -> None:
        options = self.options
        match letter:
            case "d" if value:
                if value[0] not in _DELIVERIES:
                    raise UsageError(f"Unknown delivery mode {value[0]}")
                options.delivery = value[0]
            case "e" if value[:1] in ("p", "q", "m", "w", "e"):
                options.errors = value[0]
            case "i":
                options.ignores_dots = is_on(value)
            case "v":
                options.is_verbose = is_on(value)
            case "M" if value.startswith("r"):
                options.protocol = value[1:]
            case "M" if value.startswith("s"):
                options.host = value[1:]

    def _queue(self, value: str) -> None:
        """`-q`: what of the queue, or how often."""
        options = self.options
        self._asks_for_queue = True
        negation = "!" if value.startswith("!") else ""
        rest = value.removeprefix("!")
        match rest[:1]:
            case "R" | "S" | "I" as kind:
                options.queue_only.append((negation + kind, rest[1:]))
            case "Q" | "L" as kind:
                options.queue_kind = kind
            case "G":
                if rest[1:] != _QUEUE_GROUP:
                    options.remarks.append(f"Queue group {rest[1:]} unknown")
                    options.has_queue = False
            case "f" if not rest[1:]:
                pass  # in the foreground, where we always run it
            case _:
                interval = rest.removeprefix("p")
                check_time(interval)
                options.interval = interval or ("p" if rest else "")


def _mode(value: str) -> str:
    mode = value[:1]
    if mode == "z":
        raise UsageError("Frozen configurations unsupported")
    if mode not in _MODES:
        raise UsageError(f"Invalid operation mode {mode}")
    return mode


def _hops(value: str) -> int:
    try:
        return int(value or "0")
    except ValueError:
        raise UsageError(f"Bad hop count ({value})") from None


def _body(value: str) -> str:
    if value.upper() not in ("7BIT", "8BITMIME"):
        raise UsageError(f"Illegal body type {value}")
    return value.upper()


def _notify(value: str) -> str:
    words = value.upper().split(",")
    if set(words) - {"NEVER", "SUCCESS", "FAILURE", "DELAY"} or ("NEVER" in words and words[1:]):
        raise UsageError("Invalid -N argument")
    return ",".join(words)


def _ret(value: str) -> str:
    if value.upper() not in ("FULL", "HDRS"):
        raise UsageError("Invalid -R value")
    return value.upper()


def _envid(value: str) -> str:
    try:
        return xtext_decode(value)
    except AddressError as error:
        raise UsageError("Invalid syntax in -V flag") from error


def _is_about_identity(value: str) -> bool:
    """-d, -d0, -d0.1, -d0-9.1: debug category 0 tells who we are; we have no others."""
    return re.match(r"(?:0(?![0-9])|$)", value) is not None
