"""What a call tells the program that drives it: lines for the log and figures for the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for the log. `user` is whose job it is about, empty if nobody's."""

    text: str
    user: str = ""


@dataclass(frozen=True, slots=True)
class FileMoved:
    """A file, or what came through of it. `is_sent`: by us. `error` is empty if all is well."""

    user: str
    is_sent: bool
    size_bytes: int
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class BreakWanted:
    """The line shall send a break signal, here in the order of things."""


@dataclass(frozen=True, slots=True)
class CarrierWanted:
    """From here on the modem's carrier must be there, or need not be."""

    is_needed: bool


SessionEvent: TypeAlias = LogLine | FileMoved
CallEvent: TypeAlias = SessionEvent | BreakWanted | CarrierWanted
