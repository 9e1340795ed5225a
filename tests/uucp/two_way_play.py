"""A minimal session above protocols i and j: both ends send files at once, and hang up.

Like the real one it sends `S`, then the file at once; the other answers `SY` to the command and
`CY` to the file. `S` carries a number instead of names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.uucp.line import MAIN, Channel, Closed, Command, Data, EndOfFile, Started

if TYPE_CHECKING:
    from relaynode.uucp.line import Event
    from uucp.line_sim import End, LineSim

COMMAND = b'S D.%04d D.alphaN%04d uucp -C D.%04d 0666 "" 0x1000'
"""As long as those of real jobs."""


@dataclass
class Side:
    """One end's session. `received`: files by their number, as they were complete."""

    end: End
    sim: LineSim
    files: list[bytes]
    is_caller: bool
    received: dict[int, bytes] = field(default_factory=dict)
    finished: int = 0
    is_started: bool = False
    is_closed: bool = False
    _begun: int = 0
    _under_way: list[tuple[Channel, bytes, int]] = field(default_factory=list)
    _channels: dict[int, int] = field(default_factory=dict)
    _incoming: dict[Channel, tuple[int, bytearray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.end.on_event = self.on_event
        self.end.work = self.work

    @property
    def is_done(self) -> bool:
        """Whether all our files were acknowledged."""
        return self.finished == len(self.files)

    def on_event(self, event: Event) -> None:
        match event:
            case Started():
                self.is_started = True
            case Command(channel, text):
                self._on_command(channel, text)
            case Data(channel, position, content):
                file = self._incoming[channel][1]
                assert position == len(file)
                file += content
            case EndOfFile(channel):
                number, file = self._incoming.pop(channel)
                assert number not in self.received
                self.received[number] = bytes(file)
                self._say(channel, b"CY")
            case Closed():
                self.is_closed = True

    def _on_command(self, channel: Channel, text: bytes) -> None:
        match text[:2]:
            case b"S ":
                self._incoming[channel] = int(text[4:8]), bytearray()
                self._say(channel, b"SY")
            case b"CY":
                del self._channels[channel.number]
                self.finished += 1
            case b"SY":
                assert channel.is_ours
            case b"H":
                self._say(MAIN, b"HY")
                self.end.line.close(self.sim.now)
            case b"HY":
                self.end.line.close(self.sim.now)
            case _:
                raise AssertionError(text)

    def _say(self, channel: Channel, text: bytes) -> None:
        self.end.line.send_command(channel, text, self.sim.now)

    def work(self) -> None:
        if not self.is_started:
            return
        self._begin_files()
        while self._under_way and self.end.line.room:
            self._send_some(*self._under_way.pop(0))

    def _begin_files(self) -> None:
        """Take channels for the next files, and say so."""
        while self._begun < len(self.files) and len(self._channels) < self.end.line.channels:
            number = min(set(range(1, self.end.line.channels + 1)) - set(self._channels))
            channel, content = Channel(number), self.files[self._begun]
            self._channels[number] = self._begun
            self._say(channel, COMMAND % (self._begun, self._begun, self._begun))
            self.end.line.begin_file(channel, 0, len(content))
            self._under_way.append((channel, content, 0))
            self._begun += 1

    def _send_some(self, channel: Channel, content: bytes, sent: int) -> None:
        line, now = self.end.line, self.sim.now
        piece = content[sent : sent + line.room]
        if piece:
            line.send_data(channel, piece, now)
        if sent + len(piece) == len(content):
            line.end_file(channel, now)
        else:
            self._under_way.insert(0, (channel, content, sent + len(piece)))


@dataclass
class Play:
    """Both sides over one simulated line."""

    sim: LineSim
    there: list[bytes]
    back: list[bytes]

    def __post_init__(self) -> None:
        self.caller = Side(self.sim.caller, self.sim, self.there, is_caller=True)
        self.called = Side(self.sim.called, self.sim, self.back, is_caller=False)

    def transfer(self, limit_seconds: float = 36000.0) -> float:
        """Send everything; the seconds it took. Raises: Stalled."""
        self.sim.start()
        self.sim.run(lambda: self.caller.is_done and self.called.is_done, limit_seconds)
        seconds = self.sim.now
        assert self.called.received == dict(enumerate(self.there))
        assert self.caller.received == dict(enumerate(self.back))
        return seconds

    def hang_up(self, limit_seconds: float = 600.0) -> None:
        """End it from the caller's side."""
        self.sim.caller.line.send_command(MAIN, b"H", self.sim.now)
        self.sim.run(lambda: self.caller.is_closed and self.called.is_closed, limit_seconds)
