"""A line at a moment: rates, round trip, losses; and what of it is taken until when."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from relaynode.policy.line_model import Do, Line
from relaynode.simulate.events import LineChange

TCP_SEGMENT_BYTES = 1460


@dataclass(frozen=True, slots=True)
class LineState:
    """`bits_per_second`: each way. `loss`: the share of segments that are sent again."""

    bits_per_second: float = 33_600.0
    round_trip_seconds: float = 0.2
    loss: float = 0.0

    def changed(self, change: LineChange) -> LineState:
        """As it is from then on."""
        said = {
            "bits_per_second": change.bits_per_second,
            "round_trip_seconds": change.round_trip_seconds,
            "loss": change.loss,
        }
        return replace(self, **{name: value for name, value in said.items() if value is not None})

    @property
    def line(self) -> Line:
        """What is left of it for bytes that are new."""
        rate = self.bits_per_second / 8 * (1 - self.loss)
        if self.loss and self.round_trip_seconds:
            # Mathis, Semke, Mahdavi, Ott 1997: what TCP reaches at a given loss, however fast the
            # line is.
            most = 1.22 * TCP_SEGMENT_BYTES / (self.round_trip_seconds * math.sqrt(self.loss))
            rate = min(rate, most)
        return Line(rate, rate, self.round_trip_seconds)

    def carried(self, size: float) -> float:
        """The bytes that cross the line for so many of a stream."""
        return size / (1 - self.loss)


@dataclass(slots=True)
class Piece:
    """A part of a message that occupies one way of the line."""

    do: Do
    size: float
    begins: float
    ends: float

    def left_at(self, now: float) -> float:
        """What has not crossed the line yet."""
        if now >= self.ends:
            return 0.0
        if now <= self.begins:
            return self.size
        return self.size * (self.ends - now) / (self.ends - self.begins)


@dataclass(slots=True)
class Wire:
    """Both ways of a line that is up. Bytes are those of streams, with what was sent again."""

    state: LineState
    bytes_up: float = 0.0
    bytes_down: float = 0.0
    _free_at: dict[Do, float] = field(default_factory=lambda: {Do.UP: 0.0, Do.DOWN: 0.0})

    @property
    def bytes_carried(self) -> float:
        """Both ways together."""
        return self.bytes_up + self.bytes_down

    def put(self, do: Do, size: float, ready: float) -> Piece:
        """Send `size` bytes that way as soon as it is free."""
        begins = max(ready, self._free_at[do])
        line = self.state.line
        ends = begins + size / (line.up if do is Do.UP else line.down)
        self._free_at[do] = ends
        self._count(do, size)
        return Piece(do, size, begins, ends)

    def take_back(self, piece: Piece, now: float) -> None:
        """The line was cut: what of this had not crossed it never will."""
        self._count(piece.do, -piece.left_at(now))

    def _count(self, do: Do, size: float) -> None:
        if do is Do.UP:
            self.bytes_up += self.state.carried(size)
        else:
            self.bytes_down += self.state.carried(size)
