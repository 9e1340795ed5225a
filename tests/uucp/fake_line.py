"""A line protocol that is none: what the session says is a list, what the peer says is put in."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relaynode.uucp.line import (
    MAIN,
    Channel,
    Closed,
    Command,
    Counts,
    Data,
    EndOfFile,
    Started,
)

if TYPE_CHECKING:
    from relaynode.uucp.line import Event


class FakeLine:
    """`said` holds what went out: texts of commands, ("begin", n, position, bytes), ("data", n,
    content), ("end", n), ("abandon", n), "close". n is the number of the channel."""

    letter = "t"
    can_restart = True

    def __init__(
        self, *, is_full_duplex: bool = False, hears_on: bool = False, room: int = 1 << 20
    ) -> None:
        self.is_full_duplex = is_full_duplex
        self.hears_on = hears_on or is_full_duplex
        self.channels = 7 if is_full_duplex else 1
        self.counts = Counts()
        self.room = room
        self.said: list[object] = []
        self.expected: list[tuple[Channel, int]] = []
        self.refused: list[Channel] = []
        self.wake_at: float | None = None
        self.has_waiting_files = False
        self.has_said_all = False
        self._events: deque[Event] = deque()
        self._has_unsent = False

    # --- the peer's side, for tests

    def put(self, *events: Event) -> None:
        """What the peer says next."""
        self._events.extend(events)

    def take_said(self) -> list[object]:
        """What went out since the last time."""
        said, self.said = self.said, []
        return said

    # --- the session's side

    def start(self, now: float) -> None:
        self.put(Started())

    def receive(self, data: bytes, now: float) -> list[Event]:
        """One event at a time, so that the session must ask again."""
        return [self._events.popleft()] if self._events else []

    def tick(self, now: float) -> list[Event]:
        return []

    def data_to_send(self) -> bytes:
        has_unsent, self._has_unsent = self._has_unsent, False
        return b"x" if has_unsent else b""

    def _say(self, what: object) -> None:
        self._has_unsent = True
        self.said.append(what)

    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        self._say((channel.number, text) if channel.number else text)

    def expect_file(self, channel: Channel, position: int) -> None:
        self.expected.append((channel, position))

    def refuse_file(self, channel: Channel) -> None:
        self.refused.append(channel)

    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        self._say(("begin", channel.number, position, remaining_bytes))

    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        assert 0 < len(content) <= self.room
        self._say(("data", channel.number, content))

    def end_file(self, channel: Channel, now: float) -> None:
        self._say(("end", channel.number))

    def abandon_file(self, channel: Channel, now: float) -> None:
        if self.is_full_duplex:
            self._say(("abandon", channel.number))

    def close(self, now: float) -> None:
        self.has_said_all = True
        self._say("close")
        self.put(Closed())


def command(text: bytes, number: int = 0, *, is_ours: bool = True) -> Command:
    """The peer says this. With a number: on that channel, which `is_ours` or the peer's."""
    return Command(Channel(number, is_ours), text)


def file(content: bytes, position: int = 0, channel: Channel = MAIN) -> list[Event]:
    """The peer sends this, from `position` on, and that is all."""
    return [Data(channel, position, content), EndOfFile(channel)]
