r"""Protocol f: for lines that pass seven bits and no control characters, such as X.25 PADs.

    command   text CR
    file      data ~~xxxx CR     xxxx: checksum of the whole file, in lower-case hex digits
    answer    G CR               good; R: send the whole file again; Q: we give up

In data a byte outside 20 to 79 (hex) is changed into one inside, behind a prefix that says how:
`z` 40 was added; `{` 40, `|` 40, `}` 80, `~` c0 was taken away.
"""

from __future__ import annotations

import re

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.line import (
    MAIN,
    Channel,
    Data,
    EndOfFile,
    Event,
    Remark,
    Resend,
    Settings,
)
from relaynode.uucp.lines.parameters import SECONDS_LIMITS, Number, numbers
from relaynode.uucp.lines.plain import PlainLine
from relaynode.uucp.lines.sum16 import EMPTY_SUM, sum16

PARAMETERS = {"timeout": Number(120, *SECONDS_LIMITS), "retries": Number(2, 0, 1000)}

_RANGES = (  # first and last byte, prefix, what is added to it
    (0x00, 0x1F, b"z", 0x40),
    (0x20, 0x79, b"", 0),
    (0x7A, 0x7F, b"{", -0x40),
    (0x80, 0x9F, b"|", -0x40),
    (0xA0, 0xF9, b"}", -0x80),
    (0xFA, 0xFF, b"~", -0xC0),
)
_QUOTED = [
    prefix + bytes([byte + change])
    for first, last, prefix, change in _RANGES
    for byte in range(first, last + 1)
]
_UNQUOTED = {quoted: bytes([byte]) for byte, quoted in enumerate(_QUOTED) if len(quoted) == 2}

_IGNORED = bytes(byte for byte in range(0x20) if byte != 0x0D) + b"\x7f"
"""Control characters in a file are the line's (XON, XOFF, padding), never the peer's."""

_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))

_CONTENT = re.compile(rb"(?:[ -y]++|[z-}][ -~]|~[ -}])*")
_PAIR = re.compile(rb"[z-~].")
_END = re.compile(rb"~~([0-9a-f]{4})")

MAX_END_BYTES = 256
"""So much noise may stand between the last good byte of a file and the CR behind it."""


class LineF(PlainLine):
    """Protocol f."""

    letter = "f"
    can_restart = False

    def __init__(self, settings: Settings) -> None:
        found = numbers("f", settings.parameters, PARAMETERS)
        super().__init__(found["timeout"])
        self._retries = found["retries"]
        self._began_at = 0  # position
        self._rejected = 0  # how often the file that arrives was damaged
        self._sum = EMPTY_SUM
        self._is_damaged = False
        self._sent_sum = EMPTY_SUM
        self._awaits_verdict = False

    # --- what arrives

    def _read_command(self) -> bytes | None:
        end = self._arrived.find(b"\r")
        self._too_long(end if end >= 0 else len(self._arrived))
        if end < 0:
            return self._read_hang_up()
        text = bytes(self._arrived[:end]).lstrip(b"\n\0\x11\x13")
        del self._arrived[: end + 1]
        return text

    def _read_hang_up(self) -> bytes | None:
        """It ends with NUL, not with CR."""
        is_hang_up = self._arrived.startswith(b"\x10") and 0 in self._arrived
        return bytes(self._arrived) if is_hang_up else None

    def _read(self) -> list[Event]:
        if not self._awaits_verdict:
            return super()._read()
        text = self._read_command()
        while text == b"":
            text = self._read_command()
        return self._judged(text) if text is not None else []

    def _judged(self, verdict: bytes) -> list[Event]:
        """What the peer says of the file that we have sent."""
        self._awaits_verdict = False
        self._patience.answered(self._now)
        if verdict == b"G":
            return super()._read()
        if verdict == b"R":
            self.counts.rejected += 1
            return [Remark("the peer received the file damaged"), Resend(MAIN)]
        if verdict == b"Q":
            raise LineLost("protocol f: the peer gives up, the line damages the file every time")
        raise RemoteProtocolError(f"protocol f: {verdict[:40]!r} is no answer to a file")

    def expect_file(self, channel: Channel, position: int) -> None:
        """The peer is going to send a file, from `position` on."""
        super().expect_file(channel, position)
        self._began_at = position
        self._rejected = 0
        self._begin_again()

    def _begin_again(self) -> None:
        self._position = self._began_at
        self._sum = EMPTY_SUM
        self._is_damaged = False

    def _read_file(self) -> list[Event]:
        # No command can be among it: behind a file the peer awaits our answer.
        self._arrived = self._arrived.translate(_SEVEN_BITS, _IGNORED)
        data = self._read_content()
        end = self._arrived.find(b"\r")
        if end >= 0:
            return data + self._read_end(end)
        if len(self._arrived) > MAX_END_BYTES:  # the end of an undamaged file is 6 bytes
            del self._arrived[:-MAX_END_BYTES]
            self._is_damaged = True
        return data

    def _read_content(self) -> list[Event]:
        """All data that has arrived, up to what can be none."""
        assert self._position is not None
        found = _CONTENT.match(self._arrived)
        quoted = found[0] if found else b""
        if self._is_damaged or not quoted:
            return []
        del self._arrived[: len(quoted)]
        content = _PAIR.sub(self._unquoted, quoted)
        self._sum = sum16(content, self._sum)
        self._position += len(content)
        return [Data(MAIN, self._position - len(content), content)]

    def _unquoted(self, pair: re.Match[bytes]) -> bytes:
        """The byte that a prefix and its follower stand for; a pair that none gives is damage."""
        byte = _UNQUOTED.get(pair[0])
        self._is_damaged |= byte is None
        return byte or b""

    def _read_end(self, end: int) -> list[Event]:
        found = _END.fullmatch(self._arrived[:end])
        del self._arrived[: end + 1]
        if found and not self._is_damaged and int(found[1], 16) == self._sum:
            self._say(b"G\r")
            self._position = None
            return [EndOfFile(MAIN)]
        return self._reject()

    def _reject(self) -> list[Event]:
        """Ask for the file again. Raises: LineLost when that was done often enough."""
        self.counts.damaged += 1
        self._rejected += 1
        if self._rejected > self._retries:
            self._say(b"Q\r")
            raise LineLost(f"protocol f: the file was damaged {self._rejected} times")
        self._say(b"R\r")
        self._begin_again()
        return [Remark("the file arrived damaged: asked for it again")]

    # --- what we say

    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        """Send a command or reply."""
        self._now = now
        self._say(text + b"\r")

    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """Nothing is said before the data."""
        self._sent_sum = EMPTY_SUM

    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        """Send the next piece of the file, quoted."""
        self._now = now
        self._sent_sum = sum16(content, self._sent_sum)
        self._say(b"".join(map(_QUOTED.__getitem__, content)))

    def end_file(self, channel: Channel, now: float) -> None:
        """The file is complete: the peer will say whether it is good."""
        self._now = now
        self._say(b"~~%04x\r" % self._sent_sum)
        self._awaits_verdict = True
