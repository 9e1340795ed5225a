"""What both halves of a conversation have in hand: the line, the work, the files, the reports.

asking.py is the half in which we are the master of a transfer, serving.py the half in which the
peer is; session.py decides whose turn it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.uucp.commands import Code, format_reply, printable
from relaynode.uucp.events import FileMoved, LogLine
from relaynode.uucp.outgoing import OutgoingFiles

if TYPE_CHECKING:
    from relaynode.uucp.commands import Reply
    from relaynode.uucp.events import SessionEvent
    from relaynode.uucp.features import Features
    from relaynode.uucp.handshake import Agreement
    from relaynode.uucp.incoming import IncomingFile
    from relaynode.uucp.line import Channel, Line
    from relaynode.uucp.work import Work

MAX_DUPLEX_BYTES = 0xFFFF_FFFF
"""Positions in i and j are numbers of 32 bits."""

REASONS = {
    Code.NOT_PERMITTED: "not permitted",
    Code.CANNOT_CREATE: "cannot be created now",
    Code.NOT_STORED: "cannot be stored",
    Code.TOO_LARGE_NOW: "too large now",
    Code.TOO_LARGE: "too large",
    Code.RECEIVED_BEFORE: "received in an earlier call",
    Code.NO_CHANNEL: "no channel is free",
    Code.TOO_LARGE_SVR4: "too large",
    Code.UNKNOWN: "refused",
}


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How we take part in a conversation.

    `own_name`: as this peer knows us. `public`: the path of the public folder as peers write it.
    `max_file_bytes`: the largest file that we take.
    """

    own_name: str
    is_caller: bool = False
    public: str = "/var/spool/uucppublic"
    max_file_bytes: int | None = None


class Reports:
    """The events of a session. Texts of the peer's are made fit for a log."""

    def __init__(self) -> None:
        self._events: list[SessionEvent] = []

    def take(self) -> list[SessionEvent]:
        """The events since the last time."""
        events, self._events = self._events, []
        return events

    def log(self, text: str, user: str = "") -> None:
        """A line for the log."""
        self._events.append(LogLine(printable(text), printable(user)))

    def sent(self, user: str, size_bytes: int, seconds: float, error: str = "") -> None:
        """A file of ours has gone, or a part of it."""
        moved = FileMoved(printable(user), True, size_bytes, max(0.0, seconds), error)
        self._events.append(moved)

    def came(self, incoming: IncomingFile, now: float, error: str = "") -> None:
        """A file has come, or a part of it."""
        seconds = max(0.0, now - incoming.began_at)
        user, size_bytes = printable(incoming.user), incoming.received_bytes
        self._events.append(FileMoved(user, False, size_bytes, seconds, error))


@dataclass(slots=True)
class Conversation:
    """What is shared. `incoming`: the files that are coming in, whoever has asked for them."""

    line: Line
    agreement: Agreement
    work: Work
    settings: SessionSettings
    files: OutgoingFiles = field(init=False)
    incoming: dict[Channel, IncomingFile] = field(default_factory=dict)
    reports: Reports = field(default_factory=Reports)

    def __post_init__(self) -> None:
        self.files = OutgoingFiles(self.line)

    @property
    def features(self) -> Features:
        """What may be used toward this peer."""
        return self.agreement.features

    @property
    def max_outgoing_bytes(self) -> int | None:
        """The largest file that the peer and the line take."""
        limits = [MAX_DUPLEX_BYTES] if self.line.is_full_duplex else []
        if self.agreement.max_bytes is not None:
            limits.append(self.agreement.max_bytes)
        return min(limits, default=None)

    def reply(self, channel: Channel, reply: Reply, now: float) -> None:
        """Answer the peer."""
        self.line.send_command(channel, format_reply(reply, self.features), now)

    def expect(self, incoming: IncomingFile) -> None:
        """A file begins to come."""
        self.incoming[incoming.channel] = incoming
        self.line.expect_file(incoming.channel, incoming.reached_bytes)
