"""The files that go out in a session: which of them the next bytes on the line belong to.

With a plain protocol there is one at a time, and it waits for the peer's consent. With i and j
there may be several, and their data runs ahead of the answers, except where the peer probably has a
part already; the most urgent goes first, then the eldest, so that each is complete as early as it
can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RemoteProtocolError

if TYPE_CHECKING:
    from relaynode.uucp.line import Channel, Line
    from relaynode.uucp.work import Source

MAX_PIECE_BYTES = 16384
"""What is read from a file at once."""


@dataclass(slots=True, eq=False)
class OutgoingFile:
    """One file. `may_go`: the peer has consented, or need not."""

    channel: Channel
    source: Source
    grade: str
    may_go: bool = False
    position: int = 0
    sent_bytes: int = 0
    has_begun: bool = False
    is_ended: bool = False

    @property
    def missing_bytes(self) -> int:
        """What is still to be sent."""
        return self.source.size_bytes - self.position


class OutgoingFiles:
    """All files on their way out over one line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._files: list[OutgoingFile] = []  # that have not ended, eldest first
        self._ended: dict[Channel, OutgoingFile] = {}  # the last one on each channel

    @property
    def backlog_bytes(self) -> int:
        """How much waits to be sent."""
        return sum(file.missing_bytes for file in self._files)

    def add(self, file: OutgoingFile) -> None:
        """A file is offered to the peer."""
        self._files.append(file)

    def grant(self, file: OutgoingFile, position: int, now: float) -> None:
        """The peer wants the file, from `position` on.

        Raises: RemoteProtocolError if that is not in the file.
        """
        if position > file.source.size_bytes:
            raise RemoteProtocolError(
                f"the peer has {position} bytes of a file of {file.source.size_bytes}"
            )
        file.may_go = True
        # Where data runs ahead, it may have passed that place already.
        if file.is_ended or position <= file.position:
            return
        file.position = position
        if file.has_begun:
            self._line.begin_file(file.channel, position, file.missing_bytes)

    def refuse(self, file: OutgoingFile, now: float) -> None:
        """The peer does not want it: stop sending."""
        if file in self._files:
            self._files.remove(file)
        if self._line.is_full_duplex:
            if not file.has_begun:  # its end is awaited all the same
                self._line.begin_file(file.channel, file.position, file.missing_bytes)
            self._line.abandon_file(file.channel, now)

    def again(self, channel: Channel) -> None:
        """The peer wants the whole file once more. Raises: RemoteProtocolError if there is none."""
        file = self._ended.get(channel)
        if file is None:
            raise RemoteProtocolError("the peer wants a file again that was not sent")
        if file not in self._files:
            file.position = 0
            file.has_begun = file.is_ended = False
            self._files.append(file)

    def forget(self, file: OutgoingFile) -> None:
        """The file has been confirmed, or the conversation about it is over."""
        if self._ended.get(file.channel) is file:
            del self._ended[file.channel]

    def fill(self, now: float) -> None:
        """Give the line as much as it takes. Raises: LineLost if a file has become shorter."""
        while self._line.room > 0 and (file := self._next()) is not None:
            self._send_piece(file, now)

    def _next(self) -> OutgoingFile | None:
        ready = (file for file in self._files if file.may_go)
        return min(ready, key=lambda file: file.grade, default=None)

    def _send_piece(self, file: OutgoingFile, now: float) -> None:
        if not file.has_begun:
            file.has_begun = True
            self._line.begin_file(file.channel, file.position, file.missing_bytes)
        if file.missing_bytes:
            self._send_data(file, now)
        if not file.missing_bytes:
            self._line.end_file(file.channel, now)
            file.is_ended = True
            self._files.remove(file)
            self._ended[file.channel] = file

    def _send_data(self, file: OutgoingFile, now: float) -> None:
        most = min(self._line.room, MAX_PIECE_BYTES, file.missing_bytes)
        content = file.source.read(file.position, most)
        if not content:
            # An end here would be taken for the end of the file, and confirmed.
            raise LineLost("a file became shorter while it was sent")
        self._line.send_data(file.channel, content, now)
        file.position += len(content)
        file.sent_bytes += len(content)
