"""The command line of sendmail(8), as scripts use it.

Options may be joined (`-ti`) and carry their value with or without a blank, as getopt(3) has it.
What only tunes a real sendmail's own delivery is accepted and has no effect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from relaynode.errors import AddressError, UsageError
from relaynode.mail.xtext import xtext_decode

_WITH_VALUE = frozenset("ABCDFLMNOQRVXbefhopr")
_WITH_OPTIONAL_VALUE = frozenset("dq")
_FLAGS = frozenset("GIUcimnstvxT")
_MODES = frozenset("msp")
_RECIPIENT = re.compile(r'(?:"(?:[^"\\]++|\\.)*+"|[^\s,"]++|")++', re.DOTALL)


@dataclass(slots=True)
class SendmailOptions:
    """What was asked for.

    `mode`: "m" deliver, "s" SMTP on standard input, "p" list the queue, "q" run the queue.
    `queue_only`: for "q" and "p", (kind, text) pairs of `-qRtext`, `-qStext`, `-qItext`.
    `interval`: for "q", the text of `-q30m`: a daemon's affair.
    `envid`: as it is, no longer in the xtext that the command line wants.
    """

    mode: str = "m"
    recipients: list[str] = field(default_factory=list)
    reads_recipients: bool = False
    ignores_dots: bool = False
    sender: str | None = None
    full_name: str = ""
    notify: str = ""
    ret: str = ""
    envid: str = ""
    queue_only: list[tuple[str, str]] = field(default_factory=list)
    interval: str = ""
    is_verbose: bool = False


def parse_options(arguments: list[str]) -> SendmailOptions:
    """Understand a command line without the program's name. Raises: UsageError."""
    options = SendmailOptions()
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            options.recipients += words
            break
        if not word.startswith("-") or word == "-":
            options.recipients.append(word)
            continue
        _letters(word[1:], words, options)
    # Several in one word, parted by commas or blanks that are not quoted.
    options.recipients = [name for word in options.recipients for name in _RECIPIENT.findall(word)]
    return options


def _letters(letters: str, words: list[str], options: SendmailOptions) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in _WITH_OPTIONAL_VALUE:
            _apply(letter, letters, options)
            return
        if letter in _WITH_VALUE:
            if not letters and not words:
                raise UsageError(f"sendmail: option requires an argument -- {letter}")
            _apply(letter, letters or words.pop(0), options)
            return
        if letter not in _FLAGS:
            raise UsageError(f"sendmail: illegal option -- {letter}")
        _apply(letter, "", options)


def _apply(letter: str, value: str, options: SendmailOptions) -> None:
    match letter:
        case "b":
            if value not in _MODES:
                raise UsageError(f"Invalid operation mode {value}")
            options.mode = value
        case "t":
            options.reads_recipients = True
        case "i":
            options.ignores_dots = True
        case "o":
            options.ignores_dots = options.ignores_dots or value == "i"
        case "f" | "r":
            options.sender = "" if value == "<>" else value
        case "F":
            options.full_name = value
        case "v":
            options.is_verbose = True
        case "q":
            _queue(value, options)
        case "N":
            options.notify = _notify(value)
        case "R":
            options.ret = _ret(value)
        case "V":
            options.envid = _envid(value)
        case "B":
            if value.upper() not in ("7BIT", "8BITMIME"):
                raise UsageError(f"Illegal body type {value}")


def _queue(value: str, options: SendmailOptions) -> None:
    if options.mode != "p":  # mailq -qRtext: the same choice, to be listed
        options.mode = "q"
    if value[:1] in ("R", "S", "I"):
        options.queue_only.append((value[0], value[1:]))
    elif value not in ("", "f"):  # -qf: in the foreground, where we always run it
        options.interval = value


def _notify(value: str) -> str:
    words = [word.strip().upper() for word in value.split(",")]
    if set(words) - {"NEVER", "SUCCESS", "FAILURE", "DELAY"} or ("NEVER" in words and words[1:]):
        raise UsageError("Invalid -N argument")
    return ",".join(words)


def _envid(value: str) -> str:
    try:
        return xtext_decode(value)
    except AddressError as error:
        raise UsageError("Invalid syntax in -V flag") from error


def _ret(value: str) -> str:
    if value.upper() not in ("FULL", "HDRS"):
        raise UsageError("Invalid -R value")
    return value.upper()
