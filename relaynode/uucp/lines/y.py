"""Protocol y: for lines that lose nothing but may damage something, in packets without windows.

    packet    ssss llll cccc data   sequence, length, checksum: 2 bytes each, low byte first
    sync      0000 0400 cccc VVPPFFFF   each side's first: version, packet size / 256, flags
    control   ssss xxxx 0000        no data; xxxx: fffe file received, fffd damaged, fffc wrong

A command is a packet that ends with NUL (a long one goes over several), a file is packets and an
empty one behind them, which the receiver acknowledges. What is damaged cannot be had again: a
checksum that does not fit ends the call.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.line import (
    MAIN,
    Channel,
    Data,
    EndOfFile,
    Event,
    Settings,
    Started,
)
from relaynode.uucp.lines.parameters import SECONDS_LIMITS, Number, numbers
from relaynode.uucp.lines.plain import PlainLine
from relaynode.uucp.lines.sum16 import sum16

HEADER_BYTES = 6
FIRST_CONTROL = 0x8000
"""Lengths from here on are no lengths."""

SIZE_UNIT_BYTES = 256
VERSION = 1

PARAMETERS = {
    "timeout": Number(60, *SECONDS_LIMITS),
    "packet-size": Number(1024, SIZE_UNIT_BYTES, FIRST_CONTROL - SIZE_UNIT_BYTES),
}

_HANG_UP = b"\x10OOOO"


class Control(IntEnum):
    """What a packet without data says."""

    RECEIVED = 0xFFFE
    DAMAGED = 0xFFFD
    WRONG = 0xFFFC


class Packet(NamedTuple):
    """A packet as it stands on the line. `length` may be a Control."""

    sequence: int
    length: int
    checksum: int
    content: bytes = b""

    @property
    def is_control(self) -> bool:
        """Whether it says something by its length."""
        return self.length >= FIRST_CONTROL

    @property
    def is_intact(self) -> bool:
        """Whether the checksum fits. That of an empty packet is ffff; manuals say 0."""
        if self.is_control or (not self.content and not self.checksum):
            return True
        return self.checksum == sum16(self.content)

    def encoded(self) -> bytes:
        """The bytes of it."""
        header = (self.sequence, self.length, self.checksum)
        return b"".join(field.to_bytes(2, "little") for field in header) + self.content


def data_packet(sequence: int, content: bytes) -> Packet:
    """A packet with data, or the empty one at the end of a file."""
    return Packet(sequence, len(content), sum16(content), content)


def control_packet(sequence: int, control: int) -> Packet:
    """A packet that only says something."""
    return Packet(sequence, control, 0)


def sync_content(packet_bytes: int) -> bytes:
    """What our first packet says: `packet_bytes`, a multiple of 256, is the most we want in one."""
    return bytes([VERSION, packet_bytes // SIZE_UNIT_BYTES, 0, 0])


def take_packet(arrived: bytearray) -> Packet | None:
    """The first packet out of what has arrived; None if it is not whole."""
    if len(arrived) < HEADER_BYTES:
        return None
    sequence, length, checksum = (int.from_bytes(arrived[i : i + 2], "little") for i in (0, 2, 4))
    end = HEADER_BYTES + (length if length < FIRST_CONTROL else 0)
    if len(arrived) < end:
        return None
    packet = Packet(sequence, length, checksum, bytes(arrived[HEADER_BYTES:end]))
    del arrived[:end]
    return packet


class LineY(PlainLine):
    """Protocol y."""

    letter = "y"

    def __init__(self, settings: Settings) -> None:
        found = numbers("y", settings.parameters, PARAMETERS)
        super().__init__(found["timeout"])
        self._packet_bytes = found["packet-size"] // SIZE_UNIT_BYTES * SIZE_UNIT_BYTES
        self._next_sent = 0
        self._next_received = 0
        self._command = bytearray()
        """What has come of a command."""
        self._is_synchronised = False
        self._awaits_receipt = False

    def start(self, now: float) -> None:
        """Say what we take. Commands may be sent when the peer has said the same."""
        self._open(now)
        self._send(sync_content(self._packet_bytes))

    # --- what arrives

    def _read(self) -> list[Event]:
        if self._is_between_files and self._arrived.startswith(_HANG_UP):
            return self._hung_up()
        if self._is_synchronised and not self._awaits_receipt:
            return super()._read()
        packet = self._take()
        if packet is None:
            return []
        if self._awaits_receipt:
            return self._take_receipt(packet)
        self._synchronise(packet)
        return [Started()]

    @property
    def _is_between_files(self) -> bool:
        return self._position is None and not self._command

    def _take(self) -> Packet | None:
        """The next packet, found to be in order. Raises: RemoteProtocolError."""
        packet = take_packet(self._arrived)
        if packet is None:
            return None
        self.counts.received += 1
        if not packet.is_intact:
            self.counts.damaged += 1
            self._refuse(Control.DAMAGED, "a packet arrived damaged")
        if packet.sequence != self._next_received:
            self.counts.out_of_order += 1
            self._refuse(Control.WRONG, f"packet {packet.sequence} came out of order")
        self._next_received = (self._next_received + 1) & 0xFFFF
        if packet.is_control and packet.length != Control.RECEIVED:
            self.counts.rejected += 1
            raise RemoteProtocolError(f"protocol y: the peer ends with {packet.length:04x}")
        return packet

    def _refuse(self, control: Control, why: str) -> None:
        self._send_packet(control_packet(self._next_sent, control))
        raise RemoteProtocolError(f"protocol y: {why}")

    def _synchronise(self, packet: Packet) -> None:
        """Take over what the peer takes at most. Raises: RemoteProtocolError."""
        if len(packet.content) < len(sync_content(0)) or not packet.content[1]:
            self._refuse(Control.WRONG, "the peer does not say what it takes")
        self._packet_bytes = min(self._packet_bytes, packet.content[1] * SIZE_UNIT_BYTES)
        self._is_synchronised = True
        self._patience.answered(self._now)

    def _take_receipt(self, packet: Packet) -> list[Event]:
        """The peer says that it has our file."""
        if not packet.is_control:
            self._refuse(Control.WRONG, "the peer did not acknowledge the file")
        self._awaits_receipt = False
        return self._read()

    def _read_command(self) -> bytes | None:
        while packet := self._take():
            end = packet.content.find(0)
            if end >= 0:
                text = bytes(self._command + packet.content[:end])
                self._command.clear()
                return text
            self._command += packet.content
            self._too_long(len(self._command))
        return None

    def _read_file(self) -> list[Event]:
        assert self._position is not None
        packet = self._take()
        if packet is None:
            return []
        if packet.is_control:
            self._refuse(Control.WRONG, "an acknowledgement in the middle of a file")
        if not packet.content:
            self._send_packet(control_packet(self._next_sent, Control.RECEIVED))
            self._position = None
            return [EndOfFile(MAIN)]
        self._position += len(packet.content)
        return [Data(MAIN, self._position - len(packet.content), packet.content)]

    # --- what we say

    def _send(self, content: bytes) -> None:
        self._send_packet(data_packet(self._next_sent, content))

    def _send_packet(self, packet: Packet) -> None:
        self._next_sent = (self._next_sent + 1) & 0xFFFF
        self.counts.sent += 1
        self._say(packet.encoded())

    def _send_in_packets(self, content: bytes) -> None:
        for begin in range(0, len(content), self._packet_bytes):
            self._send(content[begin : begin + self._packet_bytes])

    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        """Send a command or reply."""
        self._now = now
        self._send_in_packets(text + b"\0")

    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """Nothing is said before the data."""

    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        """Send the next piece of the file."""
        self._now = now
        self._send_in_packets(content)

    def end_file(self, channel: Channel, now: float) -> None:
        """The file is complete: the peer will say that it has it."""
        self._now = now
        self._send(b"")
        self._awaits_receipt = True
