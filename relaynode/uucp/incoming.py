"""A file that comes in: its pieces go to their sink without holes, and no more than is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError

if TYPE_CHECKING:
    from relaynode.uucp.line import Channel, Data
    from relaynode.uucp.work import Sink

MAX_EXCESS_BYTES = 1 << 20
"""So much of a file that is too large is passed over before the line is dropped."""


@dataclass(slots=True, eq=False)
class IncomingFile:
    """One file. `sink` is None if it goes nowhere: refused, or here already.

    `user`: whose job it is. `is_answered`: our reply to the whole file is awaited; not so where we
    refused it, and its data was under way.
    """

    channel: Channel
    sink: Sink | None
    user: str
    began_at: float
    max_bytes: int | None = None
    announced_bytes: int | None = None
    reached_bytes: int = 0
    """So much is there from the beginning, without a hole."""
    received_bytes: int = 0
    is_answered: bool = True
    is_excessive: bool = False
    is_whole: bool = False
    has_part: bool = False
    """What has come may be of use another time."""

    def take(self, data: Data) -> None:
        """Keep a piece. Raises: RemoteProtocolError if it leaves a hole, or for far too much."""
        if self.is_whole:
            raise RemoteProtocolError("data behind the end of a file")
        self.received_bytes += len(data.content)
        end = data.position + len(data.content)
        if self.max_bytes is not None and end > self.max_bytes:
            self._pass_over(end - self.max_bytes)
        if self.sink is None:
            return
        # Where data runs ahead of our answer, it may begin before what we have and then jump.
        if data.position > self.reached_bytes:
            raise RemoteProtocolError(
                f"a file goes on at {data.position}, not {self.reached_bytes}"
            )
        self.sink.write(data.position, data.content)
        self.reached_bytes = max(self.reached_bytes, end)

    def _pass_over(self, excess_bytes: int) -> None:
        self.is_excessive = True
        self.abandon()
        if excess_bytes > MAX_EXCESS_BYTES:
            raise RemoteProtocolError(f"a file of more than {self.max_bytes} bytes")

    def complete(self) -> None:
        """Its end has come."""
        if self.is_whole:
            raise RemoteProtocolError("a second end of a file")
        self.is_whole = True
        if self.sink is not None:
            self.sink.commit(self.reached_bytes)

    @property
    def is_awaited(self) -> bool:
        """Whether its end is sure to come: what was refused may never begin."""
        return self.is_answered or self.received_bytes > 0

    @property
    def is_as_announced(self) -> bool:
        """Whether it has the size that was told."""
        return self.announced_bytes in (None, self.reached_bytes)

    @property
    def is_decided(self) -> bool:
        """Whether it is complete, and known what became of it."""
        return self.is_whole and (self.sink is None or self.sink.verdict is not None)

    @property
    def failure(self) -> str:
        """Why it was not stored."""
        return "too large" if self.is_excessive else "could not be stored"

    def abandon(self) -> None:
        """It will not be complete."""
        if self.sink is not None and not self.is_whole:
            self.sink.abandon(self.has_part and not self.is_excessive)
            self.sink = None
