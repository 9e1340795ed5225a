"""Batched SMTP: the client's half of an SMTP session as a file (RFC 2442, and smail before it).

    HELO alpha
    MAIL FROM:<alice@example.org>
    RCPT TO:<bob@example.net>
    DATA
    Subject: a dot
                                    content, a dot at the start of a line doubled
    ..
    .
    MAIL FROM:<>                    as many messages as one likes
    ...
    QUIT

Nobody answers, so nothing can be refused on the way: what is wrong with a message is told beside
it (`complaint`, `refused`), and the rest of the batch goes on. A message counts as whole when its
final dot has come; of a batch that was cut the messages before the cut are whole.

Lines end with LF or CRLF, in one batch too; content comes out with CRLF, a bare CR in it stays.
The writer makes LF, as rsmtp programs on Unix expect. Content whose lines end with CR CR LF then
loses a CR, as in a mailbox; with CRLF it comes back to the byte. A bare LF, which RFC 5321 forbids,
comes back as a line end, and a last line without an end gets one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail.bangpath import read_path
from relaynode.mail.lines import DotDecoder, ToCrlf, ToLf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_COMMAND_BYTES = 8 * 1024
"""Of one line; RFC 5321 has 512, extensions add to it. A longer one is no command."""

MAX_RECIPIENTS = 10_000
"""Of one message: with more of them the rest of the batch is not read."""

MAX_REMARKS = 20

_SLICE_BYTES = 8 * 1024
"""Looked at as one: for each line in it what is behind that line is copied."""

_CRLF = b"\r\n"
# A path in brackets may hold a quoted local part with a ">" of its own.
_PATH = r'[ \t]*(<"(?:[^"\\]|\\.)*"@[^>]*>|<[^>]*>|[^ \t]+)(.*)\Z'
_FROM = re.compile(r"FROM:" + _PATH, re.IGNORECASE)
_TO = re.compile(r"TO:" + _PATH, re.IGNORECASE)
_XTEXT = re.compile(r"[!-<>-~]{1,500}")
_NOTIFY = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f]")
_FILLING = b"\0\x1a \t\r"
"""What pads the ends of files on systems that count in blocks; behind a batch it means nothing."""


@dataclass(frozen=True, slots=True)
class BatchRecipient:
    """A forward-path, and what RFC 3461 4.1 and 4.2 say about it."""

    path: str
    notify: str = ""
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class BatchMessage:
    """The envelope of one message.

    `size_bytes`: as MAIL said, None if it did not. `refused`: recipients that are none, and why.
    `complaint`: why the message cannot be delivered to anybody, "" if it can.
    For the others see mail/envelope.py.
    """

    reverse_path: str
    recipients: tuple[BatchRecipient, ...]
    size_bytes: int | None = None
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    refused: tuple[tuple[str, str], ...] = ()
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Began:
    """A message begins."""

    message: BatchMessage


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of its content, CRLF line ends."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """It has come whole."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The batch ends in its middle: it must not be delivered."""


@dataclass(frozen=True, slots=True)
class WithoutContent:
    """An envelope that no DATA followed."""

    message: BatchMessage


@dataclass(frozen=True, slots=True)
class Unreadable:
    """From here on nothing can be told apart; the rest is not read."""

    reason: str


Event = Began | Piece | Ended | Cut | WithoutContent | Unreadable


@dataclass(slots=True)
class _Open:
    """A message before its DATA."""

    reverse_path: str = ""
    recipients: list[BatchRecipient] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    size_bytes: int | None = None
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    complaint: str = ""

    def closed(self) -> BatchMessage:
        complaint = self.complaint
        if not complaint and not self.recipients and not self.refused:
            complaint = "the message names no recipient"
        return BatchMessage(
            self.reverse_path,
            tuple(self.recipients),
            self.size_bytes,
            self.body,
            self.smtputf8,
            self.ret,
            self.envid,
            tuple(self.refused),
            complaint,
        )


class BatchReader:
    """Reads a batch piece by piece, in little memory.

    `remarks`: lines that are no commands, as far as they are worth telling. `has_quit`: the last
    command was QUIT, so the batch has not lost its end.
    """

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.has_quit = False
        self._to_crlf = ToCrlf()
        self._held = b""
        self._dots: DotDecoder | None = None
        self._open: _Open | None = None
        self._is_too_long = False
        self._is_over = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the next piece brings. It must be drawn to its end."""
        data = self._to_crlf.feed(data)
        for start in range(0, len(data), _SLICE_BYTES):
            yield from self._feed(data[start : start + _SLICE_BYTES])

    def _feed(self, data: bytes) -> Iterator[Event]:
        while data and not self._is_over:
            if self._dots is not None:
                yield from self._content(self._dots, data)
                data = (self._dots.rest or b"") if self._dots.is_complete else b""
                if self._dots.is_complete:
                    self._dots = None
            else:
                line, data = self._line(data)
                if line is not None:
                    yield from self._command(line)

    def finish(self) -> Iterator[Event]:
        """The batch has ended."""
        if self._is_over:
            return
        if self._dots is not None:
            yield Cut()
            return
        rest, self._held = self._held, b""
        if rest.strip(_FILLING):
            yield from self._command(rest.rstrip(b"\r"))
        if self._dots is not None:
            yield Cut()
        else:
            yield from self._abandon()

    # --- content

    def _content(self, dots: DotDecoder, data: bytes) -> Iterator[Event]:
        if content := dots.feed(data):
            yield Piece(content)
        if dots.is_complete:
            yield Ended()

    # --- commands

    def _line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """The next whole line, None if it has not come; and what is behind it."""
        buffer = self._held + data
        line, end, rest = buffer.partition(_CRLF)
        if not end:
            if len(buffer) > MAX_COMMAND_BYTES:
                self._is_too_long = True
                buffer = buffer[-1:]  # it may be the CR of the end
            self._held = buffer
            return None, b""
        self._held = b""
        if self._is_too_long or len(line) > MAX_COMMAND_BYTES:
            self._is_too_long = False
            self._remark("a line that is too long for a command")
            return None, rest
        return line, rest

    def _command(self, line: bytes) -> Iterator[Event]:
        text = line.strip(_FILLING).decode("utf-8", "surrogateescape")
        if not text:
            return
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        self.has_quit = verb == "QUIT"
        if verb == "BDAT":
            # What follows would be read as commands, whoever wrote it.
            self._is_over = True
            yield from self._abandon()
            yield Unreadable("BDAT in a batch")
        elif verb == "DATA":
            message = (self._open or _Open(complaint="DATA without MAIL")).closed()
            self._open, self._dots = None, DotDecoder()
            yield Began(message)
        elif verb in _VERBS:
            yield from _VERBS[verb](self, argument.strip())
        elif verb != "NOOP":
            self._remark(f"unknown command {text[:60]!a}")

    def _greeting(self, _: str) -> Iterator[Event]:
        yield from self._abandon()

    def _reset(self, _: str) -> Iterator[Event]:
        self._open = None
        yield from ()

    def _mail(self, argument: str) -> Iterator[Event]:
        yield from self._abandon()
        self._open = opened = _Open()
        found = _FROM.match(argument)
        try:
            if found is None:
                raise AddressError("syntax error in MAIL")
            opened.reverse_path = read_path(found[1])
            opened.smtputf8 = not opened.reverse_path.isascii()
            _read_mail_parameters(opened, _parameters(found[2]))
        except AddressError as error:
            opened.complaint = f"bad sender {_shown(found[1] if found else argument)}: {error}"

    def _rcpt(self, argument: str) -> Iterator[Event]:
        self._open = opened = self._open or _Open(complaint="RCPT without MAIL")
        if len(opened.recipients) + len(opened.refused) >= MAX_RECIPIENTS:
            self._is_over = True
            yield from self._abandon()
            yield Unreadable(f"a message with more than {MAX_RECIPIENTS} recipients")
            return
        found = _TO.match(argument)
        try:
            if found is None:
                raise AddressError("syntax error in RCPT")
            path = read_path(found[1])
            if not path:
                raise AddressError("a recipient cannot be the null path")
        except AddressError as error:
            opened.refused.append((_shown(found[1] if found else argument), str(error)))
            return
        opened.smtputf8 |= not path.isascii()
        opened.recipients.append(_recipient(path, _parameters(found[2])))

    def _abandon(self) -> Iterator[Event]:
        """There is no DATA for the message that is open."""
        opened, self._open = self._open, None
        if opened is not None:
            yield WithoutContent(opened.closed())

    def _remark(self, text: str) -> None:
        if len(self.remarks) < MAX_REMARKS:
            self.remarks.append(text)


_VERBS: dict[str, Callable[[BatchReader, str], Iterator[Event]]] = {
    "HELO": BatchReader._greeting,
    "EHLO": BatchReader._greeting,
    "MAIL": BatchReader._mail,
    "RCPT": BatchReader._rcpt,
    "RSET": BatchReader._reset,
    "QUIT": BatchReader._greeting,
}


def _parameters(text: str) -> dict[str, str]:
    """ESMTP parameters, keywords in upper case. Nobody can be told about those we do not know."""
    words = (word.partition("=") for word in text.split())
    return {keyword.upper(): value for keyword, _, value in words}


def _read_mail_parameters(opened: _Open, parameters: dict[str, str]) -> None:
    size = parameters.get("SIZE", "")
    if size.isascii() and size.isdigit() and len(size) <= 20:
        opened.size_bytes = int(size)
    body = parameters.get("BODY", "").upper()
    opened.body = body if body in ("7BIT", "8BITMIME") else ""
    opened.smtputf8 |= "SMTPUTF8" in parameters
    ret = parameters.get("RET", "").upper()
    opened.ret = ret if ret in ("FULL", "HDRS") else ""
    envid = parameters.get("ENVID", "")
    opened.envid = envid if _XTEXT.fullmatch(envid) else ""


def _recipient(path: str, parameters: dict[str, str]) -> BatchRecipient:
    notify = parameters.get("NOTIFY", "").upper()
    orcpt = parameters.get("ORCPT", "")
    kind, semicolon, _ = orcpt.partition(";")
    return BatchRecipient(
        path,
        notify if set(notify.split(",")) <= _NOTIFY else "",
        orcpt if kind and semicolon and _XTEXT.fullmatch(orcpt) else "",
    )


def _shown(text: str) -> str:
    """What a stranger wrote as an address, as one plain word."""
    return re.sub(r"[^!-~]", "?", text[:200].strip("<>")) or "?"


# --- writing


def batch(
    name: str,
    messages: Iterable[tuple[BatchMessage, Iterable[bytes]]],
    *,
    line_end: bytes = b"\n",
) -> Iterator[bytes]:
    """The bytes of a batch, the same for the same input.

    `name`: ours, for HELO. `messages`: each envelope with its content, CRLF line ends. What of an
    envelope is not at its default is written as a parameter. `line_end`: LF, or CRLF for the
    exact bytes.

    Raises: ValueError for an envelope that cannot stand in a line.
    """
    yield _written(f"HELO {name}", line_end)
    for message, pieces in messages:
        lines = [_mail_line(message), *map(_rcpt_line, message.recipients), "DATA"]
        yield b"".join(_written(line, line_end) for line in lines)
        yield from _stuffed(pieces, line_end)
    yield _written("QUIT", line_end)


def _mail_line(message: BatchMessage) -> str:
    words = [f"MAIL FROM:<{message.reverse_path}>"]
    if message.size_bytes is not None:
        words.append(f"SIZE={message.size_bytes}")
    for keyword, value in (("BODY", message.body), ("RET", message.ret), ("ENVID", message.envid)):
        if value:
            words.append(f"{keyword}={value}")
    if message.smtputf8:
        words.append("SMTPUTF8")
    return " ".join(words)


def _rcpt_line(recipient: BatchRecipient) -> str:
    words = [f"RCPT TO:<{recipient.path}>"]
    if recipient.notify:
        words.append(f"NOTIFY={recipient.notify}")
    if recipient.orcpt:
        words.append(f"ORCPT={recipient.orcpt}")
    return " ".join(words)


def _written(line: str, line_end: bytes) -> bytes:
    if _UNWRITABLE.search(line):
        raise ValueError(f"control characters in {line!r}")
    return line.encode("utf-8", "surrogateescape") + line_end


def _stuffed(pieces: Iterable[bytes], line_end: bytes) -> Iterator[bytes]:
    """Content with doubled dots, its last line ended, and the final dot.

    Dots are doubled behind every LF, also a bare one: a receiver may take it for a line end, and
    none must find the end of the message within it.
    """
    to_lf = ToLf() if line_end == b"\n" else None
    last = b"\n"
    for piece in pieces:
        data = piece if to_lf is None else to_lf.feed(piece)
        if data:
            yield (last + data).replace(b"\n.", b"\n..")[1:]
            last = data[-1:]
    if to_lf is not None and (rest := to_lf.finish()):
        yield rest
        last = rest
    yield (b"" if last == b"\n" else line_end) + b"." + line_end
