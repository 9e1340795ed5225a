"""What waits to be put into packets of protocol i: commands first, then files in order.

A command goes before all file data that is not in a packet yet; only a request of ours waits for
the end of a file that is near. So a channel must not be used again before its file is complete or
abandoned.

Where numbers are scarce (i_duplex) all commands wait for that, since in the middle of a file they
cost an SPOS as well. There a request goes when its own file is next, and a reply when there are
numbers to spare, too many replies wait, or packets are short.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from relaynode.uucp.line import Channel

NEAR_END_BYTES = 8192
"""So little of a file is waited for."""

MAX_WAITING_REPLIES = 3
"""No more wait for numbers to spare: in the end the peer can do nothing without them."""

_FILE_REQUESTS = (b"S ", b"E ")


class Piece(NamedTuple):
    """The content of one packet.

    `position`: where in the file it belongs; None if it belongs to none. `is_last`: whether the
    file ends with it.
    """

    channel: Channel
    content: bytes
    position: int | None = None
    is_last: bool = False


@dataclass(slots=True)
class _Part:
    """Data of one file, in order; then its end, if `is_end`. `file_end`: how far the file goes, as
    was announced."""

    channel: Channel
    position: int
    file_end: int
    content: bytearray = field(default_factory=bytearray)
    is_begun: bool = False
    is_end: bool = False


@dataclass(slots=True)
class _File:
    """An open file: where the next byte that is given to us belongs, and where the last ends."""

    position: int
    end: int


class Outgoing:
    """The queues."""

    def __init__(self) -> None:
        self._replies: deque[Piece] = deque()
        self._requests: deque[Piece] = deque()
        self._parts: deque[_Part] = deque()
        self._files: dict[Channel, _File] = {}
        self.waiting_bytes = 0
        self.saves_numbers = False
        """Whether numbers are scarce."""
        self.may_answer = True
        """Whether an answer may have one all the same."""
        self.may_interrupt = True
        """Whether a command may go in the middle of a file then."""

    # --- what is given to us

    def command(self, channel: Channel, text: bytes) -> None:
        """A text with its terminator."""
        self._queue(channel).append(Piece(channel, text))

    def _queue(self, channel: Channel) -> deque[Piece]:
        """What we ask for has the channels that are ours."""
        return self._requests if channel.is_ours and channel.number else self._replies

    def begin(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """A file begins, or goes on somewhere else; so many bytes are to follow."""
        self._drop(channel)
        self._files[channel] = _File(position, position + remaining_bytes)

    def data(self, channel: Channel, content: bytes) -> None:
        """The next piece of an open file; of another it is dropped: the peer did not want it."""
        file = self._files.get(channel)
        if file is not None:
            self._open_part(channel, file).content += content
            file.position += len(content)
            self.waiting_bytes += len(content)

    def end(self, channel: Channel) -> None:
        """An open file is complete."""
        file = self._files.pop(channel, None)
        if file is not None:
            self._open_part(channel, file).is_end = True

    def _open_part(self, channel: Channel, file: _File) -> _Part:
        if not self._parts or self._parts[-1].channel != channel:
            self._parts.append(_Part(channel, file.position, file.end))
        return self._parts[-1]

    def abandon(self, channel: Channel) -> None:
        """The peer does not want the file: say at once that it ends here, unless that was said."""
        is_end_unsaid = channel in self._files or any(
            part.channel == channel for part in self._parts
        )
        self._drop(channel)
        self._files.pop(channel, None)
        if is_end_unsaid:
            self._queue(channel).append(Piece(channel, b"", is_last=True))

    def _drop(self, channel: Channel) -> None:
        self._parts = deque(part for part in self._parts if part.channel != channel)
        self.waiting_bytes = sum(len(part.content) for part in self._parts)

    def drop_files(self) -> None:
        """No file will go on."""
        self._parts.clear()
        self._files.clear()
        self.waiting_bytes = 0

    # --- what goes

    @property
    def has_files(self) -> bool:
        """Whether data or the end of a file waits."""
        return bool(self._parts)

    @property
    def has_urgent(self) -> bool:
        """Whether a command waits that may go, or what is as short."""
        if self._is_scarce:
            is_waited_for = self._is_near_end or (
                self._parts[0].is_begun and not self.may_interrupt
            )
            return not is_waited_for and (self._may_reply or self._is_request_due)
        return bool(self._replies or self._requests)

    @property
    def _is_scarce(self) -> bool:
        return self.saves_numbers and self.has_files

    @property
    def _may_reply(self) -> bool:
        may_go = not self._is_scarce or self.may_answer
        return bool(self._replies) and (may_go or len(self._replies) > MAX_WAITING_REPLIES)

    @property
    def _is_request_due(self) -> bool:
        """Whether one waits whose file is next, or that has none."""
        following = self._parts[0].channel
        return any(
            piece.channel == following or not piece.content.startswith(_FILE_REQUESTS)
            for piece in self._requests
        )

    def next_piece(self, longest: int) -> Piece | None:
        """Take what goes next, of at most `longest` bytes; None while nothing can go.

        A file is cut evenly: the fewest packets, none much longer than the others.
        """
        if self._may_go:
            return self._next_urgent(longest)
        while self._parts:
            part = self._parts[0]
            is_left = len(self._parts) > 1
            if part.is_end or (part.content and (is_left or self._is_cut_ready(part, longest))):
                return self._cut(part, _even(part, longest))
            if not is_left:
                return None
            self._parts.popleft()
        return None

    @property
    def _may_go(self) -> bool:
        """Whether a command goes before the data that waits."""
        if self._is_scarce:
            return self.has_urgent
        return bool(self._replies or (self._requests and not self._is_near_end))

    @property
    def _is_near_end(self) -> bool:
        """Whether a file has begun and its end is near: a request waits for that, since two more
        packets would tell the peer where the file goes on."""
        if not self._parts or not self._parts[0].is_begun:
            return False
        part = self._parts[0]
        is_all_to_come = part.is_end or (self.saves_numbers and bool(part.content))
        return is_all_to_come and part.file_end - part.position <= NEAR_END_BYTES

    def is_ready_for_bundle(self, longest: int) -> bool:
        """Whether a bundle would be full, or hold a command, or nothing more is to come for it."""
        is_full = self.waiting_bytes >= longest
        is_all = bool(self._parts) and self._parts[-1].is_end
        return self.has_urgent or is_full or is_all

    def next_for_bundle(self, longest: int) -> Piece | None:
        """Take what goes next, of at most `longest` bytes, however little it is."""
        if self.has_urgent:
            return self._next_urgent(longest)
        while self._parts:
            part = self._parts[0]
            if part.content or part.is_end:
                return self._cut(part, longest)
            if len(self._parts) == 1:
                return None
            self._parts.popleft()
        return None

    def _is_cut_ready(self, part: _Part, longest: int) -> bool:
        """Whether an even piece is there. The last one waits for the end, which goes with it."""
        is_last_piece = part.file_end - part.position <= longest and len(part.content) <= longest
        return not is_last_piece and len(part.content) >= _even(part, longest)

    def _next_urgent(self, longest: int) -> Piece:
        queue = self._replies if self._may_reply else self._requests
        piece = queue.popleft()
        if len(piece.content) > longest:
            queue.appendleft(piece._replace(content=piece.content[longest:]))
            piece = piece._replace(content=piece.content[:longest])
        return piece

    def _cut(self, part: _Part, size: int) -> Piece:
        content = bytes(part.content[:size])
        del part.content[:size]
        self.waiting_bytes -= len(content)
        is_last = part.is_end and not part.content
        piece = Piece(part.channel, content, part.position, is_last)
        part.position += len(content)
        part.is_begun = True
        if is_last:
            self._parts.popleft()
        return piece


def _even(part: _Part, longest: int) -> int:
    """How long each piece of what remains is if there are to be as few as possible."""
    remaining_bytes = max(part.file_end - part.position, len(part.content), 1)
    count = -(-remaining_bytes // longest)
    return -(-remaining_bytes // count)
