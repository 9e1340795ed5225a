"""Protocol e: for lines that lose nothing, such as TCP, with next to no overhead.

    command   text NUL
    file      length data    the length of what follows in decimal digits, filled with NULs to 20

There is no start, no end, no acknowledgement, and no mark behind a file.
"""

from __future__ import annotations

import re

from relaynode.errors import LocalProtocolError, RemoteProtocolError
from relaynode.uucp.line import MAIN, Channel, Data, EndOfFile, Event, Settings
from relaynode.uucp.lines.parameters import SECONDS_LIMITS, Number, numbers
from relaynode.uucp.lines.plain import PlainLine

HEADER_BYTES = 20

_HEADER = re.compile(rb" *([0-9]{1,18})[ \0]*")  # 18 digits are below 2^63

PARAMETERS = {"timeout": Number(120, *SECONDS_LIMITS)}


class LineE(PlainLine):
    """Protocol e."""

    letter = "e"
    hears_on = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(numbers("e", settings.parameters, PARAMETERS)["timeout"])
        self._awaited_bytes: int | None = None
        """What is still to come of the file; None before its header."""
        self._promised_bytes = 0
        """What is still to be sent of our file."""

    # --- what arrives

    def _read_command(self) -> bytes | None:
        end = self._arrived.find(0)
        self._too_long(end if end >= 0 else len(self._arrived))
        if end < 0:
            return None
        text = bytes(self._arrived[:end])
        del self._arrived[: end + 1]
        return text

    def _read_file(self) -> list[Event]:
        if self._awaited_bytes is None:
            if len(self._arrived) < HEADER_BYTES:
                return []
            self._awaited_bytes = self._read_header()
        return self._read_content(self._awaited_bytes)

    def _read_header(self) -> int:
        header = bytes(self._arrived[:HEADER_BYTES])
        del self._arrived[:HEADER_BYTES]
        found = _HEADER.fullmatch(header)
        if found is None:
            raise RemoteProtocolError(f"protocol e: {header!r} is no length")
        return int(found[1])

    def _read_content(self, awaited_bytes: int) -> list[Event]:
        assert self._position is not None
        content = bytes(self._arrived[:awaited_bytes])
        del self._arrived[: len(content)]
        events: list[Event] = [Data(MAIN, self._position, content)] if content else []
        self._position += len(content)
        self._awaited_bytes = awaited_bytes - len(content)
        if not self._awaited_bytes:
            events.append(EndOfFile(MAIN))
            self._position = self._awaited_bytes = None
        return events

    # --- what we say

    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        """Send a command or reply."""
        self._now = now
        self._say(text + b"\0")

    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """Say how many bytes follow."""
        self._promised_bytes = remaining_bytes
        self._say(b"%d" % remaining_bytes + bytes(HEADER_BYTES - len(str(remaining_bytes))))

    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        """Send the next piece of the file. Raises: LocalProtocolError if it has grown."""
        if len(content) > self._promised_bytes:
            raise LocalProtocolError("protocol e: more bytes than were promised")
        self._now = now
        self._promised_bytes -= len(content)
        self._say(content)

    def end_file(self, channel: Channel, now: float) -> None:
        """The file is complete. Raises: LocalProtocolError if it has shrunk."""
        if self._promised_bytes:
            raise LocalProtocolError(f"protocol e: {self._promised_bytes} promised bytes lack")
