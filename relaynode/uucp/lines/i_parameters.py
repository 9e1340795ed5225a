"""What may be set of protocols i and j, and what the two sides tell each other in SYNC.

    SYNC content   size hi lo | window | channels | largest hi lo

Each side says what the other shall use when it sends. `channels` may be absent. `largest` is ours:
the manual of Taylor UUCP allows for more bytes there, and its programs ignore them. It says that
the sender of this SYNC

- acknowledges at once, not only when half a window has come, and tells how long packets stood in
  queues, so that its peer keeps no more on the line than fills it (i_pace, i_queue);
- understands bundles (i_bundle);
- takes packets of up to `largest` bytes. Of others we ask for 1024 only: Taylor's program puts the
  whole window on the line, and 16 packets of 4095 bytes keep a reply waiting for 15 s at
  33.6 kbit/s. Where the sender paces itself a long packet costs nothing: it is as long as the line
  carries in a third of a second. With 16 packets of 1024, many of them short, a line of 128 kbit/s
  over a satellite runs empty.

A window of more than 16 cannot be: numbers count to 32, and a receiver must tell a packet sent
again from a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.lines.i_packet import MAX_CONTENT_BYTES
from relaynode.uucp.lines.parameters import SECONDS_LIMITS, Number, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_WINDOW = 16
MAX_CHANNELS = 7

ACK_FREQUENCY = 2
"""After how many packets we acknowledge, if nothing is told us. Taylor's half a window saves six
bytes of the other direction here and there, and leaves the line empty where delays are long."""

_PARAMETERS = {
    "window": Number(MAX_WINDOW, 1, MAX_WINDOW),
    "packet-size": Number(1024, 1, MAX_CONTENT_BYTES),
    "remote-packet-size": Number(0, 0, MAX_CONTENT_BYTES),
    "sync-timeout": Number(10, *SECONDS_LIMITS),
    "sync-retries": Number(6, 0, 1000),
    "timeout": Number(10, *SECONDS_LIMITS),
    "retries": Number(6, 0, 1000),
    "errors": Number(0, 0, 1_000_000),  # Taylor's 100 would end calls that get on, if slowly
    "error-decay": Number(10, 0, 1_000_000),
    "ack-frequency": Number(ACK_FREQUENCY, 1, MAX_WINDOW),
    "plain": Number(0, 0, 1),
}


class Parameters(NamedTuple):
    """Taylor's parameters of i and j, with the same names, and `plain`: 1 if we are to keep to what
    his program knows, even among ourselves.

    `errors`: after so many damaged packets we give up, unless it is 0: then only when nothing comes
    through any more. `error_decay` good packets make one of them forgiven. `largest_packet`: what
    we take from a peer that paces itself. Sizes are bytes of content, times are seconds.
    """

    window: int
    packet_size: int
    remote_packet_size: int
    sync_timeout: int
    sync_retries: int
    timeout: int
    retries: int
    errors: int
    error_decay: int
    ack_frequency: int
    plain: int
    largest_packet: int = MAX_CONTENT_BYTES

    def limited_to(self, content_bytes: int) -> Parameters:
        """The same with no packet longer than that, in either direction."""
        return self._replace(
            packet_size=min(self.packet_size, content_bytes),
            remote_packet_size=min(self.remote_packet_size, content_bytes),
            largest_packet=min(self.largest_packet, content_bytes),
        )


def read_parameters(letter: str, given: Mapping[str, str]) -> Parameters:
    """The parameters from their texts. Raises: ValueError."""
    found = numbers(letter, given, _PARAMETERS)
    values = {name.replace("-", "_"): value for name, value in found.items()}
    if "packet-size" in given:  # somebody knows better what this line bears
        values["largest_packet"] = values["packet_size"]
    return Parameters(**values)


class Wishes(NamedTuple):
    """What a side asks of the other's sending. `largest` is None for a peer that is not ours."""

    packet_size: int
    window: int
    channels: int = MAX_CHANNELS
    largest: int | None = None

    @property
    def allowed_size(self) -> int:
        """The longest content we may send it."""
        return self.packet_size if self.largest is None else self.largest


def encode_wishes(wishes: Wishes) -> bytes:
    """The content of a SYNC packet."""
    plain = wishes.packet_size.to_bytes(2, "big") + bytes((wishes.window, wishes.channels))
    return plain + (wishes.largest.to_bytes(2, "big") if wishes.largest is not None else b"")


def decode_wishes(content: bytes) -> Wishes:
    """What the peer asks for, cut to what can be.

    Raises: RemoteProtocolError for a window or a size of nothing.
    """
    size, window = int.from_bytes(content[:2], "big"), content[2]
    channels = content[3] if len(content) > 3 else MAX_CHANNELS
    largest = int.from_bytes(content[4:6], "big") if len(content) > 5 else None
    if not size or not window or not channels or largest == 0:
        raise RemoteProtocolError(f"protocol i: SYNC asks for nothing: {content[:6].hex()}")
    return Wishes(
        min(size, MAX_CONTENT_BYTES),
        min(window, MAX_WINDOW),
        min(channels, MAX_CHANNELS),
        min(largest, MAX_CONTENT_BYTES) if largest is not None else None,
    )
