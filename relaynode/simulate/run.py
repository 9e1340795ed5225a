"""One run over a link: scripts that go side by side on its line, until they end or it is cut.

Whoever plays it asks for `advance` at the moments that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.policy.budget import HARD_SECONDS, Pace, Room, fits
from relaynode.policy.line_model import SEGMENT_BYTES, Course, Do, Letter, Played, Script
from relaynode.simulate.visit import VisitScript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.simulate.line import LineState, Piece, Wire

MOST_PIECES = 256
"""A long message is sent in so many pieces: that keeps the simulation's own time short."""


@dataclass(slots=True)
class _Course(Course):
    """A script's place in virtual time, that says at once when a letter's moments are known."""

    on_mark: Callable[[Letter, float], None] = lambda letter, ends: None

    def mark(self, letter: Letter, begins: float, ends: float) -> None:
        """See Course."""
        self.on_mark(letter, ends)


@dataclass(slots=True, eq=False)
class Strand:
    """A script under way. `ready`: when its step is done as far as it has been put on the line."""

    script: Script
    hop: str
    course: Course
    steps: Iterator[tuple[Do, float]]
    ready: float
    do: Do = Do.WAIT
    left: float = 0.0
    piece: Piece | None = None


@dataclass(slots=True, eq=False)
class Run:
    """`is_ordered`: a link-up or a turn; else it takes what is due. `tried`: numbers of mails.
    `answered_at`: when the last reply comes to what has gone."""

    began_at: float
    wire: Wire
    room: Room
    is_ordered: bool
    tried: set[int] = field(default_factory=set)
    strands: list[Strand] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    answered_at: float = 0.0
    ended_at: float | None = None
    ended: str = ""

    @property
    def is_over(self) -> bool:
        """Has it ended?"""
        return self.ended_at is not None

    def add(
        self, script: Script, hop: str, now: float, on_mark: Callable[[Letter, float], None]
    ) -> Strand:
        """Another session begins, with that next hop."""
        course = _Course(self.wire.state.line, Played(), now, on_mark)
        strand = Strand(script, hop, course, script.steps(course), now)
        self.strands.append(strand)
        return strand

    def advance(self, strand: Strand) -> bool:
        """Its `ready` has come: go on. False if the script has ended."""
        strand.piece = None
        if strand.left <= 0:
            strand.course.now = strand.ready
            step = next(strand.steps, None)
            self._beside(strand)
            if step is None:
                self.strands.remove(strand)
                return False
            strand.do, strand.left = step
        if strand.do is Do.WAIT:
            strand.ready += strand.left
            strand.left = 0.0
        elif strand.left > 0:
            size = min(strand.left, max(SEGMENT_BYTES, strand.left / MOST_PIECES))
            strand.piece = self.wire.put(strand.do, size, strand.ready)
            strand.left -= size
            strand.ready = strand.piece.ends
        return True

    def _beside(self, strand: Strand) -> None:
        """Replies and commands that nothing waits for take the line's time all the same."""
        played = strand.course.played
        if played.bytes_up:
            self.wire.put(Do.UP, played.bytes_up, strand.ready)
        if played.bytes_down:
            self.wire.put(Do.DOWN, played.bytes_down, strand.ready)
        played.bytes_up = played.bytes_down = 0

    def change(self, state: LineState) -> None:
        """The line is another from now on."""
        self.wire.state = state
        for strand in self.strands:
            strand.course.line = state.line

    # --- its budget

    def takes(self, message_bytes: float, now: float, opening_bytes: float = 0) -> bool:
        """May a message still be taken, so that the run ends within its budget?"""
        planned = self.wire.bytes_carried + sum(
            one.left for one in self.strands if one.do is not Do.WAIT
        )
        if not self.room.left:
            return True
        line = self.wire.state.line
        pace = Pace(now - self.began_at, self.wire.bytes_carried, planned, min(line.up, line.down))
        size = self.wire.state.carried(message_bytes)
        return fits(self.room, pace, size, opening_bytes=opening_bytes)

    def must_end_at(self, now: float) -> float:
        """When its budget ends, if it carries no more than so far: `now`, if that is over."""
        room, carried = self.room, self.wire.bytes_carried
        if carried > room.bytes_within(now - self.began_at):
            return now
        seconds = room.seconds_with(carried)
        return max(self.began_at + seconds - HARD_SECONDS, now)

    # --- its end

    def cut(self, now: float, ended: str) -> None:
        """The line is gone in the middle."""
        for strand in self.strands:
            if strand.piece is not None:
                left = strand.piece.left_at(now)
                self.wire.take_back(strand.piece, now)
                strand.left += left
            if isinstance(strand.script, VisitScript):
                strand.script.cut(strand.left)
        self.strands.clear()
        self.end(now, ended)

    def end(self, now: float, ended: str) -> None:
        """It is over."""
        self.ended_at = now
        self.ended = ended
