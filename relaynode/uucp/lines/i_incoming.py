"""What the peer's packets of protocol i mean, in order: commands, pieces of files, their ends.

Nothing in a packet says whether it holds a command or a piece of a file, and a file follows its
command without waiting for the answer. So we look at what is asked: `S` and `E` from the peer and
`RY` to our own request announce a file on their channel, up to an empty packet. All else is text up
to a NUL.

In plain packets one position counts for all files: each DATA moves it by its length, SPOS sets it.
In a bundle each file has its own.

Taylor's uucico ends a file that we refuse with an empty packet, but not one that it has not begun
when it hears so: there the next command follows. A file that is begun after all begins at 0, and no
command does but the first one of a call.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.line import (
    MAIN,
    MAX_COMMAND_BYTES,
    Channel,
    Command,
    Data,
    EndOfFile,
    Event,
)
from relaynode.uucp.lines.i_bundle import Record, decode_records
from relaynode.uucp.lines.i_packet import Kind, Packet


@dataclass(slots=True)
class _State:
    """What comes next on a channel. `text`: the beginning of a command. `position`: in the file."""

    text: bytearray = field(default_factory=bytearray)
    position: int = 0
    is_file: bool = False
    is_refused: bool = False
    has_begun: bool = False


def channel_of(packet: Packet) -> Channel:
    """Which transfer a packet of the peer belongs to: its local channels are not ours."""
    if packet.remote:
        return Channel(packet.remote, is_ours=True)
    return Channel(packet.local, is_ours=False) if packet.local else MAIN


def _announces_file(channel: Channel, text: bytes) -> bool:
    if not channel.number:
        return False
    return text.startswith(b"RY" if channel.is_ours else (b"S ", b"E "))


class Incoming:
    """The channels as the peer fills them."""

    def __init__(self) -> None:
        self._position = 0
        self._states: dict[Channel, _State] = {}

    def take(self, packet: Packet) -> list[Event]:
        """The next packet in order, other than CLOSE. Raises: RemoteProtocolError."""
        if packet.kind is Kind.SPOS:
            self._position = int.from_bytes(packet.content, "big")
            return []
        if packet.kind is Kind.BUNDLE:
            return [
                event for record in decode_records(packet.content) for event in self._record(record)
            ]
        position = self._position
        self._position += len(packet.content)
        channel = channel_of(packet)
        state = self._state(channel)
        if not state.is_file:
            return self._command(channel, state, packet.content)
        if state.is_refused and not state.has_begun and packet.content and position:
            self._states[channel] = state = _State()
            return [EndOfFile(channel), *self._command(channel, state, packet.content)]
        return self._file(channel, state, position, packet.content, not packet.content)

    def _state(self, channel: Channel) -> _State:
        return self._states.setdefault(channel, _State())

    def _record(self, record: Record) -> list[Event]:
        channel = MAIN
        if record.channel.number:
            channel = Channel(record.channel.number, not record.channel.is_ours)
        state = self._state(channel)
        if record.is_file is not state.is_file:
            raise RemoteProtocolError("protocol i: a file that was not announced, or not ended")
        if not record.is_file:
            return self._command(channel, state, record.content)
        position = state.position if record.position is None else record.position
        return self._file(channel, state, position, record.content, record.is_last)

    def _file(
        self, channel: Channel, state: _State, position: int, content: bytes, is_last: bool
    ) -> list[Event]:
        state.has_begun = True
        state.position = position + len(content)
        events: list[Event] = [Data(channel, position, content)] if content else []
        if is_last:
            self._states[channel] = _State()
            events.append(EndOfFile(channel))
        return events

    def _command(self, channel: Channel, state: _State, content: bytes) -> list[Event]:
        text, terminator, _ = content.partition(b"\0")
        state.text += text
        if len(state.text) > MAX_COMMAND_BYTES:
            raise RemoteProtocolError("protocol i: a command without an end")
        if not terminator:  # an empty packet, too: the end of a file that was refused long ago
            return []
        command = bytes(state.text)
        state.text.clear()
        state.position = 0
        state.has_begun = False
        state.is_file = _announces_file(channel, command)
        return [Command(channel, command)]

    def refuse(self, channel: Channel) -> None:
        """The file that was announced on this channel is not wanted, if it is not here already."""
        state = self._state(channel)
        state.is_refused = state.is_file
