"""What a line protocol offers the session above it, so that the session need not ask which it is.

A line protocol carries two things: commands (short texts, `S ...`, `SY`, `CY`, `H` ...) and the
contents of files. The plain ones (t, e, f, g, G, v, y) carry one transfer at a time, in the
direction that the commands have settled. i and j carry several at once, in both directions; each
transfer has a channel there.

Bytes from the peer go in with `receive`, bytes for the peer come out with `data_to_send`, and time
is an argument: `wake_at` says when `tick` must be called at the latest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_COMMAND_BYTES = 16384
"""A peer that sends a longer command is hostile or broken."""


class Channel(NamedTuple):
    """Which transfer something belongs to.

    `number`: 1 to 7 in i and j; 0 for what belongs to no transfer (H and its answers), and for
    everything in protocols that carry one transfer at a time. `is_ours`: whether we opened it.
    """

    number: int = 0
    is_ours: bool = True


MAIN = Channel()
"""The one channel of a plain protocol."""


# --- what the peer has sent


@dataclass(frozen=True, slots=True)
class Started:
    """Both sides are ready: commands may be sent."""


@dataclass(frozen=True, slots=True)
class Command:
    """A whole command or reply, without its terminator. It may hold any other byte."""

    channel: Channel
    text: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of a file, at `position` bytes from its beginning.

    It may lie before what came already: f sends a file that arrived damaged once more. What was
    there beyond its end is void then.
    """

    channel: Channel
    position: int
    content: bytes


@dataclass(frozen=True, slots=True)
class EndOfFile:
    """A file is complete."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Resend:
    """The peer wants the whole file once more (f): begin it again."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Remark:
    """Something for the log and the statistics: a damaged packet, a retransmission."""

    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has ended the protocol, or both have."""


Event: TypeAlias = Started | Command | Data | EndOfFile | Resend | Remark | Closed


@dataclass(slots=True)
class Counts:
    """What went over the line, in packets; for protocols without packets all is 0."""

    sent: int = 0
    resent: int = 0
    received: int = 0
    damaged: int = 0
    out_of_order: int = 0
    rejected: int = 0
    """How often the peer rejected one of ours."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a line protocol is to be set up.

    `is_caller`: whether we placed the call. `parameters`: Taylor's protocol-parameters by name, as
    texts ("window": "7"); unknown ones and wrong values raise ValueError in the protocol's
    constructor, with what would be right. `begins_at_once`: the called side takes what follows
    before it has said what it wishes. `is_among_ours`: it is known to be a relaynode, and wishes
    what relaynodes wish (Features.AT_ONCE).
    """

    is_caller: bool
    parameters: Mapping[str, str] = field(default_factory=dict)
    begins_at_once: bool = False
    is_among_ours: bool = False


class Line(Protocol):
    """A line protocol. Times are monotonic seconds.

    Every method that takes bytes from the peer raises RemoteProtocolError when the peer breaks the
    protocol, and LineLost when it gave up after its retries; then nothing more can be done.
    """

    letter: str
    channels: int
    """How many transfers each side may have open at once."""

    is_full_duplex: bool
    """Whether both sides may ask for transfers at the same time; else the slave waits for HN."""

    can_restart: bool
    """Whether a file can begin in the middle."""

    hears_on: bool
    """Whether a command may follow a file before the peer's word about it: the peer finds it when
    it has dealt with the file."""

    counts: Counts

    def start(self, now: float) -> None:
        """Begin: what the protocol says first will be in `data_to_send`."""
        ...

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what came over the line; any number of bytes, cut anywhere.

        What follows a command may be the contents of a file or the next command: only the session
        knows, and says so with `expect_file`. So a call stops behind each Command and keeps the
        rest; the session calls again with no bytes until no events come.
        """
        ...

    def tick(self, now: float) -> list[Event]:
        """Time has passed: send again what was not acknowledged, or give up."""
        ...

    @property
    def wake_at(self) -> float | None:
        """When `tick` must be called at the latest; None if nothing is waited for."""
        ...

    def data_to_send(self) -> bytes:
        """Take all bytes for the peer. What was taken counts as sent at the time of the call that
        put it there."""
        ...

    def send_command(self, channel: Channel, text: bytes, now: float) -> None:
        """Send a command or reply. It may wait for room in the window, in order."""
        ...

    def expect_file(self, channel: Channel, position: int) -> None:
        """The peer is going to send a file, from `position` on: what comes next is data."""
        ...

    def refuse_file(self, channel: Channel) -> None:
        """We have refused what the peer asked to send (i and j). What is under way of it comes
        nevertheless, and then its end; or its end is told before the next command, for a peer that
        hears us before it begins may say nothing of either."""
        ...

    def begin_file(self, channel: Channel, position: int, remaining_bytes: int) -> None:
        """We are going to send a file from `position` on; that many bytes will follow."""
        ...

    @property
    def room(self) -> int:
        """How many bytes of files it takes now. More would only wait in memory."""
        ...

    @property
    def has_waiting_files(self) -> bool:
        """Whether data of files waits for room on the line, so that commands would overtake it."""
        ...

    def send_data(self, channel: Channel, content: bytes, now: float) -> None:
        """Send a piece of the file, the next one in order; at most `room` bytes."""
        ...

    def end_file(self, channel: Channel, now: float) -> None:
        """The file is complete."""
        ...

    @property
    def has_said_all(self) -> bool:
        """Whether our end of the protocol is said, so that only repetitions could follow."""
        ...

    def abandon_file(self, channel: Channel, now: float) -> None:
        """Stop sending a file that the peer does not want (i and j, where data runs ahead of the
        answer). In the plain protocols data is never sent before the answer: nothing to do."""
        ...

    def close(self, now: float) -> None:
        """End the protocol in order. `Closed` comes when that is done, at the latest after a
        time-out."""
        ...
