"""What the two sides agree on first: version, what the filter may change, which steps it wants.

We say all that we can; the filter answers with what of it it will use.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum, IntFlag
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

OUR_VERSION = 6
OLDEST_VERSION = 2
"""Version 1 filters are gone since sendmail 8.10."""

_MAX_SYMBOLS = 256
"""Names of macros in one list: a filter that asks for more asks for nothing we have."""


class Actions(IntFlag):
    """What the filter may do to a message (SMFIF_...)."""

    ADD_HEADER = 0x01
    CHANGE_BODY = 0x02
    ADD_RECIPIENT = 0x04
    DELETE_RECIPIENT = 0x08
    CHANGE_HEADER = 0x10
    QUARANTINE = 0x20
    CHANGE_FROM = 0x40
    ADD_RECIPIENT_WITH_PARAMETERS = 0x80
    SET_SYMBOLS = 0x100


class Steps(IntFlag):
    """Which steps are left out, which get no reply (SMFIP_...)."""

    NO_CONNECT = 0x01
    NO_HELO = 0x02
    NO_MAIL = 0x04
    NO_RCPT = 0x08
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_END_OF_HEADER = 0x40
    SILENT_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400
    SILENT_CONNECT = 0x1000
    SILENT_HELO = 0x2000
    SILENT_MAIL = 0x4000
    SILENT_RCPT = 0x8000
    SILENT_DATA = 0x10000
    SILENT_UNKNOWN = 0x20000
    SILENT_END_OF_HEADER = 0x40000
    SILENT_BODY = 0x80000
    LEADING_SPACE = 0x100000


ALL_ACTIONS = Actions(0x1FF)
ALL_STEPS = Steps(sum(Steps))
"""Every step but SMFIP_RCPT_REJ (0x800): recipients that were refused here are not shown."""


class Stage(Enum):
    """A step of the dialogue: (letter of its command, its number in lists of macros, None if it
    has none; the flag that leaves it out; the one that leaves its reply out)."""

    CONNECT = (b"C", 0, Steps.NO_CONNECT, Steps.SILENT_CONNECT)
    HELO = (b"H", 1, Steps.NO_HELO, Steps.SILENT_HELO)
    MAIL = (b"M", 2, Steps.NO_MAIL, Steps.SILENT_MAIL)
    RCPT = (b"R", 3, Steps.NO_RCPT, Steps.SILENT_RCPT)
    DATA = (b"T", 4, Steps.NO_DATA, Steps.SILENT_DATA)
    HEADER = (b"L", None, Steps.NO_HEADERS, Steps.SILENT_HEADER)
    END_OF_HEADER = (b"N", 6, Steps.NO_END_OF_HEADER, Steps.SILENT_END_OF_HEADER)
    BODY = (b"B", None, Steps.NO_BODY, Steps.SILENT_BODY)
    END_OF_MESSAGE = (b"E", 5, Steps(0), Steps(0))

    def __init__(
        self, code: bytes, symbols: int | None, left_out_by: Steps, silent_by: Steps
    ) -> None:
        self.code = code
        self.symbols = symbols
        self.left_out_by = left_out_by
        self.silent_by = silent_by


@dataclass(frozen=True, slots=True)
class Agreement:
    """What holds for this connection. `symbols`: the macros that the filter wants at a stage, by
    the stage's number; at others it gets the usual ones."""

    version: int
    actions: Actions
    steps: Steps
    symbols: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def has(self, stage: Stage) -> bool:
        """Does the filter want to hear of this?"""
        if stage is Stage.DATA and self.version < 4:
            return False  # the step is younger
        return not self.steps & stage.left_out_by

    def is_silent(self, stage: Stage) -> bool:
        """Is there no reply to it?"""
        return bool(self.steps & stage.silent_by)

    @property
    def keeps_blank(self) -> bool:
        """Does the blank behind a field's colon belong to its value?"""
        return bool(self.steps & Steps.LEADING_SPACE)

    def wanted(self, stage: Stage, macros: Mapping[str, str]) -> list[tuple[str, str]]:
        """The macros to send with a stage, of those that there are."""
        names = None if stage.symbols is None else self.symbols.get(stage.symbols)
        return [(name, value) for name, value in macros.items() if names is None or name in names]


def offer() -> bytes:
    """The data of our first packet."""
    return struct.pack(">III", OUR_VERSION, ALL_ACTIONS, ALL_STEPS)


def parse_answer(data: bytes) -> Agreement:
    """What the filter made of our offer. Raises: RemoteProtocolError."""
    if len(data) < 12:
        raise RemoteProtocolError("a short answer to the options")
    version, actions, steps = struct.unpack(">III", data[:12])
    if not OLDEST_VERSION <= version <= OUR_VERSION:
        raise RemoteProtocolError(f"version {version} of the protocol")
    if actions & ~int(ALL_ACTIONS):
        raise RemoteProtocolError(f"actions {actions:#x} that were not offered")
    # What else a filter sets it may have been told by another server: sendmail and Postfix pass
    # over flags for steps that they do not know.
    return Agreement(version, Actions(actions), Steps(steps & ALL_STEPS), _symbols(data[12:]))


def _symbols(data: bytes) -> dict[int, frozenset[str]]:
    """Lists of macros: a stage's number (32 bits) and names with blanks between them, NUL."""
    found: dict[int, frozenset[str]] = {}
    while data:
        names, has_end, rest = data[4:].partition(b"\0")
        if len(data) < 4 or not has_end:
            raise RemoteProtocolError("a list of macros without its end")
        words = names.decode("latin-1").replace(",", " ").split()
        found[int.from_bytes(data[:4], "big")] = frozenset(words[:_MAX_SYMBOLS])
        data = rest
    return found
