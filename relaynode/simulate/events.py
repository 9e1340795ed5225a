"""What a trace consists of: what happens to lines, and mail that comes. Epoch seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class LineChange:
    """A line is, or is not, what it was. None: as before.

    `is_up`: it comes up or goes down. `bits_per_second`: each way. `loss`: the share of segments
    that have to be sent again.
    """

    at: float
    link: str
    is_up: bool | None = None
    bits_per_second: float | None = None
    round_trip_seconds: float | None = None
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class MailOut:
    """Somebody here writes a mail. `grade`: "" to have the rules decide."""

    at: float
    size_bytes: int
    sender: str = ""
    recipient: str = ""
    grade: str = ""


@dataclass(frozen=True, slots=True)
class MailIn:
    """A mail is there for us in an account."""

    at: float
    size_bytes: int
    account: str


Event: TypeAlias = LineChange | MailOut | MailIn


@dataclass(frozen=True, slots=True)
class Trace:
    """Events by time. `ends_at`: nothing is looked at after that."""

    events: tuple[Event, ...]
    begins_at: float
    ends_at: float
