"""Which packets of protocol i carry what waits.

Plain: each piece in a DATA packet. The peer puts it where the last DATA of any channel ended, a
command or reply as well; SPOS is sent only where that is not where the piece belongs.

Bundled, for peers that know it: as many pieces as fit in one packet (i_bundle).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from relaynode.uucp.line import MAIN, Channel
from relaynode.uucp.lines.i_bundle import Record, encode_record, record_bytes
from relaynode.uucp.lines.i_packet import SPOS_BYTES, Kind
from relaynode.uucp.lines.i_queue import STAMP_BYTES

if TYPE_CHECKING:
    from relaynode.uucp.lines.i_outgoing import Outgoing, Piece

POSITIONS = 1 << (8 * SPOS_BYTES)
"""Files can be as long as that."""


class Unnumbered(NamedTuple):
    """A packet that has no number yet."""

    kind: Kind
    channel: Channel
    content: bytes


class Packing(Protocol):
    """One direction's packets."""

    @property
    def has_urgent(self) -> bool:
        """Whether the next packet does not have to wait for the line."""
        ...

    def next_packet(self, longest: int, is_line_full: bool) -> Unnumbered | None:
        """The next one, with a content of at most `longest` bytes; None if nothing can go.

        `is_line_full`: only what is urgent is to go.
        """
        ...


class PlainPacking:
    """What every program understands. `outgoing`: where the pieces come from."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._held: Piece | None = None
        """What follows the packet that went last."""
        self._position = 0
        """Where the peer will put the content of the next DATA."""

    @property
    def has_urgent(self) -> bool:
        """Whether a command waits, or what must follow the last packet."""
        return self._held is not None or self._outgoing.has_urgent

    def next_packet(self, longest: int, is_line_full: bool) -> Unnumbered | None:
        """DATA, or SPOS before it."""
        piece = self._held or self._outgoing.next_piece(longest)
        self._held = None
        if piece is None:
            return None
        is_placed = piece.position is not None and piece.content
        if is_placed and piece.position != self._position:
            return self._spos(piece)
        return self._data(piece)

    def _spos(self, piece: Piece) -> Unnumbered:
        assert piece.position is not None
        self._position = piece.position
        self._held = piece
        return Unnumbered(Kind.SPOS, MAIN, (piece.position % POSITIONS).to_bytes(SPOS_BYTES, "big"))

    def _data(self, piece: Piece) -> Unnumbered:
        self._position += len(piece.content)
        if piece.is_last and piece.content:
            self._held = piece._replace(content=b"")
        return Unnumbered(Kind.DATA, piece.channel, piece.content)


class BundlePacking:
    """What our own kind understands. `outgoing`: where the pieces come from."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._reached: dict[Channel, int] = {}
        """How far the peer has each file."""

    @property
    def has_urgent(self) -> bool:
        """Whether a command waits."""
        return self._outgoing.has_urgent

    def next_packet(self, longest: int, is_line_full: bool) -> Unnumbered | None:
        """All that fits. What is not full waits for more of its file, unless a command is in it."""
        most = max(1, longest - STAMP_BYTES - record_bytes(0, is_placed=True))
        if not self._outgoing.is_ready_for_bundle(most):
            return None
        bundle = bytearray()
        while len(bundle) < most:
            if is_line_full and not self.has_urgent:
                break
            piece = self._outgoing.next_for_bundle(most - len(bundle))
            if piece is None:
                break
            bundle += encode_record(self._record(piece))
        return Unnumbered(Kind.BUNDLE, MAIN, bytes(bundle)) if bundle else None

    def _record(self, piece: Piece) -> Record:
        channel, content, position, is_last = piece
        if position is None and not is_last:
            return Record(channel, content)
        reached = self._reached.pop(channel, 0)
        if position is not None and not is_last:
            self._reached[channel] = position + len(content)
        is_placed = position is not None and position != reached
        return Record(channel, content, True, is_last, position if is_placed else None)
