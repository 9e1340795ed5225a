"""Protocol t: for lines that lose nothing, such as TCP.

    command   text NUL ...                 filled with NULs to a multiple of 512 bytes
    file      LLLL data  LLLL data  0000   blocks behind their lengths, 4 bytes, high byte first

What stands behind the first NUL of a command means nothing: old programs leave there what was in
memory. There is no start, no end, no acknowledgement.
"""

from __future__ import annotations

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.line import MAIN, Channel, Data, EndOfFile, Event, Settings
from relaynode.uucp.lines.parameters import SECONDS_LIMITS, Number, numbers
from relaynode.uucp.lines.plain import PlainLine

COMMAND_UNIT_BYTES = 512

BLOCK_BYTES = 1024
"""What we send in a block. It costs 4 bytes a KiB; Taylor UUCP 1.07 takes more (to 16,000 bytes, it
dies of more than its buffer), but of a broken transfer it keeps whole blocks only."""

LENGTH_BYTES = 4

MAX_BLOCK_BYTES = 0x7FFFFFFF
"""A longer block is none: blocks are not kept, but no peer means that much."""

PARAMETERS = {"timeout": Number(120, *SECONDS_LIMITS)}


class LineT(PlainLine):
    """Protocol t."""

    letter = "t"
    hears_on = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(numbers("t", settings.parameters, PARAMETERS)["timeout"])
        self._padding_bytes = 0
        """What is still to come of the last command, and means nothing."""
        self._block_bytes = 0
        """What is still to come of the block."""

    # --- what arrives

    def _read_command(self) -> bytes | None:
        self._skip_padding()
        end = self._arrived.find(0)
        self._too_long(end if end >= 0 else len(self._arrived))
        if end < 0:
            return None
        text = bytes(self._arrived[:end])
        self._padding_bytes = _padded_bytes(end)
        self._skip_padding()
        return text

    def _skip_padding(self) -> None:
        skipped = min(self._padding_bytes, len(self._arrived))
        del self._arrived[:skipped]
        self._padding_bytes -= skipped

    def _read_file(self) -> list[Event]:
        assert self._position is not None
        self._skip_padding()
        content, is_whole = self._read_blocks()
        events: list[Event] = [Data(MAIN, self._position, content)] if content else []
        self._position += len(content)
        if is_whole:
            events.append(EndOfFile(MAIN))
            self._position = None
        return events

    def _read_blocks(self) -> tuple[bytes, bool]:
        """All data that has arrived, and whether the file ends with it."""
        pieces: list[bytes] = []
        while self._arrived and not self._padding_bytes:
            if not self._block_bytes:
                if len(self._arrived) < LENGTH_BYTES:
                    break
                self._read_length()
                if not self._block_bytes:
                    return b"".join(pieces), True
            pieces.append(bytes(self._arrived[: self._block_bytes]))
            del self._arrived[: self._block_bytes]
            self._block_bytes -= len(pieces[-1])
        return b"".join(pieces), False

    def _read_length(self) -> None:
        self._block_bytes = int.from_bytes(self._arrived[:LENGTH_BYTES], "big")
        del self._arrived[:LENGTH_BYTES]
        if self._block_bytes > MAX_BLOCK_BYTES:
            raise RemoteProtocolError(f"protocol t: a block of {self._block_bytes} bytes")

    # --- what we say

    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        """Send a command or reply, filled up."""
        self._now = now
        self._say(text.ljust(_padded_bytes(len(text)), b"\0"))

    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """Nothing is said before the data."""

    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        """Send the next piece of the file, in blocks."""
        self._now = now
        blocks = (content[i : i + BLOCK_BYTES] for i in range(0, len(content), BLOCK_BYTES))
        self._say(b"".join(len(block).to_bytes(LENGTH_BYTES, "big") + block for block in blocks))

    def end_file(self, channel: Channel, now: float) -> None:
        """Say that the file is complete: a block without bytes."""
        self._now = now
        self._say(bytes(LENGTH_BYTES))


def _padded_bytes(text_bytes: int) -> int:
    return (text_bytes // COMMAND_UNIT_BYTES + 1) * COMMAND_UNIT_BYTES
