"""Several things in one packet of protocol i: what BUNDLE holds.

A bundle is ours: it is sent only to a peer that says in SYNC that it knows it (i_parameters). A
window holds 16 packets, and a mail of 4 KiB over plain i takes nine of them both ways together: its
command, a position, four pieces, an end, two answers. Where delays are long the window is full of
short packets and the line empty. In a bundle an answer costs three bytes and no number. For the
same reason there are 15 channels each way instead of 7: a file keeps its channel until it has been
acknowledged, and on a line loaded both ways 7 of 4 KiB do not reach that far.

    record   flags | length, 2 bytes | position, 4 bytes, if flagged | content, length bytes
    flags    80 piece of a file, else of a command    40 the file ends with it
             20 there is a position, else it goes on where the last piece of this file ended,
             at 0 in the beginning
             08 the channel is the sender's           17 number of the channel, 10 counts 8

A command ends with NUL, as in DATA.
"""

from __future__ import annotations

from typing import NamedTuple

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.line import Channel

HEADER_BYTES = 3
POSITION_BYTES = 4

BUNDLE_CHANNELS = 15

_FILE, _LAST, _PLACED, _HIGH, _OWN, _LOW = 0x80, 0x40, 0x20, 0x10, 0x08, 0x07


class Record(NamedTuple):
    """A piece of a command, or of a file: then `is_file`. `channel` is as its sender sees it."""

    channel: Channel
    content: bytes
    is_file: bool = False
    is_last: bool = False
    position: int | None = None


def record_bytes(content_bytes: int, is_placed: bool = False) -> int:
    """How much of a bundle a record takes."""
    return HEADER_BYTES + (POSITION_BYTES if is_placed else 0) + content_bytes


def encode_record(record: Record) -> bytes:
    """The bytes of a record."""
    number = record.channel.number
    flags = number & _LOW | (_HIGH if number > _LOW else 0)
    flags |= _OWN if record.channel.is_ours else 0
    flags |= _FILE if record.is_file else 0
    flags |= _LAST if record.is_last else 0
    position = b""
    if record.position is not None:
        flags |= _PLACED
        position = record.position.to_bytes(POSITION_BYTES, "big")
    return bytes((flags,)) + len(record.content).to_bytes(2, "big") + position + record.content


def decode_records(bundle: bytes) -> list[Record]:
    """The records of a bundle. Raises: RemoteProtocolError if it is cut short."""
    records = []
    start = 0
    while start < len(bundle):
        record, start = _decode_record(bundle, start)
        records.append(record)
    return records


def _decode_record(bundle: bytes, start: int) -> tuple[Record, int]:
    flags = bundle[start]
    body = start + HEADER_BYTES + (POSITION_BYTES if flags & _PLACED else 0)
    end = body + int.from_bytes(bundle[start + 1 : start + HEADER_BYTES], "big")
    if body > len(bundle) or end > len(bundle):
        raise RemoteProtocolError("protocol i: a bundle is cut short")
    is_placed = bool(flags & _PLACED)
    number = flags & _LOW | (_LOW + 1 if flags & _HIGH else 0)
    return (
        Record(
            Channel(number, bool(flags & _OWN)),
            bundle[body:end],
            bool(flags & _FILE),
            bool(flags & _LAST),
            int.from_bytes(bundle[start + HEADER_BYTES : body], "big") if is_placed else None,
        ),
        end,
    )
