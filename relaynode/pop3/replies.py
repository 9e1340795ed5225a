"""How a POP3 client reads: lines, status indicators, response codes and multi-line answers.

    +OK 2 messages CRLF          status line: an indicator, perhaps "[CODE]", a text
    1 120 CRLF                   the lines of a multi-line answer, dots doubled at their start
    2 200 CRLF
    . CRLF                       its end

RFC 1939 section 3, RFC 2449 sections 3 and 8. Everything reads from a `bytearray` that the client
owns, takes from its front what it has understood, and leaves the rest for the next time.

Status lines and listings may end with a bare LF: no harm can be hidden there. A message ends only
with CRLF `.` CRLF.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relaynode.errors import RemoteProtocolError
from relaynode.mail.lines import DotDecoder
from relaynode.mail.passing import sounds_passing
from relaynode.mail.status import Status
from relaynode.pop3.events import (
    Capabilities,
    ListEnd,
    ListItem,
    MessageData,
    MessageEnd,
    UidlEnd,
    UidlItem,
)
from relaynode.pop3.limits import (
    MAX_CAPABILITIES,
    MAX_LINE_BYTES,
    MAX_LISTING_ITEMS,
    MAX_PIECE_BYTES,
    MAX_UID_BYTES,
)
from relaynode.pop3.states import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaynode.pop3.events import Event, Events

# RFC 1939 3 wants upper case. "+OK<timestamp>" without a space is seen at greetings.
_STATUS_LINE = re.compile(rb"(\+OK|-ERR)(?![A-Za-z0-9])[ \t]*(.*)", re.DOTALL)
_RESPONSE_CODE = re.compile(rb"\[([^\]\x00-\x20]+)\]")
_STAT = re.compile(rb"(\d{1,10})[ \t]+(\d{1,18})(?![^ \t])")
# RFC 1939 5 discourages, and some servers practise, more text behind the size.
_LIST_ITEM = re.compile(rb"(\d{1,10})[ \t]+(\d{1,18})(?![^ \t])")
# RFC 1939 7: 1 to 70 characters of 0x21 to 0x7E. Longer ids and 8-bit ones exist; both are unique.
_UIDL_ITEM = re.compile(rb"(\d{1,10})[ \t]+([^\x00-\x20\x7f]{1,%d})[ \t]*" % MAX_UID_BYTES)


def take_line(buffer: bytearray) -> bytes | None:
    """The first line, without its end, taken from the buffer; None if it is not complete yet.

    Raises: RemoteProtocolError if it is longer than MAX_LINE_BYTES or holds a NUL.
    """
    end = buffer.find(b"\n", 0, MAX_LINE_BYTES)
    if end < 0:
        if len(buffer) >= MAX_LINE_BYTES:
            raise RemoteProtocolError(f"the server sent a line longer than {MAX_LINE_BYTES} bytes")
        return None
    line = bytes(buffer[:end]).removesuffix(b"\r")
    del buffer[: end + 1]
    if b"\0" in line:
        raise RemoteProtocolError("the server sent a NUL in a line of its reply")
    return line


def clean_text(text: bytes) -> str:
    """A text of the peer as one line for logs and people: nothing in it acts on a terminal."""
    decoded = text.decode("utf-8", "replace").strip()
    return "".join(char if char.isprintable() else "?" for char in decoded)


# --- status lines ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """One status line: its indicator, and all that stands behind it."""

    is_ok: bool
    text: bytes


def parse_status_line(line: bytes) -> Reply | None:
    """The line as a Reply, or None if it has neither of the two indicators."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        return None
    return Reply(match[1] == b"+OK", match[2])


def is_continuation(line: bytes) -> bool:
    """Is this a SASL challenge (RFC 5034 section 4)?"""
    return line == b"+" or line.startswith(b"+ ")


# Code and enhanced code of each response code we know.
_CODED: Mapping[bytes, tuple[int, str]] = {
    b"SYS/TEMP": (451, "4.3.0"),  # RFC 3206 4
    b"SYS/PERM": (554, "5.3.0"),
    b"AUTH": (535, "5.7.8"),  # RFC 3206 5
    b"IN-USE": (450, "4.2.0"),  # RFC 2449 8.1.2
    b"LOGIN-DELAY": (450, "4.7.0"),  # RFC 2449 8.1.1
}

# The same for a refusal without a code, by the command that was refused. A server that gives no
# codes means a wrong password when it refuses a login, and everything else may pass.
_UNCODED: Mapping[Command, tuple[int, str]] = {
    Command.GREETING: (421, "4.3.2"),
    Command.USER: (535, "5.7.8"),
    Command.PASS: (535, "5.7.8"),
    Command.APOP: (535, "5.7.8"),
    Command.AUTH: (535, "5.7.8"),
    Command.STLS: (454, "4.7.0"),
}
_UNCODED_ELSEWHERE = (450, "4.2.0")
_LOGIN = frozenset((Command.USER, Command.PASS, Command.APOP, Command.AUTH))


def status_of(command: Command, text: bytes, shown: str) -> Status:
    """What a refusal means: by its response code, else by the command it refuses.

    `text` is what stands behind -ERR; `shown` is the form of it that people may see.
    """
    found = _by_code(text)
    if found is None and command in _LOGIN and sounds_passing(shown):
        found = _UNCODED_ELSEWHERE
    code, enhanced = found or _UNCODED.get(command, _UNCODED_ELSEWHERE)
    return Status(code, enhanced, shown or f"{command} was refused without a reason")


def _by_code(text: bytes) -> tuple[int, str] | None:
    # RFC 2449 3: codes are levels parted by "/"; an unknown lower level leaves the upper one valid.
    match = _RESPONSE_CODE.match(text)
    code = match[1].upper() if match else b""
    while code:
        if code in _CODED:
            return _CODED[code]
        code = code.rpartition(b"/")[0]
    return None


def parse_stat(text: bytes) -> tuple[int, int]:
    """Count and size from the answer to STAT (RFC 1939 section 5)."""
    match = _STAT.match(text)
    if match is None:
        raise RemoteProtocolError("the server's reply to STAT has no count and size")
    return int(match[1]), int(match[2])


def parse_item(command: Command, number: int, text: bytes) -> UidlItem | ListItem:
    """The answer to UIDL or LIST about one message (RFC 1939 section 5 and 7)."""
    pattern = _UIDL_ITEM if command is Command.UIDL else _LIST_ITEM
    match = pattern.match(text)
    if match is None or int(match[1]) != number:
        raise RemoteProtocolError(f"the server's reply to {command} {number} makes no sense")
    if command is Command.UIDL:
        return UidlItem(number, match[2].decode("latin-1"))
    return ListItem(number, int(match[2]))


# --- multi-line answers ---------------------------------------------------------------------


class Body(Protocol):
    """The reader of one multi-line answer, from behind its status line to its lone dot."""

    def read(self, buffer: bytearray, events: Events) -> bool:
        """Take what can be understood, append its events. True when the answer is complete."""
        ...


class LineBody(ABC):
    """A multi-line answer that is understood line by line."""

    def read(self, buffer: bytearray, events: Events) -> bool:
        while (line := take_line(buffer)) is not None:
            if line == b".":
                events.append(self._end())
                return True
            item = self._item(line.removeprefix(b"."))
            if item is not None:
                events.append(item)
        return False

    @abstractmethod
    def _item(self, line: bytes) -> Event | None:
        """The event of one line, if it has one."""

    @abstractmethod
    def _end(self) -> Event:
        """The event of the lone dot."""


class CapabilityBody(LineBody):
    """The answer to CAPA (RFC 2449 section 5)."""

    def __init__(self) -> None:
        self.sasl_mechanisms: frozenset[str] = frozenset()
        self._names: set[str] = set()
        self._lines = 0

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._names)

    def _item(self, line: bytes) -> None:
        self._lines += 1
        if self._lines > MAX_CAPABILITIES:
            raise RemoteProtocolError(f"the server has more than {MAX_CAPABILITIES} capabilities")
        words = clean_text(line).upper().split()
        if not words:
            return
        self._names.add(words[0])
        if words[0] == "SASL":
            self.sasl_mechanisms |= frozenset(words[1:])

    def _end(self) -> Event:
        return Capabilities(self.names)


class NumberedBody(LineBody):
    """A listing. Its items pass through; only the last number is remembered.

    RFC 1939 does not order a listing, yet every server writes it in order. Requiring numbers that
    increase finds a number that comes twice without remembering a million of them.
    """

    command: Command

    def __init__(self) -> None:
        self._last = 0
        self._items = 0

    def _check_number(self, number: int) -> int:
        self._items += 1
        if self._items > MAX_LISTING_ITEMS:
            raise RemoteProtocolError(
                f"the server's {self.command} listing has more than {MAX_LISTING_ITEMS} messages"
            )
        if number <= self._last:
            raise RemoteProtocolError(
                f"the server's {self.command} listing has message {number} behind "
                f"{self._last or 'its start'}: numbers must increase from 1"
            )
        self._last = number
        return number

    def _bad_line(self) -> RemoteProtocolError:
        # The line is not quoted: whatever a server echoes there belongs in no log.
        return RemoteProtocolError(
            f"line {self._items + 1} of the server's {self.command} listing makes no sense"
        )


class ListBody(NumberedBody):
    """The answer to LIST without argument (RFC 1939 section 5)."""

    command = Command.LIST

    def _item(self, line: bytes) -> Event:
        match = _LIST_ITEM.match(line)
        if match is None:
            raise self._bad_line()
        return ListItem(self._check_number(int(match[1])), int(match[2]))

    def _end(self) -> Event:
        return ListEnd()


class UidlBody(NumberedBody):
    """The answer to UIDL without argument (RFC 1939 section 7)."""

    command = Command.UIDL

    def _item(self, line: bytes) -> Event:
        match = _UIDL_ITEM.fullmatch(line)
        if match is None:
            raise self._bad_line()
        # Latin-1 keeps ids apart that differ in one byte. UTF-8 with replacements would not, and
        # a message taken for a seen one would be lost.
        return UidlItem(self._check_number(int(match[1])), match[2].decode("latin-1"))

    def _end(self) -> Event:
        return UidlEnd()


class MessageBody:
    """The answer to RETR or TOP: content of any length, in lines of any length, never collected."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._size_bytes = 0
        self._decoder = DotDecoder()

    def read(self, buffer: bytearray, events: Events) -> bool:
        while buffer:
            piece = bytes(buffer[:MAX_PIECE_BYTES])
            content = self._decoder.feed(piece)
            behind = self._decoder.rest or b""
            del buffer[: len(piece) - len(behind)]
            if content:
                self._size_bytes += len(content)
                events.append(MessageData(self._number, content))
            if self._decoder.is_complete:
                events.append(MessageEnd(self._number, self._size_bytes))
                return True
        return False
