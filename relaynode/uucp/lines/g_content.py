"""What the packets of g, G and v carry: commands and files, cut into fields and joined again.

A command is text and a NUL, in whole fields, the rest of the last one padding. A file is whole
fields, a short one with what is left, and a short one with nothing, which ends it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from relaynode.errors import LocalProtocolError, RemoteProtocolError
from relaynode.uucp.line import MAIN, MAX_COMMAND_BYTES, Closed, Command, Data, EndOfFile
from relaynode.uucp.lines.g_packet import FIELD_SIZES, short_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.uucp.line import Event

MAX_WAITING_BYTES = 128 * 1024
"""A peer that says more than this behind a command, before it can know what we make of it, is
hostile or broken. Somewhat more than a window with the largest packets, several times over."""


EVERYBODYS_SIZE = 64

_GOOD_PACKETS = 16


class Field(NamedTuple):
    """What a data packet is made of, before it has a number."""

    content: bytes
    is_short: bool


class Cutter:
    """Commands and files into fields.

    `may_be_short`: whether fields may have less in them than goes in. If not, they are all of the
    one size and full, up to the end of a command or a file. Otherwise those at the end are as small
    as they can be (but not toward a peer that asked for 64 bytes or fewer: many of those know one
    size only), and none is quite full: a NUL at the end lets its sum tell more damage, and costs
    two bytes, itself and the one that says so. See `field_sum`.
    """

    def __init__(self, size_bytes: int, *, may_be_short: bool) -> None:
        self._size = self._limit = size_bytes
        self._margin = _BYTES_FOR_A_NUL if may_be_short else 0
        self._is_exact = not may_be_short or size_bytes <= EVERYBODYS_SIZE
        self._carried_bytes = 0
        self._rest = bytearray()

    @property
    def piece_bytes(self) -> int:
        """How much goes into one packet."""
        return self._size - self._margin

    @property
    def rest_bytes(self) -> int:
        """How much of the file waits for a field to become full."""
        return len(self._rest)

    def damaged(self) -> None:
        """Something had to be sent again: cut smaller from now on, for the line may be bad."""
        self._carried_bytes = 0
        if not self._is_exact:
            self._size = max(EVERYBODYS_SIZE, self._size // 2)

    def carried(self, size_bytes: int) -> None:
        """So much has arrived: after many packets without damage cut larger again."""
        self._carried_bytes += size_bytes
        if self._size < self._limit and self._carried_bytes >= _GOOD_PACKETS * self._size:
            self._carried_bytes = 0
            self._size *= 2

    def command(self, text: bytes) -> Iterator[Field]:
        """The fields of a command."""
        if b"\0" in text:
            raise LocalProtocolError("a command must not have a NUL in it")
        rest = bytearray(text + b"\0")
        while len(rest) > self._size:
            yield self._piece(rest)
        yield Field(bytes(rest).ljust(self._fitting(len(rest)), b"\0"), is_short=False)

    def begin_file(self) -> None:
        """A file begins."""
        self._rest.clear()

    def data(self, content: bytes) -> Iterator[Field]:
        """The packets that the next piece of the file fills."""
        self._rest += content
        while len(self._rest) >= self.piece_bytes:
            yield self._piece(self._rest)

    def end_file(self) -> Iterator[Field]:
        """The packets that end the file."""
        yield from self.data(b"")
        if self._rest:
            size = self._fitting(len(self._rest) + self._margin)
            yield Field(short_field(bytes(self._rest), size), is_short=True)
            self._rest.clear()
        yield Field(short_field(b"", self._fitting(0)), is_short=True)

    def _piece(self, rest: bytearray) -> Field:
        """Take as much as goes into one packet."""
        content = bytes(rest[: self.piece_bytes])
        del rest[: self.piece_bytes]
        if not self._margin:
            return Field(content, is_short=False)
        return Field(short_field(content, self._size), is_short=True)

    def _fitting(self, length: int) -> int:
        if self._is_exact:
            return self._size
        return next(size for size in FIELD_SIZES if size >= length)


_BYTES_FOR_A_NUL = 2
"""One says that two of the field do not count, the other is the NUL."""


class Joiner:
    """Contents of packets into commands and files.

    A command may change what follows it: after `RY` comes a file. So nothing behind a command is
    looked at before somebody asks again, and then knows.
    """

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._command = bytearray()
        self._position: int | None = None  # in the file; None: commands are expected
        self._is_closed = False

    @property
    def has_waiting(self) -> bool:
        """Whether `events` would have more."""
        return bool(self._waiting) or self._is_closed

    def add(self, content: bytes) -> None:
        """The next packet's. Raises: RemoteProtocolError (too much waits)."""
        self._waiting.append(content)
        self._waiting_bytes += len(content) + _OVERHEAD_BYTES
        if self._waiting_bytes > MAX_WAITING_BYTES:
            raise RemoteProtocolError("the peer does not wait for the answers to its commands")

    def close(self) -> None:
        """No more will come."""
        self._is_closed = True

    def expect_file(self, position: int) -> None:
        """What comes next is a file, from there on."""
        self._position = position

    def events(self) -> list[Event]:
        """What has come, up to the first command. Raises: RemoteProtocolError."""
        events: list[Event] = []
        while self._waiting:
            content = self._waiting.popleft()
            self._waiting_bytes -= len(content) + _OVERHEAD_BYTES
            if self._position is not None:
                events.append(self._file(content, self._position))
            elif (command := self._part_of_command(content)) is not None:
                return [*events, command]
        if self._is_closed:
            self._is_closed = False
            events.append(Closed())
        return events

    def _file(self, content: bytes, position: int) -> Event:
        if not content:
            self._position = None
            return EndOfFile(MAIN)
        self._position = position + len(content)
        return Data(MAIN, position, content)

    def _part_of_command(self, content: bytes) -> Event | None:
        text, nul, _ = content.partition(b"\0")  # old programs leave garbage behind the NUL
        self._command += text
        if len(self._command) > MAX_COMMAND_BYTES:
            raise RemoteProtocolError(f"a command is longer than {MAX_COMMAND_BYTES} bytes")
        if not nul:
            return None
        command = Command(MAIN, bytes(self._command))
        self._command.clear()
        return command


_OVERHEAD_BYTES = 64  # so that empty ones count
