"""What is remembered of a call, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from relaynode.uucp.handshake import Verdict
from relaynode.uucp.line import Counts


class Status(IntEnum):
    """What became of a call, as Taylor's status files number it."""

    COMPLETE = 0
    PORT_UNAVAILABLE = 1
    DIAL_FAILED = 2
    LOGIN_FAILED = 3
    HANDSHAKE_FAILED = 4
    CALL_FAILED = 5
    TALKING = 6
    WRONG_TIME = 7

    @property
    def text(self) -> str:
        """As Taylor's status files say it."""
        return _STATUS_TEXTS[self]


_STATUS_TEXTS = {
    Status.COMPLETE: "Conversation complete",
    Status.PORT_UNAVAILABLE: "Port unavailable",
    Status.DIAL_FAILED: "Dial failed",
    Status.LOGIN_FAILED: "Login failed",
    Status.HANDSHAKE_FAILED: "Handshake failed",
    Status.CALL_FAILED: "Call failed",
    Status.TALKING: "Talking",
    Status.WRONG_TIME: "Wrong time to call",
}


@dataclass(slots=True)
class Record:
    """What is remembered of a call.

    `reason`: the code of what kept the line from being opened (`errors.py`), "" if it was.
    `sent_bytes`, `received_bytes`: all that went over the line. `neighbour` is empty until it is
    known. `wants_call_back`: the peer will call us (where we called), or is to be called.
    """

    neighbour: str = ""
    login: str = ""
    protocol: str = ""
    status: Status = Status.TALKING
    error: str = ""
    reason: str = ""
    began_at: float = 0.0
    ended_at: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    sent_files: int = 0
    received_files: int = 0
    sent_file_bytes: int = 0
    received_file_bytes: int = 0
    failed_files: int = 0
    refusal: Verdict | None = None
    counts: Counts = field(default_factory=Counts)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.ended_at - self.began_at)

    @property
    def is_complete(self) -> bool:
        """Whether both sides agreed that there was no more to do."""
        return self.status is Status.COMPLETE

    @property
    def wants_call_back(self) -> bool:
        """Whether the one who was called will call the caller."""
        return self.refusal is Verdict.CALL_BACK
