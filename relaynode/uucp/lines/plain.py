"""What the line protocols without windows share (t, e, f, y).

They trust the line to lose nothing and to repeat nothing: each side writes on, in order, and the
commands settle whose turn it is. A protocol adds how it marks the ends of commands and files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.line import (
    MAIN,
    MAX_COMMAND_BYTES,
    Channel,
    Closed,
    Command,
    Counts,
    Event,
    Started,
)
from relaynode.uucp.lines.patience import Patience

MAX_UNSENT_BYTES = 64 * 1024
"""So many bytes wait for the line to take them; more would not make it faster."""

MAX_UNREAD_BYTES = 64 * 1024
"""So much may have come behind a command that was not answered: a peer that goes on is hostile."""

HANG_UP = b"\x10"
"""What begins with it is no command: the peer has ended the protocol and says its O's."""


class PlainLine(ABC):
    """A line protocol that is a stream. `timeout_seconds`: of a peer that says nothing."""

    letter: str
    channels = 1
    is_full_duplex = False
    can_restart = True
    hears_on = False

    def __init__(self, timeout_seconds: float) -> None:
        self.counts = Counts()
        self._patience = Patience(timeout_seconds)
        self._arrived = bytearray()
        self._unsent = bytearray()
        self._untold: list[Event] = []
        self._is_open = False
        self._has_more = False
        """Whether something has come behind the command that was told last."""
        self._now = 0.0
        self._position: int | None = None
        """Where in the file the next byte that arrives belongs; None between files."""

    # --- time

    def start(self, now: float) -> None:
        """Begin. Nothing is said first: commands may be sent at once."""
        self._open(now)
        self._untold.append(Started())

    def _open(self, now: float) -> None:
        self._is_open = True
        self._now = now
        self._patience.heard(now)

    def tick(self, now: float) -> list[Event]:
        """Tell what was not told. Raises: LineLost if the peer has been silent for too long."""
        self._now = now
        events = self._events()
        if self._is_open and not events and now >= self._patience.ends_at:
            raise LineLost(f"protocol {self.letter}: the peer has fallen silent")
        return events

    @property
    def wake_at(self) -> float | None:
        """The end of our patience; at once if there may be something to tell."""
        if self._untold or self._has_more:
            return self._now
        return self._patience.ends_at if self._is_open else None

    def close(self, now: float) -> None:
        """End the protocol: there is nothing to say for that."""
        self._now = now
        self._end()
        self._untold.append(Closed())

    @property
    def has_said_all(self) -> bool:
        """Whether it has ended."""
        return not self._is_open

    def _end(self) -> None:
        self._is_open = False
        self._arrived.clear()

    # --- what arrives

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what came. Raises: RemoteProtocolError, LineLost."""
        self._now = now
        if self._is_open and data:
            self._keep(data)
        return self._events()

    def _keep(self, data: bytes) -> None:
        if len(self._arrived) > MAX_UNREAD_BYTES:
            raise RemoteProtocolError(f"protocol {self.letter}: the peer awaits no answer")
        self._patience.heard(self._now)
        self._arrived += data

    def _events(self) -> list[Event]:
        """All that can be told now, up to and with the first command."""
        events, self._untold = self._untold, []
        while self._is_open and not (events and isinstance(events[-1], Command)):
            found = self._read()
            if not found:
                break
            events += found
        self._has_more = bool(events and self._arrived)
        return events

    def _read(self) -> list[Event]:
        """The next events in what has arrived; none if that needs more bytes."""
        if self._position is not None:
            return self._read_file()
        text = self._read_command()
        while text == b"":  # padding
            text = self._read_command()
        if text is None:
            return []
        self._patience.answered(self._now)
        return [Command(MAIN, text)] if text[:1] != HANG_UP else self._hung_up()

    def _hung_up(self) -> list[Event]:
        self._end()
        return [Closed()]

    def _too_long(self, text_bytes: int) -> None:
        if text_bytes > MAX_COMMAND_BYTES:
            raise RemoteProtocolError(f"protocol {self.letter}: a command without an end")

    @abstractmethod
    def _read_command(self) -> bytes | None:
        """Take the next command out of `_arrived`; empty for padding, None if it is not whole.

        Raises: RemoteProtocolError.
        """

    @abstractmethod
    def _read_file(self) -> list[Event]:
        """Take the next part of a file out of `_arrived`; its position is in `_position`.

        Raises: RemoteProtocolError, LineLost.
        """

    def expect_file(self, channel: Channel, position: int) -> None:
        """The peer is going to send a file, from `position` on."""
        self._position = position

    # --- what we say

    def data_to_send(self) -> bytes:
        """Take all bytes for the peer."""
        data = bytes(self._unsent)
        self._unsent.clear()
        return data

    def _say(self, data: bytes) -> None:
        self._unsent += data
        self._patience.sent(len(data), self._now)

    @property
    def room(self) -> int:
        """How many bytes of files it takes now."""
        return max(0, MAX_UNSENT_BYTES - len(self._unsent))

    @property
    def has_waiting_files(self) -> bool:
        """Nothing overtakes anything here."""
        return False

    @abstractmethod
    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        """Send a command or reply."""

    @abstractmethod
    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """We are going to send a file: so many bytes of it."""

    @abstractmethod
    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        """Send the next piece of the file."""

    @abstractmethod
    def end_file(self, channel: Channel, now: float) -> None:
        """The file is complete."""

    def refuse_file(self, channel: Channel) -> None:  # noqa: B027
        """Nothing to do: no data runs ahead of the answer here."""

    def abandon_file(self, channel: Channel, now: float) -> None:  # noqa: B027
        """Nothing to do: no data runs ahead of the answer here."""
