"""The command line of `fetchmail`: which of its options say what. Pure.

Options may stand behind server names, and long ones may be cut short, as with getopt_long.
"""

from __future__ import annotations

import getopt
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.config.fetchmail_entries import Overrides
from relaynode.config.fetchmailrc import FetchmailrcError, Values, check_interface
from relaynode.config.fetchmailrc_words import AUTHS, BAD_HEADERS, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class CommandLineError(FetchmailrcError):
    """A value is wrong. The usage text belongs below."""


class UnknownOptionError(CommandLineError):
    """There is no such option: fetchmail then shows its options, and ends as if asked to."""

    exit_code = 0


@dataclass(slots=True)
class CommandLine:
    """What was asked for. `file`: of -f, `-` for standard input. `has_options`: any but those that
    a second start may have. `only_quits`: nothing but -q (and -s) was said."""

    overrides: Overrides = field(default_factory=Overrides)
    file: str | None = None
    is_help: bool = False
    is_version: bool = False
    is_check: bool = False
    is_silent: bool = False
    is_dump: bool = False
    is_quit: bool = False
    stays: bool = False
    verbosity: int = 0
    has_options: bool = False
    only_quits: bool = False


_FLAGS: dict[str, str] = {
    "help": "is_help",
    "version": "is_version",
    "check": "is_check",
    "silent": "is_silent",
    "configdump": "is_dump",
    "quit": "is_quit",
    "nodetach": "stays",
}
_GLOBAL_FLAGS = {
    "syslog": ("syslog", True),
    "nosyslog": ("syslog", False),
    "invisible": ("invisible", True),
    "showdots": ("showdots", True),
    "nobounce": ("bouncemail", False),
    "softbounce": ("softbounce", True),
    "nosoftbounce": ("softbounce", False),
}
_SERVER_FLAGS = {"uidl": "uidl", "tracepolls": "tracepolls"}
_USER_FLAGS = {
    "keep": ("keep", True),
    "nokeep": ("keep", False),
    "all": ("fetchall", True),
    "fetchall": ("fetchall", True),
    "flush": ("flush", True),
    "limitflush": ("limitflush", True),
    "norewrite": ("rewrite", False),
    "idle": ("idle", True),
    "ssl": ("ssl", True),
    "sslcertck": ("sslcertck", True),
    "nosslcertck": ("sslcertck", False),
    "lmtp": ("lmtp", True),
}


_LARGEST = 2**31 - 1


def _number(text: str) -> int:
    """As C has numbers: 010 is 8, and 0x10 is 16."""
    found = re.fullmatch(r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]+)|([0-9]+))", text)
    if found is None:
        raise CommandLineError(f"String '{text}' is not a valid number string.")
    sign, hexadecimal, octal, decimal = found.groups()
    for digits, base in ((hexadecimal, 16), (octal, 8), (decimal, 10)):
        if digits and len(digits) < 40 and int(digits, base) <= _LARGEST:
            return int(digits, base) * (-1 if sign == "-" else 1)
    raise CommandLineError(f"Value of string '{text}' is larger than {_LARGEST}.")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[int]:
    return [_number(part) for part in text.split(",")]


def _choice(what: str, choices: dict[str, Any]) -> Callable[[str], Any]:
    def chosen(text: str) -> Any:
        if text.lower() not in choices:
            raise CommandLineError(f"Invalid {what} `{text}' specified.")
        return choices[text.lower()]

    return chosen


def _interface(text: str) -> str:
    check_interface(text)
    return text


_GLOBAL_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "daemon": ("poll_interval", _number),
    "logfile": ("logfile", str),
    "idfile": ("idfile", str),
    "pidfile": ("pidfile", str),
    "postmaster": ("postmaster", str),
}
_SERVER_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "interface": ("interface", _interface),
    "monitor": ("monitor", str),
    "plugin": ("plugin", str),
    "plugout": ("plugout", str),
    "bad-header": ("badheader", _choice("bad-header policy", BAD_HEADERS)),
    "protocol": ("protocol", _choice("protocol", PROTOCOLS)),
    "service": ("service", str),
    "port": ("service", str),
    "auth": ("auth", _choice("authentication", AUTHS)),
    "timeout": ("timeout", _number),
    "envelope": ("envelope", str),
    "qvirtual": ("qvirtual", str),
    "principal": ("principal", str),
}
_USER_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "username": ("remote", str),
    "limit": ("limit", _number),
    "warnings": ("warnings", _number),
    "batchlimit": ("batchlimit", _number),
    "fetchlimit": ("fetchlimit", _number),
    "fetchsizelimit": ("fetchsizelimit", _number),
    "fastuidl": ("fastuidl", _number),
    "expunge": ("expunge", _number),
    "smtphost": ("smtphunt", _names),
    "fetchdomains": ("fetchdomains", _names),
    "folder": ("mailboxes", _names),
    "antispam": ("antispam", _numbers),
    **{
        name: (name, str)
        for name in (
            "smtpaddress smtpname mda bsmtp sslkey sslcert sslcertfile sslcertpath sslcommonname"
            " sslfingerprint sslproto"
        ).split()
    },
}

_SHORT = {
    "?": "help",
    "V": "version",
    "c": "check",
    "s": "silent",
    "v": "verbose",
    "d": "daemon",
    "N": "nodetach",
    "q": "quit",
    "L": "logfile",
    "f": "fetchmailrc",
    "i": "idfile",
    "I": "interface",
    "M": "monitor",
    "p": "protocol",
    "U": "uidl",
    "P": "service",
    "t": "timeout",
    "E": "envelope",
    "Q": "qvirtual",
    "u": "username",
    "r": "folder",
    "a": "all",
    "K": "nokeep",
    "k": "keep",
    "F": "flush",
    "n": "norewrite",
    "l": "limit",
    "w": "warnings",
    "S": "smtphost",
    "D": "smtpaddress",
    "Z": "antispam",
    "b": "batchlimit",
    "B": "fetchlimit",
    "e": "expunge",
    "m": "mda",
}
_WITH_VALUE = {"fetchmailrc": None, **_GLOBAL_VALUES, **_SERVER_VALUES, **_USER_VALUES}
_WITHOUT = ("verbose", *_FLAGS, *_GLOBAL_FLAGS, *_SERVER_FLAGS, *_USER_FLAGS)
_LONG = [*(f"{name}=" for name in _WITH_VALUE), *_WITHOUT]
_MAY_WAKE = ("daemon", "nodetach", "silent", "verbose", "fetchmailrc")
"""With these a second start is still no more than a wake-up."""


def parse_command_line(words: Sequence[str]) -> CommandLine:
    """Understand the words behind the program's name. Raises: FetchmailrcError."""
    short = "".join(
        letter + (":" if name in _WITH_VALUE else "") for letter, name in _SHORT.items()
    )
    try:
        options, hosts = getopt.gnu_getopt(list(words), short, _LONG)
    except getopt.GetoptError as error:
        raise UnknownOptionError(_getopt_complaint(error)) from error
    line = CommandLine(overrides=Overrides(hosts=tuple(hosts)))
    for word, value in options:
        name = word[2:] if word.startswith("--") else _SHORT[word[1:]]
        line.has_options = line.has_options or name not in _MAY_WAKE
        _apply(line, name, value)
    said = {word.lstrip("-") for word, _ in options}
    line.only_quits = not hosts and said <= {"q", "quit", "s", "silent", "v", "verbose"}
    return line


def _getopt_complaint(error: getopt.GetoptError) -> str:
    """In the words of the C library."""
    name = error.opt
    if len(name) == 1:
        needs_value = "requires argument" in error.msg
        what = "option requires an argument" if needs_value else "invalid option"
        return f"fetchmail: {what} -- '{name}'"
    if "unique prefix" in error.msg:
        could = " ".join(f"'--{one.rstrip('=')}'" for one in _LONG if one.startswith(name))
        return f"fetchmail: option '--{name}' is ambiguous; possibilities: {could}"
    for mark, text in (
        ("requires argument", "requires an argument"),
        ("must not have", "doesn't allow an argument"),
    ):
        if mark in error.msg:
            return f"fetchmail: option '--{name}' {text}"
    return f"fetchmail: unrecognized option '--{name}'"


def _apply(line: CommandLine, name: str, value: str) -> None:
    overrides = line.overrides
    if name in _FLAGS:
        setattr(line, _FLAGS[name], True)
    elif name == "verbose":
        line.verbosity += 1
    elif name == "fetchmailrc":
        line.file = value
    elif name in _SERVER_FLAGS:
        overrides.server[_SERVER_FLAGS[name]] = True
    elif name in _GLOBAL_FLAGS:
        _put(overrides.globals, *_GLOBAL_FLAGS[name])
    elif name in _USER_FLAGS:
        _put(overrides.user, *_USER_FLAGS[name])
    else:
        _apply_value(overrides, name, value)


def _put(values: Values, field_name: str, value: Any) -> None:
    values[field_name] = value


def _apply_value(overrides: Overrides, name: str, value: str) -> None:
    tables = (
        (_GLOBAL_VALUES, overrides.globals),
        (_SERVER_VALUES, overrides.server),
        (_USER_VALUES, overrides.user),
    )
    for known, values in tables:
        if name in known:
            field_name, read = known[name]
            found = read(value)
            values[field_name] = (
                values.get(field_name, []) + found if isinstance(found, list) else found
            )
            if field_name == "protocol" and found == "kpop":
                values.update(service="kpop", auth="kerberos_v5")
            return


def usage() -> str:
    """All options, for --help."""
    short = {name: letter for letter, name in _SHORT.items()}
    lines = ["usage:  fetchmail [options] [server ...]", "  Options are as follows:"]
    for name in dict.fromkeys((*_FLAGS, "verbose", *_WITH_VALUE, *_WITHOUT)):
        letter = f"-{short[name]}," if name in short else "   "
        lines.append(f"  {letter} --{name}{' VALUE' if name in _WITH_VALUE else ''}")
    return "\n".join(lines)
